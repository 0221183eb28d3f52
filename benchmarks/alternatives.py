"""What a user would take instead of the planner, on the same problems in the same run: numpy, pymoo, Optuna.

Run it with `make benchmark`. All is warm: nothing timed imports or compiles. The contenders:

- `planner`: the exact frontier; what the others found is measured against it. Median of several runs.
- `every plan`: plain numpy prices all of them (additive models, where the arrays fit in memory).
- `pymoo NSGA-II`: the frontier. A plan is real genes in [0, 1]: one for the number of partitions L, one for the
  threshold, P for ends, of which the first L count (sorted; equal ones merge), and M keys, whose order is a permutation
  of the tiers, of which the first L are used. A plan that is in the population already is not estimated again.
  Crossover and mutation spread as widely as pymoo advises for integers (eta = 3).
- `Optuna NSGA-II`: the frontier; `Optuna TPE`: one plan, the fastest with at least the accuracy of the frontier's
  middle member, told as a constraint. Integers for L, the threshold and the ends, a category for the permutation.

pymoo and Optuna estimate plans by `offramp.core.estimate.terms`; every one counts, not the last ones alone.
Hypervolume is pymoo's, of latency and error scaled to [0, 1] over the exact frontier, with (1.1, 1.1) as the reference
point. "Near enough after" is when a search had 99.9% of the exact frontier's, or one plan at most 0.1% slower than the
best. The searches run from several fixed seeds: the median is given, and in brackets the worst where it differs.
"""

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from instances import problem
from nearness import FRONTIER, ONE_PLAN, SAME, Exact
from planner import MOST_ENUMERATED, every_plan, timed
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.duplicate import DefaultDuplicateElimination
from pymoo.core.problem import Problem
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.optimize import minimize
from rich.console import Console
from rich.table import Table

from offramp.core.estimate import terms
from offramp.core.exits import ExitModelName
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement

PUBLISHED, REPLAY = ExitModelName.PUBLISHED, ExitModelName.REPLAY
PROBLEMS = ((PUBLISHED, 10, 4, 20), (PUBLISHED, 18, 4, 20), (PUBLISHED, 55, 3, 10), (REPLAY, 10, 4, 20))
SAMPLES = 5000


@dataclass
class Pricing:
    """Prices plans, and remembers what came out, when, and how long the pricing alone took."""

    planner: Planner
    points: list[tuple[float, float]] = field(default_factory=list)
    when_s: list[float] = field(default_factory=list)
    pricing_s: float = 0.0

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Most partitions, thresholds, blocks, tiers."""
        tiers, blocks = self.planner.costs.compute_s.shape[0], self.planner.costs.compute_s.shape[1] - 1
        return min(blocks, tiers), len(self.planner.exits.thresholds), blocks, tiers

    def __call__(self, ends: Sequence[int], tiers: Sequence[int], level: int) -> tuple[float, float]:
        """Latency in seconds and share of wrong answers; unordered or equal ends are put right."""
        began = time.perf_counter()
        unique = tuple(sorted(set(ends)))
        threshold = float(self.planner.exits.thresholds[level])
        rates = self.planner.exits.rates(unique, (threshold,) * (len(unique) - 1))
        estimated = terms(unique, list(tiers[: len(unique)]), rates, self.planner.costs)
        self.points.append((estimated.latency_s, 1 - estimated.accuracy))
        self.when_s.append(time.perf_counter())
        self.pricing_s += self.when_s[-1] - began
        return self.points[-1]


class Plans(Problem):
    """All plans, as pymoo sees them."""

    def __init__(self, price: Pricing) -> None:
        self.price = price
        self.most_parts, self.levels, self.blocks, self.tiers = price.sizes
        super().__init__(n_var=2 + self.most_parts + self.tiers, n_obj=2, xl=0.0, xu=np.nextafter(1, 0))

    def plans(self, genes: np.ndarray) -> np.ndarray:
        """[n, V] to [n, 2P+1]: ends, then tiers, zero and -1 where unused, then the threshold's level."""
        parts = 1 + (genes[:, :1] * self.most_parts).astype(int)
        ends = 1 + (genes[:, 2 : 2 + self.most_parts] * self.blocks).astype(int)
        unused = self.blocks + 1
        ends = np.sort(np.where(np.arange(self.most_parts) < parts, ends, unused), axis=1)
        ends[:, 1:][ends[:, 1:] == ends[:, :-1]] = unused
        ends = np.sort(ends, axis=1)
        used = ends < unused
        tiers = np.argsort(genes[:, 2 + self.most_parts :], axis=1)[:, : self.most_parts]
        levels = np.where(used.sum(axis=1) > 1, (genes[:, 1] * self.levels).astype(int), 0)
        return np.column_stack([np.where(used, ends, 0), np.where(used, tiers, -1), levels])

    def _evaluate(self, genes: np.ndarray, out: dict[str, Any], *_: Any, **__: Any) -> None:
        points = []
        for row in self.plans(genes).tolist():
            ends, tiers = row[: self.most_parts], row[self.most_parts : -1]
            parts = sum(end > 0 for end in ends)
            points.append(self.estimate(ends[:parts], tiers[:parts], row[-1]))
        out["F"] = np.array(points)


