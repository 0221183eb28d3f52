"""Running a tier's partitions on a sample, until it exits or continues on another tier."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.bundle.codecs import decode, encode
from offramp.bundle.input_codecs import decode_input
from offramp.bundle.manifest import TierManifest
from offramp.bundle.session import PartitionSession
from offramp.core.exit_table import at_or_below
from offramp.runtime.tier.slowdown import SlowdownEmulator, wait_until
from offramp.runtime.tier.validation import AcceptedTask
from offramp.runtime.transport.messages import TraceEntry


@dataclass(frozen=True, slots=True)
class PartitionResult:
    """What a tier's consecutive partitions made of a sample.

    partition: the last one that ran, counted from 0.
    exited: whether the sample exited at that partition's branch; else it continues on another tier.
    result: the branch's probabilities, encoded.
    activation: the output of the partition, encoded; empty for a sample that exited.
    trace: of the sample so far, this tier's entries included.
    """

    partition: int
    exited: bool
    result: bytes
    activation: bytes
    trace: tuple[TraceEntry, ...]


class PartitionExecutor:
    """A tier's partitions, loaded.

    tier: its part of the bundle.
    sessions: by first and last block.
    slowdown: the hardware to emulate; None to be as fast as this machine.
    """

    def __init__(
        self,
        tier: TierManifest,
        sessions: Mapping[tuple[int, int], PartitionSession],
        slowdown: SlowdownEmulator | None,
    ) -> None:
        self._tier, self._sessions, self._slowdown = tier, sessions, slowdown
        self._index = tier.topology.index(tier.tier)
        self._shapes = {partition.blocks: partition.input_shape for partition in tier.partitions}

    def run(self, accepted: AcceptedTask) -> PartitionResult:
        """Run the task's partition, and the following ones as long as they are this tier's and the sample stays."""
        plan, k, topology = accepted.plan, accepted.task.partition, self._tier.topology
        trace, arrived_ns = list(accepted.task.trace), accepted.arrived_ns
        received = None if accepted.is_input and self._tier.tier == topology.source else plan.blocks[k][0] - 1
        x: NDArray[np.generic] | None = None
        while True:
            clock_ns, started_ns = time.monotonic_ns(), time.time_ns()
            if x is None:
                x = self._tensor(accepted)
            output, probabilities, score = self._sessions[plan.blocks[k]].run(x)
            computed_ns = time.time_ns()
            exited = k == len(plan.ends) - 1 or bool(at_or_below(score, plan.thresholds[k])[0])
            continues_on_this_tier = not exited and plan.placement[k + 1] == self._tier.tier
            result = probabilities.astype("<f4", copy=False).tobytes()
            activation = b"" if exited or continues_on_this_tier else encode(output, plan.codec)
            if self._slowdown is not None:
                sent = plan.ends[k] if activation else None
                if exited and self._tier.tier != topology.destination:
                    sent = len(self._tier.object_bits) - 1
                duration_ns = self._slowdown.partition_ns(plan, k, received=received, sent=sent)
                wait_until(clock_ns + duration_ns)
            trace.append(TraceEntry(self._index, k, arrived_ns, started_ns, computed_ns, time.time_ns()))
            if not continues_on_this_tier:
                return PartitionResult(k, exited, result, activation, tuple(trace))
            k, x, received, arrived_ns = k + 1, output, None, trace[-1].done_ns

    def _tensor(self, accepted: AcceptedTask) -> NDArray[np.generic]:
        """[1, ...] the task's tensor as its partition takes it."""
        blocks = accepted.plan.blocks[accepted.task.partition]
        shape = self._shapes[blocks]
        if accepted.is_input:
            kind = np.dtype(self._tier.input_type)
            return decode_input(accepted.tensor, shape, kind, accepted.plan.input_codec)[None]
        return decode(accepted.tensor, (1, *shape), accepted.plan.codec)
