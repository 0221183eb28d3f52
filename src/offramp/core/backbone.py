"""The network to deploy, as far as planning needs it: a line of blocks and the sizes of what they put out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from offramp.core import checks
from offramp.core.checks import FloatArray
from offramp.core.codec import Codec, encoded_bits
from offramp.errors import Fault, refuse


@dataclass(frozen=True, slots=True)
class Block:
    """Layers that are never cut apart.

    output_bits: size of the one tensor that the next block takes.
    weight_bits: size of the weights of the block and its branch; None where it was not measured.
    """

    name: str
    output_bits: int
    weight_bits: int | None = None

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        yield from checks.positive("output_bits", self.output_bits, "give the size of the output tensor in bits")
        if self.weight_bits is not None:
            yield from checks.not_negative("weight_bits", self.weight_bits, "give the size of all weights in bits")


@dataclass(frozen=True, slots=True)
class Backbone:
    """A line of N blocks, each with one output tensor and one possible branch.

    input_bits: size of one sample as it leaves the source (O_0 of the paper).
    result_bits: size of one answer, the prediction vector (O_result).
    blocks: [N], block 1 first.
    """

    name: str
    dataset: str
    input_bits: int
    result_bits: int
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        yield from checks.positive("input_bits", self.input_bits, "give the size of one sample in bits")
        yield from checks.positive("result_bits", self.result_bits, "give the size of one answer in bits")
        if not self.blocks:
            yield Fault("blocks", "is empty", "give at least one block")

    def encoded(self, codec: Codec, mean_bits: FloatArray | None = None) -> "Backbone":
        """The same backbone with its outputs, which are float32, in that codec.

        mean_bits: [N] what they take where that differs from sample to sample.
        """
        if mean_bits is None:
            sizes = [encoded_bits(block.output_bits // 32, codec) for block in self.blocks]
        else:
            sizes = np.maximum(1, mean_bits.round()).astype(int).tolist()
        blocks = (replace(block, output_bits=bits) for block, bits in zip(self.blocks, sizes, strict=True))
        return replace(self, blocks=tuple(blocks))

    @property
    def object_bits(self) -> tuple[int, ...]:
        """[N+2] sizes of everything that can travel: the input, the blocks' outputs, the result."""
        return (self.input_bits, *(block.output_bits for block in self.blocks), self.result_bits)