def pymoo_nsga2(price: Pricing, *, population: int, generations: int, seed: int) -> None:
    plans = Plans(price)
    algorithm = NSGA2(
        pop_size=population,
        crossover=SBX(prob=1.0, eta=3.0),
        mutation=PM(prob=1.0, eta=3.0),
        eliminate_duplicates=DefaultDuplicateElimination(
            func=lambda members: plans.plans(members.get("X")).astype(np.float64)
        ),
    )
    minimize(plans, algorithm, ("n_gen", generations), seed=seed)


def suggested(trial: optuna.Trial, price: Pricing) -> tuple[float, float]:
    """Latency and error of the plan that Optuna proposes; the same parameters in every trial."""
    most_parts, levels, blocks, tiers = price.sizes
    parts = trial.suggest_int("partitions", 1, most_parts)
    ends = [trial.suggest_int(f"end {k}", 1, blocks) for k in range(most_parts)]
    orders = list(itertools.permutations(range(tiers)))
    order = orders[trial.suggest_categorical("tiers", range(len(orders)))]
    return price(ends[:parts], order, trial.suggest_int("threshold", 0, levels - 1))


def optuna_nsga2(price: Pricing, *, trials: int, seed: int) -> None:
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=optuna.samplers.NSGAIISampler(seed=seed, population_size=50)
    )
    study.optimize(lambda trial: suggested(trial, price), n_trials=trials)


def optuna_tpe(price: Pricing, *, floor: float, trials: int, seed: int) -> None:
    def latency(trial: optuna.Trial) -> float:
        latency_s, error = suggested(trial, price)
        trial.set_constraint("error", error - (1 - floor) - SAME)
        return latency_s

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(latency, n_trials=trials)


def searched(
    search: Callable[..., None], planner: Planner, exact: Exact, *, goal: str, seeds: int
) -> dict[str, list[float | None]]:
    """What a stochastic search found and how long it took: one entry a seed, None for what it didn't reach."""
    found: dict[str, list[float | None]] = {"estimated": [], "seconds": [], "pricing_s": [], "near_enough_s": []}
    found |= {"hypervolume": [], "members": [], "latency_above": []}
    for seed in range(seeds):
        price = Pricing(planner)
        began = time.perf_counter()
        search(price, seed=seed)
        found["seconds"].append(time.perf_counter() - began)
        points = np.array(price.points)
        enough, above = exact.near_enough(points, goal), exact.latency_above(points)
        found["estimated"].append(len(points))
        found["pricing_s"].append(price.pricing_s)
        found["near_enough_s"].append(None if enough is None else price.when_s[enough - 1] - began)
        found["hypervolume"].append(exact.hypervolume(points))
        found["members"].append(exact.members(points))
        found["latency_above"].append(above if math.isfinite(above) else None)
    return found


