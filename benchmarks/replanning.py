"""How many exact plans a second where the topology changes each time: the first link, from 10 kb/s to 100 Mb/s.

Beside planning each afresh (`Planner.of`), in the same run. Everything is compiled before; the median of several runs.
Numbers are topology in, best plan with its estimate out.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from instances import problem
from rich.console import Console
from rich.table import Table

from offramp.core.exits import ExitModelName
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement
from offramp.sweeps.grid import grid
from offramp.sweeps.many import plan_many

SIZES = ((10, 4, 20), (18, 4, 20))
SAMPLES = 5000


def seconds_each(function: Callable[[], Any], *, plans: int, repeats: int) -> float:
    """Median seconds per plan."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append((time.perf_counter() - began) / plans)
    return float(np.median(seconds))


def measure(exits: ExitModelName, *, sizes: tuple[int, int, int], plans: int, repeats: int) -> dict[str, Any]:
    """One line of the table."""
    blocks, tiers, thresholds = sizes
    samples = SAMPLES if exits is ExitModelName.REPLAY else 0
    profile, topology = problem(blocks=blocks, tiers=tiers, thresholds=thresholds, samples=samples)
    planner = Planner.of(profile, topology, exits=exits, compiled=True)
    members = planner.frontier()
    floor = Requirement(min_accuracy=members[len(members) // 2].estimate.accuracy)
    settings = grid(topology, vary={"links[0].bandwidth": "10kb/s..100Mb/s"}, steps=plans)
    topologies = [setting.topology for setting in settings]

    def afresh() -> list[Any]:
        return [Planner.of(profile, each, exits=exits, compiled=True).best(floor).best for each in topologies]

    def again() -> list[Any]:
        return [planner.on(each).best(floor).best for each in topologies]

    def many(workers: int) -> list[Any]:
        return [row.estimated for row in plan_many(profile, topologies, floor, exits=exits, workers=workers)]

    wanted = afresh()
    assert again() == wanted
    assert many(2) == wanted
    cores = os.cpu_count() or 1
    return {
        "exit model": exits.value,
        "sizes": sizes,
        "afresh_s": seconds_each(afresh, plans=plans, repeats=repeats),
        "again_s": seconds_each(again, plans=plans, repeats=repeats),
        "search_s": seconds_each(lambda: [planner.best(floor) for _ in topologies], plans=plans, repeats=repeats),
        "one_thread_s": seconds_each(lambda: many(1), plans=plans, repeats=repeats),
        f"{cores}_threads_s": seconds_each(lambda: many(cores), plans=plans, repeats=repeats),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    lines = [
        measure(exits, sizes=sizes, plans=options.plans, repeats=options.repeats)
        for exits in (ExitModelName.PUBLISHED, ExitModelName.REPLAY)
        for sizes in SIZES
    ]
    table = Table(title=f"{options.plans} bandwidths; milliseconds a plan, plans a second")
    for heading in ("exit model", "blocks x tiers x thresholds", *(key for key in lines[0] if key.endswith("_s"))):
        table.add_column(heading.removesuffix("_s").replace("_", " "), justify="right")
    table.add_column("again beside afresh", justify="right")
    for line in lines:
        times = [value for key, value in line.items() if key.endswith("_s")]
        table.add_row(
            line["exit model"],
            " x ".join(map(str, line["sizes"])),
            *(f"{1e3 * each:.3f} ms {1 / each:,.0f}/s" for each in times),
            f"{line['afresh_s'] / line['again_s']:.1f} x",
        )
    Console(width=160).print(table)
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
