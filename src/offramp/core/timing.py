"""How long blocks, branches and partitions take on a device."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from offramp.core import checks
from offramp.core.checks import FloatArray
from offramp.errors import Fault, refuse

_VECTORS = ("block_s", "branch_s", "serialize_s", "deserialize_s", "block_spread_s", "branch_spread_s")


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """Times on one device, in seconds. N is the number of blocks.

    block_s: [N] CK_i, block i without its branch; None where only whole partitions were measured.
    branch_s: [N] CB_i, the branch after block i; given exactly where `block_s` is.
    partition_s: [N, N] entry [f-1, l-1] is the time of blocks f..l and branch l run as one; NaN below the
        diagonal; None where only blocks were measured.
    serialize_s, deserialize_s: [N+2] turning an object into bytes, and bytes into an object; the objects are the
        input, the N outputs, the result.
    block_spread_s, branch_spread_s: [N] standard deviation over the repeats behind block_s and branch_s; None
        where it was not kept.
    """

    block_s: FloatArray | None
    branch_s: FloatArray | None
    partition_s: FloatArray | None
    serialize_s: FloatArray
    deserialize_s: FloatArray
    block_spread_s: FloatArray | None = None
    branch_spread_s: FloatArray | None = None

    def __post_init__(self) -> None:
        for name in (*_VECTORS, "partition_s"):
            values = getattr(self, name)
            if values is not None:
                ndim = 2 if name == "partition_s" else 1
                object.__setattr__(self, name, checks.frozen_array(values, np.float64, ndim, name))
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        if (self.block_s is None) != (self.branch_s is None):
            missing = "block_s" if self.block_s is None else "branch_s"
            yield Fault(missing, "is missing", "give block_s and branch_s together")
        if self.block_s is None and self.partition_s is None:
            yield Fault("block_s", "there is neither block_s nor partition_s", "give one of the two, or both")
            return
        for name in _VECTORS:
            values = getattr(self, name)
            if values is not None:
                yield from checks.times(name, values)
        if self.partition_s is not None:
            n = len(self.partition_s)
            yield from checks.length("partition_s", self.partition_s.shape[1], n, "one row and one column per block")
            yield from checks.times("partition_s", np.triu(self.partition_s))
        n = self.blocks
        for name in ("branch_s", "block_spread_s", "branch_spread_s"):
            values = getattr(self, name)
            if values is not None:
                yield from checks.length(name, len(values), n, "one per block")
        for name in ("serialize_s", "deserialize_s"):
            yield from checks.length(
                name, len(getattr(self, name)), n + 2, "the input, every block's output, the result"
            )

    def __repr__(self) -> str:
        measured = [name for name in ("block_s", "branch_s", "partition_s") if getattr(self, name) is not None]
        return f"Timing({self.blocks} blocks: {', '.join(measured)})"

    @property
    def blocks(self) -> int:
        """N, the number of blocks timed."""
        if self.block_s is not None:
            return len(self.block_s)
        assert self.partition_s is not None
        return len(self.partition_s)
