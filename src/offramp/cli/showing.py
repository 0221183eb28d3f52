"""Plans, estimates and frontiers as people read them, and as machines do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offramp.core.certify import Certificate
    from offramp.core.conflicts import WayOut
    from offramp.core.estimate import PricedPlan
    from offramp.core.planner import Gap, Planner, Requirement


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

    from offramp.cli.output import percent, seconds

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


def print_answer(
    planner: Planner,
    wanted: Requirement,
    shown: PricedPlan,
    members: Sequence[PricedPlan],
    ways: Sequence[WayOut],
    *,
    met: bool,
    took_s: float,
    spread: float | None,
    certificate: Certificate | None,
    gap: Gap | None,
) -> None:
    """Show what was asked, the plan found, how sure that is, and the frontier around it."""
    from rich.console import Console
    from rich.table import Table

    from offramp.cli.output import percent, requirement_words, seconds

    console = Console()
    asked = requirement_words(wanted, latency=_latency_name(wanted))
    aim = "most accurate" if wanted.min_accuracy is None else "fastest"
    if met:
        console.print(f"The {aim} plan with {asked}:", highlight=False)
    else:
        under = " under the constraints" if planner.options.constraints.stated else ""
        console.print(f"[bold red]No plan has {asked}{under}.[/]", highlight=False)
        for way in ways:
            given_up = " and ".join(name.replace("_", " ") for name in way.given_up)
            got = f"{percent(way.plan.estimate.accuracy)}, {seconds(wanted.latency.of(way.plan.estimate))}"
            console.print(f"  Give up {given_up}: {got}  {way.plan.plan}", highlight=False, soft_wrap=True)
        console.print("The nearest:")
    print_plan(planner, shown, spread)
    proof = f"{'Optimal' if met else 'Proven'} among {planner.plans:,} plans, in {seconds(took_s)}."
    if gap is not None:
        proof = f"The search ended early, after {seconds(took_s)}: the best so far. Of the plans not looked at none is "
        proof += f"faster than {seconds(gap.latency_s)} or more accurate than {percent(gap.accuracy)}."
    if certificate is not None:
        bound, sure = percent(certificate.bound), f"with confidence {certificate.confidence:g}"
        held_back = f"{certificate.certifying_samples} held-back samples"
        if certificate.floor is not None:
            proof = f"The fastest of {certificate.tested} plans whose floor was tested on {held_back}, "
            proof += "the most accurate first."
        console.print(
            f"On {held_back}: {percent(certificate.checked.accuracy)}; on new ones at least {bound} {sure}.",
            highlight=False,
        )
    console.print(proof, highlight=False)
    if members:
        rows = _thinned(members, shown)
        hidden = len(members) - len(rows)
        more = f"; {hidden} of them not shown here, --json has all" if hidden else ""
        console.print(f"\nThe frontier: {len(members)} plans that no other beats in both{more}", highlight=False)
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column(_latency_name(wanted), justify="right")
        table.add_column("accuracy", justify="right")
        table.add_column("plan")
        for each in rows:
            latency, accuracy = seconds(wanted.latency.of(each.estimate)), percent(each.estimate.accuracy)
            table.add_row(latency, accuracy, str(each.plan), style="bold" if each == shown else None)
        console.print(table)


def _latency_name(wanted: Requirement) -> str:
    return "latency" if wanted.latency.value == 0 else f"{wanted.latency.name.lower()} latency"


def _thinned(members: Sequence[PricedPlan], shown: PricedPlan) -> list[PricedPlan]:
    """Some twenty members at most, evenly along the frontier, its ends and `shown` among them."""
    picked = {round(i * (len(members) - 1) / 19) for i in range(20)}
    return [each for i, each in enumerate(members) if i in picked or each == shown]


def print_picture(planner: Planner, members: Sequence[PricedPlan], shown: PricedPlan, wanted: Requirement) -> None:
    """Draw the frontier in the terminal."""
    from rich.console import Console

    from offramp.plot import FrontierPicture, draw_in_terminal

    console = Console()
    picture = FrontierPicture.of(planner, members, shown, wanted)
    print(draw_in_terminal(picture, width=min(console.width, 100), color=console.is_terminal))
