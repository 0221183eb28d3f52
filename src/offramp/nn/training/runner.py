"""Independent jobs: one after the other here, or side by side in processes of this machine.

A job is a task that yields events. A runner takes jobs and what they share, and yields what happens with the name of
the job it happens to, as it is taken. `in_turn` and `Local` are runners, `ray_runner.OnRay` is another. Tasks, events
and what is shared go to other processes by pickle, between processes of one user and one program.
"""

import atexit
import io
import pickle
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, TypeAlias

from offramp.errors import OfframpError
from offramp.files.maps import by_path

Task: TypeAlias = Callable[[Any], Iterator[Any]]

# Once may be chance (memory, a machine that is restarted); what ends its worker each time is the job's own fault.
MOST_TRIES = 3


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done that needs no other job.

    task: makes the task, in this process, whenever a worker begins with it: after a worker was lost, the next one
        can be told what the events of the first have come to. A task takes what the jobs share.
    wide: whether it may have the whole machine; the others have one thread, or one device, each.
    """

    name: str
    task: Callable[[], Task]
    wide: bool = False


Runner: TypeAlias = Callable[[Sequence[Job], Any], Iterator[tuple[str, Any]]]


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that did not come to its end, and why."""

    job: str
    problem: str


class JobsError(OfframpError):
    """Some jobs failed; the others were done.

    failures: one for each job that failed.
    """

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        lines = [f"{failure.job} failed: {failure.problem}" for failure in self.failures]
        super().__init__("\n".join([*lines, "What was done is kept: do the same again, and it goes on."]))


def in_turn(jobs: Sequence[Job], shared: Any) -> Iterator[tuple[str, Any]]:
    """Run one job after the other in this process. A job that fails is the last: its error comes as it is."""
    for job in jobs:
        for event in job.task()(shared):
            yield job.name, event


@dataclass(frozen=True, slots=True)
class Local:
    """Run jobs in processes of this machine: first the wide ones in this process, then the others side by side.

    workers: how many processes.
    settle: called in each with its number, 0 and up, before its first job: to choose a device, or to limit threads.

    A job whose process is lost is tried again, twice. When all the others are done, `JobsError` names the jobs that
    failed. Processes start afresh, on POSIX systems alone, and don't import the program's main module: a script needs
    no `if __name__ == "__main__":`, and what it defines itself can't be pickled for them.
    """

    workers: int
    settle: Callable[[int], None]

    def __call__(self, jobs: Sequence[Job], shared: Any) -> Iterator[tuple[str, Any]]:
        """Yield the events of `jobs` as they come."""
        failures: list[Failure] = []
        wide, narrow = ([job for job in jobs if job.wide is kind] for kind in (True, False))
        alone = min(len(narrow), self.workers) < 2
        for job in [*wide, *narrow] if alone else wide:
            try:
                yield from in_turn([job], shared)
            except Exception as error:
                failures.append(Failure(job.name, problem_of(error)))
        if not alone:
            yield from self._side_by_side(narrow, shared, failures)
        if failures:
            order = [job.name for job in jobs]
            raise JobsError(sorted(failures, key=lambda failure: order.index(failure.job)))

    def _side_by_side(self, narrow: Sequence[Job], shared: Any, failures: list[Failure]) -> Iterator[tuple[str, Any]]:
        """Run jobs in processes; those that failed are added to `failures`."""
        payload = _payload((self.settle, shared))
        idle = [_Worker.start(number, payload) for number in range(min(len(narrow), self.workers))]
        waiting, tries = deque(narrow), Counter[str]()
        busy: dict[Connection, tuple[_Worker, Job]] = {}
        try:
            while waiting or busy:
                while idle and waiting:
                    worker, job = idle.pop(), waiting.popleft()
                    tries[job.name] += 1
                    worker.begin(job)
                    busy[worker.pipe] = worker, job
                for pipe in wait(list(busy)):
                    assert isinstance(pipe, Connection)
                    worker, job = busy[pipe]
                    match worker.heard():
                        case _Event(event):
                            yield job.name, event
                            continue
                        case _Ended(problem):
                            failures += [Failure(job.name, problem)] if problem else []
                            idle.append(worker)
                        case _Lost(how) if tries[job.name] < MOST_TRIES:
                            waiting.appendleft(job)
                            # Last in turn: what ended it may be its place and not the job.
                            idle.insert(0, _Worker.start(worker.number, payload))
                        case _Lost(how):
                            failures.append(Failure(job.name, f"its process {how}, {MOST_TRIES} times"))
                            idle.append(_Worker.start(worker.number, payload))
                    del busy[pipe]
        finally:
            for worker in [*idle, *(worker for worker, _ in busy.values())]:
                worker.stop()


