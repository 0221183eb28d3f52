"""Plans, estimates and frontiers as people read them, and as machines do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offramp.core.certify import Certificate
    from offramp.core.estimate import EstimatedPlan
    from offramp.core.planner import Planner
    from offramp.pipeline.solve import Found


def plan_and_estimate(
    estimated: EstimatedPlan, spread_s: float | None = None, certificate: Certificate | None = None
) -> dict[str, Any]:
    """The `plan` and `estimate` objects that every command prints alike."""
    from offramp.files import plan_document
    from offramp.files.results import estimate_document

    document = estimate_document(estimated.estimate)
    if spread_s is not None:
        document["spread_s"] = spread_s
    if certificate is not None:
        document["held_back"] = {
            "accuracy": certificate.checked.accuracy,
            "bound": certificate.bound,
            "confidence": certificate.confidence,
            "floor": certificate.floor,
            "samples": certificate.certifying_samples,
            "plans_tested": certificate.tested,
        }
    return {"plan": plan_document(estimated.plan), "estimate": document}


def print_plan(planner: Planner, estimated: EstimatedPlan, spread_s: float | None = None) -> None:
    """Show a plan and its estimate, term by term, and draw it on its topology."""
    from rich.console import Console

    from offramp.cli.drawing import print_placement
    from offramp.view.text import percent, seconds

    console = Console()
    predicted = estimated.estimate
    console.print(f"[bold]{estimated.plan}[/bold]", highlight=False)
    line = f"accuracy [bold]{percent(predicted.accuracy)}[/bold]   latency [bold]{seconds(predicted.latency_s)}[/bold]"
    if min(predicted.exit_rates) >= 0:
        line += "".join(f"   p{q} {seconds(predicted.percentile_s(q))}" for q in (50, 95, 99))
    console.print(line, highlight=False)
    terms = ("compute", "propagation", "transmission", "serialization")
    parts = (f"{term} {seconds(getattr(predicted, f'{term}_s'))}" for term in terms)
    console.print(f"latency = {' + '.join(parts)}", highlight=False, style="dim", soft_wrap=True)
    spread = "" if spread_s is None else f"+- {seconds(spread_s)} from run to run, "
    console.print(f"{spread}by the {planner.exits.name.value} exit model", highlight=False, style="dim")
    print_placement(console, planner.topology, estimated)


def print_answer(planner: Planner, found: Found, spread: float | None) -> None:
    """Show what was asked, the plan found, how sure that is, and the frontier around it."""
    from rich.console import Console

    from offramp.cli.drawing import print_frontier
    from offramp.view.text import headline, percent, proof, seconds

    console = Console()
    wanted = found.wanted
    if found.met:
        console.print(f"{headline(planner, found)}:", highlight=False)
    else:
        console.print(f"[bold red]{headline(planner, found)}.[/]", highlight=False)
        for way in found.ways:
            given_up = " and ".join(name.replace("_", " ") for name in way.given_up)
            got = f"{percent(way.plan.estimate.accuracy)}, {seconds(wanted.latency.of(way.plan.estimate))}"
            console.print(f"  Give up {given_up}: {got}  {way.plan.plan}", highlight=False, soft_wrap=True)
        console.print("The nearest:")
    print_plan(planner, found.shown, spread)
    for sentence in proof(found):
        console.print(sentence, highlight=False)
    if found.members:
        print_frontier(console, found.members, found.shown, wanted)


def print_picture(planner: Planner, found: Found) -> None:
    """Draw the frontier in the terminal."""
    from rich.console import Console

    from offramp.view.frontier import FrontierPicture, draw_in_terminal

    console = Console()
    picture = FrontierPicture.of(planner, found.members, found.shown, found.wanted)
    print(draw_in_terminal(picture, width=min(console.width, 100), color=console.is_terminal))
