"""The process behind an emulated link: a TCP relay on loopback that takes the time the link would.

All connections share the link, each direction for itself; `channel` says what a message takes. Losses,
handshakes and windows of a real network's TCP are not emulated.

`offramp.runtime.emulation.link` starts this module as a program and writes commands to it, a line each:

    cut                       end every connection, refuse new ones
    stall                     take and deliver nothing, keep the connections
    restore                   neither cut nor stalled
    become BITS_PER_S SECONDS another bandwidth and latency, for bytes that come from now on
    count                     nothing

It answers each with a line of JSON, what the link has carried; the first line it writes is the port it listens at. It
ends when its standard input does, and so when the process that started it ends, however that does.
"""

import contextlib
import json
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable

from offramp.runtime.emulation.channel import LATE_S, Direction, Lane, Medium

# What the system holds for this program at either end, beside what comes while it is late.
_LEAST_BUFFER_BYTES, _MOST_BUFFER_BYTES = 4096, 1 << 20
# Loopback's own segments of 64 kB don't fit small buffers, and are then held back by timers.
_SEGMENT_BYTES = 1400
_RETRY_S = 0.02
# What `struct linger` is where closing resets the connection: on, for zero seconds.
_RESET = struct.pack("ii", 1, 0)


class Wire:
    """The link itself: its medium, whether it is whole, its directions and its connections."""

    def __init__(self, bandwidth_bits_per_s: float, latency_s: float) -> None:
        self.medium = Medium(bandwidth_bits_per_s, latency_s)
        self.medium.flowing.set()
        self.forward, self.backward = Direction(), Direction()
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
            self.medium.flowing.clear()
        elif command == "restore":
            with self._lock:
                self._whole = True
            self.medium.flowing.set()
        elif command == "become":
            self.medium.bandwidth_bits_per_s, self.medium.latency_s = map(float, values)

    def count(self) -> str:
        """What the link has carried, as it is written."""
        with self._lock:
            connections = len(self._connections)
        counts = {"forward": self.forward.count(), "backward": self.backward.count(), "connections": connections}
        return json.dumps(counts)


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
                Lane(self._wire.medium, self._wire.forward, self._near, far),
                Lane(self._wire.medium, self._wire.backward, far, self._near),
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
    """A socket that holds little more than the link does; those accepted from it inherit that."""
    made = socket.socket()
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer_bytes = int(wire.medium.bandwidth_bits_per_s * LATE_S / 8)
    buffer_bytes = min(max(buffer_bytes, _LEAST_BUFFER_BYTES), _MOST_BUFFER_BYTES)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    return made


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
