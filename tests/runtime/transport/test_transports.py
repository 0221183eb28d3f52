"""The contract of a transport, held by Zenoh over real sockets and by one that has nothing in common with it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from offramp.runtime.transport import zenoh_session
from offramp.runtime.transport.interface import NoReplyError, Transport, TransportError
from offramp.runtime.transport.keys import client_key, result_key, work_key
from offramp.runtime.transport.zenoh_transport import ZenohTransport, link_locks, open_client, open_tier
from offramp.testing.transport import Connect, TransportContract
from tests.runtime.in_process import InProcessNetwork
from tests.runtime.places import free_port

HOST = "127.0.0.1"


def tier(index: int, port: int, toward_cloud: str | None) -> ZenohTransport:
    return open_tier(
        index,
        4,
        port=port,
        toward_cloud=toward_cloud,
        host=HOST,
        security=None,
        longest_send_s=0.0,
        largest_bits=1 << 23,
    )


class TestZenohBetweenTiers(TransportContract):
    """Each is a tier, connected to the next one only: the first reaches the last through those between."""

    @pytest.fixture
    def connect(self) -> Iterator[Connect]:
        with ExitStack() as stack:
            ports: list[int] = []

            def join() -> Transport:
                onward = f"{HOST}:{ports[-1]}" if ports else None
                ports.append(free_port())
                return stack.enter_context(closing(tier(len(ports) - 1, ports[-1], onward)))

            yield join


class TestZenohBetweenClients(TransportContract):
    """Each is a client of one tier."""

    @pytest.fixture
    def connect(self) -> Iterator[Connect]:
        with ExitStack() as stack:
            port = free_port()
            stack.enter_context(closing(tier(0, port, None)))
            yield lambda: stack.enter_context(closing(open_client(f"{HOST}:{port}", largest_bits=1 << 23)))


class TestInProcess(TransportContract):
    @pytest.fixture
    def connect(self) -> Iterator[Connect]:
        with closing(InProcessNetwork()) as network:
            yield network.join


def test_tiers_on_one_side_share_a_link() -> None:
    locks = link_locks(1, 4)
    assert locks[work_key(0)] is locks[result_key(0)]
    assert locks[work_key(2)] is locks[result_key(3)]
    assert locks[work_key(0)] is not locks[work_key(2)]
    assert client_key("ab") not in locks


def test_a_link_takes_one_request_at_a_time_and_the_others_time_out() -> None:
    """So that none is inside Zenoh while another waits there for a stalled link."""
    port, link = free_port(), threading.Lock()
    with (
        closing(tier(1, port, None)) as receiver,
        closing(ZenohTransport(zenoh_session.client(tier=f"{HOST}:{port}"), link_lock=lambda _: link)) as sender,
    ):
        received: list[bytes] = []
        receiver.answer(work_key(1), lambda payload: received.append(payload) or b"taken")
        with link, pytest.raises(NoReplyError):
            sender.ask(work_key(1), b"early", timeout_s=0.05)
        assert received == []
        assert sender.ask(work_key(1), b"late", timeout_s=30) == b"taken"
        assert received == [b"late"]


def test_a_place_where_nobody_listens_can_not_be_joined() -> None:
    with pytest.raises(TransportError):
        open_client(f"{HOST}:{free_port()}", largest_bits=1)
    with pytest.raises(TransportError):
        open_tier(
            0, 1, port=free_port(), toward_cloud=None, host="192.0.2.1", security=None, longest_send_s=0, largest_bits=1
        )