class _Pickler(pickle.Pickler):
    """What is in a file goes to processes of this machine by its path."""

    def reducer_override(self, value: object) -> Any:
        return by_path(value)


def _payload(shared: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(shared)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _Event:
    event: Any


@dataclass(frozen=True, slots=True)
class _Ended:
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Lost:
    how: str


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process that does one job at a time."""

    number: int
    process: "subprocess.Popen[bytes]" = field(repr=False)
    pipe: Connection = field(repr=False)

    @classmethod
    def start(cls, number: int, payload: bytes) -> "_Worker":
        """Start a process, and give it the payload."""
        ours, theirs = socket.socketpair()
        with theirs:
            # Not by `multiprocessing`, whose processes import the main module once more: notebooks have none, and a
            # script would begin anew.
            command = [sys.executable, "-c", _PROGRAM.format(path=sys.path, number=number, pipe=theirs.fileno())]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
        atexit.register(process.terminate)
        pipe = Connection(ours.detach())
        worker = cls(number, process, pipe)
        worker._send(payload)
        return worker

    def begin(self, job: Job) -> None:
        self._send(pickle.dumps(job.task(), pickle.HIGHEST_PROTOCOL))

    def heard(self) -> "_Event | _Ended | _Lost":
        """What the worker says next."""
        try:
            said: _Event | _Ended = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self._end()
            code = self.process.returncode
            return _Lost(f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}")
        return said

    def stop(self) -> None:
        self.process.terminate()
        self._end()

    def _send(self, message: bytes) -> None:
        # A process that was lost is noticed when its pipe is read: `heard`.
        with suppress(OSError):
            self.pipe.send_bytes(message)

    def _end(self) -> None:
        self.process.wait()
        self.pipe.close()
        atexit.unregister(self.process.terminate)


# Ctrl-C is for the program that started this one.
_PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = {path!r}
from offramp.nn.training.runner import work
work({number}, {pipe})
"""


def work(number: int, pipe_descriptor: int) -> None:
    """What a worker's process does until it is stopped, or nobody listens any more."""
    pipe = Connection(pipe_descriptor)
    try:
        settle, shared = pickle.loads(pipe.recv_bytes())
        settle(number)
        while True:
            task: Task = pickle.loads(pipe.recv_bytes())
            _say(pipe, _done(task, shared, pipe))
    except (EOFError, ConnectionError):
        # The program that started this one has ended.
        return


def _done(task: Task, shared: Any, pipe: Connection) -> _Ended:
    """How the task ended; its events are sent."""
    try:
        for event in task(shared):
            _say(pipe, _Event(event))
    except BrokenPipeError:
        raise
    except Exception as error:
        return _Ended(problem_of(error))
    return _Ended()


def _say(pipe: Connection, said: _Event | _Ended) -> None:
    pipe.send_bytes(pickle.dumps(said, pickle.HIGHEST_PROTOCOL))


def problem_of(error: BaseException) -> str:
    """An error in one line: our own words, or the type and the place of what nobody foresaw."""
    if isinstance(error, OfframpError):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}: {error}"
