"""How accurate a chosen plan really is.

The best of thousands of plans on some samples flatters itself on those samples: its accuracy there is also luck. So
one half of the exit table chooses, and the other half, which had no say, tells what the choice is worth.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv  # type: ignore[import-untyped]

from offramp.core.checks import IntArray
from offramp.core.estimate import Estimate, EstimatedPlan
from offramp.core.exit_table import ExitTable
from offramp.core.exits import Replay
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement
from offramp.errors import Fault, fail, refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A plan, and what samples that had no say in choosing it tell about it.

    plan: the plan.
    chosen, checked: its estimates on the half that chose it and on the half that certifies.
    bound: with `confidence`, this plan alone is at least that accurate on new samples. Of the last of several plans
        that passed a floor, the floor is what is guaranteed.
    confidence: in (0, 1).
    floor: the accuracy to be certified; None where none was asked for.
    choosing_samples, certifying_samples: sizes of the halves.
    tested: how many plans were tested on the certifying half.
    """

    plan: Plan
    chosen: Estimate
    checked: Estimate
    bound: float
    confidence: float
    floor: float | None
    choosing_samples: int
    certifying_samples: int
    tested: int

    @property
    def certified(self) -> bool:
        """Whether a floor was asked for and this plan passed."""
        return self.floor is not None and self.bound >= self.floor


def certify(planner: Planner, requirement: Requirement, *, seed: int) -> Certificate | None:
    """The fastest plan whose accuracy on new samples is at or above the floor with that confidence.

    The choosing half alone finds the frontier and with it the order of the tests: from the most accurate plan towards
    faster ones. Each is tested on the certifying half, and the first failure ends the sequence. To hand back a plan
    below the floor, the first such plan in the order must pass its test. Which plan that is was settled before the
    certifying half was looked at, so this happens with probability 1 - confidence at most, however many plans are
    tested (fixed-sequence testing: Bauer, Statistics in Medicine 10, 1991; Angelopoulos et al., Learn then Test, 2021).

    New samples are samples like the table's own, their classes in the same shares: the halves are stratified, and a
    count of successes of unequal chances has no heavier tail than the binomial (Hoeffding, Annals of Mathematical
    Statistics 27, 1956). The limit on latency is kept on the choosing half, and is not certified.

    planner: of the replay model; its exit table is split.
    seed: of the split.
    Returns the last plan that passed; if none did, the most accurate one, not certified; None where no plan is within
    the limit on latency and the constraints.
    Raises `InputError` where there is no floor, no confidence or no exit table, or where the half is so small that not
    even a plan that is right on every sample would pass.
    """
    floor, confidence = requirement.min_accuracy, _confidence(requirement)
    if floor is None:
        fail("min_accuracy", "there is no floor to certify", "give a floor on accuracy, or audit the plan")
    halves = _Halves.of(planner, seed=seed)
    samples = halves.certifying_samples
    if lower_bound(samples, samples, confidence=confidence) < floor:
        needed = samples_needed(floor, confidence=confidence)
        fail(
            "min_accuracy",
            f"{samples} samples can't show {floor:g} at confidence {confidence:g}, not even if all are answered right",
            f"give an exit table of {2 * needed} samples or more, or a lower floor or confidence",
        )
    frontier = halves.choosing.frontier(requirement)
    members = [estimated for estimated in frontier if requirement.latency.of(estimated.estimate) <= requirement.limit]
    passed = None
    for tested, estimated in enumerate(reversed(members), start=1):
        found = halves.test(estimated, floor=floor, confidence=confidence, tested=tested)
        if not found.certified:
            return replace(passed, tested=tested) if passed else found
        passed = found
    return passed


def audit(planner: Planner, requirement: Requirement, *, seed: int) -> Certificate | None:
    """The plan that the choosing half would have, and what the certifying half says of it: no floor is certified.

    planner: of the replay model; its exit table is split.
    seed: of the split.
    Returns the best plan or, where none meets the requirement, the nearest; None where the constraints allow none.
    Raises `InputError` where there is no confidence or no exit table.
    """
    halves = _Halves.of(planner, seed=seed)
    answer = halves.choosing.best(requirement)
    estimated = answer.best or answer.nearest
    if estimated is None:
        return None
    return halves.test(estimated, floor=None, confidence=_confidence(requirement), tested=1)


