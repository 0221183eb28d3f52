"""Published systems against a plain brute force of each one's own space, and what their rows must obey."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offramp.core.backbone import Backbone, Block
from offramp.core.baselines import SYSTEMS, compare
from offramp.core.baselines.case import Case, Choice
from offramp.core.baselines.comparison import judge, text
from offramp.core.estimate import Estimate, Latency
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.requirement import Requirement
from offramp.core.timing import Timing
from offramp.core.topology import Link, Tier, Topology
from offramp.files import read_profile

from . import oracle
from .worlds import World, worlds

# What a system sees of each choice it may take: its own latency and its own accuracy.
Space = dict[Choice, tuple[float, float]]
See = Callable[[Choice], tuple[float, float]]

requirements = st.builds(
    lambda floor, limit, which: Requirement(
        min_accuracy=floor / 8 if which & 1 else None, max_latency_s=limit / 8 if which & 2 else None
    ),
    st.integers(0, 8),
    st.integers(1, 400),
    st.integers(1, 3),
)


def rates_of(world: World, choice: Choice) -> tuple[list[float], float]:
    """Exit rates and accuracy by the full model."""
    profile, inner = world.profile, len(choice.ends) - 1
    threshold = choice.threshold
    if threshold is None:
        # One exit alone, wherever it stands, has everyone.
        known = 0.0 if profile.exits is None else float(profile.exits.thresholds[0])
        rates, accuracy = rates_of(world, Choice(choice.ends[-1:], choice.tiers[-1:], known))
        return [0.0] * inner + rates, accuracy
    if profile.exit_table is not None:
        return oracle.replayed(profile.exit_table, choice.ends, (threshold,) * len(choice.ends))
    return oracle.from_rates(profile.exits, choice.ends, threshold)


def compute_time(world: World, choice: Choice, k: int) -> float:
    """Partition k's time; an inner one's branch takes none where nobody leaves, if it was timed on its own."""
    profile, tier = world.profile, choice.tiers[k]
    whole = oracle.compute_time(profile, world.topology, tier, choice.ends[k - 1] + 1 if k else 1, choice.ends[k])
    where = world.topology.tiers[tier]
    timing = profile.timings[where.device or profile.reference_device]
    if choice.threshold is not None or k == len(choice.ends) - 1 or timing.branch_s is None:
        return whole
    return max(0.0, whole - (where.slowdown or 1.0) * float(timing.branch_s[choice.ends[k] - 1]))


def mean_latency(world: World, choice: Choice, rates: list[float]) -> float:
    topology = world.topology
    source, destination = (topology.index(name) for name in (topology.source, topology.destination))
    total, elapsed, here, item = 0.0, 0.0, source, 0
    for k, rate in enumerate(rates):
        elapsed += oracle.send_time(world.profile, topology, here, choice.tiers[k], item)
        elapsed += compute_time(world, choice, k)
        here, item = choice.tiers[k], choice.ends[k]
        total += rate * (elapsed + oracle.send_time(world.profile, topology, here, destination, -1))
    return total


def full(world: World, choice: Choice) -> tuple[float, float]:
    rates, accuracy = rates_of(world, choice)
    return mean_latency(world, choice, rates), accuracy


def transfer_only(world: World) -> See:
    """The same without propagation, without serialization, and with the result where it is wanted."""
    links = tuple(dataclasses.replace(link, latency_s=0.0) for link in world.topology.links)
    blank = np.zeros(len(world.profile.backbone.blocks) + 2)
    timings = {
        device: dataclasses.replace(timing, serialize_s=blank, deserialize_s=blank)
        for device, timing in world.profile.timings.items()
    }
    bare = World(dataclasses.replace(world.profile, timings=timings), dataclasses.replace(world.topology, links=links))
    home = bare.topology.index(bare.topology.destination)
    back = [oracle.send_time(bare.profile, bare.topology, tier, home, -1) for tier in range(len(links) + 1)]

    def see(choice: Choice) -> tuple[float, float]:
        rates, accuracy = rates_of(world, choice)
        latency = mean_latency(bare, choice, rates)
        return latency - sum(rate * back[tier] for rate, tier in zip(rates, choice.tiers, strict=True)), accuracy

    return see


def cuts(near: int, far: int, last: int, thresholds: list[float | None]) -> Iterator[Choice]:
    yield Choice((last,), (far,), None)
    yield Choice((last,), (near,), None)
    for threshold, p in itertools.product(thresholds, range(1, last)):
        yield Choice((p, last), (near, far), threshold)


def seen(see: See, choices: Iterator[Choice]) -> Space:
    return {choice: see(choice) for choice in choices}


def middle(world: World) -> list[int]:
    return list(range(1, len(world.topology.tiers) - 1))


def space_of(name: str, world: World, thresholds: list[float]) -> Space:
    n, m = len(world.profile.backbone.blocks), len(world.topology.tiers)
    cloud = m - 1
    measured = functools.partial(full, world)
    three = itertools.combinations(range(1, n), 2)
    match name:
        case "device-only":
            return seen(measured, iter([Choice((n,), (0,), None)]))
        case "edge-only":
            return seen(measured, (Choice((n,), (j,), None) for j in middle(world)))
        case "cloud-only":
            return seen(measured, iter([Choice((n,), (cloud,), None)]))
        case "Neurosurgeon":
            return seen(transfer_only(world), cuts(0, cloud, n, [None]))
        case "BranchyNet":
            one = (choice for j in range(m) for choice in cuts(j, j, n, [*thresholds]))
            two = (Choice((*pair, n), (j, j, j), t) for pair, j, t in itertools.product(three, range(m), thresholds))
            return seen(measured, itertools.chain(one, two))
        case "DDNN" if n >= 3 and m >= 3:
            return seen(
                measured,
                (
                    Choice((*pair, n), (0, j, cloud), t)
                    for pair, j, t in itertools.product(three, middle(world), thresholds)
                ),
            )
        case "DDNN" if n == 1:
            return seen(measured, iter([Choice((n,), (cloud,), None)]))
        case "DDNN":
            return seen(measured, (c for c in cuts(0, cloud, n, [*thresholds]) if len(c.ends) == 2))
        case "Edgent":
            servers = middle(world) or [cloud]
            return seen(
                transfer_only(world), (c for j in servers for last in range(1, n + 1) for c in cuts(j, 0, last, [None]))
            )
        case "ADDA":
            servers = middle(world) or [cloud]
            return seen(transfer_only(world), (c for j in servers for c in cuts(0, j, n, [*thresholds])))
        case "SPINN":
            return seen(transfer_only(world), cuts(0, cloud, n, [*thresholds]))
        case "Pacheco-Couto":
            space: Space = {}
            for edge, threshold in itertools.product(middle(world) or [0], thresholds):
                costs = seen(transfer_only(world), cuts(edge, cloud, n, [threshold]))

                def cut(choice: Choice, edge: int = edge) -> int:
                    if len(choice.ends) == 2:
                        return choice.ends[0]
                    return n if choice.tiers[0] == edge else 0

                found = min(costs, key=lambda choice: (costs[choice][0], cut(choice)))
                space[found] = costs[found]
            return space
        case "PORTEND":
            return portend_space(world, thresholds)
    raise AssertionError(name)


def marginal(profile: Profile, thresholds: list[float]) -> ExitRates:
    """PORTEND's exit rates and accuracies, counted one by one."""
    table = profile.exit_table
    if table is None:
        return profile.exits
    n = len(table.scores)
    rates = [[float(np.mean([e <= t for e in table.scores[i]])) for i in range(n - 1)] + [1.0] for t in thresholds]
    if profile.exits is not None and profile.exits.meaning is Meaning.MARGINAL:
        accuracy = profile.exits.accuracy
    else:
        accuracy = np.array([sum(map(bool, row)) / len(row) for row in table.correct])
    return ExitRates(np.array(thresholds), Meaning.MARGINAL, np.array(rates), accuracy, len(table.label))


