"""AcceptedTasks and their turns."""

import threading

import pytest

from offramp.core.plan import Plan
from offramp.runtime.tier.scheduler import Scheduler
from offramp.runtime.tier.validation import AcceptedTask
from offramp.runtime.transport.delivery import QueueFullError
from offramp.runtime.transport.messages import Task

PLAN = Plan.parse("1@a 2@b 3@c T=0.5")


def accepted(request: int, partition: int) -> AcceptedTask:
    return AcceptedTask(Task("d", request, "ab", str(PLAN), partition, 1.0), PLAN, memoryview(b""), 0.0, 0)


def test_furthest_first_then_first_come_and_only_what_is_ready() -> None:
    scheduler = Scheduler(3)
    for request, partition in enumerate((0, 2, 1, 2, 0)):
        scheduler.put(accepted(request, partition))
    assert scheduler.take(lambda first: first.task.partition < 2) == accepted(2, 1)
    taken = [scheduler.take(lambda _: True) for _ in range(4)]
    assert [task.task.request for task in taken if task] == [1, 3, 0, 4]


def test_every_partition_has_room_of_its_own() -> None:
    scheduler = Scheduler(1)
    scheduler.put(accepted(0, 0))
    with pytest.raises(QueueFullError):
        scheduler.put(accepted(1, 0))
    scheduler.put(accepted(2, 1))


def test_who_waits_is_told() -> None:
    scheduler, ready, taken = Scheduler(1), threading.Event(), []
    thread = threading.Thread(target=lambda: taken.append(scheduler.take(lambda _: ready.is_set())))
    thread.start()
    scheduler.put(accepted(0, 0))
    ready.set()
    scheduler.recheck()
    thread.join(10)
    assert taken == [accepted(0, 0)]
    scheduler.close()
    assert scheduler.take(lambda _: True) is None
