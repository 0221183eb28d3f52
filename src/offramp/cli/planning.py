"""`offramp plan` and `offramp estimate`: the best plan, and what a given plan would achieve."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from offramp.cli import asking
from offramp.cli.options import (
    CodecChoice,
    CodecOption,
    ComputesOption,
    ExitsOption,
    JsonOption,
    MaxLatencyOption,
    MinAccuracyOption,
    ProfileArgument,
    TopologyOption,
    planner_of,
)
from offramp.cli.showing import plan_and_estimate, print_answer, print_picture, print_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offramp.core.planner import Planner, SearchLimits


def plan(
    profile: ProfileArgument,
    topology: TopologyOption = "mobile",
    min_accuracy: MinAccuracyOption = None,
    max_latency: MaxLatencyOption = None,
    latency: asking.LatencyOption = None,
    confidence: asking.ConfidenceOption = None,
    certify: asking.CertifyOption = None,
    seed: asking.SeedOption = 0,
    exits_per_tier: asking.ExitsPerTierOption = None,
    threshold_per_exit: asking.ThresholdPerExitOption = None,
    keep: asking.KeepOption = None,
    memory: asking.MemoryOption = None,
    forbid: asking.ForbidOption = None,
    require: asking.RequireOption = None,
    max_upload: asking.MaxUploadOption = None,
    price: asking.PriceOption = None,
    price_bit: asking.PriceBitOption = None,
    budget: asking.BudgetOption = None,
    requirements: asking.RequirementsOption = None,
    exit_model: ExitsOption = None,
    compute: ComputesOption = None,
    thresholds: asking.ThresholdsOption = None,
    codec: CodecOption = CodecChoice.fp32,
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
    from offramp.core.codec import Codec
    from offramp.core.spread import spread_s
    from offramp.files import read_profile
    from offramp.pipeline.solve import find_among

    asked = asking.asked_for(
        requirements,
        min_accuracy=min_accuracy,
        max_latency=max_latency,
        latency=latency,
        confidence=confidence,
        certify=certify,
        exits_per_tier=exits_per_tier,
        threshold_per_exit=threshold_per_exit,
        keep=keep,
        memory=memory,
        forbid=forbid,
        require=require,
        max_upload=max_upload,
        price=price,
        price_bit=price_bit,
        budget=budget,
    )
    measured = read_profile(profile)
    codecs = (Codec.FP32, *measured.codecs) if codec is CodecChoice.any else (Codec(codec.value),)
    planners = [planner_of(measured, topology, exit_model, compute, thresholds, asked.options, each) for each in codecs]
    with _limits(planners[0], time_limit, memory_limit) as limits:
        whole = frontier or plot or figure is not None
        planner, found = find_among(planners, asked, limits, frontier=whole, seed=seed)
    shown, wanted, gap = found.shown, found.wanted, found.gap
    spread = spread_s(shown, profile=measured, topology=planner.topology)

    document = {
        **plan_and_estimate(shown, spread, found.certificate),
        "frontier": [
            {"text": str(each.plan), "accuracy": each.estimate.accuracy, "latency_s": wanted.latency.of(each.estimate)}
            for each in found.members
        ],
        "search": {
            "plans": found.plans,
            "seconds": found.took_s,
            "optimal": not asked.certify and gap is None,
            "gap": None if gap is None else {"latency_s": gap.latency_s, "accuracy": gap.accuracy},
            "min_accuracy": wanted.min_accuracy,
            "max_latency_s": wanted.max_latency_s,
            "latency": wanted.latency.name.lower(),
            "meets": found.met,
            "relaxations": [{"give_up": list(way.given_up), **plan_and_estimate(way.plan)} for way in found.ways],
        },
    }
    if out:
        from offramp.files import write_plan

        write_plan(document, out)
    if figure:
        from offramp.view.frontier import FrontierPicture, save_figure

        save_figure(FrontierPicture.of(planner, found.members, shown, wanted), figure)
    if json:
        from offramp.cli.output import print_json

        print_json(document)
    else:
        print_answer(planner, found, spread)
        if plot:
            print_picture(planner, found)
    if not found.met:
        raise typer.Exit(1)


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
    given = read_plan(plan)
    planner = planner_of(measured, topology, exit_model, compute, None, Options(), given.codec)
    estimated = planner.estimate(given)
    spread = spread_s(estimated, profile=measured, topology=planner.topology)
    if json:
        from offramp.cli.output import print_json

        print_json(plan_and_estimate(estimated, spread))
    else:
        print_plan(planner, estimated, spread)


@contextmanager
def _limits(planner: Planner, time_limit: str | None, memory_limit: str | None) -> Iterator[SearchLimits]:
    """A budget whose time runs while the block does; someone who waits at a terminal is told what for."""
    import sys
    from contextlib import nullcontext
    from threading import Timer

    import numpy as np

    from offramp.core.planner import SearchLimits
    from offramp.files.quantities import SIZE, TIME

    budget = SearchLimits(memory_bytes=SIZE.parse(memory_limit or "4 GB") / 8)
    timer = None
    if time_limit is not None:
        # Compiling, at first use on a machine, is not searching: have it done by a search that ends at once.
        planner.frontier_within(SearchLimits(stop=np.ones(1, np.bool_)))
        timer = Timer(TIME.parse(time_limit), budget.stop.fill, [True])
        timer.daemon = True
        timer.start()
    waiting: AbstractContextManager[object] = nullcontext()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        most = "" if time_limit is None else f"of at most {time_limit}"
        columns = (SpinnerColumn(), TextColumn("searching"), TimeElapsedColumn(), TextColumn(most))
        bar = Progress(*columns, console=Console(stderr=True), transient=True)
        bar.add_task("")
        waiting = bar
    try:
        with waiting:
            yield budget
    finally:
        if timer is not None:
            timer.cancel()
