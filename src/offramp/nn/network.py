"""A backbone with branches: what is trained, cut apart and deployed."""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from offramp.errors import fail
from offramp.nn.data import Dataset
from offramp.nn.normalization import normalization, taken, usual

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A backbone with new weights.

    blocks: by name, in order; block 1 takes normalized samples [B, ...], images [B, C, H, W].
    make_branch: classifying layers of their own for an output of that shape (without the batch).
    normalize: how images are to be normalized for it, as `normalization_text` writes it; None where it doesn't say.
    """

    blocks: Mapping[str, nn.Module]
    make_branch: Callable[[Shape], nn.Module]
    normalize: str | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A backbone before it has weights.

    make: from the shape of samples, images (C, H, W), the number of classes, and the type of the numbers that block 1
        gets, to a line of blocks.
    portable: whether another process can make it, too: from its name, and not only from a module in this one.
    trained: whether it always comes with weights that are worth keeping.
    learns: whether its blocks can learn.
    keep: writes into a folder what it can be made of again without what makes it now; takes what `make` takes. None for
        one that its name suffices for.
    """

    name: str
    make: Callable[[Shape, int, torch.dtype], Line]
    portable: bool = True
    trained: bool = False
    learns: bool = True
    keep: Callable[[Path, Shape, int, torch.dtype], None] | None = None


def of_images(name: str, make: Callable[[Shape, int], Line]) -> Spec:
    """The spec of a backbone that takes images alone."""

    def line(shape: Shape, classes: int, kind: torch.dtype) -> Line:
        if len(shape) != 3 or kind != torch.float32:
            problem = f"{name} takes images (C, H, W), and samples are {shape} of {str(kind).removeprefix('torch.')}"
            fail("backbone", problem, "give a network that is made for them: package.module:factory")
        return make(shape, classes)

    return Spec(name, line)


