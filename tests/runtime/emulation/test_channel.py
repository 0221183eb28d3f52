"""The time that bytes take on an emulated link, exactly: bits / bandwidth + latency, by a clock of the test's own.

Real sockets and threads; only the time is not the machine's, so nothing here depends on how busy that is. How close
the emulation comes to this in real time, `benchmarks/links.py` measures.
"""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from offramp.core.latency import transfer_s
from offramp.core.topology import Link, Tier, Topology
from offramp.runtime.emulation.channel import Channel, Direction, LinkState, MonotonicClock

KBIT_500 = Link(bandwidth_bits_per_s=500e3, latency_s=0.006)
MBIT_10 = Link(bandwidth_bits_per_s=10e6, latency_s=0.04)
MBIT_500 = Link(bandwidth_bits_per_s=500e6, latency_s=0.05)


class OwnTime(threading.local):
    """A clock for each thread, 0 at first; a thread's time passes only while it sleeps."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_s(self) -> float:
        return self.time_s

    def sleep_until(self, moment_s: float) -> None:
        self.time_s = max(self.time_s, moment_s)

    sleep_precisely_until = sleep_until


@dataclass(slots=True)
class Recorded(Direction):
    """Notes when so many bytes had been delivered, all connections together."""

    clock: OwnTime = field(default_factory=OwnTime)
    arrivals: list[tuple[int, float]] = field(default_factory=list)

    def deliver(self, size_bytes: int) -> None:
        Direction.deliver(self, size_bytes)
        self.arrivals.append((self.delivered_bytes, self.clock.now_s()))

    def arrived_s(self, size_bytes: int) -> float:
        """When so many had."""
        return next(time_s for delivered_bytes, time_s in self.arrivals if delivered_bytes >= size_bytes)


def state_of(link: Link) -> LinkState:
    state = LinkState(link.bandwidth_bits_per_s, link.latency_s)
    state.flowing.set()
    return state


@contextmanager
def running(state: LinkState, direction: Recorded, *messages: bytes) -> Iterator[list[threading.Thread]]:
    """A channel that carries what is sent at time 0; its threads, to wait for."""
    with ExitStack() as stack:
        near, source, target, far = (
            stack.enter_context(end) for pair in (socket.socketpair(), socket.socketpair()) for end in pair
        )
        channel = Channel(state, direction, source, target, direction.clock)

        def send() -> None:
            for message in messages:
                near.sendall(message)
            near.shutdown(socket.SHUT_WR)

        received: list[bytes] = []

        def receive() -> None:
            received.append(b"".join(iter(lambda: far.recv(65536), b"")))

        threads = [threading.Thread(target=step) for step in (send, channel.take, channel.deliver, receive)]
        for thread in threads:
            thread.start()
        yield threads
        for thread in threads:
            thread.join()
        assert received == [b"".join(messages)]


def carry(state: LinkState, direction: Recorded, *messages: bytes) -> None:
    with running(state, direction, *messages):
        pass


def theory_s(link: Link, sizes_bytes: Sequence[int]) -> float:
    return sum(sizes_bytes) * 8 / link.bandwidth_bits_per_s + link.latency_s


@pytest.mark.parametrize("link", [KBIT_500, MBIT_10, MBIT_500], ids=["500 kb/s", "10 Mb/s", "500 Mb/s"])
@pytest.mark.parametrize("size_bytes", [1, 25_000, 200_000, 2_000_000])
def test_a_message_takes_its_bits_over_the_bandwidth_and_the_latency(link: Link, size_bytes: int) -> None:
    direction = Recorded()
    carry(state_of(link), direction, bytes(size_bytes))
    assert direction.arrived_s(size_bytes) == pytest.approx(theory_s(link, [size_bytes]), rel=1e-9)
    assert direction.taken_bytes == direction.delivered_bytes == size_bytes


def test_messages_share_the_bandwidth_but_not_the_latency() -> None:
    direction = Recorded()
    carry(state_of(MBIT_10), direction, *[bytes(25_000)] * 3)
    times_s = [direction.arrived_s(25_000 * count) for count in (1, 2, 3)]
    assert times_s == pytest.approx([theory_s(MBIT_10, [25_000] * count) for count in (1, 2, 3)], rel=1e-9)


def test_connections_share_the_bandwidth_and_directions_do_not() -> None:
    state, forward, backward = state_of(MBIT_10), Recorded(), Recorded()
    with (
        running(state, forward, bytes(100_000)),
        running(state, forward, bytes(100_000)),
        running(state, backward, bytes(100_000)),
    ):
        pass
    assert forward.busy_until_s == pytest.approx(200_000 * 8 / MBIT_10.bandwidth_bits_per_s, rel=1e-9)
    assert max(time_s for _, time_s in forward.arrivals) == pytest.approx(theory_s(MBIT_10, [200_000]), rel=1e-9)
    assert backward.arrived_s(100_000) == pytest.approx(theory_s(MBIT_10, [100_000]), rel=1e-9)


def test_another_bandwidth_and_latency_are_for_what_comes_from_then_on() -> None:
    """Behind what has come before, which is serialized at the old bandwidth."""
    direction = Recorded()
    state = state_of(MBIT_10)
    carry(state, direction, bytes(25_000))
    state.bandwidth_bits_per_s, state.latency_s = KBIT_500.bandwidth_bits_per_s, KBIT_500.latency_s
    carry(state, direction, bytes(1000))
    before_s = 25_000 * 8 / MBIT_10.bandwidth_bits_per_s
    assert direction.arrived_s(26_000) == pytest.approx(before_s + theory_s(KBIT_500, [1000]), rel=1e-9)


def test_a_link_that_was_idle_takes_a_message_when_it_comes() -> None:
    direction = Direction()
    rate = MBIT_10.bandwidth_bits_per_s
    assert direction.serialize(1250, came_s=1.0, bandwidth_bits_per_s=rate) == pytest.approx(1.001)
    assert direction.serialize(1250, came_s=1.0005, bandwidth_bits_per_s=rate) == pytest.approx(1.002)
    assert direction.serialize(1250, came_s=5.0, bandwidth_bits_per_s=rate) == pytest.approx(5.001)
    assert direction.serialize(0, came_s=9.0, bandwidth_bits_per_s=rate) == 9.0
    assert direction.bursts == 2


@pytest.mark.parametrize("links", [(KBIT_500, MBIT_10), (MBIT_10, KBIT_500), (MBIT_500, MBIT_10, KBIT_500)])
@pytest.mark.parametrize("size_bytes", [40, 9000, 25_000, 200_000])
def test_fragments_take_what_the_performance_model_says_of_pipelined_transfer(
    links: tuple[Link, ...], size_bytes: int
) -> None:
    """Each goes on when it has arrived whole, and waits where the link ahead still sends the one before."""
    directions = [Direction() for _ in links]
    arrived_s = 0.0
    for begin in range(0, size_bytes, 9000):
        arrived_s = 0.0
        fragment_bytes = min(9000, size_bytes - begin)
        for link, direction in zip(links, directions, strict=True):
            rate = link.bandwidth_bits_per_s
            sent_s = direction.serialize(fragment_bytes, came_s=arrived_s, bandwidth_bits_per_s=rate)
            arrived_s = sent_s + link.latency_s
    tiers = tuple(Tier(f"t{j}", slowdown=1) for j in range(len(links) + 1))
    topology = Topology("line", "t0", "t0", tiers, links, mtu_bits=8 * 9000)
    assert arrived_s == pytest.approx(transfer_s(topology, np.array([8.0 * size_bytes]))[0, -1, 0], rel=1e-12)


def test_the_machine_s_clock_is_never_early() -> None:
    clock = MonotonicClock()
    for sleep in (clock.sleep_until, clock.sleep_precisely_until):
        for ahead_s in (-1.0, 0.0, 0.003):
            moment_s = clock.now_s() + ahead_s
            sleep(moment_s)
            assert clock.now_s() >= moment_s
