"""Tasks for the tests of jobs; without PyTorch, so that their processes start fast."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

SETTLED: list[int] = []


def settle(number: int) -> None:
    SETTLED.append(number)


def count(first: int, last: int, shared: Any) -> Iterator[int]:
    """The numbers from first to last, each with what is shared."""
    for number in range(first, last + 1):
        yield number + shared


def tell(shared: Any) -> Iterator[tuple[int, list[int]]]:
    """Which process this is, and what it was told to settle."""
    time.sleep(0.2)
    yield os.getpid(), SETTLED


def meet(mine: Path, other: Path, shared: Any) -> Iterator[str]:
    """Come to an end only if the other is at work at the same time."""
    mine.touch()
    deadline = time.monotonic() + 20
    while not other.exists():
        assert time.monotonic() < deadline, "nobody else is here"
        time.sleep(0.01)
    yield "met"


def stumble(shared: Any) -> Iterator[str]:
    yield "so far"
    raise ValueError("no such luck")


def dying(task: Any, after: int, mark: Path | None, shared: Any) -> Iterator[Any]:
    """The task's events, but this process is killed after some of them: once, if there is a mark to leave."""
    for number, event in enumerate(task(shared), start=1):
        yield event
        if number == after and not (mark and mark.exists()):
            if mark:
                mark.touch()
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ever(shared: Any) -> Iterator[int]:
    yield os.getpid()
    time.sleep(600)


def chatter(shared: Any) -> Iterator[int]:
    while True:
        yield os.getpid()
        time.sleep(0.05)


def dying_after_a_checkpoint(task: Any, mark: Path, shared: Any) -> Iterator[Any]:
    """The task's events, but the first time this process is killed after a checkpoint."""
    for event in task(shared):
        yield event
        if type(event).__name__ == "Checkpoint" and not mark.exists():
            mark.touch()
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)


class Counting:
    """A job that counts to `last`, and goes on after what the test has taken of it."""

    def __init__(self, last: int, *, dies_after: int, mark: Path | None) -> None:
        self.taken: list[int] = []
        self.last, self.dies_after, self.mark = last, dies_after, mark

    def __call__(self) -> Any:
        return partial(dying, partial(count, len(self.taken) + 1, self.last), self.dies_after, self.mark)


def total(shared: Any) -> Iterator[tuple[str, int]]:
    """What kind of array is shared, and the sum of it."""
    yield type(shared).__name__, int(shared.sum())
