"""Plans, estimates and frontiers as people read them, and as machines do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offramp.core.certify import Certificate
    from offramp.core.estimate import PricedPlan
    from offramp.core.planner import Planner
    from offramp.finding import Found


def plan_and_estimate(
    priced: PricedPlan, spread_s: float | None = None, certificate: Certificate | None = None
) -> dict[str, Any]:
    """The `plan` and `estimate` objects that every command prints alike."""
    from offramp.files import plan_document
    from offramp.files.results import estimate_document

    document = estimate_document(priced.estimate)
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
    return {"plan": plan_document(priced.plan), "estimate": document}


def print_plan(planner: Planner, priced: PricedPlan, spread_s: float | None = None) -> None:
    """Show a plan and its estimate, term by term and partition by partition."""
    from rich.console import Console
    from rich.table import Table

    from offramp.words import percent, seconds

    console = Console()
    predicted = priced.estimate
    console.print(f"[bold]{priced.plan}[/bold]", highlight=False)
    console.print(
        f"accuracy [bold]{percent(predicted.accuracy)}[/bold]   latency [bold]{seconds(predicted.latency_s)}[/bold] = "
        f"compute {seconds(predicted.compute_s)} + propagation {seconds(predicted.propagation_s)} + "
        f"transmission {seconds(predicted.transmission_s)} + serialization {seconds(predicted.serialization_s)}",
        highlight=False,
    )
    if min(predicted.exit_rates) >= 0:
        tail = "   ".join(f"p{q} {seconds(predicted.percentile_s(q))}" for q in (50, 95, 99))
        spread = "" if spread_s is None else f"   +- {seconds(spread_s)} from run to run"
        console.print(f"{tail}{spread}   ({planner.exits.name.value} exit model)", highlight=False, style="dim")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading, justify in (
        ("blocks", "left"),
        ("tier", "left"),
        ("leave here", "right"),
        ("go on", "right"),
        ("threshold", "right"),
        ("latency if left here", "right"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    thresholds = (*(f"{threshold:g}" for threshold in priced.plan.thresholds), "-")
    for k, (first, last) in enumerate(priced.plan.blocks):
        table.add_row(
            f"{first}-{last}",
            priced.plan.placement[k],
            percent(predicted.exit_rates[k]),
            percent(predicted.stay_rates[k]),
            thresholds[k],
            seconds(predicted.exit_latency_s[k]),
        )
    console.print(table)


def print_answer(planner: Planner, found: Found, spread: float | None) -> None:
    """Show what was asked, the plan found, how sure that is, and the frontier around it."""
    from rich.console import Console
    from rich.table import Table

    from offramp.words import headline, latency_name, percent, proof, seconds

    console = Console()
    wanted, shown, members = found.wanted, found.shown, found.members
    if found.met:
        console.print(f"{headline(planner, found)}:", highlight=False)
    else:
        console.print(f"[bold red]{headline(planner, found)}.[/]", highlight=False)
        for way in found.ways:
            given_up = " and ".join(name.replace("_", " ") for name in way.given_up)
            got = f"{percent(way.plan.estimate.accuracy)}, {seconds(wanted.latency.of(way.plan.estimate))}"
            console.print(f"  Give up {given_up}: {got}  {way.plan.plan}", highlight=False, soft_wrap=True)
        console.print("The nearest:")
    print_plan(planner, shown, spread)
    for sentence in proof(planner, found):
        console.print(sentence, highlight=False)
    if members:
        rows = _thinned(members, shown)
        hidden = len(members) - len(rows)
        more = f"; {hidden} of them not shown here, --json has all" if hidden else ""
        console.print(f"\nThe frontier: {len(members)} plans that no other beats in both{more}", highlight=False)
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column(latency_name(wanted), justify="right")
        table.add_column("accuracy", justify="right")
        table.add_column("plan")
        for each in rows:
            latency, accuracy = seconds(wanted.latency.of(each.estimate)), percent(each.estimate.accuracy)
            table.add_row(latency, accuracy, str(each.plan), style="bold" if each == shown else None)
        console.print(table)


def _thinned(members: Sequence[PricedPlan], shown: PricedPlan) -> list[PricedPlan]:
    """Some twenty members at most, evenly along the frontier, its ends and `shown` among them."""
    picked = {round(i * (len(members) - 1) / 19) for i in range(20)}
    return [each for i, each in enumerate(members) if i in picked or each == shown]


def print_picture(planner: Planner, found: Found) -> None:
    """Draw the frontier in the terminal."""
    from rich.console import Console

    from offramp.plot import FrontierPicture, draw_in_terminal

    console = Console()
    picture = FrontierPicture.of(planner, found.members, found.shown, found.wanted)
    print(draw_in_terminal(picture, width=min(console.width, 100), color=console.is_terminal))
