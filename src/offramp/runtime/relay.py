"""The process behind an emulated link: a TCP relay on loopback that takes the time the link would.

Each direction is a server that serializes in order of arrival, at the bandwidth, followed by a delay line, the
propagation: a message of S bits that finds the link idle is there after S / bandwidth + latency, and many may be on the
way. All connections share the link. Losses, handshakes and windows of a real network's TCP are not emulated.

`offramp.runtime.links` starts this module as a program and writes commands to it, a line each:

    cut                       end every connection, refuse new ones
    stall                     take and deliver nothing, keep the connections
    restore                   neither cut nor stalled
    become BITS_PER_S SECONDS another bandwidth and latency, for bytes that come from now on
    count                     nothing

It answers each with a line of JSON, what the link has carried; the first line it writes is the port it listens at. It
ends when its standard input does, and so when the process that started it ends, however that does.

Blocking threads, since the waits of `select` and of asyncio are too coarse for links of 500 Mb/s.
"""

import contextlib
import json
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

# One chunk is read, serialized and delivered at a time. Short against messages, and not too many a second.
_CHUNK_S = 0.001
_CHUNK_BYTES = (128, 65536)
# How far taking runs ahead of serializing, so that a thread that wakes late leaves no gap on the link.
_AHEAD_S = 0.005
# What the system takes from a sender before this program does.
_RECEIVED_S = 0.01
_RECEIVED_BYTES = (4096, 1 << 20)
# Loopback's own segments of 64 kB don't fit small buffers, and are then held back by timers.
_SEGMENT_BYTES = 1400
_RETRY_S = 0.02
# `time.sleep` wakes up to about this late.
_SPIN_S = 0.0001
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, for zero seconds


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
            self.bursts += came_s > self.busy_until_s
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


class Wire:
    """The link itself: its speed now, whether it is whole, its directions and its connections."""

    def __init__(self, bandwidth_bits_per_s: float, latency_s: float) -> None:
        self.bandwidth_bits_per_s = bandwidth_bits_per_s
        self.latency_s = latency_s
        self.forward, self.backward = Direction(), Direction()
        self.flowing = threading.Event()
        self.flowing.set()
        self._whole = True
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()

    def admit(self, connection: "Connection") -> bool:
        """Note a connection; False where the link is cut."""
        with self._lock:
            if self._whole:
                self._connections.add(connection)
            return self._whole

    def forget(self, connection: "Connection") -> None:
        """Note that a connection has ended."""
        with self._lock:
            self._connections.discard(connection)

    def obey(self, command: str, *values: str) -> None:
        """Do what a line of standard input says."""
        if command == "cut":
            with self._lock:
                self._whole = False
                ending = list(self._connections)
            for connection in ending:
                connection.end()
        elif command == "stall":
            self.flowing.clear()
        elif command == "restore":
            with self._lock:
                self._whole = True
            self.flowing.set()
        elif command == "become":
            self.bandwidth_bits_per_s, self.latency_s = map(float, values)

    def count(self) -> str:
        """What the link has carried, as it is written."""
        with self._lock:
            connections = len(self._connections)
        counts = {"forward": self.forward.count(), "backward": self.backward.count(), "connections": connections}
        return json.dumps(counts)


