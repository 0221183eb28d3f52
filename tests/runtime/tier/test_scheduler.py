"""Jobs and their turns."""

import queue
import threading

import pytest

from offramp.core.plan import Plan
from offramp.runtime.tier.scheduler import Backlog
from offramp.runtime.tier.validation import Job
from offramp.runtime.transport.messages import Task

PLAN = Plan.parse("1@a 2@b 3@c T=0.5")


def job(request: int, partition: int) -> Job:
    return Job(Task("d", request, "ab", str(PLAN), partition, 1.0), PLAN, memoryview(b""), 0.0, 0)


def test_furthest_first_then_first_come_and_only_what_is_ready() -> None:
    backlog = Backlog(3)
    for request, partition in enumerate((0, 2, 1, 2, 0)):
        backlog.put(job(request, partition))
    assert backlog.take(lambda each: each.task.partition < 2) == job(2, 1)
    taken = [backlog.take(lambda _: True) for _ in range(4)]
    assert [each.task.request for each in taken if each] == [1, 3, 0, 4]


def test_every_partition_has_room_of_its_own() -> None:
    backlog = Backlog(1)
    backlog.put(job(0, 0))
    with pytest.raises(queue.Full):
        backlog.put(job(1, 0))
    backlog.put(job(2, 1))


def test_who_waits_is_told() -> None:
    backlog, ready, taken = Backlog(1), threading.Event(), []
    thread = threading.Thread(target=lambda: taken.append(backlog.take(lambda _: ready.is_set())))
    thread.start()
    backlog.put(job(0, 0))
    ready.set()
    backlog.look_again()
    thread.join(10)
    assert taken == [job(0, 0)]
    backlog.close()
    assert backlog.take(lambda _: True) is None