def portend_space(world: World, thresholds: list[float]) -> Space:
    n, m = len(world.profile.backbone.blocks), len(world.topology.tiers)
    known = marginal(world.profile, thresholds)
    space = {}
    for threshold, parts in itertools.product(thresholds, range(1, min(n, m) + 1)):
        for ends in itertools.combinations(range(1, n + 1), parts):
            for tiers in itertools.combinations(range(m), parts):
                choice = Choice(ends, tiers, threshold if parts > 1 else None)
                rates, accuracy = oracle.from_rates(known, ends, threshold)
                space[choice] = mean_latency(world, choice, rates), accuracy
    return space


def rank(seen: tuple[float, float], requirement: Requirement, *, floor_in_reach: bool, met: bool) -> tuple:
    """Where the planner's own rule puts what it sees: lower is better."""
    latency, accuracy = seen
    accurate = accuracy >= requirement.floor
    by_latency = (latency, -accuracy)
    if met:
        order = (-accuracy, latency) if requirement.min_accuracy is None else by_latency
        return (not (accurate and latency <= requirement.limit), *order)
    return (not accurate, *by_latency) if floor_in_reach else (False, -accuracy, latency)


def best_rank(space: Space, requirement: Requirement) -> tuple[tuple, Callable[[tuple[float, float]], tuple]]:
    floor_in_reach = any(accuracy >= requirement.floor for _, accuracy in space.values())
    met = any(accuracy >= requirement.floor and latency <= requirement.limit for latency, accuracy in space.values())

    def ranked(seen: tuple[float, float]) -> tuple:
        return rank(seen, requirement, floor_in_reach=floor_in_reach, met=met)

    return min(map(ranked, space.values())), ranked


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
@settings(max_examples=25, deadline=None)
@given(world=worlds(), requirement=requirements)
def test_a_system_takes_the_best_of_its_own_space(system, world: World, requirement: Requirement) -> None:
    assume(len(world.topology.tiers) >= system.fewest_tiers)
    planner = Planner.of(world.profile, world.topology)
    choice = system.choose(Case.of(world.profile, planner, requirement))
    space = space_of(system.name, world, planner.exits.thresholds.tolist())
    assert choice in space
    if system.name == "Neurosurgeon":  # has no notion of accuracy
        assert space[choice][0] == min(latency for latency, _ in space.values())
        return
    if system.name == "edge-only":
        assert space[choice][0] == min(latency for latency, _ in space.values())
        return
    best, ranked = best_rank(space, requirement)
    if system.name == "PORTEND":  # its search keeps shares a millionth of a millionth below one
        assert ranked(space[choice])[:2] == pytest.approx(best[:2], rel=1e-9, abs=1e-9)
    else:
        assert ranked(space[choice]) == best


