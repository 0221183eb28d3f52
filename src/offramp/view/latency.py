"""Pictures of latency: its terms, how it is spread over samples, what other systems reach, predicted beside measured.

A picture is a record first, so that it can be checked; then it is drawn. Everything that is not data is drawn in
matplotlib's `text.color`, so that a picture can be made for light or dark paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from offramp.view.frontier import COLORS
from offramp.view.points import SystemPoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from offramp.core.baselines import ComparedSystem
    from offramp.core.estimate import Estimate
    from offramp.core.result import RunResult
    from offramp.core.validation import Validation

_TERMS = ("compute", "propagation", "transmission", "serialization")
# Beyond this many points a curve of steps looks the same.
_MOST_STEPS = 500


@dataclass(frozen=True, slots=True)
class TermsPicture:
    """What mean latencies are made of, in ms.

    labels: [n] whose latency.
    terms: by name, [n] ms; they add up to the latency.
    """

    labels: tuple[str, ...]
    terms: tuple[tuple[str, tuple[float, ...]], ...]

    @classmethod
    def of(cls, estimates: Sequence[tuple[str, Estimate]]) -> TermsPicture:
        """The picture of estimates, each with its label."""
        return cls(
            labels=tuple(label for label, _ in estimates),
            terms=tuple(
                (term, tuple(1000 * getattr(estimate, f"{term}_s") for _, estimate in estimates)) for term in _TERMS
            ),
        )

    @property
    def totals(self) -> tuple[float, ...]:
        """[n] the latencies, in ms."""
        return tuple(sum(values) for values in zip(*(values for _, values in self.terms), strict=True))


def draw_terms(picture: TermsPicture, ax: Axes) -> None:
    """Draw on `ax`: a bar for each latency, its terms end to end."""
    begins = [0.0] * len(picture.labels)
    for (name, values), color in zip(picture.terms, COLORS, strict=False):
        ax.barh(picture.labels, values, left=begins, height=0.6, color=color, label=name)
        begins = [begin + value for begin, value in zip(begins, values, strict=True)]
    for at, total in enumerate(picture.totals):
        ax.annotate(f"{total:.4g} ms", (total, at), (4, 0), textcoords="offset points", va="center", fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.16 * max(picture.totals) or 1.0)
    ax.set(xlabel="mean latency (ms)")
    _finish(ax, columns=len(picture.terms), grid="x")


@dataclass(frozen=True, slots=True)
class Curve:
    """How latency is spread over samples: `shares` [n] of them, in percent, take at most `latencies` [n] ms."""

    label: str
    latencies: tuple[float, ...]
    shares: tuple[float, ...]
    measured: bool


@dataclass(frozen=True, slots=True)
class DistributionPicture:
    """Which share of samples is answered within which time."""

    curves: tuple[Curve, ...]

    @staticmethod
    def predicted(label: str, estimate: Estimate) -> Curve:
        """The curve of an estimate, a step for each exit; its exit rates must be shares."""
        exits = sorted(zip(estimate.exit_latency_s, estimate.exit_rates, strict=True))
        shares = [sum(rate for _, rate in exits[: k + 1]) for k in range(len(exits))]
        return Curve(label, tuple(1000 * time for time, _ in exits), tuple(100 * share for share in shares), False)

    @staticmethod
    def measured(label: str, run: RunResult) -> Curve:
        """The curve of a run's answered samples, thinned where there are very many."""
        times = run.latencies_s
        n = len(times)
        ranks = sorted({round((i + 1) * n / min(n, _MOST_STEPS)) for i in range(min(n, _MOST_STEPS))})
        return Curve(
            label, tuple(1000 * float(times[r - 1]) for r in ranks), tuple(100 * rank / n for rank in ranks), True
        )


def draw_distribution(picture: DistributionPicture, ax: Axes) -> None:
    """Draw on `ax`: steps for each curve, measured ones solid, predicted ones dashed."""
    most = max(curve.latencies[-1] for curve in picture.curves) or 1.0
    for curve, color in zip(picture.curves, _cycle(len(picture.curves)), strict=True):
        ax.plot(
            (0.0, *curve.latencies, 1.05 * most),
            (0.0, *curve.shares, curve.shares[-1]),
            drawstyle="steps-post",
            color=color,
            linestyle="-" if curve.measured else "--",
            linewidth=1.8,
            label=curve.label,
        )
    ax.set(xlabel="latency (ms)", ylabel="samples answered by then (%)", ylim=(0, 103), xlim=(0, 1.05 * most))
    _finish(ax, columns=2)


