"""Slower hardware emulated on this machine: every partition takes as long as the profile predicts for its tier.

This machine can't compute as slowly as a watch does, but it can hold a result back for as long. A partition's run is
stretched from its start to slowdown x (decoding + computing + encoding), the profile's times. It is never shortened:
where this machine is slower than predicted, that shows. Such a run tests everything else that is predicted: exit
rates, bytes sent, and the cost of links, queues and hand-overs. The computing times themselves can be tested only
where they were measured, and the trace keeps how long each partition really ran before it was stretched.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from offramp.core.checks import FloatArray
from offramp.core.codec import Codec
from offramp.core.latency import Work
from offramp.core.profile import Profile
from offramp.core.topology import Topology

# `time.sleep` returns up to a tenth of a millisecond late; the rest is a busy wait.
_BUSY_WAIT_S = 2e-4


@dataclass(frozen=True, slots=True, eq=False)
class SlowdownEmulator:
    """How long things take on one tier, in seconds, by the codec of the activations. N blocks.

    compute_s: [N+1, N+1] entry [p, q] runs blocks p+1..q and branch q.
    serialize_s, deserialize_s: by codec, [N+2] of the input, the outputs of the blocks, the result.
    """

    compute_s: FloatArray
    serialize_s: Mapping[Codec, FloatArray]
    deserialize_s: Mapping[Codec, FloatArray]

    @classmethod
    def of(cls, profile: Profile, topology: Topology, *, tier: int, codecs: Iterable[Codec]) -> "SlowdownEmulator":
        """The times that the profile predicts for the tier at that index on the line."""
        times = {codec: Work.of(profile.encoded(codec)).tier_times(topology) for codec in codecs}
        return cls(
            compute_s=next(iter(times.values())).compute_s[tier],
            serialize_s={codec: tier_times.serialize_s[tier] for codec, tier_times in times.items()},
            deserialize_s={codec: tier_times.deserialize_s[tier] for codec, tier_times in times.items()},
        )

    def partition_ns(self, blocks: tuple[int, int], codec: Codec, *, received: int | None, sent: int | None) -> int:
        """Nanoseconds from the start of a partition, blocks `first..last` and the branch, to its end.

        received, sent: the object that came from another tier or goes to another: 0 the input, i the output of block
            i, N+1 the result; None where none crosses a link.
        """
        first, last = blocks
        seconds = float(self.compute_s[first - 1, last])
        seconds += 0.0 if received is None else float(self.deserialize_s[codec][received])
        seconds += 0.0 if sent is None else float(self.serialize_s[codec][sent])
        return round(1e9 * seconds)

    def forward_ns(self, codec: Codec) -> int:
        """Nanoseconds to encode a raw input."""
        return round(1e9 * float(self.serialize_s[codec][0]))


def wait_until(moment_ns: int) -> None:
    """Return at that moment of the monotonic clock, in nanoseconds, or immediately if it has passed."""
    left_s = (moment_ns - time.monotonic_ns()) / 1e9
    if left_s > _BUSY_WAIT_S:
        time.sleep(left_s - _BUSY_WAIT_S)
    while time.monotonic_ns() < moment_ns:
        pass
