"""How much a budget buys: from CPU hours to epochs, settled once and then kept."""

import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch

from offramp.errors import fail
from offramp.nn.catalog import backbone_spec
from offramp.nn.network import build
from offramp.nn.profiling import machine
from offramp.nn.training.fit import Recipe, Step, fit, place
from studies.edgesys22.subjects import SEED, Subject

# More than these gain nothing.
_MOST_JOINT, _MOST_SEPARATE, _MOST_FINAL = 200, 100, 100
# With so many epochs a final model is trained from new weights, as in the paper; with less it is fine-tuned.
FROM_SCRATCH = 60
_TRIAL_STEPS = 12
_WARM_UP_STEPS = 3

FINAL_MODELS = 28  # of figure 3, as in the paper


@dataclass(frozen=True, slots=True)
class Epochs:
    """Of a subject's networks: with all branches, with one branch, and figure 3's final models, if it has any."""

    joint: int
    separate: int
    final: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is trained for how long.

    budget_h: CPU hours asked for, one for each hour of a processor; where there are GPUs, GPU hours.
    processors: how many are at work.
    bf16: whether training computes in bfloat16.
    epochs: by subject.
    """

    budget_h: float
    processors: int
    bf16: bool
    epochs: dict[str, Epochs]


def settle(path: Path, subjects: Sequence[Subject], budget_h: float | None) -> Schedule:
    """The schedule that is kept at `path`, or a new one for that budget, kept there.

    Raises `InputError` where another was settled before: networks trained for different times can't be compared.
    """
    if not path.exists():
        if budget_h is None:
            fail("--budget", "is missing", "give the CPU hours that training may take, e.g. --budget 3")
        _write(path, _settled(subjects, budget_h))
    kept = _read(path)
    if budget_h not in (None, kept.budget_h):
        problem = f"was {kept.budget_h:g} CPU hours when this study began"
        fail("--budget", problem, "leave it out to go on, or give another --work to begin anew")
    if missing := [each.key for each in subjects if each.key not in kept.epochs]:
        fail(str(path), f"has no {missing[0]}", "give the data sets that this study began with")
    return kept


def _settled(subjects: Sequence[Subject], budget_h: float) -> Schedule:
    """Epochs for a budget, from how fast each subject's joint network learns here."""
    bf16 = machine.has_fast_bf16()
    processors = torch.cuda.device_count() or os.cpu_count() or 1
    whole = sum(subject.share.whole for subject in subjects)
    epochs = {}
    for subject in subjects:
        images, blocks, cost_s = _trial(subject, bf16=bf16, processors=processors)

        def bought(share: float, networks: float, most: int, epoch_s: float = cost_s * images) -> int:
            seconds = 3600 * budget_h * share / whole
            return max(1, min(most, math.floor(seconds / (networks * epoch_s))))

        # A network that ends at block i has about i of N blocks' work; a partitioning ends late, at 4 N / 5.
        epochs[subject.key] = Epochs(
            joint=bought(subject.share.joint, 1, _MOST_JOINT),
            separate=bought(subject.share.separate, (blocks + 1) / 2, _MOST_SEPARATE),
            final=bought(subject.share.final, 0.8 * FINAL_MODELS, _MOST_FINAL) if subject.share.final else 0,
        )
    return Schedule(budget_h, processors, bf16, epochs)


def _trial(subject: Subject, *, bf16: bool, processors: int) -> tuple[int, int, float]:
    """How many images there are to learn, how many blocks the network has, and processor seconds per image."""
    dataset = subject.dataset()
    network = build(backbone_spec(subject.backbone), dataset, seed=SEED)
    place(network)
    steps = _WARM_UP_STEPS + _TRIAL_STEPS  # an epoch has one at least
    recipe = Recipe(epochs=steps, batch_size=subject.batch_size, learning_rate=subject.learning_rate)
    events = fit(network, dataset.train, recipe, seed=SEED, bf16=bf16)
    taken = (event.images for event in events if isinstance(event, Step))
    sum(islice(taken, _WARM_UP_STEPS))
    began = time.perf_counter()
    learned = sum(islice(taken, _TRIAL_STEPS))
    used = 1 if torch.cuda.is_available() else processors
    return len(dataset.train), len(network.blocks), used * (time.perf_counter() - began) / learned


def _write(path: Path, schedule: Schedule) -> None:
    path.write_text(json.dumps(asdict(schedule), indent=2) + "\n", encoding="utf-8")


def _read(path: Path) -> Schedule:
    document = json.loads(path.read_text(encoding="utf-8"))
    epochs = {key: Epochs(**each) for key, each in document.pop("epochs").items()}
    return Schedule(**document, epochs=epochs)