class Lane:
    """One direction of one connection: bytes on their way, each chunk with the time it is due."""

    def __init__(self, wire: Wire, direction: Direction, source: socket.socket, target: socket.socket) -> None:
        self._wire, self._direction, self._source, self._target = wire, direction, source, target
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
            size_bytes = _within(self._wire.bandwidth_bits_per_s * _CHUNK_S / 8, _CHUNK_BYTES)
            # What is there already was there when this thread meant to look, however late it woke.
            there = bool(select.select([self._source], (), (), 0)[0])
            data = self._source.recv(size_bytes)
            came_s = meant_s if there else time.monotonic()
            if not self._wire.flowing.is_set():
                self._wire.flowing.wait()
                came_s = time.monotonic()
            rate = self._wire.bandwidth_bits_per_s
            sent_s = self._direction.serialize(len(data), came_s=came_s, bandwidth_bits_per_s=rate)
            self._put(sent_s + self._wire.latency_s, data)
            if not data:
                return
            now_s = time.monotonic()
            meant_s = max(now_s, sent_s - _AHEAD_S)
            time.sleep(meant_s - now_s)

    def deliver(self) -> None:
        """Write to the target what is due, and at last that nothing will follow."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._chunks or self._over)
                if self._over:
                    return
                due_s, data = self._chunks[0]
            _sleep_until(due_s)
            self._wire.flowing.wait()
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
            on_the_way_s = self._wire.latency_s + 4 * _AHEAD_S
            most_bytes = self._wire.bandwidth_bits_per_s * on_the_way_s / 8 + 4 * _CHUNK_BYTES[0]
            self._changed.wait_for(lambda: self._held_bytes <= most_bytes or self._over)
            self._chunks.append((due_s, data))
            self._held_bytes += len(data)
            self._changed.notify_all()


class Connection:
    """A peer that has connected to the near end, and what it is joined to at the far end."""

    def __init__(self, wire: Wire, near: socket.socket, target: tuple[str, int]) -> None:
        self._wire, self._near, self._target = wire, near, target
        self._sockets = [near]
        self._lanes: list[Lane] = []
        self._over = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Carry bytes both ways until both ends have closed, or one is lost."""
        far = self._reach()
        if far is not None and self._join(far):
            steps = [step for lane in self._lanes for step in (lane.take, lane.deliver)]
            threads = [threading.Thread(target=self._guarded, args=[step], daemon=True) for step in steps]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self._wire.forget(self)
        with self._lock:
            self._over = True
            for each in self._sockets:
                each.close()

    def end(self) -> None:
        """End at once, at both ends, with what is on its way lost."""
        with self._lock:
            if self._over:
                return
            self._over = True
            for lane in self._lanes:
                lane.end()
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError:
            # One end is lost: the other must see that, too.
            self.end()

    def _join(self, far: socket.socket) -> bool:
        with self._lock:
            self._sockets.append(far)
            self._lanes += [
                Lane(self._wire, self._wire.forward, self._near, far),
                Lane(self._wire, self._wire.backward, far, self._near),
            ]
            return not self._over

    def _reach(self) -> socket.socket | None:
        """Connect to the target, as soon as it is there; None where the peer has gone before."""
        gone = select.poll()
        gone.register(self._near, getattr(select, "POLLRDHUP", select.POLLHUP))
        while not self._over:
            far = _socket(self._wire)
            try:
                far.connect(self._target)
            except OSError:
                far.close()
                if gone.poll(_RETRY_S * 1000):
                    return None
            else:
                return far
        return None


def _socket(wire: Wire) -> socket.socket:
    """A socket that takes little more from its peer than the link does."""
    made = socket.socket()
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    taken_bytes = _within(wire.bandwidth_bits_per_s * _RECEIVED_S / 8, _RECEIVED_BYTES)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, taken_bytes)
    return made


def _within(value: float, bounds: tuple[int, int]) -> int:
    least, most = bounds
    return int(min(max(value, least), most))


def _sleep_until(due_s: float) -> None:
    left_s = due_s - time.monotonic() - _SPIN_S
    if left_s > 0:
        time.sleep(left_s)
    while time.monotonic() < due_s:
        pass


def _accept(wire: Wire, listener: socket.socket, target: tuple[str, int]) -> None:
    while True:
        near, _ = listener.accept()
        connection = Connection(wire, near, target)
        if wire.admit(connection):
            threading.Thread(target=connection.run, daemon=True).start()
        else:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            near.close()


def main(host: str, port: str, bandwidth_bits_per_s: str, latency_s: str) -> None:
    """Relay from a free port of loopback to `host`:`port` until standard input ends."""
    # Threads that wait for each other's bytes must not wait for each other's turn as well.
    sys.setswitchinterval(0.0005)
    wire = Wire(float(bandwidth_bits_per_s), float(latency_s))
    with _socket(wire) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=_accept, args=[wire, listener, (host, int(port))], daemon=True).start()
        print(listener.getsockname()[1], flush=True)
        for line in sys.stdin:
            wire.obey(*line.split())
            print(wire.count(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
