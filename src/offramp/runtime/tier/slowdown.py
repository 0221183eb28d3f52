"""Slower machines played by this one: every stage takes as long as the profile says it would on its tier.

The machine at hand can't compute as a watch does, but it can hand a result over as late as a watch would. A stage is
stretched from its start to slowdown x (decoding + computing + encoding), the profile's times. It is never shortened:
where this machine is slower than predicted, that shows. A run of this kind tests all the rest of the prediction: who
leaves where, what travels, what links, queues and hand-overs cost. The computing times themselves can only be tested
where they were measured, and the trace keeps what a stage really took before it was stretched.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from offramp.core.checks import FloatArray
from offramp.core.codec import Codec
from offramp.core.latency import Work
from offramp.core.profile import Profile
from offramp.core.topology import Topology

# Sleeping ends up to a tenth of a millisecond late; the rest is waited for awake.
_AWAKE_S = 2e-4


@dataclass(frozen=True, slots=True, eq=False)
class Pace:
    """How long things take on one tier, in seconds, by the codec that activations travel in. N blocks.

    compute_s: [N+1, N+1] entry [p, q] runs blocks p+1..q and branch q.
    serialize_s, deserialize_s: by codec, [N+2] of the input, the outputs of the blocks, the result.
    """

    compute_s: FloatArray
    serialize_s: Mapping[Codec, FloatArray]
    deserialize_s: Mapping[Codec, FloatArray]

    @classmethod
    def of(cls, profile: Profile, topology: Topology, *, tier: int, codecs: Iterable[Codec]) -> "Pace":
        """The pace that the profile predicts for the tier at that place on the line."""
        times = {codec: Work.of(profile.encoded(codec)).tier_times(topology) for codec in codecs}
        return cls(
            compute_s=next(iter(times.values())).compute_s[tier],
            serialize_s={codec: each.serialize_s[tier] for codec, each in times.items()},
            deserialize_s={codec: each.deserialize_s[tier] for codec, each in times.items()},
        )

    def stage_ns(self, blocks: tuple[int, int], codec: Codec, *, received: int | None, sent: int | None) -> int:
        """Nanoseconds from a stage's start to its end: blocks `first..last` and the branch.

        received, sent: what came from another tier and goes to another, 0 the input, i the output of block i, N+1 the
            result; None for what stays here.
        """
        first, last = blocks
        seconds = float(self.compute_s[first - 1, last])
        seconds += 0.0 if received is None else float(self.deserialize_s[codec][received])
        seconds += 0.0 if sent is None else float(self.serialize_s[codec][sent])
        return round(1e9 * seconds)

    def forward_ns(self, codec: Codec) -> int:
        """Nanoseconds to make a raw input ready to travel."""
        return round(1e9 * float(self.serialize_s[codec][0]))


def wait_until(moment_ns: int) -> None:
    """Return at that moment of the monotonic clock, in nanoseconds, or at once if it has passed."""
    left_s = (moment_ns - time.monotonic_ns()) / 1e9
    if left_s > _AWAKE_S:
        time.sleep(left_s - _AWAKE_S)
    while time.monotonic_ns() < moment_ns:
        pass
