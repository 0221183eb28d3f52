"""What is different in a profile when activations or inputs travel encoded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from offramp.core import checks
from offramp.core.checks import FloatArray, IntArray
from offramp.core.exit_table import ExitTable
from offramp.errors import Fault, refuse


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """What is different when activations travel in another codec than fp32.

    exit_table: of the network with every activation between blocks encoded and decoded: at least as much is lost as
        in any plan, which cuts at some of them only.
    serialize_s, deserialize_s: by device, [N+2] as in `Timing`.
    bits: [N, S] what the output of each block takes of each sample; None where it is the same for all.
    """

    exit_table: ExitTable
    serialize_s: Mapping[str, FloatArray]
    deserialize_s: Mapping[str, FloatArray]
    bits: IntArray | None = None

    def __post_init__(self) -> None:
        if self.bits is not None:
            object.__setattr__(self, "bits", checks.frozen_array(self.bits, np.int64, 2, "bits"))
        for name in ("serialize_s", "deserialize_s"):
            given: Mapping[str, FloatArray] = getattr(self, name)
            frozen = {
                device: checks.frozen_array(times_s, np.float64, 1, f"{name}.{device}")
                for device, times_s in given.items()
            }
            object.__setattr__(self, name, frozen)
        refuse(self._faults())

    def __repr__(self) -> str:
        table = self.exit_table
        return f"Encoded({table.blocks} branches, {table.samples} samples; devices {', '.join(self.serialize_s)})"

    def _faults(self) -> Iterator[Fault]:
        if self.bits is not None:
            expected = self.exit_table.scores.shape
            if self.bits.shape != expected or self.bits.min(initial=1) < 1:
                problem = f"has shape {self.bits.shape}, or an output of no size"
                yield Fault("bits", problem, f"give {expected}: a size for each block and sample of the exit table")
        if self.serialize_s.keys() != self.deserialize_s.keys():
            yield Fault("serialize_s", "names other devices than deserialize_s", "give both for every device")
        for name in ("serialize_s", "deserialize_s"):
            for device, values in getattr(self, name).items():
                place = f"{name}.{device}"
                yield from checks.times(place, values)
                objects = self.exit_table.blocks + 2
                yield from checks.length(place, len(values), objects, "the input, every block's output, the result")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedInput:
    """What is different when inputs travel in another codec than as they are. S samples.

    bits: [S] size of each sample of the validation split.
    serialize_s, deserialize_s: by device, seconds of one input.
    exit_table: of the network that gets what the receiver decodes; None for a lossless codec, which changes nothing.
    """

    bits: IntArray
    serialize_s: Mapping[str, float]
    deserialize_s: Mapping[str, float]
    exit_table: ExitTable | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", checks.frozen_array(self.bits, np.int64, 1, "bits"))
        refuse(self._faults())

    def __repr__(self) -> str:
        return f"EncodedInput({self.mean_bits / 8:.0f} bytes in the mean of {len(self.bits)} samples)"

    @property
    def mean_bits(self) -> float:
        """Of a sample."""
        return float(self.bits.mean())

    def _faults(self) -> Iterator[Fault]:
        if not len(self.bits) or self.bits.min() < 1:
            yield Fault("bits", "is empty, or has a sample of no size", "give the size of every sample in bits")
        if self.serialize_s.keys() != self.deserialize_s.keys():
            yield Fault("serialize_s", "names other devices than deserialize_s", "give both for every device")
        for name in ("serialize_s", "deserialize_s"):
            for device, seconds in getattr(self, name).items():
                yield from checks.not_negative(f"{name}.{device}", seconds, "give seconds, zero or more")
        if self.exit_table is not None:
            yield from checks.length("bits", len(self.bits), self.exit_table.samples, "one per sample of its table")
