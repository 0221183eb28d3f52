"""What a network that stays as it is makes of the training samples: computed once, on disk while exits learn."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.format import open_memmap
from torch import Tensor, nn

from offramp.core.checks import IntArray
from offramp.errors import fail
from offramp.nn.data import Dataset
from offramp.nn.heads import Output, reduced_shape, reduction
from offramp.nn.network import MultiExitNetwork, Shape, output_shapes

MOST_BYTES = 4 << 30
"""That features take on disk; where all samples would take more, exits learn from fewer of them, drawn at random."""

_NUMBER_BYTES = 4
# Of one batch, at its widest block: 256 MB.
_NUMBERS_AT_ONCE = 1 << 26
_MOST_AT_ONCE = 256
_KEPT_EVERY_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What blocks 1..N-1 make of some samples, reduced as `heads.reduction` does it, and what the last exit says.

    rows: [R] places of these samples in the training split.
    blocks: N-1 arrays [R, ...] float32, on disk; they are not to be changed.
    logits: [R, C] float32 of the last exit, on disk.
    labels: [R].
    """

    rows: IntArray
    blocks: tuple[np.memmap[tuple[int, ...], np.dtype[np.float32]], ...]
    logits: np.memmap[tuple[int, ...], np.dtype[np.float32]]
    labels: IntArray


