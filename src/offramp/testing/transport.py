"""What every `Transport` must do, as tests; they need pytest.

A subclass says how to connect, and pytest collects it::

    class TestMyTransport(TransportContract):
        @pytest.fixture
        def connect(self) -> Iterator[Connect]:
            with my_network() as network:
                yield network.join
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import pytest

from offramp.runtime.transport.interface import NoReceiverError, NoReplyError, RefusedError, Transport
from offramp.runtime.transport.keys import client_key, plan_key, work_key

Connect: TypeAlias = Callable[[], Transport]
"""Joins one network: each call gives another participant."""

# How long something may take that is known to come; only a transport that hangs takes so long.
_LONGEST_S = 30.0


def echo(payload: bytes) -> bytes:
    """A handler that replies with what it got."""
    return payload


def add(head: bytes, payload: bytes) -> bytes:
    """A handler that puts something in front of what it got."""
    return head + payload


def eventually(holds: Callable[[], bool]) -> None:
    """Return once that holds; fails where it never does."""
    until_s = time.monotonic() + _LONGEST_S
    while not holds():
        assert time.monotonic() < until_s, "it never came to that"
        time.sleep(0.01)


def is_answered(transport: Transport, key: str) -> bool:
    """Whether a request to `key` finds a receiver."""
    try:
        transport.ask(key, b"", timeout_s=_LONGEST_S)
    except NoReceiverError:
        return False
    except RefusedError:
        return True
    return True


class TransportContract:
    """Subclass it and override the fixture `connect`."""

    @pytest.fixture
    def connect(self) -> Connect:
        """A network for one test, closed after it with everything that was connected."""
        raise NotImplementedError("a subclass says how to connect")

    @pytest.mark.parametrize("size_bytes", [0, 1, 300_000])
    def test_a_request_gets_its_reply(self, connect: Connect, size_bytes: int) -> None:
        """Payloads are unchanged, in both directions."""
        receiver, sender = connect(), connect()
        payload = bytes(number % 251 for number in range(size_bytes))
        received: list[bytes] = []

        def handler(request: bytes) -> bytes:
            received.append(request)
            return request[::-1]

        receiver.answer(plan_key(0), handler)
        eventually(lambda: is_answered(sender, plan_key(0)))
        received.clear()
        assert sender.ask(plan_key(0), payload, timeout_s=_LONGEST_S) == payload[::-1]
        assert received == [payload]

    def test_keys_are_told_apart(self, connect: Connect) -> None:
        """One participant answers to several keys, and several to one key each."""
        tier, client = connect(), connect()
        answers = {work_key(0): tier, work_key(1): tier, client_key("ab"): client}
        for key, transport in answers.items():
            transport.answer(key, partial(add, key.encode()))
        for key, transport in answers.items():
            sender = client if transport is tier else tier
            eventually(partial(is_answered, sender, key))
            assert sender.ask(key, b"+", timeout_s=_LONGEST_S) == key.encode() + b"+"

    def test_a_refusal_carries_its_reason(self, connect: Connect) -> None:
        """Also one that isn't in ASCII."""
        receiver, sender = connect(), connect()

        def refuse(_: bytes) -> bytes:
            raise RefusedError("the queue is full, später")

        receiver.answer(work_key(0), refuse)
        eventually(lambda: is_answered(sender, work_key(0)))
        with pytest.raises(RefusedError, match=r"^the queue is full, später$"):
            sender.ask(work_key(0), b"task", timeout_s=_LONGEST_S)

    def test_a_handler_that_fails_refuses_that_request_only(self, connect: Connect) -> None:
        """Whatever it raises."""
        receiver, sender = connect(), connect()

        def handler(payload: bytes) -> bytes:
            if payload == b"fatal":
                raise ZeroDivisionError
            return payload

        receiver.answer(work_key(0), handler)
        eventually(lambda: is_answered(sender, work_key(0)))
        with pytest.raises(RefusedError):
            sender.ask(work_key(0), b"fatal", timeout_s=_LONGEST_S)
        assert sender.ask(work_key(0), b"next", timeout_s=_LONGEST_S) == b"next"

    def test_a_missing_receiver_is_no_timeout(self, connect: Connect) -> None:
        """It is known before the time is up, whoever else is there."""
        receiver, sender = connect(), connect()
        receiver.answer(work_key(0), echo)
        eventually(lambda: is_answered(sender, work_key(0)))
        with pytest.raises(NoReceiverError):
            sender.ask(work_key(9), b"task", timeout_s=_LONGEST_S)

    def test_a_slow_receiver_is_a_timeout(self, connect: Connect) -> None:
        """The request returns while the handler still runs, and the next one is served after it."""
        receiver, sender = connect(), connect()
        release, requests = threading.Event(), []

        def handler(payload: bytes) -> bytes:
            requests.append(payload)
            if payload == b"slow":
                release.wait(_LONGEST_S)
            return payload

        receiver.answer(work_key(0), handler)
        eventually(lambda: is_answered(sender, work_key(0)))
        with pytest.raises(NoReplyError):
            sender.ask(work_key(0), b"slow", timeout_s=0.2)
        assert not release.is_set()
        eventually(lambda: b"slow" in requests)
        release.set()
        assert sender.ask(work_key(0), b"next", timeout_s=_LONGEST_S) == b"next"

    def test_requests_at_once_get_their_own_replies(self, connect: Connect) -> None:
        """From several threads, to one key."""
        receiver, sender = connect(), connect()
        receiver.answer(work_key(0), echo)
        eventually(lambda: is_answered(sender, work_key(0)))
        payloads = [b"%d" % number * 1000 for number in range(64)]
        with ThreadPoolExecutor(16) as threads:
            replies = threads.map(lambda payload: sender.ask(work_key(0), payload, timeout_s=_LONGEST_S), payloads)
            assert list(replies) == payloads

    def test_what_is_withdrawn_answers_no_more(self, connect: Connect) -> None:
        """And another may answer in its place."""
        first, second, sender = connect(), connect(), connect()
        withdraw = first.answer(work_key(0), lambda _: b"first")
        eventually(lambda: is_answered(sender, work_key(0)))
        withdraw()
        eventually(lambda: not is_answered(sender, work_key(0)))
        second.answer(work_key(0), lambda _: b"second")
        eventually(lambda: is_answered(sender, work_key(0)))
        assert sender.ask(work_key(0), b"", timeout_s=_LONGEST_S) == b"second"

    def test_presence_is_seen_until_it_is_withdrawn(self, connect: Connect) -> None:
        """By asking, and by being told of the loss."""
        tier, observer = connect(), connect()
        lost: list[str] = []
        observer.watch(lost.append)
        withdrawals = {name: tier.announce(name) for name in ("0", "tier-1")}
        eventually(lambda: observer.present() == {"0", "tier-1"})
        assert lost == []
        withdrawals["0"]()
        eventually(lambda: lost == ["0"])
        eventually(lambda: observer.present() == {"tier-1"})

    def test_who_no_longer_watches_is_told_nothing(self, connect: Connect) -> None:
        """While others are."""
        tier, observer = connect(), connect()
        lost: list[str] = []
        still_watching: list[str] = []
        withdraw = observer.watch(lost.append)
        observer.watch(still_watching.append)
        withdraw_presence = tier.announce("0")
        eventually(lambda: observer.present() == {"0"})
        withdraw()
        withdraw_presence()
        eventually(lambda: still_watching == ["0"])
        assert lost == []

    def test_closing_withdraws_everything(self, connect: Connect) -> None:
        """The others see the loss; the closed one refuses to ask."""
        tier, observer = connect(), connect()
        lost: list[str] = []
        observer.watch(lost.append)
        observer.answer(plan_key(0), echo)
        tier.answer(work_key(0), echo)
        tier.announce("0")
        eventually(lambda: is_answered(observer, work_key(0)) and observer.present() == {"0"})
        tier.close()
        eventually(lambda: lost == ["0"])
        eventually(lambda: not is_answered(observer, work_key(0)))
        with pytest.raises(RefusedError):
            tier.ask(plan_key(0), b"", timeout_s=_LONGEST_S)