def split(table: ExitTable, *, seed: int) -> tuple[ExitTable, ExitTable]:
    """Two halves of the samples, drawn at random: one to choose with, one to certify with.

    Of every label the halves get equally many samples, or one of them one more, and so of all samples together.
    Raises `InputError` where there are fewer than four samples.
    """
    if table.samples < 4:
        fail("exit_table", f"{table.samples} samples can't be halved", "give four samples or more")
    rng = np.random.default_rng(seed)
    labels, rank = np.unique(table.label, return_inverse=True)
    # Dealt out like cards: labels in random order, the samples of a label in random order, either half first.
    order = np.lexsort((rng.permutation(table.samples), rng.permutation(len(labels))[rank]))
    first = rng.integers(2)
    return _part(table, order[first::2]), _part(table, order[1 - first :: 2])


def lower_bound(right: int, samples: int, *, confidence: float) -> float:
    """The accuracy that `right` of `samples` independent answers show with that confidence.

    The exact one-sided bound of Clopper and Pearson (Biometrika 26, 1934): the accuracy at which that many right
    answers or more have probability 1 - confidence; 0 where none is right.
    """
    faults = list(_confidence_faults(confidence))
    if not 0 <= right <= samples or samples < 1:
        faults.append(Fault("right", f"{right} of {samples}", "give how many of at least one sample are right"))
    refuse(faults)
    return float(betaincinv(right, samples - right + 1, 1 - confidence)) if right else 0.0


def samples_needed(floor: float, *, confidence: float) -> int:
    """The fewest samples that, all answered right, show an accuracy of `floor`: n with floor^n <= 1 - confidence."""
    faults = list(_confidence_faults(confidence))
    if not 0 < floor < 1:
        faults.append(Fault("min_accuracy", f"{floor:g} can't be certified", "give a floor between 0 and 1"))
    refuse(faults)
    return math.ceil(math.log(1 - confidence) / math.log(floor))


def _confidence(requirement: Requirement) -> float:
    if requirement.confidence is None:
        fail("confidence", "is not given", "give how sure the bound is to be, e.g. 0.95")
    return requirement.confidence


def _confidence_faults(confidence: float) -> list[Fault]:
    if 0 < confidence < 1:
        return []
    return [Fault("confidence", f"{confidence} is not between 0 and 1", "give a probability, e.g. 0.95")]


@dataclass(frozen=True, slots=True, eq=False)
class _Halves:
    """The same planner on either half of its exit table."""

    choosing: Planner
    certifying: Planner
    choosing_samples: int
    certifying_samples: int

    @classmethod
    def of(cls, planner: Planner, *, seed: int) -> "_Halves":
        model = planner.exits
        if not isinstance(model, Replay):
            fail("exits", f"the {model.name.value} model has no samples to certify with", "use the replay model")
        tables = split(model.table, seed=seed)
        choosing, certifying = (replace(planner, exits=replace(model, table=table)) for table in tables)
        return cls(choosing, certifying, *(table.samples for table in tables))

    def test(self, estimated: EstimatedPlan, *, floor: float | None, confidence: float, tested: int) -> Certificate:
        """What the certifying half says of a plan of the choosing half."""
        checked = self.certifying.estimate(estimated.plan).estimate
        right = round(checked.accuracy * self.certifying_samples)
        return Certificate(
            plan=estimated.plan,
            chosen=estimated.estimate,
            checked=checked,
            bound=lower_bound(right, self.certifying_samples, confidence=confidence),
            confidence=confidence,
            floor=floor,
            choosing_samples=self.choosing_samples,
            certifying_samples=self.certifying_samples,
            tested=tested,
        )


def _part(table: ExitTable, members: IntArray) -> ExitTable:
    """Those samples of the table, in its own order."""
    return table.part(np.sort(members))
