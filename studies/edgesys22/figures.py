"""The study's figures: figure 3, predicted beside actual; figures 4 and 5, all plans and the cases among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from offramp import Constraints, Planner, Profile, read_topology
from offramp.core.checks import FloatArray
from offramp.core.estimate import Latency
from offramp.explore.cloud import Cloud
from offramp.view.frontier import COLORS
from studies.edgesys22 import prediction
from studies.edgesys22.cases import Case
from studies.edgesys22.cases import answer as answered
from studies.edgesys22.prediction import Trial

_CLOUD = 4000
_BLUE, _ORANGE, _GREEN, _RED = COLORS[5], COLORS[0], COLORS[2], COLORS[4]
_KIND = {
    prediction.JOINT: "EdgeSys'22, acc_i of the joint network",
    prediction.SEPARATE: "EdgeSys'22, acc_i trained alone",
    prediction.MARGINAL: "PORTEND (marginal)",
    prediction.REPLAY: "replay",
    prediction.AFTER: "replay of the final model",
}
_RATE_KIND = {prediction.JOINT: "EdgeSys'22 (first exits)"}


@dataclass(frozen=True, slots=True)
class Scatter:
    """Predicted along, actual up, in percent, with how well they agree.

    points: [n] (predicted, actual).
    """

    title: str
    note: str
    points: tuple[tuple[float, float], ...]


def figure_3(trials: Sequence[Trial]) -> tuple[tuple[Scatter, ...], tuple[Scatter, ...]]:
    """Accuracies by estimator, and exit rates by estimator: averaged over the thresholds, as in the paper."""
    accuracies = tuple(
        _scatter(
            _KIND[name],
            prediction.accuracies(trials, name, averaged=True),
            prediction.accuracy_agreement(trials, name, averaged=True),
        )
        for name in prediction.ESTIMATORS
    )
    # The two published estimators have the same exit rates.
    rates = tuple(
        _scatter(
            _RATE_KIND.get(name, _KIND[name]),
            prediction.exit_rates(trials, name, averaged=True),
            prediction.exit_rate_agreement(trials, name, averaged=True),
        )
        for name in prediction.ESTIMATORS
        if name != prediction.SEPARATE
    )
    return accuracies, rates


def draw_figure_3(trials: Sequence[Trial], path: Path) -> None:
    """Draw it: a panel for each estimator, accuracies above, exit rates below."""
    above, below = figure_3(trials)
    figure = Figure(figsize=(15, 7), layout="constrained")
    rows = figure.subplots(2, len(above))
    for ax, scatter in zip(rows[0], above, strict=True):
        _draw_scatter(scatter, ax, "accuracy (%)")
    for ax, scatter in zip(rows[1], (below[0], None, *below[1:]), strict=True):
        if scatter is None:
            ax.axis("off")
        else:
            _draw_scatter(scatter, ax, "exit rate (%)")
    figure.savefig(path, dpi=110)


@dataclass(frozen=True, slots=True, eq=False)
class PlansPicture:
    """All plans on a topology, latency in ms and accuracy in percent, and the answers to some cases among them.

    cloud: [n, 2] a sample of the plans.
    frontier: [m, 2] fastest first.
    answers: (case's number, plan, latency, accuracy).
    """

    title: str
    cloud: FloatArray
    frontier: FloatArray
    answers: tuple[tuple[str, str, float, float], ...]

    @classmethod
    def of(cls, profile: Profile, topology: str, cases: Sequence[Case]) -> "PlansPicture":
        """The picture of a profile on one of the topologies that ship, with the cases that are asked there."""
        planner = Planner.of(profile, read_topology(topology), compiled=True)
        cloud = Cloud.drawn(planner, Constraints(), plans=_CLOUD)
        latency_s = cloud.latency_s(planner.costs, Latency.MEAN)
        frontier = [(1e3 * plan.estimate.latency_s, 100 * plan.estimate.accuracy) for plan in planner.frontier()]
        return cls(
            title=f"{profile.backbone.name} on {profile.backbone.dataset}, {topology}: {planner.plan_count():,} plans",
            cloud=np.column_stack([1e3 * latency_s, 100 * cloud.accuracy]),
            frontier=np.array(frontier),
            answers=tuple(
                (case.number, str(plan.plan), 1e3 * plan.estimate.latency_s, 100 * plan.estimate.accuracy)
                for case in cases
                if case.topology == topology
                for plan in answered(case, profile) or ()
            ),
        )


def draw_plans(picture: PlansPicture, path: Path) -> None:
    """Draw it: plans as dots, the frontier as steps, the cases' answers as rings with their numbers."""
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    ax = figure.subplots()
    ax.scatter(*picture.cloud.T, s=4, color="0.75", linewidths=0, label=f"{len(picture.cloud):,} of the plans")
    ax.plot(*picture.frontier.T, drawstyle="steps-post", color=_BLUE, linewidth=1.6, label="the frontier")
    # Answers may be the same plan: rings of several sizes are all to be seen.
    rings = zip(picture.answers, (_RED, _ORANGE, _GREEN, COLORS[3]), (70, 160, 280, 430), strict=False)
    for (number, text, latency, accuracy), color, size in rings:
        ax.scatter(
            latency,
            accuracy,
            s=size,
            facecolors="none",
            edgecolors=color,
            linewidths=2,
            label=f"{number}: {text}",
            zorder=3,
        )
    ax.set(xscale="log", xlabel="mean latency (ms)", ylabel="accuracy (%)", title=picture.title)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _finish(ax)
    ax.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2, labelspacing=0.9, frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)


