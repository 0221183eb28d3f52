"""A backbone with branches: what is trained, cut apart and deployed."""

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, fx, nn

from offramp.errors import fail
from offramp.files.parts import Parts
from offramp.nn.data import Dataset
from offramp.nn.normalization import normalization, taken, usual

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A backbone with new weights.

    blocks: by name, in order; block 1 takes normalized samples [B, ...], images [B, C, H, W].
    make_branch: classifying layers of their own for an output of that shape (without the batch).
    normalize: how images are to be normalized for it, as `normalization_text` writes it; None where it doesn't say.
    last: the branch after the last block, where it isn't like the others.
    note: what of the network as it was given is not in the blocks and branches, in words.
    """

    blocks: Mapping[str, nn.Module]
    make_branch: Callable[[Shape], nn.Module]
    normalize: str | None = None
    last: nn.Module | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """A backbone before it has weights.

    make: from the shape of samples, images (C, H, W), and the number of classes to a line of blocks, the first of which
        gets floating-point numbers.
    portable: whether another process can make it, too: from its name, and not only from a module in this one.
    make_for: from the type of the numbers that block 1 gets, and from what samples are packed of, to what `make` is for
        these; None for a backbone that takes images alone.
    foreign: whether someone else wrote its blocks, which may have what can't be exported.
    trained: whether it always comes with weights that are worth keeping.
    learns: whether its blocks can learn.
    keep: writes into a folder what it can be made of again without what makes it now; takes what `line` takes. None for
        one that its name suffices for.
    """

    name: str
    make: Callable[[Shape, int], Line]
    portable: bool = True
    make_for: Callable[[torch.dtype, Parts], Callable[[Shape, int], Line]] | None = None
    foreign: bool = False
    trained: bool = False
    learns: bool = True
    keep: Callable[[Path, Shape, int, torch.dtype, Parts], None] | None = None

    def line(self, shape: Shape, classes: int, kind: torch.dtype, parts: Parts) -> Line:
        """The line for samples of that shape, whose numbers block 1 gets in that type; packed of several inputs.

        Raises `InputError` where the backbone takes images alone, and these are none.
        """
        if self.make_for is not None:
            return self.make_for(kind, parts)(shape, classes)
        if len(shape) != 3 or kind != torch.float32 or parts:
            of = f"{shape} of {str(kind).removeprefix('torch.')}"
            problem = f"{self.name} takes images (C, H, W), and samples are {of}"
            fail("backbone", problem, "give a network that is made for them: package.module:factory")
        return self.make(shape, classes)


MAIN = "main"
"""Under what name a traced block says the shape of its own output, where inputs are carried on beside it."""


def main_shape(block: nn.Module) -> Shape | None:
    """Of a block's own output, where it is a row of numbers with inputs behind that later blocks need; else None."""
    last = [*block.children()][-1] if isinstance(block, nn.Sequential) and len(block) else block
    found = getattr(last, "meta", {}).get(MAIN)
    return None if found is None else tuple(found)


@dataclass(frozen=True, slots=True)
class Output:
    """What a block puts out.

    shape: of its own output, without the batch.
    signal: whether a shape [C, L] is that of a signal, channels first, and not of tokens [T, C].
    row: how many numbers there are in all, where inputs are carried on behind the own output; else None.
    """

    shape: Shape
    signal: bool = False
    row: int | None = None

    @classmethod
    def of(cls, block: nn.Module, shape: Shape) -> "Output":
        """Of a block that puts out [B, *shape]; a signal is what was convolved along one axis."""
        graphs = [layer.graph for layer in block.modules() if isinstance(layer, fx.GraphModule)]
        convolved = any("conv1d" in str(node.target) for graph in graphs for node in graph.nodes)
        convolved = convolved or any(isinstance(layer, nn.Conv1d) for layer in block.modules())
        main = main_shape(block)
        own = main or shape
        return cls(own, len(own) == 2 and convolved, None if main is None else shape[0])

    @property
    def taken(self) -> Shape:
        """The shape that a branch takes."""
        return self.shape if self.row is None else (self.row,)


class Main(nn.Module):
    """A block's own output without the inputs that are carried on beside it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """[B, n] -> [B, *shape]."""
        return x[:, : math.prod(self.shape)].reshape(x.shape[0], *self.shape)


class MultiExitNetwork(nn.Module):
    """Blocks in a line and a branch after some of them; the last block always has one.

    blocks: by name, block 1 first; block 1 takes raw samples, images as uint8 [B, C, H, W].
    branches: by the 1-based block they follow.
    note: as in `Line`.
    """

    def __init__(self, blocks: Mapping[str, nn.Module], branches: Mapping[int, nn.Module], *, note: str = "") -> None:
        super().__init__()
        self.names = tuple(blocks)
        self.blocks = nn.ModuleList(blocks.values())
        self.ends = tuple(sorted(branches))
        self.branches = nn.ModuleList(branches[end] for end in self.ends)
        self.note = note
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
        kind = taken(normalize or usual(dataset), dataset)
        line = spec.line(dataset.image_shape, dataset.classes, kind, dataset.parts)
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
                if i == last:
                    branches[i] = line.last or line.make_branch(shape)
                else:
                    branches[i] = _branch(line, block, shape, head, dataset.classes)
                branches[i].requires_grad_(True)
                _check_logits(spec, output_of(branches[i], x), dataset.classes)
    return MultiExitNetwork(blocks, branches, note=line.note), line.normalize


def _branch(
    line: Line, block: nn.Module, shape: Shape, head: Callable[[Shape, int], nn.Module] | None, classes: int
) -> nn.Module:
    """The branch after a block that isn't the last, from the shape of its output."""
    own = main_shape(block)
    made = line.make_branch(own or shape) if head is None else head(own or shape, classes)
    return made if own is None else nn.Sequential(Main(own), made)


def _check_logits(spec: Spec, logits: Tensor, classes: int) -> None:
    """Raise `InputError` where a branch's answer to one image is not a number for each class."""
    if logits.shape != (1, classes):
        made = logits.shape[-1]
        problem = f"{spec.name} makes {made} logits, so it is made for {made} classes, and the data have {classes}"
        fail("backbone", problem, f"make it for {classes}, as num_classes says, or give data of {made} classes")


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
