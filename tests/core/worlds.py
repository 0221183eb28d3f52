"""Small worlds in which every plan can be tried, with numbers that floating point adds exactly.

Times, rates and sizes are small multiples of powers of two, so that sums come out the same in any order: plans that tie
do tie to the last bit, and a planner and its oracle must agree on every one of them.
"""

from dataclasses import asdict, dataclass, replace

import numpy as np
from hypothesis import strategies as st

from offramp.core.backbone import Backbone, Block
from offramp.core.exit_table import ExitTable
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology


@dataclass(frozen=True)
class World:
    profile: Profile
    topology: Topology

    def __repr__(self) -> str:
        p = self.profile
        timings = {device: asdict(timing) for device, timing in p.timings.items()}
        exits, table = (value and asdict(value) for value in (p.exits, p.exit_table))
        return f"World({self.topology!r}, {p.backbone!r}, {timings!r}, {exits!r}, {table!r})"


def eighths(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda n: n / 8)


@st.composite
def topologies(draw: st.DrawFn, *, most_tiers: int = 4, devices: tuple[str, ...] = ()) -> Topology:
    m = draw(st.integers(1, most_tiers))
    names = [f"t{j}" for j in range(m)]
    tiers = []
    for name in names:
        device = draw(st.sampled_from([None, *devices]))
        tiers.append(
            Tier(name, device=device) if device else Tier(name, slowdown=draw(st.sampled_from([0.5, 1, 2, 8])))
        )
    rates = st.sampled_from([1.0, 4.0, 16.0, 64.0])
    return Topology(
        name="small",
        source=draw(st.sampled_from(names)),
        destination=draw(st.sampled_from(names)),
        tiers=tuple(tiers),
        links=tuple(Link(draw(rates), draw(eighths(0, 16))) for _ in range(m - 1)),
        mtu_bits=draw(st.sampled_from([None, 2.0, 8.0])),
    )


@st.composite
def with_energy(draw: st.DrawFn, topology: Topology) -> Topology:
    """The same topology with powers, and what sending takes."""
    watts, bit_j = st.sampled_from([0.0, 0.5, 1.0, 4.0]), st.sampled_from([0.0, 0.125, 0.5])
    tiers = tuple(replace(tier, power_w=draw(watts), idle_w=draw(watts)) for tier in topology.tiers)
    links = []
    for link in topology.links:
        radio_w = draw(watts)
        tail_s = draw(st.sampled_from([0.0, 0.5, 8.0])) if radio_w else 0.0
        links.append(
            replace(link, send_j_per_bit=draw(bit_j), receive_j_per_bit=draw(bit_j), radio_w=radio_w, tail_s=tail_s)
        )
    return replace(topology, tiers=tiers, links=tuple(links))


@st.composite
def timings(draw: st.DrawFn, *, blocks: int) -> Timing:
    def some(count: int, high: int = 16) -> list[float]:
        return [draw(eighths(0, high)) for _ in range(count)]

    by_block, by_partition = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    travel = st.just([0.0] * (blocks + 2)) | st.builds(lambda: some(blocks + 2, 4))
    return Timing(
        block_s=np.array(some(blocks)) if by_block else None,
        branch_s=np.array(some(blocks, 4)) if by_block else None,
        partition_s=np.triu(np.array([some(blocks, 32) for _ in range(blocks)])) if by_partition else None,
        serialize_s=np.array(draw(travel)),
        deserialize_s=np.array(draw(travel)),
    )


@st.composite
def exit_tables(draw: st.DrawFn, *, blocks: int, samples: int = 8) -> ExitTable:
    entropy = [[draw(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])) for _ in range(samples)] for _ in range(blocks)]
    correct = [[draw(st.booleans()) for _ in range(samples)] for _ in range(blocks)]
    return ExitTable(np.array(entropy), np.array(correct), np.zeros(samples, np.int64))


@st.composite
def exit_rates(draw: st.DrawFn, *, blocks: int, meaning: Meaning) -> ExitRates:
    thresholds = draw(st.sampled_from([(0.5,), (0.25, 0.5), (0.0, 0.25, 0.75)]))
    steps = st.integers(0, 8)
    if meaning is Meaning.FIRST_EXIT:
        left = np.array([[*sorted(draw(steps) for _ in range(blocks - 1)), 8] for _ in thresholds]) / 8
        rate = np.diff(np.maximum.accumulate(left, axis=0), axis=1, prepend=0)
    else:
        left = np.array([[*(draw(steps) for _ in range(blocks - 1)), 8] for _ in thresholds]) / 8
        rate = np.maximum.accumulate(left, axis=0)
    accuracy = np.array([draw(steps) for _ in range(blocks)]) / 8
    return ExitRates(np.array(thresholds), meaning, rate, accuracy, samples=8)


@st.composite
def worlds(draw: st.DrawFn, *, most_blocks: int = 4, most_tiers: int = 4) -> World:
    n = draw(st.integers(1, most_blocks))
    bits = st.sampled_from([1, 4, 8, 32, 64])
    weights = st.sampled_from([0, 8, 32])
    backbone = Backbone(
        name="small",
        dataset="none",
        input_bits=draw(bits),
        result_bits=draw(st.sampled_from([1, 8, 64])),
        blocks=tuple(Block(f"b{i}", draw(bits), draw(weights)) for i in range(1, n + 1)),
    )
    measured = {device: draw(timings(blocks=n)) for device in ("one", "two")}
    exits = draw(st.none() | exit_rates(blocks=n, meaning=draw(st.sampled_from(Meaning))))
    table = draw(exit_tables(blocks=n) if exits is None else st.none() | exit_tables(blocks=n))
    profile = Profile(backbone, measured, "one", exits, table)
    return World(profile, draw(topologies(most_tiers=most_tiers, devices=("one", "two"))))
