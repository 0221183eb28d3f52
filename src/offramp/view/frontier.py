"""The picture of a frontier: a record first, so that it can be checked; then it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from offramp.core.estimate import EstimatedPlan
    from offramp.core.requirement import Requirement
    from offramp.core.topology import Topology


@dataclass(frozen=True, slots=True)
class FrontierPicture:
    """What a picture of a frontier shows: latency in ms along, accuracy in percent up.

    latency: which latency is meant, in words.
    frontier: [n] (latency, accuracy, number of partitions) of the members, fastest first.
    chosen: (latency, accuracy) of the plan in question, with its text.
    floor, limit: the requirement, where there is one.
    """

    title: str
    latency: str
    frontier: tuple[tuple[float, float, int], ...]
    chosen: tuple[float, float]
    chosen_text: str
    floor: float | None
    limit: float | None

    @classmethod
    def of(
        cls,
        members: Sequence[EstimatedPlan],
        chosen: EstimatedPlan,
        requirement: Requirement,
        *,
        topology: Topology,
        plan_count: int,
    ) -> FrontierPicture:
        """The picture of a frontier's members, the one in question marked.

        plan_count: how many plans it is the frontier of.
        """
        return cls(
            title=f"{topology.name}: best of {plan_count:,} plans, answers for the {topology.destination}",
            latency=f"{requirement.latency.name.lower()} latency",
            frontier=tuple((*_point(plan, requirement), len(plan.plan.ends)) for plan in members),
            chosen=_point(chosen, requirement),
            chosen_text=str(chosen.plan),
            floor=None if requirement.min_accuracy is None else 100 * requirement.min_accuracy,
            limit=None if requirement.max_latency_s is None else 1000 * requirement.max_latency_s,
        )


def _point(estimated: EstimatedPlan, requirement: Requirement) -> tuple[float, float]:
    return 1000 * requirement.latency.of(estimated.estimate), 100 * estimated.estimate.accuracy


# Okabe and Ito's palette, which color-blind readers can tell apart; its black is the ink of the text.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")


def draw_frontier(picture: FrontierPicture, ax: Axes) -> None:
    """Draw on `ax`: the frontier as steps, members colored by number of partitions, the requirement dashed."""
    from matplotlib import rcParams

    ink = rcParams["text.color"]
    latencies = [latency for latency, _, _ in picture.frontier]
    accuracies = [accuracy for _, accuracy, _ in picture.frontier]
    ax.plot(latencies, accuracies, drawstyle="steps-post", color="0.6", linewidth=1, zorder=1)
    for parts in sorted({count for _, _, count in picture.frontier}):
        points = [(latency, accuracy) for latency, accuracy, count in picture.frontier if count == parts]
        label = "1 partition" if parts == 1 else f"{parts} partitions"
        color = (*COLORS, ink)[(parts - 1) % (len(COLORS) + 1)]
        ax.scatter(*zip(*points, strict=True), s=26, color=color, label=label, zorder=2)
    ax.scatter(
        *picture.chosen,
        s=150,
        facecolors="none",
        edgecolors=ink,
        linewidths=1.6,
        zorder=3,
        label=picture.chosen_text,
    )
    if picture.floor is not None:
        ax.axhline(picture.floor, color=ink, linestyle="--", linewidth=1, label="required accuracy")
    if picture.limit is not None:
        ax.axvline(picture.limit, color=ink, linestyle="--", linewidth=1, label="latency limit")
    ax.set(xlabel=f"{picture.latency} (ms)", ylabel="accuracy (%)", title=picture.title)
    if _wants_log(latencies):
        ax.set_xscale("log")
    ax.grid(alpha=0.25)
    ax.legend(loc="lower right", framealpha=0.9, fontsize=9)


def draw_in_terminal(picture: FrontierPicture, *, width: int, color: bool) -> str:
    """The picture as text, `width` characters wide: the frontier as a line, crossed at the plan in question."""
    from uniplot import plot_to_string

    latencies = [latency for latency, _, _ in picture.frontier]
    accuracies = [accuracy for _, accuracy, _ in picture.frontier]
    drawing = plot_to_string(
        [accuracies, [picture.chosen[1]]],
        [latencies, [picture.chosen[0]]],
        lines=[True, False],
        legend_labels=["frontier", picture.chosen_text],
        title=picture.title,
        width=max(20, width - 12),
        height=15,
        color=["blue", "red"] if color else False,
        character_set="braille",
        x_as_log=_wants_log(latencies),
        x_unit=" ms",
        y_unit=" %",
        x_gridlines=[picture.chosen[0]],
        y_gridlines=[picture.chosen[1]],
    )
    return str(drawing)


def _wants_log(latencies: Sequence[float]) -> bool:
    return min(latencies) > 0 and max(latencies) > 30 * min(latencies)
