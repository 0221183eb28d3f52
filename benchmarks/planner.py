"""How long an exact frontier takes, beside trying every plan with numpy in the same run.

Run it with `make benchmark`. One core, warm (compiled before), the median of several runs per problem; every problem is
made up from a fixed seed. Trying every plan is only timed where its arrays fit in memory, and its frontier must be the
planner's.
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from instances import problem
from rich.console import Console
from rich.table import Table

from offramp.core.constraints import Constraints
from offramp.core.exits import Additive, ExitModelName
from offramp.core.pareto import FRONTIER, nondominated
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement

SIZES = ((10, 4, 20), (18, 4, 20), (55, 3, 10), (55, 4, 100), (152, 6, 20), (152, 8, 20))
REPLAY_SIZES = ((10, 4, 20), (18, 4, 20), (55, 3, 20), (55, 4, 20))
PER_EXIT_SIZES = ((10, 4, 20), (55, 3, 20))
SAMPLES = 5000
MOST_ENUMERATED = 20_000_000
PUBLISHED, REPLAY, PER_EXIT = "published", "replay", "replay, threshold per exit"


def timed(function: Callable[[], Any], *, repeats: int) -> tuple[float, Any]:
    """Median seconds, and what the function returned."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        returned = function()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds)), returned


def every_plan(planner: Planner) -> tuple[np.ndarray, np.ndarray]:
    """Latency and accuracy of every plan's frontier, by plain numpy: one array operation per partitioning size."""
    model, costs = planner.exits, planner.costs
    assert isinstance(model, Additive)
    n, m = costs.compute_s.shape[1] - 1, len(costs.compute_s)
    send = costs.send_s
    latencies, accuracies = [], []
    for parts in range(1, min(n, m) + 1):
        ends = np.array(list(itertools.combinations(range(1, n + 1), parts)))  # [C, L]
        left = np.concatenate([model.exited[:, ends[:, :-1]], np.ones((len(model.exited), len(ends), 1))], axis=2)
        before = np.concatenate([np.zeros_like(left[:, :, :1]), left[:, :, :-1]], axis=2)
        rate, arrive = left - before, 1 - before  # [K, C, L]
        accuracy = (rate * model.branch_accuracy[ends]).sum(axis=2)
        firsts = np.concatenate([np.zeros_like(ends[:, :1]), ends[:, :-1]], axis=1)
        for tiers in itertools.permutations(range(m), parts):
            latency = np.full(accuracy.shape, send[costs.source, tiers[0], 0])
            for k, tier in enumerate(tiers):
                latency += arrive[:, :, k] * costs.compute_s[tier, firsts[:, k], ends[:, k]]
                latency += rate[:, :, k] * send[tier, costs.destination, -1]
                if k:
                    latency += arrive[:, :, k] * send[tiers[k - 1], tier, ends[:, k - 1]]
            latencies.append(latency.ravel())
            accuracies.append(accuracy.ravel())
    latency, accuracy = np.concatenate(latencies), np.concatenate(accuracies)
    keep = nondominated(latency, accuracy)
    order = np.argsort(latency[keep])
    return latency[keep][order], accuracy[keep][order]


def peak_mb() -> float:
    """The most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def planner_for(size: tuple[int, int, int], kind: str) -> Planner:
    """The planner of the made-up problem of that size; `kind` is a heading of the table's."""
    blocks, tiers, thresholds = size
    exits = ExitModelName.PUBLISHED if kind == PUBLISHED else ExitModelName.REPLAY
    samples = 0 if kind == PUBLISHED else SAMPLES
    profile, topology = problem(blocks=blocks, tiers=tiers, thresholds=thresholds, samples=samples)
    return Planner.of(profile, topology, exits=exits, compiled=True)


def requirement_for(kind: str) -> Requirement:
    """Nothing but which plans are allowed."""
    return Requirement(constraints=Constraints(threshold_per_exit=kind == PER_EXIT))


def memory_mb(size: tuple[int, int, int], kind: str) -> float:
    """By how much a search of its own process raises its peak memory."""
    command = [sys.executable, __file__, "--memory-of", kind, *map(str, size)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(size: tuple[int, int, int], kind: str, *, repeats: int) -> dict[str, Any]:
    """One line of the table."""
    planner, asked = planner_for(size, kind), requirement_for(kind)
    frontier_s, members = timed(lambda: planner.frontier(asked), repeats=repeats)
    allowed = planner.allowed(asked.constraints)
    search_s, _ = timed(lambda: planner._rows(FRONTIER, asked, -np.inf, np.inf, allowed, None), repeats=repeats)
    floor = replace(asked, min_accuracy=members[len(members) // 2].estimate.accuracy)
    one_s, _ = timed(lambda: planner.best(floor), repeats=repeats)
    line = {
        "kind": kind,
        "size": size,
        "plans": planner.plan_count(asked.constraints),
        "members": len(members),
        "frontier_s": frontier_s,
        "search_s": search_s,
        "one_plan_s": one_s,
        "memory_mb": memory_mb(size, kind),
        "enumeration_s": None,
    }
    if kind == PUBLISHED and planner.plan_count() <= MOST_ENUMERATED:
        line["enumeration_s"], (latency, accuracy) = timed(lambda: every_plan(planner), repeats=1)
        found = np.array([(each.estimate.latency_s, each.estimate.accuracy) for each in members])
        # Both add up in orders of their own: plans that differ by rounding alone may or may not be members.
        for t, a in zip(latency, accuracy, strict=True):
            assert np.any((found[:, 0] <= t * (1 + 1e-9)) & (found[:, 1] >= a - 1e-9))
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for kind in (PUBLISHED, REPLAY):
        planner_for((4, 2, 2), kind).frontier(requirement_for(kind))  # compile, or read what was compiled before
    if options.memory_of:
        kind, blocks, tiers, thresholds = options.memory_of
        planner = planner_for((int(blocks), int(tiers), int(thresholds)), kind)
        before_mb = peak_mb()
        planner.frontier(requirement_for(kind))
        print(peak_mb() - before_mb)
        return
    lines = [
        measure(size, kind, repeats=options.repeats)
        for kind, sizes in ((PUBLISHED, SIZES), (REPLAY, REPLAY_SIZES), (PER_EXIT, PER_EXIT_SIZES))
        for size in sizes
    ]
    table = Table(title=f"Exact frontier, one core, median of {options.repeats}; replay on {SAMPLES:,} samples")
    headings = (
        "exits", "blocks x tiers x thresholds", "plans", "members", "frontier", "search alone", "one plan",
        "memory", "trying every plan", "ratio",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="right")
    for line in lines:
        tried = line["enumeration_s"]
        table.add_row(
            line["kind"],
            " x ".join(map(str, line["size"])),
            f"{line['plans']:.3g}",
            str(line["members"]),
            f"{1e3 * line['frontier_s']:.2f} ms",
            f"{1e3 * line['search_s']:.2f} ms",
            f"{1e3 * line['one_plan_s']:.3f} ms",
            f"{line['memory_mb']:.0f} MB",
            "-" if tried is None else f"{1e3 * tried:.0f} ms",
            "-" if tried is None else f"{tried / line['frontier_s']:.0f} x",
        )
    Console(width=160).print(table)
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
