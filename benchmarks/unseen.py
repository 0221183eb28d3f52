"""How often a plan misses its floor on samples not seen, certified and not, and what a certificate costs and takes.

    python benchmarks/unseen.py
    python benchmarks/unseen.py --profile resnet20-cifar10 --draws 1000 --space "a threshold per exit, 3 exits a tier"

A shipped profile's exit table stands for all samples there are: what a plan gets right of it is the truth. Each draw
takes as many samples from it, with replacement, plans on those for a floor, and looks the truth up.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table

from offramp import Constraints, Planner, Requirement, certify, read_profile, read_topology
from offramp.core.certify import CHOOSING_ONE_IN
from offramp.core.exits import Replay

SPACES = {
    "one threshold, 1 exit a tier": Constraints(),
    "one threshold, 3 exits a tier": Constraints(exits_per_tier=3),
    "a threshold per exit, 1 exit a tier": Constraints(threshold_per_exit=True),
    "a threshold per exit, 3 exits a tier": Constraints(threshold_per_exit=True, exits_per_tier=3),
}
# Below the most accurate branch by so many points.
BELOW = (2, 3, 4, 6, 8)


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw: by how much each plan is above its floor in truth, as shares; None where there is no plan.

    price: what the certified plan takes longer than the best seen, as a share. took_s: the certificate.
    """

    seen: float | None
    certified: float | None
    price: float | None
    took_s: float


def main() -> None:
    """Print a table for each profile."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", action="append", help="one that ships; default: both")
    parser.add_argument("--space", action="append", choices=[*SPACES], help="default: all four")
    parser.add_argument("--draws", type=int, default=100, help="in each space, over topologies and floors")
    parser.add_argument("--samples", type=int, help="of a draw; default: as many as the table has")
    parser.add_argument("--one-in", type=int, default=CHOOSING_ONE_IN, help="one sample in so many chooses")
    parser.add_argument("--confidence", type=float, default=0.95)
    arguments = parser.parse_args()
    console = Console(width=160)
    for profile in arguments.profile or ("resnet20-cifar10", "resnet20-digits"):
        table = Table("space", "draws", "floor missed, best seen", "by points, at most", "certified", "floor missed",
                      "price, median", "seconds, median", "most", title=profile)  # fmt: skip
        for space in arguments.space or SPACES:
            draws = list(drawn(profile, SPACES[space], arguments))
            table.add_row(space, str(len(draws)), *_figures(draws))
        console.print(table)


def drawn(profile: str, constraints: Constraints, arguments: argparse.Namespace) -> Iterator[Draw]:
    """Draws over both topologies and all floors."""
    measured = read_profile(profile)
    truths = [Planner.of(measured, read_topology(name), compiled=True) for name in ("mobile", "iot")]
    cases = itertools.cycle(itertools.product(truths, BELOW))
    for seed, (truth, below) in zip(range(arguments.draws), cases, strict=False):
        assert isinstance(truth.exits, Replay)
        whole = truth.exits.table
        members = np.random.default_rng(seed).integers(whole.samples, size=arguments.samples or whole.samples)
        # Drawn twice is two samples: a table wants their ids to differ, and has no other use for them.
        planner = replace(truth, exits=replace(truth.exits, table=replace(whole, ids=None).part(members)))
        floor = round(float(whole.accuracy.max()) - below / 100, 4)
        asked = Requirement(min_accuracy=floor, constraints=constraints, confidence=arguments.confidence)
        best = planner.meeting(asked).best
        began = time.perf_counter()
        found = certify([planner], asked, seed=seed, one_in=arguments.one_in)
        took_s = time.perf_counter() - began
        yield Draw(
            seen=None if best is None else truth.estimate(best.plan).estimate.accuracy - floor,
            certified=None if found.plan is None else truth.estimate(found.plan).estimate.accuracy - floor,
            price=None
            if found.plan is None or best is None
            else planner.estimate(found.plan).estimate.latency_s / best.estimate.latency_s - 1,
            took_s=took_s,
        )


def _figures(draws: list[Draw]) -> Iterator[str]:
    seen = np.array([draw.seen for draw in draws if draw.seen is not None])
    certified = np.array([draw.certified for draw in draws if draw.certified is not None])
    prices = [draw.price for draw in draws if draw.price is not None]
    yield f"{(seen < -1e-9).sum()} of {len(seen)} = {100 * (seen < -1e-9).mean():.1f} %"
    yield f"{100 * max(0.0, -seen.min()):.2f}"
    yield f"{len(certified)}"
    yield f"{(certified < -1e-9).sum()} = {100 * (certified < -1e-9).sum() / len(draws):.1f} %"
    yield f"{100 * np.median(prices):.2f} %"
    times = [draw.took_s for draw in draws]
    yield f"{np.median(times):.3f}"
    yield f"{max(times):.3f}"


if __name__ == "__main__":
    main()
