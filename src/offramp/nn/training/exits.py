"""Exits for a network that stays as it was given: light heads, fitted to what its blocks make of the samples.

The blocks don't learn, so a head depends on no other: fitted together or each alone, they are the same. So these are
also the networks with one branch whose accuracies EdgeSys'22 wants, and none is trained twice.
"""

import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from offramp.core.checks import IntArray
from offramp.nn import heads
from offramp.nn.data import Dataset
from offramp.nn.heads import Output
from offramp.nn.inference import accuracy
from offramp.nn.network import MultiExitNetwork, selected
from offramp.nn.training import checkpoint, features
from offramp.nn.training.checkpoint import Checkpoint
from offramp.nn.training.features import Layout
from offramp.nn.training.fit import Recipe, place
from offramp.nn.training.fit_head import FitStep, Samples, fit_head, right
from offramp.nn.training.jobs import Event, Finished, Learned, Planned, Started

NAME = "exits"
FEATURES = "features"
"""The folder in a run's where features are while exits learn."""

_HELD_BACK = 0.2
_MOST_TO_CHOOSE_BY = 10_000
_TOLD_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExitsToTrain:
    """Exits to be trained.

    folder: of the run; features and heads are kept there until all are done.
    kept_at: the checkpoint of the whole.
    network: as it was given, with its own last layers as the only branch, on the CPU.
    seed: of the heads' first weights, of the order of the samples, and of those that are held back.
    distill: whether heads also learn from what the last exit says.
    """

    folder: Path
    kept_at: Path
    network: MultiExitNetwork
    recipe: Recipe
    seed: int
    distill: bool
    most_bytes: int = features.MOST_BYTES


def train_exits(to_train: ExitsToTrain, dataset: Dataset) -> Iterator[Event]:
    """Choose and fit a head for every block but the last, as the events are taken; what is kept is not done again.

    A fifth of the training samples (of 10,000 at most) is held back, and every head that `heads.candidates` has for a
    block is fitted to the others. The head with the least work is chosen that has as much of what was held back right
    as the best of them, within one standard error of it (Breiman et al., Classification and Regression Trees, 1984,
    section 3.4.3), and is fitted again, to all. The validation split has no part in it: the exit table is made of it.
    """
    network = selected(to_train.network, to_train.network.ends).eval()
    layout = features.layout(network, dataset, to_train.folder / FEATURES, most_bytes=to_train.most_bytes)
    work = _Work.of(network, layout, dataset, to_train.recipe)
    yield Planned(1, work.images)
    if (finished := checkpoint.finished_accuracy(to_train.kept_at)) is not None:
        _tidy(to_train, len(layout.outputs))
        yield Started(NAME, work.images, work.images)
        yield Finished(NAME, finished, 0.0)
        return
    began = time.perf_counter()
    kept = [checkpoint.read(_head_at(to_train.folder, block)) for block in range(1, len(layout.outputs))]
    done = sum(images for images, head in zip(work.by_block, kept, strict=True) if head is not None)
    yield Started(NAME, work.images, features.computed(layout) + done)
    place(network)
    for part in features.compute(network, dataset, layout, seed=to_train.seed):
        yield Learned(NAME, 0, part.images, part.loss, part.accuracy)
    network.cpu()
    computed = features.kept_features(dataset, layout, seed=to_train.seed)
    labels, logits = torch.tensor(computed.labels), torch.from_numpy(computed.logits)
    chosen = []
    for i, (inputs, head) in enumerate(zip(computed.blocks, kept, strict=True)):
        if head is None:
            samples = Samples(torch.from_numpy(inputs), labels, logits if to_train.distill else None)
            block = _Block(i + 1, layout.outputs[i], dataset.classes, work.candidates[i])
            head = yield from _exit(to_train, samples, block)
        chosen.append(head)
    kinds = tuple(head.heads[0] for head in chosen)
    whole = with_heads(to_train.network, kinds, dataset)
    for branch, head in zip(whole.branches[:-1], chosen, strict=True):
        branch.load_state_dict(dict(head.weights))
    achieved = accuracy(whole.eval(), dataset.validation)
    epochs = to_train.recipe.epochs
    checkpoint.write(to_train.kept_at, Checkpoint(epochs, whole.state_dict(), accuracy=achieved, heads=kinds))
    _tidy(to_train, len(layout.outputs))
    yield Finished(NAME, achieved, time.perf_counter() - began)


