"""The view of long work: of networks that are being trained, and of what is measured stage by stage."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from offramp.view.text import percent

if TYPE_CHECKING:
    from offramp.nn.training import jobs


def train_with_progress(events: "Iterable[jobs.Event]", *, wanted: bool = True) -> dict[str, tuple[float, ...]]:
    """Take the events, drawing them on stderr if that is wanted. Returns the branches' accuracies by network.

    A line for each network that is done, a bar for each at work, and one for all.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from offramp.nn.training import jobs

    accuracy: dict[str, tuple[float, ...]] = {}
    seen: dict[str, int] = {}
    bars: dict[str, TaskID] = {}
    progress = Progress(
        TextColumn("{task.description:12}"),
        BarColumn(),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=not wanted),
        transient=True,
    )
    with progress:
        for event in events:
            match event:
                case jobs.Planned(networks, images):
                    every = progress.add_task("all", total=images, status="", visible=networks > 1)
                case jobs.Started(name, images, done):
                    if name in bars:
                        progress.remove_task(bars[name])
                    bars[name] = progress.add_task(name, total=images, completed=done, status="")
                    seen[name] = done
                case jobs.Learned(name):
                    seen[name] += event.images
                    speed = f"{progress.tasks[progress.task_ids.index(bars[name])].speed or 0:4.0f} images/s"
                    status = f"{speed}  loss {event.loss:6.3f}  accuracy {event.accuracy:4.0%}"
                    progress.update(bars[name], completed=seen[name], status=status)
                case jobs.Finished(name):
                    accuracy[name] = event.accuracy
                    progress.remove_task(bars.pop(name))
                    took = f"in {event.seconds:.1f} s" if event.seconds else "before"
                    done_line = f"{name:12} accuracy {percent(event.accuracy[-1])} on validation, trained {took}"
                    progress.console.print(done_line, highlight=False)
            progress.update(every, completed=sum(seen.values()), status=f"{len(accuracy)} done")
    return accuracy


@contextmanager
def stage_bars() -> Iterator[Callable[[str, float], None]]:
    """A bar per stage on stderr, drawn by what is yielded."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: float) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=1.0)
            bar.update(tasks[stage], completed=done)

        yield report
