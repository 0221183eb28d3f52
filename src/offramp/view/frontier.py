"""The picture of a frontier: a record first, so that it can be checked; then it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offramp.core.requirement import Objective
from offramp.view.points import PlanPoint, SystemPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from offramp.core.baselines import ComparedSystem
    from offramp.core.estimate import EstimatedPlan
    from offramp.core.requirement import Requirement
    from offramp.core.topology import Topology


@dataclass(frozen=True, slots=True)
class FrontierPicture:
    """What a picture of a frontier shows: latency in ms along, or energy in mJ, accuracy in percent up.

    latency: which latency is meant, in words; or energy. unit: of it.
    frontier: the members, fastest first.
    chosen: the plan in question.
    floor, limit: the requirement, in percent and ms, where there is one.
    pinned: plans to compare with.
    systems: what published systems choose.
    """

    title: str
    latency: str
    frontier: tuple[PlanPoint, ...]
    chosen: PlanPoint
    floor: float | None
    limit: float | None
    pinned: tuple[PlanPoint, ...] = ()
    systems: tuple[SystemPoint, ...] = ()
    unit: str = "ms"

    @classmethod
    def of(
        cls,
        members: Sequence[EstimatedPlan],
        chosen: EstimatedPlan,
        requirement: Requirement,
        *,
        topology: Topology,
        plan_count: int,
        pinned: Sequence[EstimatedPlan] = (),
        systems: Sequence[ComparedSystem] = (),
    ) -> FrontierPicture:
        """The picture of a frontier's members, the one in question marked.

        plan_count: how many plans it is the frontier of.
        """
        is_energy = requirement.minimize is Objective.ENERGY
        return cls(
            title=f"{topology.name}: best of {plan_count:,} plans, answers for the {topology.destination}",
            latency="energy" if is_energy else f"{requirement.latency.name.lower()} latency",
            frontier=tuple(PlanPoint.of(plan, requirement) for plan in members),
            chosen=PlanPoint.of(chosen, requirement),
            floor=None if requirement.min_accuracy is None else 100 * requirement.min_accuracy,
            limit=None if requirement.max_latency_s is None or is_energy else 1000 * requirement.max_latency_s,
            pinned=tuple(PlanPoint.of(plan, requirement) for plan in pinned),
            systems=tuple(map(SystemPoint.of, systems)),
            unit="mJ" if is_energy else "ms",
        )

    @property
    def system_groups(self) -> tuple[tuple[SystemPoint, ...], ...]:
        """The systems by point: those that choose alike share one."""
        groups: dict[tuple[float, float], list[SystemPoint]] = {}
        for system in self.systems:
            groups.setdefault((system.latency, system.accuracy), []).append(system)
        return tuple(map(tuple, groups.values()))


# Okabe and Ito's palette, which color-blind readers can tell apart; its black is the ink of the text.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2", "#F0E442")


def draw_frontier(picture: FrontierPicture, ax: Axes) -> None:
    """Draw on `ax`: the frontier as steps, members colored by number of partitions, the requirement dashed."""
    from matplotlib import rcParams

    ink = rcParams["text.color"]
    latencies = [point.latency for point in picture.frontier]
    accuracies = [point.accuracy for point in picture.frontier]
    ax.plot(latencies, accuracies, drawstyle="steps-post", color="0.6", linewidth=1, zorder=1)
    for partitions in sorted({point.partitions for point in picture.frontier}):
        points = [point for point in picture.frontier if point.partitions == partitions]
        ax.scatter(
            [point.latency for point in points],
            [point.accuracy for point in points],
            s=26,
            color=(*COLORS, ink)[(partitions - 1) % (len(COLORS) + 1)],
            label="1 partition" if partitions == 1 else f"{partitions} partitions",
            zorder=2,
        )
    for at, point in enumerate((picture.chosen, *picture.pinned)):
        ax.scatter(
            point.latency,
            point.accuracy,
            s=150,
            facecolors="none",
            edgecolors=COLORS[(4, 5, 2, 3)[(at - 1) % 4]] if at else ink,
            linewidths=1.6,
            zorder=3,
            label=point.plan,
        )
    if picture.systems:
        _draw_systems(picture, ax)
    if picture.floor is not None:
        ax.axhline(picture.floor, color=ink, linestyle="--", linewidth=1, label="required accuracy")
    if picture.limit is not None:
        ax.axvline(picture.limit, color=ink, linestyle="--", linewidth=1, label="latency limit")
    ax.set(xlabel=f"{picture.latency} ({picture.unit})", ylabel="accuracy (%)", title=picture.title)
    if _wants_log(latencies):
        ax.set_xscale("log")
    ax.grid(alpha=0.25)
    ax.legend(loc="lower right", framealpha=0.9, fontsize=9)


def _draw_systems(picture: FrontierPicture, ax: Axes) -> None:
    from matplotlib import rcParams

    ax.scatter(
        [system.latency for system in picture.systems],
        [system.accuracy for system in picture.systems],
        s=44,
        marker="D",
        facecolors="none",
        edgecolors=rcParams["text.color"],
        label="published systems",
        zorder=3,
    )
    for systems in picture.system_groups:
        names = ", ".join(system.system for system in systems)
        place = systems[0].latency, systems[0].accuracy
        ax.annotate(names, place, (7, 4), textcoords="offset points", fontsize=8)


def draw_in_terminal(picture: FrontierPicture, *, width: int, color: bool) -> str:
    """The picture as text, `width` characters wide: the frontier as a line, crossed at the plan in question."""
    from uniplot import plot_to_string

    latencies = [point.latency for point in picture.frontier]
    accuracies = [point.accuracy for point in picture.frontier]
    chosen = picture.chosen
    drawing = plot_to_string(
        [accuracies, [chosen.accuracy]],
        [latencies, [chosen.latency]],
        lines=[True, False],
        legend_labels=["frontier", chosen.plan],
        title=picture.title,
        width=max(20, width - 12),
        height=15,
        color=["blue", "red"] if color else False,
        character_set="braille",
        x_as_log=_wants_log(latencies),
        x_unit=" ms",
        y_unit=" %",
        x_gridlines=[chosen.latency],
        y_gridlines=[chosen.accuracy],
    )
    return str(drawing)


def _wants_log(latencies: Sequence[float]) -> bool:
    return min(latencies) > 0 and max(latencies) > 30 * min(latencies)
