"""The chosen configuration fine-tuned: a plan's branches alone, from the full configuration's weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offramp.core.exits import Replay
from offramp.core.plan import Plan
from offramp.core.score import ENTROPY, Score
from offramp.nn.data import Split
from offramp.nn.network import MultiExitNetwork, selected
from offramp.nn.profiling.exit_tables import exit_table
from offramp.nn.training import checkpoint, jobs
from offramp.nn.training.jobs import NetworkToTrain
from offramp.nn.training.run import Run

# Against the rate that the full configuration was trained with: the weights are good already.
_GENTLER = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """A plan's network.

    accuracy_before, accuracy_after: of the plan on the validation split, with the full configuration's weights and
        with those that were tuned.
    network: with the better weights of the two.
    """

    network: MultiExitNetwork
    accuracy_before: float
    accuracy_after: float

    @property
    def kept(self) -> bool:
        """Whether the tuned weights are the better ones."""
        return self.accuracy_after >= self.accuracy_before


def tune(run: Run, plan: Plan, *, epochs: int) -> Iterator[jobs.Event]:
    """Train the plan's branches, by the sum of their losses, from the full configuration's weights.

    The network is kept in the run's folder: what was tuned before is not tuned again, and what was interrupted goes
    on.
    """
    return jobs.train([to_tune(run, plan.ends, name=_name(plan, epochs), epochs=epochs)], run.dataset)


def to_tune(run: Run, ends: Sequence[int], *, name: str, epochs: int) -> NetworkToTrain:
    """A network with the branches after blocks `ends` alone, to be trained from the full configuration's weights."""
    joint = run.setup.joint
    recipe = replace(joint, epochs=epochs, learning_rate=_GENTLER * joint.learning_rate)
    return run.to_train(name, recipe, ends=tuple(ends), weights=run.network.part(ends).state_dict())


def tuned(run: Run, plan: Plan, *, epochs: int, score: Score = ENTROPY) -> Tuned:
    """The better of the plan's two networks, once `tune` has been taken to its end.

    score: what the plan's thresholds are of.
    """
    network = selected(run.network, plan.ends)
    split = run.dataset.validation
    before = plan_accuracy(network, plan, split, score)
    kept = checkpoint.read(run.checkpoint(_name(plan, epochs)))
    assert kept is not None
    candidate = selected(network, plan.ends)
    candidate.load_state_dict(dict(kept.weights))
    after = plan_accuracy(candidate.eval(), plan, split, score)
    return Tuned(candidate if after >= before else network, before, after)


def plan_accuracy(network: MultiExitNetwork, plan: Plan, split: Split, score: Score = ENTROPY) -> float:
    """Share of the split that the plan answers right with a network that has the plan's branches and no others."""
    rows = range(1, len(plan.ends) + 1)
    return Replay(exit_table(network, split, score), np.zeros(1)).rates(rows, plan.thresholds).accuracy


def _name(plan: Plan, epochs: int) -> str:
    return f"tuned-{'-'.join(map(str, plan.ends))}-{epochs}-epochs"
