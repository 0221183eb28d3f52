"""What published systems would choose, beside Offramp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from offramp.core import baselines
from offramp.core.codec import InputCodec
from offramp.core.exits import ExitModelName
from offramp.core.latency import ComputeSource
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.core.topology import Topology
from offramp.files import RequirementWords
from offramp.pipeline.arguments import check_answerable, requirement_of
from offramp.pipeline.progress import ShowProgress
from offramp.pipeline.solution import Solution
from offramp.pipeline.solve import solve
from offramp.view.drawing import plotted
from offramp.view.html import page, picture, table
from offramp.view.latency import SystemsPicture
from offramp.view.text import latency_name, percent, requirement_words, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from offramp.core.baselines import ComparedSystem


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison:
    """What each system chooses by its own model, judged by the full one.

    solution: Offramp's.
    systems: a row for each, Offramp last.
    """

    solution: Solution
    systems: tuple[ComparedSystem, ...]

    @property
    def requirement(self) -> Requirement:
        """What was asked, or stands in where nothing was."""
        return self.solution.requirement

    @property
    def exit_model(self) -> ExitModelName:
        """The model that judged."""
        return self.solution.planner.exits.name

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The rows by column: for `pandas.DataFrame`, polars, or `numpy.savez`. A gain that is not known is NaN."""
        return {
            "system": np.array([row.system for row in self.systems]),
            "plan": np.array([row.plan for row in self.systems]),
            "accuracy": np.array([row.estimate.accuracy for row in self.systems]),
            "latency_s": np.array([row.latency_s for row in self.systems]),
            "meets": np.array([row.meets for row in self.systems]),
            "gain": np.array([np.nan if row.gain is None else row.gain for row in self.systems]),
        }

    def document(self) -> dict[str, Any]:
        """The comparison as JSON, as `offramp compare --json` prints it."""
        asked = self.requirement
        return {
            "requirement": {"min_accuracy": asked.min_accuracy, "max_latency_s": asked.max_latency_s},
            "exit_model": self.exit_model.value,
            "rows": [
                {
                    "system": row.system,
                    "plan": row.plan,
                    "accuracy": row.estimate.accuracy,
                    "latency_s": row.latency_s,
                    "gain": row.gain,
                    "meets": row.meets,
                    "ignores": row.ignores,
                    "note": row.note,
                }
                for row in self.systems
            ],
        }

    @property
    def picture(self) -> SystemsPicture:
        """The rows as a picture's record."""
        return SystemsPicture.of(self.systems, latency=latency_name(self.requirement))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the latency of each system's choice, on `ax`; on a figure of its own where none is given."""
        return plotted(self.picture, ax)

    def __repr__(self) -> str:
        return f"Comparison({len(self.systems) - 1} systems with Offramp: {self.solution!r})"

    def _repr_html_(self) -> str:
        rows = [
            (row.system, seconds(row.latency_s), percent(row.estimate.accuracy), "yes" if row.meets else "no", row.plan)
            for row in self.systems
        ]
        return page(
            f"Asked for an {requirement_words(self.requirement)}.",
            table(("system", latency_name(self.requirement), "accuracy", "meets", "plan"), rows),
            picture(self.picture, name="systems"),
        )


def compare(
    profile: Profile | str | Path,
    topology: Topology | str | Path = "mobile",
    requirement: Requirement | str | Path | None = None,
    *,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    progress: ShowProgress = None,
    **words: Unpack[RequirementWords],
) -> Comparison:
    """Compare with published systems: each chooses by its own model, all are judged by Offramp's.

    The arguments are as in `solve`. The constraints are Offramp's alone, and activations travel in the codec of its
    plan. Inputs travel in the fastest lossless codec that is allowed, everybody's; a lossy one changes what exits say,
    and is no system's choice. All go by the samples as seen; nothing is certified.
    Raises `InputError` for what can't be used, and where a bound on accuracy is asked for.
    """
    asked = requirement_of(requirement, words)
    check_answerable(asked, "a comparison", timed=True)
    lossless = tuple(codec for codec in asked.input_codecs if codec.lossless)
    solution = solve(
        profile,
        topology,
        replace(asked, certify=False, input_codecs=lossless or (InputCodec.RAW,)),
        exit_model=exit_model,
        compute=compute,
        thresholds=thresholds,
        progress=progress,
    )
    return Comparison(solution, baselines.compare(solution.profile, solution.planner, solution.requirement))
