"""The study's networks trained: each kept as it goes, and the time that all took."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from offramp.core.checks import IntArray
from offramp.nn.catalog import backbone_spec
from offramp.nn.network import MultiExitNetwork, build
from offramp.nn.training import checkpoint, finetune, jobs
from offramp.nn.training.run import Run, Training, begin_run
from studies.edgesys22.schedule import FINAL_MODELS, FROM_SCRATCH, Schedule
from studies.edgesys22.subjects import SEED, Subject

_MOST_PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Ledger:
    """Processor seconds spent, by what on, in a file that outlives an interrupted study."""

    path: Path
    processors: int

    def read(self) -> dict[str, float]:
        """What was spent so far."""
        return json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}

    def metered(self, on: str, events: Iterable[jobs.Event]) -> Iterator[jobs.Event]:
        """The events as they are; the time until each counts, on all processors, and is kept at every network's end."""
        before = self.read()
        began = time.perf_counter()
        learned = False
        try:
            for event in events:
                learned |= isinstance(event, jobs.Learned)
                if learned and isinstance(event, jobs.Finished):
                    self._write(before, on, began)
                yield event
        finally:
            if learned:
                self._write(before, on, began)

    def _write(self, before: dict[str, float], on: str, began: float) -> None:
        spent = before.get(on, 0.0) + self.processors * (time.perf_counter() - began)
        self.path.write_text(json.dumps({**before, on: spent}, indent=2) + "\n", encoding="utf-8")


def begin(subject: Subject, schedule: Schedule, folder: Path) -> Training:
    """The subject's networks, with all branches and with each alone, to be trained."""
    epochs = schedule.epochs[subject.key]
    spec, dataset = backbone_spec(subject.backbone), subject.dataset()
    setup = subject.setup(spec, dataset, joint=epochs.joint, separate=epochs.separate, bf16=schedule.bf16)
    return begin_run(folder, setup, dataset, spec)


def train_finals(run: Run, epochs: int) -> Iterator[jobs.Event]:
    """Train a final model for each partitioning of figure 3: its branches alone.

    As a plan is tuned, from the full configuration's weights, or, with epochs enough, from new ones.
    """
    fresh = replace(run.setup.joint, epochs=epochs)
    networks = [
        run.to_train(_name(ends), fresh, ends=ends)
        if epochs >= FROM_SCRATCH
        else finetune.to_tune(run, ends, name=_name(ends), epochs=epochs)
        for ends in partitionings(len(run.network.blocks))
    ]
    return jobs.train(networks, run.dataset, jobs.local_runner())


def final_model(run: Run, ends: Sequence[int]) -> MultiExitNetwork:
    """The trained final model of a partitioning."""
    kept = checkpoint.read(run.checkpoint(_name(ends)))
    assert kept is not None
    assert kept.finished
    network = build(run.spec, run.dataset, ends=ends, seed=run.setup.seed)
    network.load_state_dict(dict(kept.weights))
    return network.eval()


def partitionings(blocks: int) -> tuple[tuple[int, ...], ...]:
    """The 28 random ones of figure 3: two to four partitions, cut anywhere, trimmed or not."""
    rng = np.random.default_rng(SEED)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < FINAL_MODELS:
        parts = int(rng.integers(2, _MOST_PARTITIONS + 1))
        ends: IntArray = np.sort(rng.choice(np.arange(1, blocks + 1), parts, replace=False))
        found[tuple(ends.tolist())] = None
    return tuple(found)


def _name(ends: Sequence[int]) -> str:
    return f"final-{'-'.join(map(str, ends))}"
