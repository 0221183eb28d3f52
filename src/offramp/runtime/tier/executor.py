"""Running a tier's partitions on a sample, until it leaves the tier."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from offramp.bundle.codecs import decode, encode
from offramp.bundle.manifest import TierManifest
from offramp.bundle.session import PartitionSession
from offramp.core.checks import FloatArray
from offramp.core.exits import at_or_below
from offramp.runtime.tier.slowdown import Pace, wait_until
from offramp.runtime.tier.validation import Job
from offramp.runtime.transport.messages import Stage


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a sample on a tier.

    partition: the last one that ran, counted from 0.
    leaves: whether it left at that partition's branch; else it goes on to another tier.
    result: the branch's probabilities, as they travel.
    activation: the output of the partition, as it travels; empty for a sample that leaves.
    trace: of the sample, the stages here included.
    """

    partition: int
    leaves: bool
    result: bytes
    activation: bytes
    trace: tuple[Stage, ...]


class Partitions:
    """A tier's partitions, loaded.

    tier: its part of the bundle.
    sessions: by first and last block.
    pace: how slow to play; None to be as fast as this machine.
    """

    def __init__(
        self, tier: TierManifest, sessions: Mapping[tuple[int, int], PartitionSession], pace: Pace | None
    ) -> None:
        self._tier, self._sessions, self._pace = tier, sessions, pace
        self._here = tier.topology.index(tier.tier)
        self._shapes = {(each.first, each.last): each.input_shape for each in tier.partitions}

    def run(self, job: Job) -> Done:
        """Run the job's partition, and the next ones as long as they are here too and the sample stays."""
        plan, k, topology = job.plan, job.task.partition, self._tier.topology
        trace, arrived_ns = list(job.task.trace), job.arrived_ns
        received = None if job.first and self._tier.tier == topology.source else plan.blocks[k][0] - 1
        x: FloatArray | None = None
        while True:
            clock_ns, started_ns = time.monotonic_ns(), time.time_ns()
            if x is None:
                x = self._tensor(job)
            output, probabilities, entropy = self._sessions[plan.blocks[k]].run(x)
            computed_ns = time.time_ns()
            leaves = k == len(plan.ends) - 1 or bool(at_or_below(entropy, plan.thresholds[k])[0])
            goes_on_here = not leaves and plan.placement[k + 1] == self._tier.tier
            result = probabilities.astype("<f4", copy=False).tobytes()
            activation = b"" if leaves or goes_on_here else encode(output, plan.codec)
            if self._pace is not None:
                sent = plan.ends[k] if activation else None
                if leaves and self._tier.tier != topology.destination:
                    sent = len(self._tier.object_bits) - 1
                stage_ns = self._pace.stage_ns(plan.blocks[k], plan.codec, received=received, sent=sent)
                wait_until(clock_ns + stage_ns)
            trace.append(Stage(self._here, k, arrived_ns, started_ns, computed_ns, time.time_ns()))
            if not goes_on_here:
                return Done(k, leaves, result, activation, tuple(trace))
            k, x, received, arrived_ns = k + 1, output, None, trace[-1].done_ns

    def _tensor(self, job: Job) -> FloatArray:
        """[1, ...] the job's tensor as its partition takes it."""
        shape = (1, *self._shapes[job.plan.blocks[job.task.partition]])
        if job.first:
            return np.frombuffer(job.tensor, np.uint8).reshape(shape)
        return decode(job.tensor, shape, job.plan.codec)