@dataclass(frozen=True, slots=True)
class SystemsPicture:
    """What each system's choice achieves.

    systems: in the order of the comparison; Offramp is the last where it has a plan.
    latency: which latency is meant, in words.
    """

    systems: tuple[SystemPoint, ...]
    latency: str

    @classmethod
    def of(cls, compared: Sequence[ComparedSystem], *, latency: str) -> SystemsPicture:
        """The picture of a comparison."""
        return cls(tuple(map(SystemPoint.of, compared)), latency)


def draw_systems(picture: SystemsPicture, ax: Axes) -> None:
    """Draw on `ax`: a line for each system, its latency as a point, filled where it meets the requirement."""
    from matplotlib import rcParams

    times = [system.latency for system in picture.systems]
    least, most = min(times), max(times) or 1.0
    for at, system in enumerate(picture.systems):
        color = COLORS[4] if system.system == "Offramp" else COLORS[5]
        ax.plot((0.7 * least, system.latency), (at, at), color=color, linewidth=1.2, alpha=0.55)
        face = color if system.meets else "none"
        ax.scatter(system.latency, at, s=46, facecolors=face, edgecolors=color, linewidths=1.6, zorder=3)
        note = f"{system.accuracy:.2f} %" + ("" if system.meets else ", misses")
        ax.annotate(note, (system.latency, at), (8, 0), textcoords="offset points", va="center", fontsize=9)
    if least > 0 and most > 10 * least:
        ax.set_xscale("log")
        _write_out(ax.xaxis)
    ax.set_yticks(range(len(times)), [system.system for system in picture.systems])
    if picture.systems[-1].system == "Offramp":
        ax.axvline(times[-1], color=rcParams["text.color"], linestyle=":", linewidth=0.9)
    ax.set_xlim(0.7 * least, most * (3.2 if ax.get_xscale() == "log" else 1.25))
    ax.invert_yaxis()
    ax.set(xlabel=f"{picture.latency} (ms); beside each point its accuracy")
    ax.set_axisbelow(True)
    ax.grid(axis="x", alpha=0.25)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


@dataclass(frozen=True, slots=True)
class AgreementPicture:
    """Predicted latency along, measured latency up, in ms.

    points: by topology, [n] (predicted, measured).
    """

    points: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]

    @classmethod
    def of(cls, validation: Validation) -> AgreementPicture:
        """The picture of a validation."""
        points: dict[str, list[tuple[float, float]]] = {}
        for plan in validation.plans:
            place = 1000 * plan.predicted.latency_s, 1000 * plan.measured.latency_s
            points.setdefault(plan.topology, []).append(place)
        return cls(tuple((topology, tuple(places)) for topology, places in points.items()))


def draw_agreement(picture: AgreementPicture, ax: Axes) -> None:
    """Draw on `ax`: a point for each plan, and the line where prediction and measurement are the same."""
    from matplotlib import rcParams

    every = [value for _, points in picture.points for point in points for value in point]
    low, high = min(every), max(every)
    ends = (0.8 * low, 1.25 * high) if low > 0 and high > 30 * low else (0.0, 1.08 * high)
    ax.plot(ends, ends, color=rcParams["text.color"], linewidth=0.9, linestyle="--", label="measured as predicted")
    markers = ("o", "s", "^", "D", "v", "P", "X", "*")
    for at, (name, points) in enumerate(picture.points):
        color, marker = COLORS[(5, 0, 2, 3, 4, 1)[at % 6]], markers[at % len(markers)]
        along, up = zip(*points, strict=True)
        ax.scatter(along, up, s=30, color=color, marker=marker, alpha=0.85, label=name, zorder=3)
    if ends[0] > 0:
        ax.set(xscale="log", yscale="log")
        _write_out(ax.xaxis)
        _write_out(ax.yaxis)
    ax.set(xlim=ends, ylim=ends, xlabel="predicted latency (ms)", ylabel="measured latency (ms)")
    _finish(ax, columns=3)


def _write_out(axis: Axis) -> None:
    """Write the numbers of a logarithmic axis out, instead of powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _cycle(count: int) -> list[str]:
    """Colors for lines, those that are strong on light and dark first."""
    return [COLORS[(5, 4, 2, 3, 0, 1)[i % 6]] for i in range(count)]


def _finish(ax: Axes, *, columns: int, grid: Literal["both", "x"] = "both") -> None:
    ax.set_axisbelow(True)
    ax.grid(axis=grid, alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    legend_above(ax, columns=columns)


def legend_above(ax: Axes, *, columns: int) -> None:
    """Put the legend above the axes, where no data can be."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2)