@settings(max_examples=60, deadline=None)
@given(world=worlds(), requirement=requirements)
def test_choices_are_judged_by_the_full_model(world: World, requirement: Requirement) -> None:
    planner = Planner.of(world.profile, world.topology)
    case = Case.of(world.profile, planner, requirement)
    for system in SYSTEMS:
        if len(world.topology.tiers) < system.fewest_tiers:
            continue
        choice = system.choose(case)
        judged = judge(case, choice)
        assert (judged.latency_s, judged.accuracy) == pytest.approx(full(world, choice), rel=1e-12, abs=1e-12)
        if expressible(choice):
            assert judged == planner.estimate(Plan.parse(text(choice, world.topology))).estimate


def expressible(choice: Choice) -> bool:
    """Whether Offramp could choose it: one exit on a tier, and nothing but exits at the cuts."""
    return len(set(choice.tiers)) == len(choice.tiers) and (choice.has_exits or len(choice.ends) == 1)


@settings(max_examples=60, deadline=None)
@given(world=worlds(), requirement=requirements)
def test_offramp_is_never_behind_a_plan_it_could_choose(world: World, requirement: Requirement) -> None:
    planner = Planner.of(world.profile, world.topology)
    case = Case.of(world.profile, planner, requirement)
    *rows, ours = compare(world.profile, planner, requirement)
    names = [system.name for system in SYSTEMS if len(world.topology.tiers) >= system.fewest_tiers]
    assert [row.system for row in rows] == names
    assert ours.system == "Offramp"
    for system, row in zip((s for s in SYSTEMS if s.name in names), rows, strict=True):
        assert row.meets == (row.estimate.accuracy >= requirement.floor and row.estimate.latency_s <= requirement.limit)
        if not expressible(system.choose(case)):
            continue
        if row.estimate.latency_s > 0:
            assert row.gain is not None
            assert row.gain >= -1e-12
        if row.meets:
            assert ours.meets
            if requirement.min_accuracy is None:
                assert ours.estimate.accuracy >= row.estimate.accuracy
            else:
                assert ours.estimate.latency_s <= row.estimate.latency_s * (1 + 1e-12)


@settings(max_examples=25, deadline=None)
@given(world=worlds(), requirement=requirements)
def test_gain_is_what_the_frontier_saves(world: World, requirement: Requirement) -> None:
    planner = Planner.of(world.profile, world.topology)
    members = oracle.frontier(world.profile, world.topology)
    for row in compare(world.profile, planner, requirement):
        latency = min((lat for lat, acc, *_ in members if acc >= row.estimate.accuracy), default=math.inf)
        if row.estimate.latency_s > 0 and latency < math.inf:
            assert row.gain == pytest.approx(1 - latency / row.estimate.latency_s)
        else:
            assert row.gain is None


