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
from offramp.core.codec import Codec, InputCodec
from offramp.core.latency import Work
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.topology import Topology

# `time.sleep` returns up to a tenth of a millisecond late; the rest is a busy wait.
_BUSY_WAIT_S = 2e-4


@dataclass(frozen=True, slots=True, eq=False)
class SlowdownEmulator:
    """How long things take on one tier, in seconds, by the codecs of activations and inputs. N blocks.

    compute_s: [N+1, N+1] entry [p, q] runs blocks p+1..q and branch q.
    serialize_s, deserialize_s: by codecs, [N+2] of the input, the outputs of the blocks, the result.
    """

    compute_s: FloatArray
    serialize_s: Mapping[tuple[Codec, InputCodec], FloatArray]
    deserialize_s: Mapping[tuple[Codec, InputCodec], FloatArray]

    @classmethod
    def of(cls, profile: Profile, topology: Topology, *, tier: int, plans: Iterable[Plan]) -> "SlowdownEmulator":
        """The times that the profile predicts for the tier at that index on the line, as the plans' codecs go."""
        times = {
            codecs: Work.of(profile.encoded(*codecs)).tier_times(topology)
            for codecs in {(plan.codec, plan.input_codec) for plan in plans}
        }
        return cls(
            compute_s=next(iter(times.values())).compute_s[tier],
            serialize_s={codecs: tier_times.serialize_s[tier] for codecs, tier_times in times.items()},
            deserialize_s={codecs: tier_times.deserialize_s[tier] for codecs, tier_times in times.items()},
        )

    def partition_ns(self, plan: Plan, k: int, *, received: int | None, sent: int | None) -> int:
        """Nanoseconds from the start of partition `k` of the plan, counted from 0, with its branch, to its end.

        received, sent: the object that came from another tier or goes to another: 0 the input, i the output of block
            i, N+1 the result; None where none crosses a link.
        """
        first, last = plan.blocks[k]
        codecs = plan.codec, plan.input_codec
        seconds = float(self.compute_s[first - 1, last])
        seconds += 0.0 if received is None else float(self.deserialize_s[codecs][received])
        seconds += 0.0 if sent is None else float(self.serialize_s[codecs][sent])
        return round(1e9 * seconds)

    def forward_ns(self, plan: Plan) -> int:
        """Nanoseconds to encode an input."""
        return round(1e9 * float(self.serialize_s[plan.codec, plan.input_codec][0]))


def wait_until(moment_ns: int) -> None:
    """Return at that moment of the monotonic clock, in nanoseconds, or immediately if it has passed."""
    left_s = (moment_ns - time.monotonic_ns()) / 1e9
    if left_s > _BUSY_WAIT_S:
        time.sleep(left_s - _BUSY_WAIT_S)
    while time.monotonic_ns() < moment_ns:
        pass
