"""Which plan wins where: one profile on every combination of one or two varied numbers of a topology."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from offramp.core.exits import ExitModelName
from offramp.core.latency import ComputeSource
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.core.topology import Topology
from offramp.errors import fail
from offramp.files import RequirementWords
from offramp.pipeline.arguments import (
    check_answerable,
    member,
    planners_of,
    profile_of,
    requirement_of,
    topology_of,
    whole_number,
)
from offramp.pipeline.progress import ShowProgress, counted, reporting
from offramp.sweeps.grid import Grid, grid
from offramp.sweeps.many import PlannedTopology, plan_many, write_parquet
from offramp.sweeps.regimes import RegimeMap
from offramp.view.drawing import plotted
from offramp.view.html import page, picture, table
from offramp.view.regimes import legend
from offramp.view.text import goal_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sweep:
    """The optimal plan on every topology of a grid.

    grid: the topologies.
    rows: what was planned on each, in their order.
    picture: which partitioning and placement wins where.
    """

    grid: Grid
    rows: tuple[PlannedTopology, ...]
    picture: RegimeMap

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The rows by column: for `pandas.DataFrame`, polars, or `numpy.savez`. Where there is no plan: "" and NaN."""
        records = [row.record() for row in self.rows]
        columns: dict[str, NDArray[np.generic]] = {}
        for name in records[0]:
            values = [record[name] for record in records]
            if name in ("topology", "plan", "reason"):
                columns[name] = np.array([value or "" for value in values])
            elif name == "meets":
                columns[name] = np.array(values, np.bool_)
            else:
                columns[name] = np.array([np.nan if value is None else value for value in values], np.float64)
        return columns

    def document(self) -> dict[str, Any]:
        """The sweep as JSON, as `offramp sweep --json` prints it."""
        return {
            "title": self.picture.title,
            "axes": [
                {"label": axis.label, "unit": axis.unit, "values": list(axis.values)}
                for axis in (self.picture.x, self.picture.y)
                if axis is not None
            ],
            "regimes": [
                {"text": text, "cells": self.picture.count(number)} for number, text in enumerate(self.picture.regimes)
            ],
            "rows": [row.record() for row in self.rows],
        }

    def write(self, path: str | Path) -> None:
        """Write a row for each topology into a Parquet file. Raises `InputError` where it can't be written."""
        write_parquet(self.rows, path)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the map, on `ax`; on a figure of its own where none is given."""
        return plotted(self.picture, ax)

    def __repr__(self) -> str:
        return f"Sweep({self.picture.title}: {len(self.picture.regimes)} regimes on {len(self.rows)} topologies)"

    def _repr_html_(self) -> str:
        entries = legend(self.picture, most=len(self.picture.regimes))
        rows = [(entry.text, str(entry.cells)) for entry in entries]
        return page(self.picture.title, picture(self.picture, name="map"), table(("regime", "topologies"), rows))


def sweep(
    profile: Profile | str | Path,
    topology: Topology | str | Path = "mobile",
    requirement: Requirement | str | Path | None = None,
    *,
    vary: Mapping[str, str | Sequence[float | str]],
    steps: int = 24,
    exit_model: ExitModelName | str | None = None,
    compute: ComputeSource | str | None = None,
    thresholds: Sequence[float] | None = None,
    workers: int | None = None,
    progress: ShowProgress = None,
    **words: Unpack[RequirementWords],
) -> Sweep:
    """Plan on every combination of one or two varied numbers: links' bandwidths and latencies, tiers' slowdowns.

    vary: by path in the topology's document (`links[0].bandwidth`), the values: numbers in SI units; or text, a range
        `100kb/s..10Mb/s` of `steps` values, each the same factor above the one before, or a list `1Mb/s,10Mb/s`. In a
        list of values, each may be a number or a text.
    workers: how many threads plan; by default one per core.
    The other arguments are as in `solve`; a floor or a limit must be stated, and every search comes to its end.
    Raises `InputError` for what can't be used, be it on every topology alike.
    """
    profile, topology = profile_of(profile), topology_of(topology)
    asked = requirement_of(requirement, words)
    if not asked.has_goal:
        fail("requirement", "is missing", "give min_accuracy, e.g. 0.9, or max_latency, e.g. 300 ms")
    check_answerable(asked, "a sweep")
    whole_number("steps", steps, least=2)
    if workers is not None:
        whole_number("workers", workers, least=1)
    if not isinstance(vary, Mapping):
        fail("vary", f"is {type(vary).__name__}", 'give values by path, e.g. {"links[0].bandwidth": "100kb/s..10Mb/s"}')
    for path, values in vary.items():
        if not isinstance(values, str | Iterable):
            fail(str(path), f"{values!r} is one value", "give a list of values, or a range like 100kb/s..10Mb/s")
    if not 1 <= len(vary) <= 2:
        fail("vary", f"names {len(vary)} parameters", "a map has one axis or two: vary one or two")
    topologies = grid(topology, vary=vary, steps=steps)
    planner, *_ = planners_of(profile, topology, asked, exit_model=exit_model, compute=compute, thresholds=thresholds)
    planner.allowed(asked.constraints)  # what is wrong here is wrong on every topology
    rows = plan_many(
        profile,
        topologies,
        asked,
        exits=member("exit_model", ExitModelName, exit_model),
        compute=member("compute", ComputeSource, compute),
        thresholds=thresholds,
        workers=workers,
    )
    with reporting(progress) as tell:
        planned = tuple(counted(rows, "planning", total=len(topologies), tell=tell))
    title = f"{topology.name}: the {goal_words(asked)}"
    return Sweep(topologies, planned, RegimeMap.of(topologies, planned, title=title))
