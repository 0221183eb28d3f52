"""The planner's slow and obvious twin: try every plan, adding up its cost link by link and sample by sample.

It shares no code with what it checks beyond the values that describe the world.
"""

import itertools
import math
from collections.abc import Iterator

from offramp.core.exit_table import ExitTable
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.topology import Topology

from .fragments import last_bit_s


def every_plan(blocks: int, tiers: int, thresholds: list[float]) -> Iterator[tuple[tuple, tuple, float]]:
    """Ends, tiers and the one threshold of every plan in the space."""
    for threshold in thresholds:
        for parts in range(1, min(blocks, tiers) + 1):
            for ends in itertools.combinations(range(1, blocks + 1), parts):
                for places in itertools.permutations(range(tiers), parts):
                    yield ends, places, threshold


def every_wide_plan(
    blocks: int, tiers: int, thresholds: list[float], *, exits_per_tier: int, per_exit: bool
) -> Iterator[tuple[tuple, tuple, tuple]]:
    """Ends, tiers and thresholds of every plan where a tier may hold several partitions in a row."""
    for parts in range(1, blocks + 1):
        for ends in itertools.combinations(range(1, blocks + 1), parts):
            for places in itertools.product(range(tiers), repeat=parts):
                runs = [(tier, len(list(run))) for tier, run in itertools.groupby(places)]
                visited = [tier for tier, _ in runs]
                if len(set(visited)) < len(visited) or max(size for _, size in runs) > exits_per_tier:
                    continue
                if per_exit:
                    for cuts in itertools.product(thresholds, repeat=parts - 1):
                        yield ends, places, cuts
                else:
                    for threshold in thresholds:
                        yield ends, places, (threshold,) * (parts - 1)


def compute_time(profile: Profile, topology: Topology, tier: int, first: int, last: int) -> float:
    where = topology.tiers[tier]
    timing = profile.timings[where.device or profile.reference_device]
    factor = 1.0 if where.slowdown is None else where.slowdown
    if timing.partition_s is not None:
        return factor * float(timing.partition_s[first - 1][last - 1])
    blocks = sum(float(timing.block_s[i - 1]) for i in range(first, last + 1))
    return factor * (blocks + float(timing.branch_s[last - 1]))


def send_time(profile: Profile, topology: Topology, a: int, b: int, item: int) -> float:
    """Item 0 is the input, i block i's output, -1 the result."""
    if a == b:
        return 0.0
    sizes = [profile.backbone.input_bits, *(block.output_bits for block in profile.backbone.blocks)]
    bits = profile.backbone.result_bits if item == -1 else sizes[item]
    crossed = [link for j, link in enumerate(topology.links) if min(a, b) <= j < max(a, b)]
    total = sum(link.latency_s for link in crossed)
    if topology.mtu_bits is None:
        total += sum(bits / link.bandwidth_bits_per_s for link in crossed)
    else:
        rates = tuple(link.bandwidth_bits_per_s for link in crossed)
        total += last_bit_s(bits, topology.mtu_bits, rates if a < b else rates[::-1])
    for tier, direction in ((a, "serialize_s"), (b, "deserialize_s")):
        where = topology.tiers[tier]
        timing = profile.timings[where.device or profile.reference_device]
        total += (1.0 if where.slowdown is None else where.slowdown) * float(getattr(timing, direction)[item])
    return total


def sample_energy(
    profile: Profile, topology: Topology, ends: tuple, tiers: tuple, leaves_at: int
) -> dict[tuple[str, str], float]:
    """Joules by tier and term of one sample that leaves at partition `leaves_at`, off its way from clock to clock."""
    names = [t.name for t in topology.tiers]
    source, destination = names.index(topology.source), names.index(topology.destination)
    clock, first_bit, radio = 0.0, None, None
    busy, bits_j = [0.0] * len(names), [0.0] * len(names)
    sizes = [
        profile.backbone.input_bits,
        *(b.output_bits for b in profile.backbone.blocks),
        profile.backbone.result_bits,
    ]

    def handled(tier: int, direction: str, item: int) -> float:
        where = topology.tiers[tier]
        timing = profile.timings[where.device or profile.reference_device]
        return (1.0 if where.slowdown is None else where.slowdown) * float(getattr(timing, direction)[item])

    def send(a: int, b: int, item: int) -> None:
        nonlocal clock, first_bit, radio
        if a == b:
            return
        packing, unpacking = handled(a, "serialize_s", item), handled(b, "deserialize_s", item)
        if first_bit is None:
            assert a == source
            first_bit, radio = clock + packing, topology.links[source if b > source else source - 1]
        clock += send_time(profile, topology, a, b, item)
        busy[a] += packing
        busy[b] += unpacking
        step = 1 if b > a else -1
        for at in range(a, b, step):
            link = topology.links[min(at, at + step)]
            bits_j[at] += sizes[item] * link.send_j_per_bit
            bits_j[at + step] += sizes[item] * link.receive_j_per_bit

    here, block = tiers[0], 0
    send(source, here, 0)
    for k in range(leaves_at + 1):
        if k:
            send(here, tiers[k], block)
        here = tiers[k]
        seconds = compute_time(profile, topology, here, block + 1, ends[k])
        busy[here], clock, block = busy[here] + seconds, clock + seconds, ends[k]
    send(here, destination, -1)
    spent = {}
    for t, tier in enumerate(topology.tiers):
        spent[tier.name, "compute_j"] = tier.power_w * busy[t]
        spent[tier.name, "waiting_j"] = tier.idle_w * (clock - busy[t]) if t == source else 0.0
        spent[tier.name, "sending_j"] = bits_j[t]
        on = t == source and first_bit is not None
        spent[tier.name, "radio_j"] = radio.radio_w * (clock - first_bit) if on else 0.0
        spent[tier.name, "tail_j"] = radio.radio_w * radio.tail_s if on else 0.0
    return spent