@dataclass(frozen=True, slots=True)
class BranchesPicture:
    """What each branch is worth: accuracies in percent by branch, and the share that exits there first.

    thresholds: [K]; first_exits: [K, N] percent.
    """

    title: str
    joint: tuple[float, ...]
    separate: tuple[float, ...]
    thresholds: tuple[float, ...]
    first_exits: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, profile: Profile, title: str) -> "BranchesPicture":
        """The picture of a profile with both accuracies."""
        rates = profile.exits
        assert rates is not None
        assert rates.joint_accuracy is not None
        return cls(
            title,
            tuple(100 * rates.joint_accuracy),
            tuple(100 * rates.accuracy),
            tuple(rates.thresholds.tolist()),
            tuple(map(tuple, (100 * rates.exit_rate).tolist())),
        )


def draw_branches(pictures: Sequence[BranchesPicture], path: Path) -> None:
    """Draw them, a row each: accuracy by branch, and first exits by threshold."""
    figure = Figure(figsize=(11, 3.5 * len(pictures)), layout="constrained")
    for picture, (left, right) in zip(pictures, figure.subplots(len(pictures), 2, squeeze=False), strict=True):
        branches = range(1, len(picture.joint) + 1)
        left.plot(branches, picture.joint, "o-", color=_BLUE, label="trained jointly")
        left.plot(branches, picture.separate, "s--", color=_RED, label="trained alone")
        left.set(xlabel="branch after block", ylabel="accuracy (%)", title=picture.title, xticks=branches)
        _finish(left)
        left.legend(frameon=False)
        shades = [_shade(i / max(len(picture.joint) - 1, 1)) for i in range(len(picture.joint))]
        right.stackplot(picture.thresholds, np.array(picture.first_exits).T, colors=shades, labels=branches)
        right.set(xlabel="threshold", ylabel="exit after block (%)", title="first exits, every branch in place")
        right.set(xlim=(picture.thresholds[0], picture.thresholds[-1]), ylim=(0, 100))
        right.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=7, reverse=True)
    figure.savefig(path, dpi=110)


def _scatter(title: str, points: object, agreement: prediction.Agreement) -> Scatter:
    note = (
        f"slope {agreement.slope:.2f}, R² {agreement.r2:.3f}\n"
        f"off by {agreement.mean_error:.2f}, at worst {agreement.worst_error:.2f} points"
    )
    return Scatter(title, note, tuple((100 * along, 100 * up) for along, up in points))


def _draw_scatter(scatter: Scatter, ax: Axes, what: str) -> None:
    values = np.array(scatter.points)
    low, high = values.min() - 2, values.max() + 2
    ax.plot((low, high), (low, high), color="0.5", linewidth=0.9, linestyle="--")
    ax.scatter(*values.T, s=22, color=_BLUE, alpha=0.8, linewidths=0)
    ax.set(xlabel=f"predicted {what}", ylabel=f"actual {what}", xlim=(low, high), ylim=(low, high))
    ax.set_title(f"{scatter.title}\n{scatter.note}", fontsize=9)
    _finish(ax)


def _shade(share: float) -> tuple[float, float, float, float]:
    return colormaps["viridis"](share)


def _finish(ax: Axes) -> None:
    ax.set_axisbelow(True)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