@dataclass(frozen=True, slots=True)
class Computed:
    """Features of some more samples are kept.

    images: how many samples.
    loss, accuracy: of the last exit on them, the network's own.
    """

    images: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Which samples' features are kept, and how.

    folder: where, and nothing else is there.
    rows: of how many samples.
    outputs: of blocks 1..N, before they are reduced.
    batch: how many are computed together: it must be the same again after an interruption, as sums depend on it.
    """

    folder: Path
    rows: int
    outputs: tuple[Output, ...]
    batch: int


def layout(network: MultiExitNetwork, dataset: Dataset, folder: Path, *, most_bytes: int = MOST_BYTES) -> Layout:
    """How many samples' features fit, and how large the batches are.

    network: in evaluation mode, on the CPU, with the last branch alone.
    """
    outputs = block_outputs(network, dataset)
    numbers = sum(_size(reduced_shape(output)) for output in outputs[:-1]) + dataset.classes
    rows = max(1, min(len(dataset.train), most_bytes // (_NUMBER_BYTES * numbers)))
    batch = max(1, min(_MOST_AT_ONCE, _NUMBERS_AT_ONCE // max(_size(output.shape) for output in outputs)))
    return Layout(folder, rows, outputs, batch)


def block_outputs(network: MultiExitNetwork, dataset: Dataset) -> tuple[Output, ...]:
    """What every block puts out. The network is on the CPU."""
    shapes = output_shapes(network, dataset)
    return tuple(Output.of(block, shape) for block, shape in zip(network.blocks, shapes, strict=True))


def compute(network: MultiExitNetwork, dataset: Dataset, to_keep: Layout, *, seed: int) -> Iterator[Computed]:
    """Compute the features that aren't kept yet, and keep them.

    network: in evaluation mode; it may be on another device.
    seed: of which samples are drawn, where not all of them fit.
    Raises `InputError` where there is no room for them.
    """
    done = _done(to_keep)
    if done is None:
        _begin(to_keep, dataset.classes)
        done = 0
    rows = _rows(to_keep, dataset, seed)
    arrays = _arrays(to_keep, "r+")
    reductions = [reduction(output) for output in to_keep.outputs[:-1]]
    device = next((tensor.device for tensor in network.state_dict().values()), torch.device("cpu"))
    kept_s = time.monotonic()
    while done < to_keep.rows:
        chosen = rows[done : done + to_keep.batch]
        images = torch.tensor(dataset.train.images[chosen], device=device)
        with torch.inference_mode():
            outputs = [*_outputs(network, images, reductions)]
            labels = torch.tensor(dataset.train.labels[chosen], device=device)
            loss = F.cross_entropy(outputs[-1], labels).item()
            accuracy = (outputs[-1].argmax(1) == labels).float().mean().item()
        for array, output in zip(arrays, outputs, strict=True):
            array[done : done + len(chosen)] = output.cpu().numpy()
        done += len(chosen)
        if done == to_keep.rows or time.monotonic() - kept_s > _KEPT_EVERY_S:
            for array in arrays:
                array.flush()
            _note(to_keep, done)
            kept_s = time.monotonic()
        yield Computed(len(chosen), loss, accuracy)


def kept_features(dataset: Dataset, kept: Layout, *, seed: int) -> Features:
    """The features, once they are all computed."""
    *blocks, logits = _arrays(kept, "c")  # torch wants arrays that could be written to
    rows = _rows(kept, dataset, seed)
    return Features(rows, tuple(blocks), logits, dataset.train.labels[rows])


def computed(kept: Layout) -> int:
    """Of how many samples features are kept."""
    return _done(kept) or 0


def remove(folder: Path) -> None:
    """Remove features, if there are any."""
    shutil.rmtree(folder, ignore_errors=True)


def _outputs(network: MultiExitNetwork, images: Tensor, reductions: Sequence[nn.Module]) -> Iterator[Tensor]:
    x = images
    *blocks, last = network.blocks
    for block, reduce in zip(blocks, reductions, strict=True):
        x = block(x)
        yield reduce(x)
    yield network.branches[-1](last(x))


def _begin(to_keep: Layout, classes: int) -> None:
    """Make files for the features, in place of any that are there."""
    remove(to_keep.folder)
    to_keep.folder.mkdir(parents=True)
    shapes = [*map(reduced_shape, to_keep.outputs[:-1]), (classes,)]
    needed = sum(map(_size, shapes)) * to_keep.rows * _NUMBER_BYTES
    # What is written by way of memory ends the process where the disk is full.
    free = shutil.disk_usage(to_keep.folder).free
    if needed > free:
        problem = f"has no room for features of {needed / 1e9:.2f} GB: {free / 1e9:.2f} GB are free"
        fail(str(to_keep.folder.parent), problem, "make room, or give another folder")
    for path, shape in zip(_paths(to_keep), shapes, strict=True):
        open_memmap(path, mode="w+", dtype=np.float32, shape=(to_keep.rows, *shape)).flush()
    _note(to_keep, 0)


def _arrays(kept: Layout, mode: str) -> list[np.memmap[tuple[int, ...], np.dtype[np.float32]]]:
    return [open_memmap(path, mode=mode) for path in _paths(kept)]


def _paths(kept: Layout) -> list[Path]:
    names = [*(f"block-{i}" for i in range(1, len(kept.outputs))), "logits"]
    return [kept.folder / f"{name}.npy" for name in names]


def _rows(kept: Layout, dataset: Dataset, seed: int) -> IntArray:
    """[R] in order."""
    everything = len(dataset.train)
    if kept.rows == everything:
        return np.arange(everything)
    return np.sort(np.random.default_rng(seed).choice(everything, kept.rows, replace=False))


def _done(kept: Layout) -> int | None:
    """How many samples' features are in the files; None where there are none of that layout."""
    try:
        noted = json.loads((kept.folder / "features.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return int(noted["done"]) if noted["layout"] == _noted(kept) else None


def _note(kept: Layout, done: int) -> None:
    unfinished = kept.folder / "features.json.tmp"
    unfinished.write_text(json.dumps({"layout": _noted(kept), "done": done}), encoding="utf-8")
    os.replace(unfinished, kept.folder / "features.json")


def _noted(kept: Layout) -> dict[str, object]:
    return {"rows": kept.rows, "shapes": [[*output.shape] for output in kept.outputs], "batch": kept.batch}


def _size(shape: Shape) -> int:
    return int(np.prod(shape, dtype=np.int64))
