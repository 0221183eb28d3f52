"""Bytes under way on an emulated link: serialized at the bandwidth, then delayed by the propagation.

A message of S bits that finds the link idle has arrived S / bandwidth + latency after it was sent; one that doesn't
waits its turn. Many may be on the way at once, but a sender can't push more into the link than it holds.

Blocking threads, since the waits of `select` and of asyncio are too coarse for links of 500 Mb/s.
"""

import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field

# One chunk is read, serialized and delivered at a time. Short against messages, and not too many a second.
_CHUNK_S = 0.001
_LEAST_CHUNK_BYTES, _MOST_CHUNK_BYTES = 128, 65536
# How far taking runs ahead of serializing, so that a thread that wakes late leaves no gap on the link.
_AHEAD_S = 0.005
# How late it may wake even so; the system's buffers at both ends hold as much.
LATE_S = 0.01
# `time.sleep` wakes up to about this late.
_SPIN_S = 0.0001


@dataclass(slots=True)
class Medium:
    """What the link is like now, for both directions.

    flowing: set unless the link is stalled.
    """

    bandwidth_bits_per_s: float
    latency_s: float
    flowing: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Direction:
    """What one direction of the link shares among its connections.

    busy_until_s: when the last bit taken so far will have been serialized.
    taken_bytes, delivered_bytes: since the start.
    bursts: how often bytes came to an idle link: messages, where they come one at a time.
    """

    busy_until_s: float = 0.0
    taken_bytes: int = 0
    delivered_bytes: int = 0
    bursts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serialize(self, size_bytes: int, *, came_s: float, bandwidth_bits_per_s: float) -> float:
        """When bytes that came then have been serialized, after all that came before them."""
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


class Lane:
    """One direction of one connection: bytes on their way, each chunk with the time it is due."""

    def __init__(self, medium: Medium, direction: Direction, source: socket.socket, target: socket.socket) -> None:
        self._medium, self._direction, self._source, self._target = medium, direction, source, target
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._over = False
        self._changed = threading.Condition()

    def end(self) -> None:
        """Drop what is on its way."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def take(self) -> None:
        """Read from the source until it ends, never far ahead of the link."""
        meant_s = time.monotonic()
        while not self._over:
            size_bytes = int(self._medium.bandwidth_bits_per_s * _CHUNK_S / 8)
            size_bytes = min(max(size_bytes, _LEAST_CHUNK_BYTES), _MOST_CHUNK_BYTES)
            there = bool(select.select([self._source], (), (), 0)[0])
            data = self._source.recv(size_bytes)
            came_s = time.monotonic()
            if there:
                # It was there already when this thread should have looked, but woke too late.
                came_s = max(meant_s, came_s - LATE_S)
            if not self._medium.flowing.is_set():
                self._medium.flowing.wait()
                came_s = time.monotonic()
            rate = self._medium.bandwidth_bits_per_s
            sent_s = self._direction.serialize(len(data), came_s=came_s, bandwidth_bits_per_s=rate)
            self._put(sent_s + self._medium.latency_s, data)
            if not data:
                return
            meant_s = sent_s - _AHEAD_S
            time.sleep(max(meant_s - time.monotonic(), 0))

    def deliver(self) -> None:
        """Write to the target what is due, and at last that nothing will follow."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._chunks or self._over)
                if self._over:
                    return
                due_s, data = self._chunks[0]
            _sleep_until(due_s)
            self._medium.flowing.wait()
            if self._over:
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
            on_the_way_s = self._medium.latency_s + 4 * _AHEAD_S
            most_bytes = self._medium.bandwidth_bits_per_s * on_the_way_s / 8 + 4 * _LEAST_CHUNK_BYTES
            self._changed.wait_for(lambda: self._held_bytes <= most_bytes or self._over)
            self._chunks.append((due_s, data))
            self._held_bytes += len(data)
            self._changed.notify_all()


def _sleep_until(due_s: float) -> None:
    left_s = due_s - time.monotonic() - _SPIN_S
    if left_s > 0:
        time.sleep(left_s)
    while time.monotonic() < due_s:
        pass
