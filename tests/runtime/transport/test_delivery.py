"""Deliveries: acknowledged, refused, retried, given up in time. The clock is the test's own, so times are exact."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from offramp.runtime.transport.breaker import CircuitBreaker, CircuitState
from offramp.runtime.transport.delivery import Deliverer, DeliveryTimeouts, QueueFullError, UndeliveredError
from offramp.runtime.transport.interface import Handler, NoReceiverError, NoReplyError, RefusedError
from offramp.runtime.transport.messages import Task, unpack
from offramp.runtime.transport.zenoh_transport import ZenohTransport, open_client, open_tier
from tests.runtime.in_process import InProcessNetwork
from tests.runtime.places import free_port

KEY = "offramp/1/work"
TASK = Task("d", 7, "ab", "1@a", 0, 60.0)


class Clock:
    """Time passes only when somebody waits."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, _: threading.Event, seconds: float) -> None:
        self.now_s += seconds


class Receiver:
    """Responds to each request as told, and notes what it got; a request without a reply takes all its time.

    responses: what to do with each request in turn, the last one again and again: reply, or raise.
    """

    def __init__(self, clock: Clock, *responses: Exception | None) -> None:
        self._clock, self.responses = clock, list(responses)
        self.times_s: list[float] = []
        self.payloads: list[bytes] = []

    def ask(self, key: str, payload: bytes, *, timeout_s: float) -> bytes:
        assert key == KEY
        assert timeout_s > 0
        self.times_s.append(self._clock.now_s)
        self.payloads.append(payload)
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, NoReplyError):
            self._clock.now_s += timeout_s
        if response is not None:
            raise response
        return b""

    def not_needed(self, *_: object) -> None:
        raise NotImplementedError

    answer = announce = watch = present = close = not_needed


def timeouts(clock: Callable[[], float], *, within_s: float, **more: float) -> DeliveryTimeouts:
    until_s = clock() + within_s
    given = {"ack_timeout_s": 0.2, "transfer_s": 0.0} | more
    return DeliveryTimeouts(deadline_s=until_s + 1, give_up_s=until_s, **given)


def test_a_message_is_sent_once_with_the_time_left() -> None:
    clock = Clock()
    receiver = Receiver(clock, None)
    deliverer = Deliverer(receiver, clock=clock, wait=clock.wait)
    deliverer.deliver(KEY, TASK, b"tensor", timeouts(clock, within_s=5, transfer_s=0.5))
    (payload,) = receiver.payloads
    message, tensor = unpack(payload, most_tensor_bytes=6)
    assert bytes(tensor) == b"tensor"
    assert isinstance(message, Task)
    assert (message.request, message.left_s) == (7, 5.5)
    assert clock.now_s == 100


def test_a_refusal_is_final() -> None:
    clock = Clock()
    receiver = Receiver(clock, RefusedError("not mine, " + 1000 * "x"))
    with pytest.raises(UndeliveredError, match="not mine") as error:
        Deliverer(receiver, clock=clock, wait=clock.wait).deliver(KEY, TASK, b"", timeouts(clock, within_s=5))
    assert len(receiver.payloads) == 1
    assert len(str(error.value)) == 200


def test_a_full_queue_is_tried_at_growing_intervals_until_there_is_room() -> None:
    clock = Clock()
    receiver = Receiver(clock, *[QueueFullError()] * 6, None)
    deliverer = Deliverer(receiver, clock=clock, wait=clock.wait)
    deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=10, no_ack_limit_s=0.1, no_receiver_limit_s=0.1))
    pauses_s = [0, 0.02, 0.06, 0.14, 0.30, 0.55, 0.80]
    assert [time_s - 100 for time_s in receiver.times_s] == pytest.approx(pauses_s)
    messages = [unpack(payload, most_tensor_bytes=0)[0] for payload in receiver.payloads]
    assert {message.request for message in messages} == {7}
    assert [message.left_s for message in messages] == pytest.approx([11 - pause_s for pause_s in pauses_s])


def test_a_full_queue_is_given_up_when_the_time_is_over_and_opens_no_circuit() -> None:
    clock = Clock()
    deliverer = Deliverer(receiver := Receiver(clock, QueueFullError()), clock=clock, wait=clock.wait)
    with pytest.raises(UndeliveredError, match="the queue is full"):
        deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=3))
    assert clock.now_s == pytest.approx(103)
    receiver.responses = [None]
    deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=3))


def test_without_acknowledgements_it_is_sent_again_and_given_up_in_time() -> None:
    clock = Clock()
    receiver = Receiver(clock, NoReplyError())
    deliverer = Deliverer(receiver, clock=clock, wait=clock.wait)
    with pytest.raises(UndeliveredError, match="no acknowledgement"):
        deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=1.0))
    assert clock.now_s == pytest.approx(101)
    assert [time_s - 100 for time_s in receiver.times_s] == pytest.approx([0, 0.22, 0.46, 0.74])
    # Then the circuit is open: the next deliveries fail immediately, without anything sent.
    with pytest.raises(UndeliveredError, match="a moment ago"):
        deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=1.0))
    assert len(receiver.times_s) == 4
    # After a second one may try, and closes it.
    clock.now_s += 1.0
    receiver.responses = [None]
    for _ in range(2):
        deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=5))
    assert len(receiver.times_s) == 6


