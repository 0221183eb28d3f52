"""How far long work is: shown by itself in a terminal and in a notebook, or told to a callback."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from offramp.errors import fail

if TYPE_CHECKING:
    from rich.progress import TaskID

T = TypeVar("T")

# A notebook is sent no more than so many updates a second.
_UPDATES_PER_S = 5


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage of long work is.

    stage: what is being done: the network that is trained, what is measured.
    done: the share of it that is done, in [0, 1]; None where that can't be known.
    note: more about it, such as the loss; empty where there is nothing to say.
    """

    stage: str
    done: float | None
    note: str = ""


ProgressCallback: TypeAlias = Callable[[Progress], None]
"""Told how far each stage is, as often as it gets further."""

ShowProgress: TypeAlias = ProgressCallback | bool | None
"""What a verb does with its progress: a callback takes it; None shows it where there is a terminal or a notebook;
True shows it always, False never."""


def check_progress(progress: ShowProgress) -> None:
    """Raise `InputError` where it is none of what a verb takes."""
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        problem = f"is {type(progress).__name__}"
        fail("progress", problem, "give a function that takes a Progress, True to show it, False to show none, or None")


@contextmanager
def reporting(progress: ShowProgress) -> Iterator[ProgressCallback]:
    """What to tell of progress while the block runs. Raises `InputError` as `check_progress`."""
    check_progress(progress)
    if callable(progress):
        yield progress
    elif progress is False:
        yield _ignore
    elif _in_notebook():
        bars = _NotebookBars()
        try:
            yield bars.update
        finally:
            bars.close()
    elif progress or sys.stderr.isatty():
        with _terminal_bars() as update:
            yield update
    else:
        yield _ignore


def counted(items: Iterable[T], stage: str, *, total: int, tell: ProgressCallback) -> Iterator[T]:
    """The items as they are taken, each told as a step of the stage.

    total: how many there will be.
    """
    for count, item in enumerate(items, start=1):
        tell(Progress(stage, min(count / total, 1.0) if total else 1.0, f"{count} of {total}"))
        yield item


def _ignore(progress: Progress) -> None:
    """Do nothing."""


@contextmanager
def _terminal_bars() -> Iterator[ProgressCallback]:
    """A bar for each stage at work; what is to be said of one that is done stays as a line."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:12}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def update(progress: Progress) -> None:
            if progress.stage not in tasks:
                total = None if progress.done is None else 1.0
                tasks[progress.stage] = bars.add_task(progress.stage, total=total, note="")
            bars.update(tasks[progress.stage], completed=progress.done or 0.0, note=progress.note)
            if progress.done == 1.0:
                bars.remove_task(tasks.pop(progress.stage))
                if progress.note:
                    bars.console.print(f"{progress.stage}: {progress.note}", highlight=False)

        yield update


class _NotebookBars:
    """The stages at work as HTML, in one place of a notebook's output."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)
        self._stages: dict[str, Progress] = {}
        self._updated_s = 0.0

    def update(self, progress: Progress) -> None:
        self._stages[progress.stage] = progress
        if progress.done != 1.0 and time.monotonic() - self._updated_s < 1 / _UPDATES_PER_S:
            return
        self._draw()

    def close(self) -> None:
        """Leave what is done, and what is to be said of it."""
        self._stages = {name: stage for name, stage in self._stages.items() if stage.done == 1.0}
        self._draw()

    def _draw(self) -> None:
        self._updated_s = time.monotonic()
        rows = (
            f"<tr><td>{escape(stage.stage)}</td><td>{_bar(stage.done)}</td><td>{escape(stage.note)}</td></tr>"
            for stage in self._stages.values()
        )
        self._handle.update(self._html(f"<table>{''.join(rows)}</table>"))


def _bar(done: float | None) -> str:
    return "<progress></progress>" if done is None else f'<progress value="{done:.4f}"></progress>'


def _in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel; a terminal's IPython is a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
