"""Plans, estimates and frontiers as people read them in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offramp.core.cautions import codec_cautions
from offramp.core.score import ScoreName
from offramp.view.text import energy_words, percent, quality_words, seconds

if TYPE_CHECKING:
    from rich.console import Console

    from offramp.core.estimate import EstimatedPlan
    from offramp.core.exits import ExitModelName
    from offramp.core.topology import Topology
    from offramp.pipeline.estimate import Prediction
    from offramp.pipeline.solution import Solution
    from offramp.view.frontier import FrontierPicture


def print_solution(solution: Solution) -> None:
    """Show what was asked, the plan, how sure that is, and the frontier around it."""
    from rich.console import Console

    from offramp.cli.drawing import print_frontier

    console = Console()
    if solution.met:
        console.print(f"{solution.headline}:", highlight=False)
    else:
        console.print(f"[bold red]{solution.headline}.[/]", highlight=False)
        for sentence in solution.relaxation_sentences:
            console.print(f"  {sentence}", highlight=False, soft_wrap=True)
        if solution.certificate is None:
            console.print("The nearest:")
    _print_plan(
        console, solution.topology, solution.estimated, solution.spread_s, exit_model=solution.planner.exits.name
    )
    if solution.guarantee:
        style = "green" if solution.met else "bold red"
        console.print(f"[{style}]{solution.guarantee}[/]", highlight=False)
    if (score := solution.profile.score.name) is not ScoreName.ENTROPY:
        console.print(f"exits go by {score.value}, which the thresholds are of", highlight=False, style="dim")
    if (quality := solution.quality) is not None:
        console.print(quality_words(quality), highlight=False)
    for sentence in solution.warnings:
        console.print(f"[yellow]Warning:[/] {sentence}.", highlight=False, soft_wrap=True)
    for sentence in solution.proof:
        console.print(sentence, highlight=False)
    if solution.frontier:
        print_frontier(console, solution.frontier, solution.estimated, solution.requirement)


def print_prediction(prediction: Prediction) -> None:
    """Show a plan and its estimate, term by term, and draw it on its topology."""
    from rich.console import Console

    console = Console()
    _print_plan(
        console, prediction.topology, prediction.estimated, prediction.spread_s, exit_model=prediction.exit_model
    )
    for sentence in codec_cautions(prediction.plan):
        console.print(f"[yellow]Warning:[/] {sentence}.", highlight=False, soft_wrap=True)
    if prediction.quality is not None:
        console.print(quality_words(prediction.quality), highlight=False)


def print_picture(picture: FrontierPicture) -> None:
    """Draw the frontier in the terminal."""
    from rich.console import Console

    from offramp.view.frontier import draw_in_terminal

    console = Console()
    print(draw_in_terminal(picture, width=min(console.width, 100), color=console.is_terminal))


def _print_plan(
    console: Console,
    topology: Topology,
    estimated: EstimatedPlan,
    spread_s: float | None,
    *,
    exit_model: ExitModelName,
) -> None:
    from offramp.cli.drawing import print_placement

    predicted = estimated.estimate
    console.print(f"[bold]{estimated.plan}[/bold]", highlight=False)
    line = f"accuracy [bold]{percent(predicted.accuracy)}[/bold]   latency [bold]{seconds(predicted.latency_s)}[/bold]"
    if min(predicted.exit_rates) >= 0:
        line += "".join(f"   p{q} {seconds(predicted.percentile_s(q))}" for q in (50, 95, 99))
    console.print(line, highlight=False)
    terms = ("compute", "propagation", "transmission", "serialization")
    parts = (f"{term} {seconds(getattr(predicted, f'{term}_s'))}" for term in terms)
    console.print(f"latency = {' + '.join(parts)}", highlight=False, style="dim", soft_wrap=True)
    if predicted.energy is not None:
        console.print(energy_words(predicted.energy), highlight=False, soft_wrap=True)
    spread = "" if spread_s is None else f"+- {seconds(spread_s)} from run to run, "
    console.print(f"{spread}by the {exit_model.value} exit model", highlight=False, style="dim")
    print_placement(console, topology, estimated)