@pytest.mark.parametrize(("limit_s", "attempts"), [(0.4, 2), (0.5, 3)])
def test_missing_acknowledgements_are_accepted_for_so_long(limit_s: float, attempts: int) -> None:
    clock = Clock()
    receiver = Receiver(clock, NoReplyError())
    with pytest.raises(UndeliveredError, match="no acknowledgement"):
        Deliverer(receiver, clock=clock, wait=clock.wait).deliver(
            KEY, TASK, b"", timeouts(clock, within_s=9, no_ack_limit_s=limit_s)
        )
    assert len(receiver.times_s) == attempts


def test_a_missing_receiver_is_given_up_long_before_the_time_is_over() -> None:
    clock = Clock()
    deliverer = Deliverer(Receiver(clock, NoReceiverError()), clock=clock, wait=clock.wait)
    with pytest.raises(UndeliveredError, match="no receiver"):
        deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=20, ack_timeout_s=10))
    assert 100.3 <= clock.now_s < 100.6
    with pytest.raises(UndeliveredError, match="a moment ago"):
        deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=20))


def test_a_receiver_that_connects_in_time_gets_the_message() -> None:
    clock = Clock()
    receiver = Receiver(clock, NoReceiverError(), NoReplyError(), NoReceiverError(), None)
    Deliverer(receiver, clock=clock, wait=clock.wait).deliver(KEY, TASK, b"", timeouts(clock, within_s=20))
    assert len(receiver.times_s) == 4


@pytest.mark.parametrize("within_s", [-1.0, 0.05])
def test_too_little_time_is_no_evidence_against_the_receiver(within_s: float) -> None:
    clock = Clock()
    receiver = Receiver(clock, NoReplyError())
    deliverer = Deliverer(receiver, open_s=60, clock=clock, wait=clock.wait)
    with pytest.raises(UndeliveredError):
        deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=within_s, ack_timeout_s=2))
    receiver.responses = [None]
    deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=5))


def test_what_is_closed_gives_up_before_the_next_attempt() -> None:
    clock = Clock()
    receiver = Receiver(clock, QueueFullError())

    def wait(closed: threading.Event, seconds: float) -> None:
        deliverer.close()
        assert closed.is_set()

    deliverer = Deliverer(receiver, clock=clock, wait=wait)
    with pytest.raises(UndeliveredError, match="the queue is full"):
        deliverer.deliver(KEY, TASK, b"", timeouts(clock, within_s=1e9))
    assert len(receiver.times_s) == 1


def test_half_open_one_tries_while_the_others_fail() -> None:
    clock = Clock()
    breaker = CircuitBreaker(2.0, clock=clock)

    def admitted() -> bool:
        return breaker.admit(KEY, trial_until_s=clock() + 5)

    def seen() -> tuple[CircuitState, bool, bool]:
        return breaker.state(KEY), admitted(), admitted()

    assert seen() == (CircuitState.CLOSED, True, True)
    breaker.trip(KEY)
    assert seen() == (CircuitState.OPEN, False, False)
    clock.now_s += 2
    assert admitted()
    assert seen() == (CircuitState.HALF_OPEN, False, False)
    # The one that tried has failed, or never said how it ended.
    breaker.trip(KEY)
    assert seen() == (CircuitState.OPEN, False, False)
    clock.now_s += 2
    assert admitted()
    clock.now_s += 5
    assert seen() == (CircuitState.HALF_OPEN, True, False)
    breaker.close(KEY)
    assert seen() == (CircuitState.CLOSED, True, True)
    assert breaker.admit("offramp/2/work", trial_until_s=0)


def test_a_breaker_that_opens_for_no_time_never_opens() -> None:
    breaker = CircuitBreaker(0.0)
    breaker.trip(KEY)
    assert breaker.state(KEY) is CircuitState.CLOSED


@pytest.fixture(params=["zenoh", "in process"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Deliverer, Callable[[Handler], None]]]:
    """A deliverer at one end, and what has a handler answer at the other."""
    if request.param == "in process":
        with closing(InProcessNetwork()) as network:
            yield Deliverer(network.join()), lambda handler: network.join().answer(KEY, handler)
    else:
        port = free_port()
        with (
            closing(zenoh_tier(port)) as receiver,
            closing(open_client(f"127.0.0.1:{port}", largest_bits=99)) as sender,
        ):
            yield Deliverer(sender), lambda handler: receiver.answer(KEY, handler)


def zenoh_tier(port: int) -> ZenohTransport:
    host = "127.0.0.1"
    return open_tier(
        1, 2, port=port, toward_cloud=None, host=host, security=None, longest_send_s=0.0, largest_bits=1 << 16
    )


def test_deliveries_over_a_transport(pair: tuple[Deliverer, Callable[[Handler], None]]) -> None:
    """Full, then accepted; then refused."""
    deliverer, answer = pair
    received: list[bytes] = []
    patient = {"within_s": 60.0, "ack_timeout_s": 30.0, "no_receiver_limit_s": 30.0}

    def handler(payload: bytes) -> bytes:
        received.append(payload)
        if len(received) < 3:
            raise QueueFullError
        if len(received) > 3:
            raise RefusedError("not mine")
        return b""

    answer(handler)
    deliverer.deliver(KEY, TASK, b"tensor", timeouts(time.monotonic, **patient))
    assert len(received) == 3
    message, tensor = unpack(received[-1], most_tensor_bytes=6)
    assert (message.request, bytes(tensor)) == (7, b"tensor")
    with pytest.raises(UndeliveredError, match=r"^not mine$"):
        deliverer.deliver(KEY, TASK, b"", timeouts(time.monotonic, **patient))
