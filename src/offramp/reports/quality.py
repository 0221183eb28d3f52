"""What a report says of what is right beyond accuracy: by exit, and class by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from offramp.core.cautions import cautions
from offramp.core.exits import Replay
from offramp.core.metrics import Quality, quality_of_exit, quality_of_plan
from offramp.reports.blocks import Block, Table, Text
from offramp.reports.study import Study
from offramp.reports.tables import spread_out
from offramp.view.text import percent

# A reader sees so many classes at first.
_CLASSES_SHOWN = 16

# Figures of quality, by their name, as a reader knows them.
_QUALITY = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "least_recall": "recall of the worst class",
    "macro_f1": "macro F1",
    "calibration_error": "calibration error",
}


def quality_blocks(study: Study) -> Iterator[Block]:
    """What the first plan and every exit alone have right beyond accuracy; nothing where there are no samples."""
    solution, plan = study.solution, study.candidates[0].estimated.plan
    exits = solution.planner.exits
    if not isinstance(exits, Replay):
        return
    own = quality_of_plan(exits.table, plan.ends, plan.thresholds)
    names = [block.name for block in solution.profile.backbone.blocks]
    alone = {f"exit {i} alone, after {name}": quality_of_exit(exits.table, i) for i, name in enumerate(names, start=1)}
    yield Text(
        f"On the {own.samples:,} samples of the exit table. Balanced accuracy is the mean of the recalls: what "
        "an accuracy would be if all classes had as many samples."
    )
    yield _quality_table("quality", {"the plan": own, **alone})
    yield _recall_table("recall", own)
    if warnings := [f"{sentence}." for sentence in cautions(own, "the plan")]:
        yield Text(" ".join(warnings))


def _quality_table(name: str, qualities: Mapping[str, Quality]) -> Table:
    """A row for each exit or plan, by its name: what it has right beyond accuracy, as far as that is known."""
    known = [key for key in _QUALITY if all(key in quality.figures() for quality in qualities.values())]
    rows = tuple((label, *(percent(quality.figures()[key]) for key in known)) for label, quality in qualities.items())
    columns = ("", *(_QUALITY[key] for key in known))
    return Table(name, columns, rows, numeric=frozenset(range(1, len(columns))))


def _recall_table(name: str, quality: Quality) -> Table:
    """A row for each class, the worst first: how many samples it has, and the share of them that is right."""
    order = np.argsort(quality.recall, kind="stable")
    rows = tuple(
        (str(quality.classes[at]), f"{quality.count[at]:,}", percent(float(quality.recall[at]))) for at in order
    )
    shown = spread_out(len(rows), None, most=_CLASSES_SHOWN)
    return Table(name, ("class", "samples", "recall"), rows, numeric=frozenset({1, 2}), shown=shown)
