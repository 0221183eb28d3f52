"""Jobs that wait for their turn at a tier: bounded, and those that are furthest along first.

Tiers hand on to each other, also in circles where a plan goes back toward the device: with one queue for everything,
each could be full of samples that wait for room at the other, forever. So every partition of a plan has room of its
own, and a job has its turn only when what it hands on would have, too. Samples at the last partition wait for nobody,
those before them for these only, and so on back to the source: something always moves.
"""

import queue
import threading
from collections import defaultdict, deque
from collections.abc import Callable

from offramp.runtime.tier.validation import Job


class Backlog:
    """Jobs, first come first served among those for the partition at the same place in their plan.

    most: how many may wait at each such place.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: defaultdict[int, deque[Job]] = defaultdict(deque)
        self._changed = threading.Condition()
        self._closed = False

    def put(self, job: Job) -> None:
        """Add a job. Raises `queue.Full` where there is no room for one at its place."""
        with self._changed:
            waiting = self._waiting[job.task.partition]
            if len(waiting) >= self._most:
                raise queue.Full
            waiting.append(job)
            self._changed.notify()

    def take(self, ready: Callable[[Job], bool]) -> Job | None:
        """The first job at the place furthest along where the first is `ready`, once there is one.

        None after `close`, when no job is left that is ready.
        """
        with self._changed:
            while True:
                for place in sorted(self._waiting, reverse=True):
                    waiting = self._waiting[place]
                    if waiting and ready(waiting[0]):
                        return waiting.popleft()
                if self._closed:
                    return None
                self._changed.wait()

    def look_again(self) -> None:
        """Say that jobs may have become ready."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """Have `take` return None rather than wait."""
        with self._changed:
            self._closed = True
            self._changed.notify()
