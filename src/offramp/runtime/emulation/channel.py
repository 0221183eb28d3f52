"""Bytes in flight on an emulated link: serialized at the bandwidth, then delayed by the propagation.

A message of S bits that finds the link idle arrives S / bandwidth + latency after it was sent; any other waits its
turn. Several may be in flight at once, but a sender can't push more into the link than it holds.

Blocking threads, since the timers of `select` and of asyncio are too coarse for links of 500 Mb/s.
"""

import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

# One chunk is read, serialized and delivered at a time: short beside a message, and not too many a second.
_CHUNK_S = 0.001
_LEAST_CHUNK_BYTES, _MOST_CHUNK_BYTES = 128, 65536
# How far reading runs ahead of serializing, so that a thread that wakes up late leaves no gap on the link.
_AHEAD_S = 0.005
# How late it may wake up without an effect; the system's buffers at both ends hold as much.
LATE_S = 0.01
# `time.sleep` returns up to about this late; the rest is a busy wait.
_BUSY_WAIT_S = 0.0001


class Clock(Protocol):
    """The time that a link is emulated in."""

    def now_s(self) -> float:
        """Seconds since any start."""
        ...

    def sleep_until(self, moment_s: float) -> None:
        """Return at that moment, or immediately if it has passed."""
        ...

    def sleep_precisely_until(self, moment_s: float) -> None:
        """The same, closer to the moment than the system's timers are."""
        ...


@dataclass(frozen=True, slots=True)
class MonotonicClock:
    """The machine's monotonic clock."""

    def now_s(self) -> float:
        """Seconds since any start."""
        return time.monotonic()

    def sleep_until(self, moment_s: float) -> None:
        """Return at that moment, or a little later."""
        time.sleep(max(moment_s - time.monotonic(), 0))

    def sleep_precisely_until(self, moment_s: float) -> None:
        """Return at that moment; the last tenth of a millisecond is a busy wait."""
        left_s = moment_s - time.monotonic() - _BUSY_WAIT_S
        if left_s > 0:
            time.sleep(left_s)
        while time.monotonic() < moment_s:
            pass


@dataclass(slots=True)
class LinkState:
    """What the link is like now, in both directions.

    flowing: set unless the link is stalled.
    """

    bandwidth_bits_per_s: float
    latency_s: float
    flowing: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Direction:
    """What one direction of the link shares among its connections.

    busy_until_s: when the last bit read so far will have been serialized.
    taken_bytes, delivered_bytes: since the start.
    bursts: how often bytes came to an idle link: messages, where they come one at a time.
    """

    busy_until_s: float = 0.0
    taken_bytes: int = 0
    delivered_bytes: int = 0
    bursts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serialize(self, size_bytes: int, *, came_s: float, bandwidth_bits_per_s: float) -> float:
        """When bytes that came then will have been serialized, after all that came before them."""
        with self.lock:
            self.bursts += size_bytes > 0 and came_s > self.busy_until_s
            self.taken_bytes += size_bytes
            self.busy_until_s = max(self.busy_until_s, came_s) + size_bytes * 8 / bandwidth_bits_per_s
            return self.busy_until_s

    def deliver(self, size_bytes: int) -> None:
        """Count bytes that have arrived."""
        with self.lock:
            self.delivered_bytes += size_bytes

    def count(self) -> dict[str, int]:
        """The counters, as they are written."""
        with self.lock:
            return {"taken": self.taken_bytes, "delivered": self.delivered_bytes, "bursts": self.bursts}


class Channel:
    """One direction of one connection: its bytes in flight, each chunk with the time it is due.

    `take` and `deliver` run in a thread each.
    """

    def __init__(
        self,
        link: LinkState,
        direction: Direction,
        source: socket.socket,
        target: socket.socket,
        clock: Clock = MonotonicClock(),
    ) -> None:
        self._link, self._direction, self._source, self._target = link, direction, source, target
        self._clock = clock
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._ended = False
        self._changed = threading.Condition()

    def end(self) -> None:
        """Drop what is in flight."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def take(self) -> None:
        """Read from the source until it ends, never far ahead of the link."""
        meant_s = self._clock.now_s()
        while not self._ended:
            size_bytes = int(self._link.bandwidth_bits_per_s * _CHUNK_S / 8)
            size_bytes = min(max(size_bytes, _LEAST_CHUNK_BYTES), _MOST_CHUNK_BYTES)
            is_waiting = bool(select.select([self._source], (), (), 0)[0])
            data = self._source.recv(size_bytes)
            came_s = self._clock.now_s()
            if is_waiting:
                # It was there when this thread should have read it, but woke up too late.
                came_s = max(meant_s, came_s - LATE_S)
            if not self._link.flowing.is_set():
                self._link.flowing.wait()
                came_s = self._clock.now_s()
            rate = self._link.bandwidth_bits_per_s
            sent_s = self._direction.serialize(len(data), came_s=came_s, bandwidth_bits_per_s=rate)
            self._put(sent_s + self._link.latency_s, data)
            if not data:
                return
            meant_s = sent_s - _AHEAD_S
            self._clock.sleep_until(meant_s)

    def deliver(self) -> None:
        """Write to the target what is due, and finally the end of the stream."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._chunks or self._ended)
                if self._ended:
                    return
                due_s, data = self._chunks[0]
            self._clock.sleep_precisely_until(due_s)
            self._link.flowing.wait()
            if self._ended:
                return
            if not data:
                self._target.shutdown(socket.SHUT_WR)
                return
            self._target.sendall(data)
            self._direction.deliver(len(data))
            with self._changed:
                self._chunks.popleft()
                self._held_bytes -= len(data)
                self._changed.notify_all()

    def _put(self, due_s: float, data: bytes) -> None:
        with self._changed:
            # As much as the link holds, and a little more for a thread that delivers late.
            in_flight_s = self._link.latency_s + 4 * _AHEAD_S
            most_bytes = self._link.bandwidth_bits_per_s * in_flight_s / 8 + 4 * _LEAST_CHUNK_BYTES
            self._changed.wait_for(lambda: self._held_bytes <= most_bytes or self._ended)
            self._chunks.append((due_s, data))
            self._held_bytes += len(data)
            self._changed.notify_all()