def measure(exits: ExitModelName, sizes: tuple[int, int, int], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The lines of one problem."""
    blocks, tiers, thresholds = sizes
    samples = SAMPLES if exits is REPLAY else 0
    profile, topology = problem(blocks=blocks, tiers=tiers, thresholds=thresholds, samples=samples)
    planner = Planner.of(profile, topology, exits=exits, compiled=True)
    members = planner.frontier()
    requirement = Requirement(min_accuracy=members[len(members) // 2].estimate.accuracy)
    answer = planner.best(requirement).best
    assert answer is not None
    exact = Exact(
        points=np.array([(each.estimate.latency_s, 1 - each.estimate.accuracy) for each in members]),
        floor=answer.estimate.accuracy,
        best_s=answer.estimate.latency_s,
    )
    same = {"exit model": exits.value, "sizes": sizes, "plans": planner.plan_count(), "exact_members": len(members)}

    frontier_s, _ = timed(planner.frontier, repeats=options.repeats)
    one_s, _ = timed(lambda: planner.best(requirement), repeats=options.repeats)
    known = {"hypervolume": [1.0], "members": [len(members)], "latency_above": [0.0]}
    lines = [
        same | {"contender": "planner", "goal": FRONTIER, "seconds": [frontier_s], **known},
        same | {"contender": "planner", "goal": ONE_PLAN, "seconds": [one_s], **known},
    ]
    if exits is not REPLAY and planner.plan_count() <= MOST_ENUMERATED:
        seconds, (latency, accuracy) = timed(lambda: every_plan(planner), repeats=1)
        found = np.stack([latency, 1 - accuracy], axis=1)
        assert exact.members(found) == len(members)
        assert exact.hypervolume(found) > 1 - SAME
        enumerated = {
            "contender": "every plan",
            "goal": FRONTIER,
            "estimated": [planner.plan_count()],
            "seconds": [seconds],
        }
        lines.append(same | enumerated | known)
    nsga2 = partial(pymoo_nsga2, population=options.population, generations=options.generations)
    for contender, goal, search in (
        ("pymoo NSGA-II", FRONTIER, nsga2),
        ("Optuna NSGA-II", FRONTIER, partial(optuna_nsga2, trials=options.trials)),
        ("Optuna TPE", ONE_PLAN, partial(optuna_tpe, floor=exact.floor, trials=options.trials)),
    ):
        found = searched(search, planner, exact, goal=goal, seeds=options.seeds)
        lines.append(same | {"contender": contender, "goal": goal} | found)
    return lines


def median(values: Sequence[float | None], show: Callable[[float], str], *, least: bool = False) -> str:
    """The median, and in brackets the worst where it differs: None, else the greatest (or the least)."""
    numbers = sorted((math.inf if value is None else value for value in values), reverse=least)
    middle, worst = (
        show(each) if math.isfinite(each) else "never" for each in (numbers[len(numbers) // 2], numbers[-1])
    )
    return middle if middle == worst else f"{middle} ({worst})"


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def cells(line: dict[str, Any]) -> list[str]:
    """One line of a table."""

    def cell(key: str, show: Callable[[float], str], *, least: bool = False) -> str:
        if key not in line or (line["goal"] == ONE_PLAN and key in ("hypervolume", "members")):
            return "-"
        return median(line[key], show, least=least)

    return [
        line["contender"],
        line["goal"],
        cell("estimated", "{:,.0f}".format, least=True),
        cell("seconds", duration),
        cell("pricing_s", duration),
        cell("near_enough_s", duration),
        cell("hypervolume", "{:.2%}".format, least=True),
        cell("members", lambda count: f"{count} of {line['exact_members']}", least=True),
        cell("latency_above", lambda share: "optimal" if share <= SAME else f"+{share:.2%}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--population", type=int, default=100, help="pymoo's population")
    parser.add_argument("--generations", type=int, default=100, help="pymoo's generations")
    parser.add_argument("--trials", type=int, default=1000, help="plans that Optuna prices")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each search")
    parser.add_argument("--repeats", type=int, default=7, help="runs of the planner")
    parser.add_argument("--json", type=Path, help="also write the figures here, one entry a seed")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    headings = (
        "contender", "goal", "plans estimated", "time", "pricing alone", "near enough after", "hypervolume", "members",
        "above the optimum",
    )  # fmt: skip
    measure(PUBLISHED, (6, 3, 5), argparse.Namespace(population=10, generations=3, trials=20, seeds=1, repeats=1))
    lines = []
    for exits, *sizes in PROBLEMS:
        measured = measure(exits, tuple(sizes), options)
        shape, plans = " x ".join(map(str, sizes)), measured[0]["plans"]
        table = Table(title=f"{exits.value}, {shape}: {plans:,} plans", title_justify="left")
        for heading in headings:
            table.add_column(heading, justify="right")
        for line in measured:
            table.add_row(*cells(line))
        Console(width=170).print(table)
        lines += measured
    if options.json:
        options.json.write_text(json.dumps(lines, indent=1))


if __name__ == "__main__":
    main()
