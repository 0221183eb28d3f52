"""Emulated hardware: how long partitions should take, by sums written out, and that they take no less."""

import time
from itertools import pairwise

import numpy as np
import pytest

from offramp.bundle import read_model, read_tier
from offramp.bundle.session import PartitionSession
from offramp.core.codec import Codec, InputCodec
from offramp.core.plan import Plan
from offramp.core.topology import Link, Tier, Topology
from offramp.files import read_profile
from offramp.runtime.tier.executor import PartitionExecutor
from offramp.runtime.tier.slowdown import SlowdownEmulator, wait_until
from offramp.runtime.tier.validation import AcceptedTask
from offramp.runtime.transport.messages import Task
from tests.runtime.tiny import BLOCKS, Case


def test_times_are_those_of_the_profile_times_the_tier_s_slowdown() -> None:
    profile = read_profile("resnet20-digits")
    device = profile.reference_device
    assert device is not None
    timing = profile.timings[device]
    tiers = (Tier("a", 1.0), Tier("b", 7.0))
    topology = Topology("line", "a", "a", tiers, (Link(1e6, 0.01),))
    plan = Plan.parse("1@a 2-3@b T=0.5")
    emulator = SlowdownEmulator.of(profile, topology, tier=1, plans=[plan])
    assert timing.partition_s is not None
    blocks_s = 7.0 * timing.partition_s[1, 2]
    one_ns = {"abs": 1}
    assert emulator.partition_ns(plan, 1, received=None, sent=None) == pytest.approx(1e9 * blocks_s, **one_ns)
    whole_s = blocks_s + 7.0 * (timing.deserialize_s[1] + timing.serialize_s[3])
    assert emulator.partition_ns(plan, 1, received=1, sent=3) == pytest.approx(1e9 * whole_s, **one_ns)
    assert emulator.forward_ns(plan) == pytest.approx(7e9 * timing.serialize_s[0], **one_ns)


def test_a_moment_is_waited_for_and_one_that_has_passed_is_not() -> None:
    for ahead_ns in (-1_000_000, 3_000_000):
        moment_ns = time.monotonic_ns() + ahead_ns
        wait_until(moment_ns)
        assert time.monotonic_ns() >= moment_ns


@pytest.mark.parametrize(
    ("plan", "tier", "partition", "least_s"),
    [
        # From the input to the activation of block 1, which is encoded.
        ("1@watch 2-3@phone 4@cloud T=0.00,0.00", "watch", 0, [0.01 + 0.002]),
        # Decoded, and the result encoded, since the watch is the destination.
        ("1-2@watch 3@cloud 4@phone T=0.40 codec=int8", "phone", 2, [0.01 + 0.004 + 0.032]),
        # The input is decoded by the first partition alone; nothing is encoded between the two.
        ("1-2@watch 3@watch 4@cloud T=0.00,0.00 codec=fp16", "watch", 0, [0.01, 0.01 + 0.008]),
    ],
)
def test_partitions_take_no_less_and_the_trace_keeps_what_they_really_took(
    tiny: Case, plan: str, tier: str, partition: int, least_s: list[float]
) -> None:
    folder = tiny.folder / "tiers" / tier
    manifest = read_tier(folder)
    sessions = {part.blocks: PartitionSession(read_model(folder, part)) for part in manifest.partitions}
    serialize_s, deserialize_s = np.array([0.0, 0.002, 0.004, 0.008, 0.016, 0.032]), np.full(BLOCKS + 2, 0.004)
    codecs = [(codec, InputCodec.RAW) for codec in Codec]
    emulator = SlowdownEmulator(
        np.full((BLOCKS + 1, BLOCKS + 1), 0.01),
        dict.fromkeys(codecs, serialize_s),
        dict.fromkeys(codecs, deserialize_s),
    )
    parsed = Plan.parse(plan)
    tensor = tiny.samples[0].tobytes() if partition == 0 else np.float32(1).tobytes() + bytes(16)
    task = Task("5f2a90c1d3e4", 1, "ab", plan, partition, 5.0)
    accepted = AcceptedTask(task, parsed, memoryview(tensor), time.monotonic() + 60, time.time_ns())
    began_ns = time.monotonic_ns()
    ran = PartitionExecutor(manifest, sessions, emulator).run(accepted)
    assert time.monotonic_ns() - began_ns >= 1e9 * sum(least_s)
    assert [entry.partition for entry in ran.trace] == [*range(partition, partition + len(least_s))]
    assert all(entry.started_ns <= entry.computed_ns <= entry.done_ns for entry in ran.trace)
    assert all(earlier.done_ns == later.arrived_ns for earlier, later in pairwise(ran.trace))
    assert (ran.exited, ran.partition) == (partition == 2, partition + len(least_s) - 1)
    assert (ran.activation == b"") == ran.exited