@settings(max_examples=40, deadline=None)
@given(world=worlds(), requirement=requirements, latency=st.sampled_from(Latency))
def test_a_percentile_is_asked_of_every_row(world: World, requirement: Requirement, latency: Latency) -> None:
    assume(world.profile.exit_table is not None)
    requirement = dataclasses.replace(requirement, latency=latency)
    planner = Planner.of(world.profile, world.topology)
    *rows, ours = compare(world.profile, planner, requirement)
    members = planner.frontier(Requirement(latency=latency))
    for row in (*rows, ours):
        assert row.latency_s == latency.of(row.estimate)
        assert row.meets == (row.estimate.accuracy >= requirement.floor and row.latency_s <= requirement.limit)
        faster = [latency.of(p.estimate) for p in members if p.estimate.accuracy >= row.estimate.accuracy]
        if faster and row.latency_s > 0:
            assert row.gain == pytest.approx(1 - min(faster) / row.latency_s)
    best = planner.best(requirement)
    assert ours.plan == str((best.best or best.nearest).plan)


def small(
    *, outputs: list[int], slowdowns: list[float], left: list[float], source: str, destination: str, branch_s: float = 0
) -> World:
    """One block a second on the reference device, one bit a second on every link, marginal exit rates at T = 0.5.

    The last branch alone is ever right.
    """
    n = len(outputs)
    backbone = Backbone("b", "d", 64, 8, tuple(Block(f"b{i}", bits) for i, bits in enumerate(outputs)))
    timing = Timing(np.ones(n), np.full(n, branch_s), None, np.zeros(n + 2), np.zeros(n + 2))
    accuracy = np.eye(n)[-1]
    rates = ExitRates(np.array([0.5]), Meaning.MARGINAL, np.array([left]), accuracy, samples=8)
    tiers = tuple(Tier(f"t{j}", slowdown=slowdown) for j, slowdown in enumerate(slowdowns))
    links = (Link(1, 0),) * (len(tiers) - 1)
    return World(Profile(backbone, {"x": timing}, "x", rates), Topology("t", source, destination, tiers, links))


def chosen(name: str, world: World, requirement: Requirement) -> tuple[Choice, Estimate]:
    system = next(system for system in SYSTEMS if system.name == name)
    case = Case.of(world.profile, Planner.of(world.profile, world.topology), requirement)
    choice = system.choose(case)
    return choice, judge(case, choice)


def test_without_exits_no_branch_runs_at_the_cut() -> None:
    world = small(outputs=[1, 64, 64], slowdowns=[8, 1], left=[0, 0, 1], source="t0", destination="t0", branch_s=2)
    choice, judged = chosen("Neurosurgeon", world, Requirement(min_accuracy=1))
    assert choice == Choice((1, 3), (0, 1), None)
    # Block 1 at eight seconds without its branch, one bit up, two blocks and the last branch, eight bits back.
    assert judged.latency_s == 8 + 1 + (2 + 2) + 8


def test_a_truncated_network_pays_for_its_last_branch_alone() -> None:
    world = small(outputs=[1, 64], slowdowns=[0.125, 1], left=[0, 1], source="t1", destination="t1", branch_s=4)
    choice, judged = chosen("Edgent", world, Requirement(min_accuracy=1))
    assert choice == Choice((1, 2), (1, 0), None)
    assert judged.latency_s == 1 + 1 + 0.125 * (1 + 4) + 8


@pytest.mark.parametrize(
    ("left", "destination"),
    [
        ([0, 0, 1], "t0"),  # the device is fast and the input is not there
        ([1, 0, 1], "t2"),  # everyone has left, yet a share below zero of them leaves on the device
    ],
)
def test_portend_never_goes_back_towards_the_device(left: list[float], destination: str) -> None:
    world = small(outputs=[1, 1, 64], slowdowns=[0.125, 8, 0.125], left=left, source="t1", destination=destination)
    for requirement in (Requirement(min_accuracy=1), Requirement(min_accuracy=0)):
        choice, _ = chosen("PORTEND", world, requirement)
        assert list(choice.tiers) == sorted(choice.tiers)


def test_without_exits_there_is_no_threshold_in_the_text() -> None:
    topology = Topology("two", "a", "a", (Tier("a", slowdown=1), Tier("b", slowdown=1)), (Link(1e6, 0.0),))
    assert text(Choice((2, 3), (0, 1), None), topology) == "1-2@a 3@b"
    assert text(Choice((2, 3), (0, 1), 0.0), topology) == "1-2@a 3@b T=0.00"
    assert text(Choice((1, 2, 3), (0, 0, 1), 0.4), topology) == "1@a 2@a 3@b T=0.40"


MEASURED = Path(__file__).parents[3] / "shared" / "data" / "portend-resnet20.json"


