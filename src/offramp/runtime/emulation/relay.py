"""The process behind an emulated link: a TCP relay on loopback that takes as long as the link would.

All connections share the link, each direction independently; `channel` says what a message takes. Losses, handshakes
and windows of a real network's TCP are not emulated.

`offramp.runtime.emulation.link` starts this module as a program and writes commands to it, a line each:

    cut                       end every connection, refuse new ones
    stall                     take and deliver nothing, keep the connections
    restore                   neither cut nor stalled
    become BITS_PER_S SECONDS another bandwidth and latency, for bytes that come from now on
    count                     nothing

It replies to each with a line of JSON, what the link has carried; the first line it writes is the port it listens on.
It ends when its standard input is closed, and so whenever the process that started it ends.
"""

import contextlib
import json
import select
import socket
import struct
import sys
import threading
from collections.abc import Callable

from offramp.runtime.emulation.channel import LATE_S, Channel, Direction, LinkState

# The system's buffers at either end hold what comes while this program is late, within these bounds.
_LEAST_BUFFER_BYTES, _MOST_BUFFER_BYTES = 4096, 1 << 20
# Loopback's segments of 64 kB don't fit into small buffers, and TCP then holds them back by timers.
_SEGMENT_BYTES = 1400
_RETRY_S = 0.02
# What `struct linger` is where closing resets the connection: on, for zero seconds.
_RESET = struct.pack("ii", 1, 0)


class SharedLink:
    """The link that all connections share: its state, its two directions, and whether it is cut."""

    def __init__(self, bandwidth_bits_per_s: float, latency_s: float) -> None:
        self.state = LinkState(bandwidth_bits_per_s, latency_s)
        self.state.flowing.set()
        self.forward, self.backward = Direction(), Direction()
        self._cut = False
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()

    def admit(self, connection: "Connection") -> bool:
        """Register a connection; False where the link is cut."""
        with self._lock:
            if not self._cut:
                self._connections.add(connection)
            return not self._cut

    def forget(self, connection: "Connection") -> None:
        """Unregister a connection that has ended."""
        with self._lock:
            self._connections.discard(connection)

    def execute(self, command: str, *values: str) -> None:
        """Execute a line of standard input."""
        if command == "cut":
            with self._lock:
                self._cut = True
                ending = list(self._connections)
            for connection in ending:
                connection.end()
        elif command == "stall":
            self.state.flowing.clear()
        elif command == "restore":
            with self._lock:
                self._cut = False
            self.state.flowing.set()
        elif command == "become":
            self.state.bandwidth_bits_per_s, self.state.latency_s = map(float, values)

    def count(self) -> str:
        """What the link has carried, as it is written."""
        with self._lock:
            connections = len(self._connections)
        counts = {"forward": self.forward.count(), "backward": self.backward.count(), "connections": connections}
        return json.dumps(counts)


class Connection:
    """A peer that has connected to the near end of the link, relayed to the target at its far end."""

    def __init__(self, link: SharedLink, near: socket.socket, target: tuple[str, int]) -> None:
        self._link, self._near, self._target = link, near, target
        self._sockets = [near]
        self._channels: list[Channel] = []
        self._ended = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Relay both directions until both ends have closed, or one is lost."""
        far = self._reach()
        if far is not None and self._open_channels(far):
            steps = [step for channel in self._channels for step in (channel.take, channel.deliver)]
            threads = [threading.Thread(target=self._guarded, args=[step], daemon=True) for step in steps]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self._link.forget(self)
        with self._lock:
            self._ended = True
            for end in self._sockets:
                end.close()

    def end(self) -> None:
        """End immediately, at both ends; what is in flight is lost."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            for channel in self._channels:
                channel.end()
            for end in self._sockets:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError:
            # One end is lost: close the other, too.
            self.end()

    def _open_channels(self, far: socket.socket) -> bool:
        with self._lock:
            self._sockets.append(far)
            self._channels += [
                Channel(self._link.state, self._link.forward, self._near, far),
                Channel(self._link.state, self._link.backward, far, self._near),
            ]
            return not self._ended

    def _reach(self) -> socket.socket | None:
        """Connect to the target, as soon as it listens; None where the peer has disconnected by then."""
        hang_up = select.poll()
        hang_up.register(self._near, getattr(select, "POLLRDHUP", select.POLLHUP))
        while not self._ended:
            far = _socket(self._link)
            try:
                far.connect(self._target)
            except OSError:
                far.close()
                if hang_up.poll(_RETRY_S * 1000):
                    return None
            else:
                return far
        return None


def _socket(link: SharedLink) -> socket.socket:
    """A socket that buffers little more than the link holds; those accepted from it inherit that."""
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer_bytes = int(link.state.bandwidth_bits_per_s * LATE_S / 8)
    buffer_bytes = min(max(buffer_bytes, _LEAST_BUFFER_BYTES), _MOST_BUFFER_BYTES)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
    return sock


def _accept(link: SharedLink, listener: socket.socket, target: tuple[str, int]) -> None:
    while True:
        near, _ = listener.accept()
        connection = Connection(link, near, target)
        if link.admit(connection):
            threading.Thread(target=connection.run, daemon=True).start()
        else:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            near.close()


def main(host: str, port: str, bandwidth_bits_per_s: str, latency_s: str) -> None:
    """Relay from a free port of loopback to `host`:`port` until standard input ends."""
    # Threads that wait for each other's bytes must not wait long for the interpreter's lock as well.
    sys.setswitchinterval(0.0005)
    link = SharedLink(float(bandwidth_bits_per_s), float(latency_s))
    with _socket(link) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=_accept, args=[link, listener, (host, int(port))], daemon=True).start()
        print(listener.getsockname()[1], flush=True)
        for line in sys.stdin:
            link.execute(*line.split())
            print(link.count(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
