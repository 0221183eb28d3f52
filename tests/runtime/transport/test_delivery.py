"""Hand-overs over real sessions: acknowledged, refused, retried, given up in time."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zenoh

from offramp.runtime.transport import zenoh_session as network
from offramp.runtime.transport.delivery import FULL, Courier, Terms, UndeliveredError, doors
from offramp.runtime.transport.messages import Task, unpack
from tests.runtime.places import free_port

KEY = "offramp/1/work"
TASK = Task("d", 7, "ab", "1@a", 0, 60.0)


@pytest.fixture(scope="module")
def line() -> Iterator[tuple[zenoh.Session, zenoh.Session]]:
    port = free_port()
    with (
        network.router(port=port, toward_cloud=None, host="127.0.0.1") as there,
        network.client(tier=f"127.0.0.1:{port}") as here,
    ):
        yield here, there


@contextmanager
def receiver(session: zenoh.Session, answer: Callable[[zenoh.Query], None]) -> Iterator[list[bytes]]:
    got: list[bytes] = []

    def on(query: zenoh.Query) -> None:
        with query:
            got.append(query.payload.to_bytes())
            answer(query)

    queryable = session.declare_queryable(KEY, on)
    yield got
    queryable.undeclare()


def terms(*, within_s: float, patience_s: float = 0.2, travel_s: float = 0.0) -> Terms:
    until_s = time.monotonic() + within_s
    return Terms(deadline_s=until_s + 1, give_up_s=until_s, travel_s=travel_s, patience_s=patience_s)


def accept(query: zenoh.Query) -> None:
    query.reply(query.key_expr, b"")


def test_what_is_accepted_was_sent_once_with_the_time_left(line: tuple[zenoh.Session, zenoh.Session]) -> None:
    here, there = line
    with receiver(there, accept) as got:
        Courier(here).deliver(KEY, TASK, b"tensor", terms(within_s=5, travel_s=0.5))
    message, tensor = unpack(got[0], most_tensor_bytes=6)
    assert len(got) == 1
    assert bytes(tensor) == b"tensor"
    assert isinstance(message, Task)
    assert message.request == 7
    assert 4.5 < message.left_s <= 5.5


def test_a_refusal_is_final(line: tuple[zenoh.Session, zenoh.Session]) -> None:
    here, there = line
    with (
        receiver(there, lambda query: query.reply_err(b"not mine")) as got,
        pytest.raises(UndeliveredError, match="not mine"),
    ):
        Courier(here).deliver(KEY, TASK, b"", terms(within_s=5))
    assert len(got) == 1


def test_a_full_queue_is_tried_until_there_is_room(line: tuple[zenoh.Session, zenoh.Session]) -> None:
    here, there = line
    left = [3]

    def answer(query: zenoh.Query) -> None:
        left[0] -= 1
        if left[0] >= 0:
            query.reply_err(FULL.encode())
        else:
            accept(query)

    with receiver(there, answer) as got:
        Courier(here).deliver(KEY, TASK, b"", terms(within_s=10))
    assert len(got) == 4
    assert len({unpack(each, most_tensor_bytes=0)[0].request for each in got}) == 1


def test_silence_is_tried_again_and_given_up_in_time(line: tuple[zenoh.Session, zenoh.Session]) -> None:
    here, there = line
    kept = []
    queryable = there.declare_queryable(KEY, kept.append)
    courier = Courier(here, rest_s=0.5)
    began_s = time.monotonic()
    with pytest.raises(UndeliveredError, match="no acknowledgement"):
        courier.deliver(KEY, TASK, b"", terms(within_s=1.0, patience_s=0.2))
    assert 0.9 < time.monotonic() - began_s < 3
    assert len(kept) >= 2
    # Then the way there rests: the next ones fail at once, without anything sent.
    sent = len(kept)
    with pytest.raises(UndeliveredError, match="a moment ago"):
        courier.deliver(KEY, TASK, b"", terms(within_s=1.0))
    assert len(kept) == sent
    for query in kept:
        query.drop()
    queryable.undeclare()
    # And after its rest it is tried again, and serves everyone when it works.
    time.sleep(0.6)
    with receiver(there, accept) as got:
        courier.deliver(KEY, TASK, b"", terms(within_s=5))
        courier.deliver(KEY, TASK, b"", terms(within_s=5))
    assert len(got) == 2


def test_nobody_there_is_noticed_before_the_time_is_up(line: tuple[zenoh.Session, zenoh.Session]) -> None:
    here, _ = line
    began_s = time.monotonic()
    with pytest.raises(UndeliveredError, match="nobody is there"):
        Courier(here).deliver("offramp/9/work", TASK, b"", terms(within_s=20, patience_s=10))
    assert time.monotonic() - began_s < 5


def test_one_tries_while_the_others_rest(line: tuple[zenoh.Session, zenoh.Session]) -> None:
    here, there = line
    courier = Courier(here, rest_s=0.2)
    with pytest.raises(UndeliveredError, match="nobody"):
        courier.deliver(KEY, TASK, b"", terms(within_s=20, patience_s=10))
    time.sleep(0.3)
    kept = []
    queryable = there.declare_queryable(KEY, kept.append)
    problems: list[str] = []

    def deliver() -> None:
        try:
            courier.deliver(KEY, TASK, b"", terms(within_s=1.0, patience_s=5))
        except UndeliveredError as error:
            problems.append(str(error))

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 1
    assert sorted(problems)[:7] == ["the way there was down a moment ago"] * 7
    kept[0].drop()
    queryable.undeclare()


def test_a_door_lets_one_through_at_a_time_and_the_others_give_up_in_time(
    line: tuple[zenoh.Session, zenoh.Session],
) -> None:
    here, there = line
    door = threading.Lock()
    courier = Courier(here, rest_s=0.0, doors={KEY: door})
    with receiver(there, accept) as got:
        with door:
            began_s = time.monotonic()
            with pytest.raises(UndeliveredError, match="no acknowledgement"):
                courier.deliver(KEY, TASK, b"", terms(within_s=0.5, patience_s=0.2))
            assert time.monotonic() - began_s < 3
            assert not got
        courier.deliver(KEY, TASK, b"", terms(within_s=5))
    assert len(got) == 1


def test_neighbors_on_one_side_share_a_door() -> None:
    found = doors(1, 4)
    assert found[network.work_key(0)] is found[network.result_key(0)]
    assert found[network.work_key(2)] is found[network.result_key(3)]
    assert found[network.work_key(0)] is not found[network.work_key(2)]
    assert network.client_key("ab") not in found


def test_too_little_time_says_nothing_about_the_way(line: tuple[zenoh.Session, zenoh.Session]) -> None:
    here, there = line
    courier = Courier(here, rest_s=60)
    kept = []
    queryable = there.declare_queryable(KEY, kept.append)
    for within_s in (-1.0, 0.05):
        with pytest.raises(UndeliveredError):
            courier.deliver(KEY, TASK, b"", terms(within_s=within_s, patience_s=2))
    for query in kept:
        query.drop()
    queryable.undeclare()
    with receiver(there, accept) as got:
        courier.deliver(KEY, TASK, b"", terms(within_s=5))
    assert len(got) == 1
