"""The core's values refuse nonsense when they are built, and say what and where."""

import dataclasses

import numpy as np
import pytest

from offramp.core.codec import Codec
from offramp.core.encoded import Encoded
from offramp.core.exit_table import ExitTable
from offramp.core.latency import ComputeSource, Work
from offramp.core.plan import Plan
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.result import ServedRequest
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology
from offramp.errors import InputError

from .test_estimate import BACKBONE, LINE, NO_TRAVEL, TABLE


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda: Tier("a", slowdown=0), "slowdown: 0 is not above zero"),
        (lambda: Tier("a", slowdown=float("nan")), "slowdown: nan is not above zero"),
        (lambda: Tier("a"), "neither slowdown nor device"),
        (lambda: Tier("a", slowdown=1, device="pi"), "both slowdown and device"),
        (lambda: Tier("a b", slowdown=1), "is not a tier name"),
        (lambda: Link(0, 1), "bandwidth: 0 is not above zero"),
        (lambda: Link(1, -1), "latency: -1 is not zero or more"),
        (lambda: dataclasses.replace(LINE, links=LINE.links[:1]), "links: 1 links for 3 tiers; give 2"),
        (lambda: dataclasses.replace(LINE, source="moon"), "source: 'moon' is not a tier; use one of watch"),
        (lambda: dataclasses.replace(LINE, mtu_bits=0), "mtu: 0 is not above zero"),
        (lambda: forty_tiers(), "tiers: has 40 tiers; give at most 16"),
        (
            lambda: dataclasses.replace(NO_TRAVEL, block_s=np.array([1, -2, np.nan])),
            r"block_s\[1\]: -2.0 .*\n.*\[2\]: nan",
        ),
        (lambda: dataclasses.replace(NO_TRAVEL, branch_s=None), "branch_s: is missing"),
        (lambda: dataclasses.replace(NO_TRAVEL, branch_s=np.ones(2)), "branch_s: has 2 entries; give 3"),
        (lambda: Timing(None, None, None, np.zeros(3), np.zeros(3)), "neither block_s nor partition_s"),
        (lambda: rates(thresholds=[0.5, 0.4]), r"thresholds\[1\]: 0.4 comes after 0.5"),
        (lambda: rates(thresholds=[0.5, 1.4]), r"thresholds\[1\]: 1.4 is outside \[0, 1\]|not a share"),
        (lambda: rates(rate=[[0.5, 0.4], [0.6, 0.4]]), r"exit_rate\[0\]: sums to 0.9"),
        (lambda: rates(rate=[[0.5, 0.5], [0.4, 0.6]]), r"exit_rate\[1\]\[0\]: fewer samples have exited"),
        (lambda: rates(rate=[[-0.5, 1.5], [0.4, 0.6]]), r"exit_rate\[0\]\[0\]: -0.5 is not a share"),
        (lambda: dataclasses.replace(TABLE, scores=TABLE.scores * 2), "entries are outside"),
        (lambda: ExitTable(np.ones((1, 1)), np.ones((1, 1)), np.ones(1)), "1 branches and 1 samples"),
        (lambda: ExitTable(np.ones((2, 4)), np.ones((2, 3)), np.ones(4)), "correct: has shape"),
        (lambda: dataclasses.replace(BACKBONE, blocks=()), "blocks: is empty"),
        (lambda: Profile(BACKBONE, {"a": NO_TRAVEL}, "b", exit_table=TABLE), "reference_device: 'b' has no timings"),
        (lambda: Profile(BACKBONE, {"a": NO_TRAVEL}, "a"), "neither exits nor an exit_table"),
        (lambda: Profile(BACKBONE, {"a": NO_TRAVEL}, "a", rates()), "exits.accuracy: has 2 entries; give 3"),
        (lambda: rates(thresholds=[], rate=np.zeros((0, 2))), "thresholds: is empty"),
        (lambda: dataclasses.replace(NO_TRAVEL, block_s=[[1], [2, 3]]), "block_s: is not a list of numbers"),
        (lambda: dataclasses.replace(NO_TRAVEL, block_s=1.0), "block_s: has 0 axes; give a list of numbers"),
        (lambda: dataclasses.replace(PROFILE, codecs={Codec.FP32: ENCODED}), "codecs.fp32: is what the profile itself"),
        (lambda: Encoded(TABLE, {"a": np.zeros(5)}, {}), "serialize_s: names other devices"),
        (lambda: PROFILE.encoded(Codec.FP16), "codec: fp16 was not measured; use fp32, int8"),
        (lambda: LINE.index("moon"), "topology line has no tier 'moon'"),
        (lambda: Plan((), (), ()), "ends: is empty"),
        (lambda: Plan((0,), ("a",), ()), r"ends\[0\]: 0 is not a block"),
        (lambda: ServedRequest(id=0, exit=-1, latency_s=1.0, correct=None), "exit: -1 is not a partition"),
        (lambda: Work.of(dataclasses.replace(PROFILE, reference_device=None)).on(LINE), "no reference_device"),
        (lambda: Work.of(PROFILE).on(on_device("moon")), "the profile has no device 'moon'; use one of a"),
        (lambda: Work.of(PROFILE, compute=ComputeSource.PARTITIONS).on(LINE), "its device has no partition_s"),
        (lambda: Work.of(BY_PARTITION, compute=ComputeSource.BLOCKS).on(LINE), "its device has no block_s"),
    ],
)
def test_nonsense_is_refused(build, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        build()


def rates(thresholds=(0.4, 0.5), rate=((0.5, 0.5), (0.6, 0.4))) -> ExitRates:
    return ExitRates(np.array(thresholds), Meaning.FIRST_EXIT, np.array(rate), np.ones(2), samples=4)


ENCODED = Encoded(TABLE, {"a": np.zeros(5)}, {"a": np.zeros(5)})
PROFILE = Profile(BACKBONE, {"a": NO_TRAVEL}, "a", exit_table=TABLE, codecs={Codec.INT8: ENCODED})
WHOLE = dataclasses.replace(NO_TRAVEL, block_s=None, branch_s=None, partition_s=np.ones((3, 3)))
BY_PARTITION = Profile(BACKBONE, {"a": WHOLE}, "a", exit_table=TABLE)


def on_device(device: str) -> Topology:
    return Topology("one", "t", "t", (Tier("t", device=device),), ())


def test_a_device_is_added_with_its_times_in_every_codec() -> None:
    more = PROFILE.with_timing("b", WHOLE, {Codec.INT8: (np.ones(5), np.full(5, 2.0))})
    assert more.timings == {"a": NO_TRAVEL, "b": WHOLE}
    assert PROFILE.timings == {"a": NO_TRAVEL}
    in_int8 = more.encoded(Codec.INT8)
    assert in_int8.timings["b"].serialize_s.tolist() == [1] * 5
    assert in_int8.timings["b"].deserialize_s.tolist() == [2] * 5
    assert more.encoded(Codec.FP32) is more
    assert list(PROFILE.with_timing("b", WHOLE).encoded(Codec.INT8).timings) == ["a"], "b was not measured in int8"


def forty_tiers() -> Topology:
    return Topology("big", "t0", "t0", tuple(Tier(f"t{j}", 1) for j in range(40)), (Link(1, 1),) * 39)


def test_arrays_are_copies_that_nobody_can_write_to() -> None:
    mine = np.array([1.0, 2.0, 4.0])
    timing = dataclasses.replace(NO_TRAVEL, block_s=mine)
    mine[0] = 99
    assert timing.block_s[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        timing.block_s[0] = 5