@pytest.fixture(scope="module")
def portends() -> World:
    """What the released planner was run on; its answer, with the floor two points below the full network's accuracy,
    is tier 0 [1-7], tier 1 [8], tier 2 [9], T = 0.8: 12.96 ms with exit rates of 100, 0 and -0.02 %.
    """
    if not MEASURED.exists():
        pytest.skip("PORTEND's released measurements are not here")
    devices = ("a1.medium", "m4.large", "g4dn.xlarge")
    tiers = tuple(Tier(f"tier-{j}", device=device) for j, device in enumerate(devices))
    links = (Link(10e6, 0.020), Link(400e6, 0.040))
    topology = Topology("aws", "tier-0", "tier-0", tiers, links, mtu_bits=8 * 9000)
    return World(read_profile(MEASURED), topology)


def portends_send_s(profile: Profile, topology: Topology, a: int, b: int, item: int) -> float:
    """As `oracle.send_time`, with PORTEND's own time of a pipelined transfer: every fragment is a whole one."""
    seconds = oracle.send_time(profile, dataclasses.replace(topology, mtu_bits=None), a, b, item)
    sizes = profile.backbone.object_bits
    rates = [link.bandwidth_bits_per_s for link in topology.links[min(a, b) : max(a, b)]]
    if rates:
        waiting = (math.ceil(sizes[item] / topology.mtu_bits) - 1) * topology.mtu_bits / min(rates)
        seconds += waiting + sum((topology.mtu_bits - sizes[item]) / rate for rate in rates)
    return seconds


def released(world: World, ends: tuple, tiers: tuple, threshold: float) -> tuple[float, float, list[float]]:
    """The released planner's arithmetic: the last used branch lets leave only whom it was measured to, and the input
    is serialized even on its own tier.
    """
    profile, topology = world.profile, world.topology
    row = profile.exits.thresholds.tolist().index(threshold)
    left = [0.0, *(float(profile.exits.exit_rate[row][end - 1]) for end in ends)]
    rates = [after - before for before, after in itertools.pairwise(left)]
    accuracy = sum(rate * float(profile.exits.accuracy[end - 1]) for rate, end in zip(rates, ends, strict=True))
    timing = profile.timings[topology.tiers[0].device]
    latency = 0.0 if tiers[0] else float(timing.serialize_s[0] + timing.deserialize_s[0])
    latency += portends_send_s(profile, topology, 0, tiers[0], 0)
    for k, tier in enumerate(tiers):
        first = ends[k - 1] + 1 if k else 1
        latency += (1 - left[k]) * oracle.compute_time(profile, topology, tier, first, ends[k])
        latency += rates[k] * portends_send_s(profile, topology, tier, 0, -1)
        if k < len(tiers) - 1:
            latency += (1 - left[k + 1]) * portends_send_s(profile, topology, tier, tiers[k + 1], ends[k])
    return latency, accuracy, rates


def test_portends_released_arithmetic_gives_its_released_answer(portends: World) -> None:
    exits = portends.profile.exits
    floor = float(exits.accuracy[-1]) - 0.02
    found = {}
    for threshold, parts in itertools.product(exits.thresholds.tolist(), (1, 2, 3)):
        for ends in itertools.combinations(range(1, 11), parts):
            for tiers in itertools.combinations(range(3), parts):
                latency, accuracy, rates = released(portends, ends, tiers, threshold)
                if accuracy >= floor:
                    found[ends, tiers, threshold] = latency, rates
    best = min(latency for latency, _ in found.values())
    assert best == pytest.approx(12.96e-3, abs=0.005e-3)
    latency, rates = found[(7, 8, 9), (0, 1, 2), 0.8]
    assert latency == pytest.approx(best, rel=1e-12)
    assert rates == pytest.approx([1, 0, -0.0002])


def test_portends_own_equations_stop_where_everyone_has_left(portends: World) -> None:
    planner = Planner.of(portends.profile, portends.topology)
    floor = Requirement(min_accuracy=float(portends.profile.exits.accuracy[-1]) - 0.02)
    row = next(row for row in compare(portends.profile, planner, floor) if row.system == "PORTEND")
    assert row.plan == "1-7@tier-0"
    assert row.estimate.latency_s == pytest.approx(12.061e-3, abs=0.001e-3)
    # What is between: serializing the input, and 0.02 % of all samples that never send their result home.
    latency = released(portends, (7, 8, 9), (0, 1, 2), 0.8)[0]
    assert latency - row.estimate.latency_s == pytest.approx(0.909e-3 - 0.0135e-3, abs=0.001e-3)