def with_heads(network: MultiExitNetwork, kinds: Sequence[str], dataset: Dataset) -> MultiExitNetwork:
    """A network of its own: the blocks and the last branch of `network`, and before it new heads of those kinds.

    Raises `ValueError` where there are more kinds or fewer than blocks before the last.
    """
    own = selected(network, network.ends[-1:])
    outputs = features.block_outputs(own, dataset)[:-1]
    made = [heads.make(kind, output, dataset.classes) for kind, output in zip(kinds, outputs, strict=True)]
    branches = dict(enumerate([*made, own.branches[-1]], start=1))
    return MultiExitNetwork(dict(zip(own.names, own.blocks, strict=True)), branches)


@dataclass(frozen=True, slots=True)
class _Block:
    """A block that an exit is for: its number, its output, and the heads it may have, the least work first."""

    number: int
    output: Output
    classes: int
    kinds: tuple[str, ...]

    def head(self, kind: str, seed: int) -> heads.Head:
        """A new one of that kind."""
        with torch.random.fork_rng():
            torch.manual_seed(seed + self.number)
            return heads.make(kind, self.output, self.classes)


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do.

    candidates: by block but the last, the kinds of heads it may have.
    by_block: how many images its heads are shown.
    images: in all, those counted whose features are computed.
    """

    candidates: tuple[tuple[str, ...], ...]
    by_block: tuple[int, ...]
    images: int

    @classmethod
    def of(cls, network: MultiExitNetwork, layout: Layout, dataset: Dataset, recipe: Recipe) -> "_Work":
        first = torch.zeros(1, *dataset.image_shape, dtype=dataset.input_type)
        given = [first, *(torch.zeros(1, *output.shape) for output in layout.outputs)]
        found = tuple(
            tuple(heads.candidates(block, x, output, dataset.classes))
            for block, x, output in zip(network.blocks, given, layout.outputs[:-1], strict=False)
        )
        fitted = len(_halves(layout.rows, 0)[0])
        by_block = tuple(
            recipe.epochs * (layout.rows + (len(kinds) * fitted if len(kinds) > 1 else 0)) for kinds in found
        )
        return cls(found, by_block, layout.rows + sum(by_block))


def _exit(to_train: ExitsToTrain, samples: Samples, block: _Block) -> Generator[Event, None, Checkpoint]:
    """Choose the head after a block, fit it and keep it; the generator's value is what is kept."""
    recipe, seed = to_train.recipe, to_train.seed
    chosen, *others = block.kinds
    if others:
        fitted_to, held_back = _halves(len(samples.labels), seed)
        achieved = {}
        for kind in block.kinds:
            head = block.head(kind, seed)
            yield from _told(fit_head(head, samples, fitted_to, recipe, seed=seed))
            achieved[kind] = right(head, samples, held_back)
        best = max(achieved.values())
        enough = best - math.sqrt(best * (1 - best) / len(held_back))
        chosen = next(kind for kind, share in achieved.items() if share >= enough)
    head = block.head(chosen, seed)
    everything = np.arange(len(samples.labels))
    yield from _told(fit_head(head, samples, everything, recipe, seed=seed))
    achieved_in_training = (right(head, samples, everything),)
    kept = Checkpoint(recipe.epochs, head.state_dict(), accuracy=achieved_in_training, heads=(chosen,))
    checkpoint.write(_head_at(to_train.folder, block.number), kept)
    return kept


def _told(steps: Iterable[FitStep]) -> Iterator[Event]:
    """Take the steps, and tell of some of them."""
    told, images = time.perf_counter(), 0
    step = None
    for step in steps:
        images += step.images
        if time.perf_counter() - told > _TOLD_EVERY_S:
            yield Learned(NAME, step.epoch, images, step.loss, step.accuracy)
            told, images = time.perf_counter(), 0
    if step is not None:
        yield Learned(NAME, step.epoch, images, step.loss, step.accuracy)


def _halves(rows: int, seed: int) -> tuple[IntArray, IntArray]:
    """Places of the samples that candidates are fitted to, and of those that are held back."""
    drawn = np.random.default_rng(seed).permutation(rows)[:_MOST_TO_CHOOSE_BY]
    held_back = max(1, round(_HELD_BACK * len(drawn)))
    return drawn[held_back:], drawn[:held_back]


def _head_at(folder: Path, block: int) -> Path:
    return folder / f"exit-{block}.safetensors"


def _tidy(to_train: ExitsToTrain, blocks: int) -> None:
    """Remove what was kept for the case that training is interrupted."""
    features.remove(to_train.folder / FEATURES)
    for block in range(1, blocks):
        _head_at(to_train.folder, block).unlink(missing_ok=True)