def energy(
    profile: Profile, topology: Topology, ends: tuple, tiers: tuple, rates: list[float]
) -> dict[tuple[str, str], float]:
    """The same on average."""
    samples = [sample_energy(profile, topology, ends, tiers, k) for k in range(len(ends))]
    return {key: sum(rate * spent[key] for rate, spent in zip(rates, samples, strict=True)) for key in samples[0]}


def one_way(profile: Profile, topology: Topology, ends: tuple, tiers: tuple, leaves_at: int) -> float:
    """Latency of one sample that leaves at partition `leaves_at` (from 0)."""
    source, destination = ([t.name for t in topology.tiers].index(n) for n in (topology.source, topology.destination))
    total, here, block = send_time(profile, topology, source, tiers[0], 0), tiers[0], 0
    for k in range(leaves_at + 1):
        if k:
            total += send_time(profile, topology, here, tiers[k], block)
        here = tiers[k]
        total += compute_time(profile, topology, here, block + 1, ends[k])
        block = ends[k]
    return total + send_time(profile, topology, here, destination, -1)


def replayed(table: ExitTable, ends: tuple, thresholds: tuple) -> tuple[list[float], float]:
    """Exit rates and accuracy, sample by sample."""
    samples = len(table.label)
    counts, right = [0] * len(ends), 0
    for s in range(samples):
        for k, end in enumerate(ends):
            if k == len(ends) - 1 or table.scores[end - 1][s] <= thresholds[k]:
                counts[k] += 1
                right += bool(table.correct[end - 1][s])
                break
    return [count / samples for count in counts], right / samples


def from_rates(exits: ExitRates, ends: tuple, threshold: float) -> tuple[list[float], float]:
    row = [float(t) for t in exits.thresholds].index(threshold)
    rates, before = [], 0.0
    for k, end in enumerate(ends):
        if k == len(ends) - 1:
            left = 1.0
        elif exits.meaning is Meaning.FIRST_EXIT:
            left = sum(float(exits.exit_rate[row][i]) for i in range(end))
        else:
            left = float(exits.exit_rate[row][end - 1])
        rates.append(left - before)
        before = left
    return rates, sum(rate * float(exits.accuracy[end - 1]) for rate, end in zip(rates, ends, strict=True))


def percentile(rates: list[float], latencies: list[float], percent: float) -> float:
    """The least latency that so many of a hundred samples don't exceed, by looking at each sample of eight."""
    each = sorted(latency for rate, latency in zip(rates, latencies, strict=True) for _ in range(round(rate * 8)))
    return each[max(0, math.ceil(len(each) * percent / 100) - 1)]


def judged(profile: Profile, topology: Topology, ends: tuple, tiers: tuple, threshold: float) -> tuple[float, float]:
    """Mean latency and accuracy of a plan, by replay where there is an exit table."""
    if profile.exit_table is not None:
        rates, accuracy = replayed(profile.exit_table, ends, (threshold,) * len(ends))
    else:
        rates, accuracy = from_rates(profile.exits, ends, threshold)
    latency = sum(rate * one_way(profile, topology, ends, tiers, k) for k, rate in enumerate(rates))
    return latency, accuracy


def frontier(profile: Profile, topology: Topology) -> list[tuple[float, float, tuple, tuple, tuple]]:
    """(latency, accuracy, ends, tiers, thresholds) of every frontier member, fastest first, ties by the stated rule."""
    if profile.exits is not None:
        thresholds = [float(t) for t in profile.exits.thresholds]
    else:
        thresholds = [round(0.05 * k, 2) for k in range(20)]
    found = []
    for ends, tiers, threshold in every_plan(len(profile.backbone.blocks), len(topology.tiers), thresholds):
        latency, accuracy = judged(profile, topology, ends, tiers, threshold)
        found.append((latency, -accuracy, len(ends), ends, tiers, (threshold,) * (len(ends) - 1)))
    members, best = [], -math.inf
    for latency, wrong, _, ends, tiers, cuts in sorted(found):
        if -wrong > best:
            best = -wrong
            members.append((latency, -wrong, ends, tiers, cuts))
    return members