class MultiExitNetwork(nn.Module):
    """Blocks in a line and a branch after some of them; the last block always has one.

    blocks: by name, block 1 first; block 1 takes raw samples, images as uint8 [B, C, H, W].
    branches: by the 1-based block they follow.
    """

    def __init__(self, blocks: Mapping[str, nn.Module], branches: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.names = tuple(blocks)
        self.blocks = nn.ModuleList(blocks.values())
        self.ends = tuple(sorted(branches))
        self.branches = nn.ModuleList(branches[end] for end in self.ends)
        if not self.ends or self.ends[-1] != len(self.blocks):
            raise ValueError(f"the last of {len(self.blocks)} blocks needs a branch, there are branches at {self.ends}")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits [B, C] of every branch, shallowest first."""
        logits = []
        branches = dict(zip(self.ends, self.branches, strict=True))
        x = images
        for i, block in enumerate(self.blocks, start=1):
            x = block(x)
            if i in branches:
                logits.append(branches[i](x))
        return logits

    def branch(self, end: int) -> nn.Module:
        """The branch after block `end`, 1-based."""
        return self.branches[self.ends.index(end)]

    def part(self, ends: Iterable[int]) -> "MultiExitNetwork":
        """The branches after blocks `ends`, 1-based, and the blocks up to the last of them; the weights are shared."""
        kept = sorted({*ends})
        blocks = dict(zip(self.names[: kept[-1]], self.blocks, strict=False))
        return MultiExitNetwork(blocks, {end: self.branch(end) for end in kept})


class Partition(nn.Module):
    """Blocks first..last of a network, 1-based, and the branch after the last; the weights are shared with it."""

    def __init__(self, network: MultiExitNetwork, first: int, last: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*network.blocks[first - 1 : last])
        self.branch = network.branch(last)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Output of block first-1 (or raw images) -> output of block `last`, logits [B, C] of its branch."""
        output = self.blocks(x)
        return output, self.branch(output)


def build(
    spec: Spec,
    dataset: Dataset,
    *,
    ends: Iterable[int] | None = None,
    seed: int,
    normalize: str | None = None,
    head: Callable[[Shape, int], nn.Module] | None = None,
) -> MultiExitNetwork:
    """A new network for `dataset`, with branches after the blocks `ends`, and cut off behind the last of them.

    ends: 1-based; None for the full configuration, a branch after every block.
    seed: of the first weights; torch's own random state is left as it was.
    normalize: how block 1 begins, as `normalization_text` writes it; None for what the backbone says, or is `usual`.
    head: makes the branches, save the backbone's own last layers, from the shape of a block's output and the number of
        classes; None for branches like those.
    Branches learn, whatever is frozen in the blocks. Raises `InputError` for images that are too small.
    """
    kept = None if ends is None else {*ends}
    with _taking_the_images(spec, dataset):
        return _built(spec, dataset, lambda n: kept or {*range(1, n + 1)}, seed, normalize, head)[0]


def as_given(spec: Spec, dataset: Dataset, *, seed: int, normalize: str | None) -> tuple[MultiExitNetwork, str | None]:
    """The backbone with its own last layers as the only branch, and what it says itself of how to normalize images.

    All is as in `build`.
    """
    with _taking_the_images(spec, dataset):
        return _built(spec, dataset, lambda n: {n}, seed, normalize, None)


@contextmanager
def _taking_the_images(spec: Spec, dataset: Dataset) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        # What torch says where a layer gets nothing to look at.
        size = "x".join(map(str, dataset.image_shape[1:]))
        problem = f"{spec.name} can't take images of {size}: {str(error).splitlines()[0]}"
        fail("backbone", problem, "give larger ones, --image-size")


def _built(
    spec: Spec,
    dataset: Dataset,
    ends: Callable[[int], set[int]],
    seed: int,
    normalize: str | None,
    head: Callable[[Shape, int], nn.Module] | None,
) -> tuple[MultiExitNetwork, str | None]:
    """A network, and how its line of blocks says that images are to be normalized.

    ends: from the number of blocks to those with a branch.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        line = spec.make(dataset.image_shape, dataset.classes, taken(normalize or usual(dataset), dataset))
        blocks = dict(line.blocks)
        first = next(iter(blocks))
        blocks[first] = nn.Sequential(
            normalization(normalize or line.normalize or usual(dataset), dataset), blocks[first]
        )
        kept, last = ends(len(blocks)), len(blocks)
        blocks = dict(itertools.islice(blocks.items(), max(kept)))
        branches = {}
        x = torch.zeros(1, *dataset.image_shape, dtype=dataset.input_type)
        for i, block in enumerate(blocks.values(), start=1):
            x = output_of(block, x)
            if i in kept:
                shape = tuple(x.shape[1:])
                branches[i] = line.make_branch(shape) if head is None or i == last else head(shape, dataset.classes)
                branches[i].requires_grad_(True)
                _check_logits(spec, output_of(branches[i], x), dataset.classes)
    return MultiExitNetwork(blocks, branches), line.normalize


def _check_logits(spec: Spec, logits: Tensor, classes: int) -> None:
    """Raise `InputError` where a branch's answer to one image is not a number for each class."""
    if logits.shape != (1, classes):
        problem = f"{spec.name} answers an image with {[*logits.shape]} numbers, there are {classes} classes"
        fail("backbone", problem, "give one with as many outputs as there are classes")


def selected(network: MultiExitNetwork, ends: Iterable[int]) -> MultiExitNetwork:
    """A network of its own with the branches after blocks `ends` alone, cut off behind the last of them.

    ends: 1-based, of branches that `network` has; the weights are copied.
    """
    return copy.deepcopy(network.part(ends))


def output_shapes(network: MultiExitNetwork, dataset: Dataset) -> tuple[Shape, ...]:
    """Of what every block makes of a sample, without the batch. The network is on the CPU."""
    shapes = []
    x = torch.zeros(1, *dataset.image_shape, dtype=dataset.input_type)
    for block in network.blocks:
        x = output_of(block, x)
        shapes.append(tuple(x.shape[1:]))
    return tuple(shapes)


def lay_out(module: nn.Module, memory_format: torch.memory_format) -> None:
    """Keep the weights and statistics of `module` that have four dimensions in that format from now on."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=memory_format)


def output_of(module: nn.Module, x: Tensor) -> Tensor:
    """What `module` makes of `x` when it is deployed; its mode and running statistics stay as they are."""
    training = module.training
    with torch.inference_mode():
        output: Tensor = module.eval()(x)
    module.train(training)
    return output
