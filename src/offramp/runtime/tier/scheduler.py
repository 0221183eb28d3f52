"""Which of a tier's waiting tasks runs next: bounded queues, the latest partition first.

Tiers hand samples to each other, also in a cycle where a plan returns toward the device. With one queue for everything,
each of two tiers could be full of samples that wait for room at the other: a deadlock. So every partition of a plan
has a queue of its own, and a task runs only when what it hands on would have room, too. Samples at the last partition
wait for nothing, those at the one before only for these, and so on back to the source: some sample can always advance.
"""

import threading
from collections import defaultdict, deque
from collections.abc import Callable

from offramp.runtime.tier.validation import AcceptedTask
from offramp.runtime.transport.delivery import QueueFullError


class Scheduler:
    """A queue of tasks for each partition index of the plans, first in, first out.

    capacity: of each queue.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queues: defaultdict[int, deque[AcceptedTask]] = defaultdict(deque)
        self._changed = threading.Condition()
        self._closed = False

    def put(self, accepted: AcceptedTask) -> None:
        """Add a task. Raises `QueueFullError` where its partition's queue is full."""
        with self._changed:
            queue = self._queues[accepted.task.partition]
            if len(queue) >= self._capacity:
                raise QueueFullError
            queue.append(accepted)
            self._changed.notify()

    def take(self, ready: Callable[[AcceptedTask], bool]) -> AcceptedTask | None:
        """Wait for a queue whose first task is `ready`, and take that of the latest partition.

        None after `close`, when no first task is ready.
        """
        with self._changed:
            while True:
                for partition in sorted(self._queues, reverse=True):
                    queue = self._queues[partition]
                    if queue and ready(queue[0]):
                        return queue.popleft()
                if self._closed:
                    return None
                self._changed.wait()

    def recheck(self) -> None:
        """Say that tasks may have become ready."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """Have `take` return None instead of waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify()
