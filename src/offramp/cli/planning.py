"""`offramp plan` and `offramp estimate`: the best plan, and what a given plan would achieve."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.options import (
    ComputesOption,
    ExitsOption,
    JsonOption,
    MaxLatencyOption,
    MinAccuracyOption,
    ProfileArgument,
    TopologyOption,
    default_requirement,
    planner_of,
)
from offramp.cli.showing import plan_and_estimate, print_answer, print_picture, print_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offramp.core.certify import Certificate
    from offramp.core.estimate import PricedPlan
    from offramp.core.planner import Budget, Planner, Requirement
    from offramp.files import Requirements


def plan(
    profile: ProfileArgument,
    topology: TopologyOption = "mobile",
    min_accuracy: MinAccuracyOption = None,
    max_latency: MaxLatencyOption = None,
    latency: Annotated[
        str | None, typer.Option(help="Which latency is meant: mean, p50, p95 or p99. [default: mean]")
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(
            help="Hold back half of the exit table and bound the accuracy on new samples, so surely, e.g. 0.95."
        ),
    ] = None,
    certify: Annotated[
        bool | None, typer.Option("--certify", help="Let the floor hold for that bound. [confidence: 0.95]")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the halves of the exit table.")] = 0,
    exits_per_tier: Annotated[
        int | None, typer.Option(help="Most exits on a tier. [default: 1, as in the paper]")
    ] = None,
    threshold_per_exit: Annotated[
        bool | None, typer.Option("--threshold-per-exit", help="Give each exit a threshold of its own.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(help="Keep the raw input and so many of the first blocks on the source tier.")
    ] = None,
    memory: Annotated[
        list[str] | None, typer.Option(help="Memory of a tier, e.g. smartwatch=2MB. Can be given again.")
    ] = None,
    forbid: Annotated[list[str] | None, typer.Option(help="A tier that must run nothing. Can be given again.")] = None,
    require: Annotated[
        list[str] | None, typer.Option(help="A tier that must run something. Can be given again.")
    ] = None,
    max_upload: Annotated[
        str | None, typer.Option(help="Most the source tier may send per sample on average, e.g. 20kB.")
    ] = None,
    price: Annotated[
        list[str] | None, typer.Option(help="What a second of computing on a tier costs, e.g. cloud=0.02.")
    ] = None,
    price_bit: Annotated[float | None, typer.Option(help="What sending a bit over a link costs.")] = None,
    budget: Annotated[float | None, typer.Option(help="Most a sample may cost on average.")] = None,
    requirements: Annotated[
        str | None, typer.Option(help="A YAML file of requirements; options take precedence.")
    ] = None,
    exit_model: ExitsOption = None,
    compute: ComputesOption = None,
    thresholds: Annotated[
        str | None, typer.Option(help="Thresholds to try, e.g. 0.1,0.2,0.4. [default: those of the profile]")
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="End the search after so long, e.g. 10s, with the best so far and its gap.")
    ] = None,
    memory_limit: Annotated[
        str | None, typer.Option(help="End it where it would keep more, e.g. 500MB. [default: 4 GB]")
    ] = None,
    frontier: Annotated[bool, typer.Option(help="Find the whole frontier, not only the one plan.")] = True,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the frontier in the terminal.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Draw the frontier into this PNG, SVG or PDF.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the answer to this JSON file.")] = None,
    json: JsonOption = False,
) -> None:
    """Find the optimal plan: where to cut, where to put the pieces, when to leave.

    Without a requirement: the fastest plan within one point of the best reachable accuracy.
    Exit code 1 says that no plan meets the requirements; what to give up, and the plan then, is shown.

    Example: offramp plan resnet20-digits --topology mobile --min-accuracy 0.92
    """
    from offramp.core.conflicts import ways_out
    from offramp.core.estimate import Latency
    from offramp.core.planner import choose
    from offramp.core.spread import spread_s
    from offramp.errors import fail
    from offramp.files import read_profile, read_requirements

    stated = {
        "min_accuracy": min_accuracy,
        "max_latency": max_latency,
        "latency": latency,
        "confidence": confidence,
        "certify": certify,
        "exits_per_tier": exits_per_tier,
        "threshold_per_exit": threshold_per_exit,
        "keep": keep,
        "memory": None if memory is None else dict(_pair("--memory", each) for each in memory),
        "forbid": forbid,
        "require": require,
        "max_upload": max_upload,
        "prices": _prices(price, price_bit),
        "budget": budget,
    }
    asked = read_requirements(requirements, {key: value for key, value in stated.items() if value is not None})
    measured = read_profile(profile)
    planner = planner_of(measured, topology, exit_model, compute, thresholds, asked.options)
    wanted = asked.requirement
    meant = Latency.MEAN if wanted is None else wanted.latency
    members: tuple[PricedPlan, ...] = ()
    with _limits(planner, time_limit, memory_limit) as limits:
        began = time.perf_counter()
        if frontier or wanted is None or plot or figure:
            members, gap = planner.frontier_within(limits, meant)
            wanted = wanted or default_requirement(members)
            answer = choose(members, wanted)
        else:
            answer = planner.best(wanted, limits)
            gap = answer.gap
        took_s = time.perf_counter() - began
    if gap is not None and not (answer.best or answer.nearest):
        fail("--time-limit", "the search ended before it found a plan", "give it more")
    ways = () if answer.best or gap else ways_out(planner, wanted)
    shown = answer.best or answer.nearest or (ways[0].plan if ways else None)
    if shown is None:
        fail("requirements", "no plan is allowed at all", "allow some tier to hold the first block")
    certificate = _certificate(planner, wanted, asked, seed)
    if certificate is not None:
        shown = planner.price(certificate.plan)
    met = answer.best is not None and (certificate is None or not asked.certify or certificate.certified)
    spread = spread_s(shown, profile=measured, topology=planner.topology)

    document = {
        **plan_and_estimate(shown, spread, certificate),
        "frontier": [
            {"text": str(each.plan), "accuracy": each.estimate.accuracy, "latency_s": meant.of(each.estimate)}
            for each in members
        ],
        "search": {
            "plans": planner.plans,
            "seconds": took_s,
            "optimal": not asked.certify and gap is None,
            "gap": None if gap is None else {"latency_s": gap.latency_s, "accuracy": gap.accuracy},
            "min_accuracy": wanted.min_accuracy,
            "max_latency_s": wanted.max_latency_s,
            "latency": meant.name.lower(),
            "meets": met,
            "ways_out": [{"give_up": list(way.given_up), **plan_and_estimate(way.plan)} for way in ways],
        },
    }
    if out:
        from offramp.files import write_plan

        write_plan(document, out)
    if figure:
        from offramp.plot import FrontierPicture, save_figure

        save_figure(FrontierPicture.of(planner, members, shown, wanted), figure)
    if json:
        from offramp.cli.output import print_json

        print_json(document)
    else:
        print_answer(
            planner,
            wanted,
            shown,
            members,
            ways,
            met=met,
            took_s=took_s,
            spread=spread,
            certificate=certificate,
            gap=gap,
        )
        if plot:
            print_picture(planner, members, shown, wanted)
    if not met:
        raise typer.Exit(1)


def _prices(price: list[str] | None, price_bit: float | None) -> dict[str, Any] | None:
    if price is None and price_bit is None:
        return None
    return {"tiers": dict(_pair("--price", each) for each in price or ()), "bit": price_bit or 0.0}


def _pair(option: str, text: str) -> tuple[str, str]:
    from offramp.errors import fail

    tier, equals, value = text.partition("=")
    if not equals:
        fail(option, f"{text!r} is not a tier and a value", "write TIER=VALUE, e.g. smartwatch=2MB")
    return tier, value


def estimate(
    profile: ProfileArgument,
    plan: Annotated[
        str, typer.Option(help="The plan in one line, or a file that holds one.", metavar="'1-3@TIER ... T=0.40'")
    ],
    topology: TopologyOption = "mobile",
    exit_model: ExitsOption = None,
    compute: ComputesOption = None,
    json: JsonOption = False,
) -> None:
    """Predict the accuracy and the latency of one given plan.

    Example: offramp estimate resnet20-digits --topology mobile --plan "1-3@smartwatch 4-10@smartphone T=0.40"
    """
    from offramp.core.planner import Options
    from offramp.core.spread import spread_s
    from offramp.files import read_plan, read_profile

    measured = read_profile(profile)
    planner = planner_of(measured, topology, exit_model, compute, None, Options())
    priced = planner.price(read_plan(plan))
    spread = spread_s(priced, profile=measured, topology=planner.topology)
    if json:
        from offramp.cli.output import print_json

        print_json(plan_and_estimate(priced, spread))
    else:
        print_plan(planner, priced, spread)


@contextmanager
def _limits(planner: Planner, time_limit: str | None, memory_limit: str | None) -> Iterator[Budget]:
    """A budget whose time runs while the block does; someone who waits at a terminal is told what for."""
    import sys
    from contextlib import nullcontext
    from threading import Timer

    import numpy as np

    from offramp.core.planner import Budget
    from offramp.files.quantities import SIZE, TIME

    budget = Budget(memory_bytes=SIZE.parse(memory_limit or "4 GB") / 8)
    timer = None
    if time_limit is not None:
        # Compiling, at first use on a machine, is not searching: have it done by a search that ends at once.
        planner.frontier_within(Budget(stop=np.ones(1, np.bool_)))
        timer = Timer(TIME.parse(time_limit), budget.stop.fill, [True])
        timer.daemon = True
        timer.start()
    waiting: AbstractContextManager[object] = nullcontext()
    if sys.stderr.isatty():
        from rich.console import Console

        waiting = Console(stderr=True).status("searching")
    try:
        with waiting:
            yield budget
    finally:
        if timer is not None:
            timer.cancel()


def _certificate(planner: Planner, wanted: Requirement, asked: Requirements, seed: int) -> Certificate | None:
    if asked.confidence is None:
        return None
    from offramp.core.certify import audit, certify

    return (certify if asked.certify else audit)(planner, wanted, confidence=asked.confidence, seed=seed)
