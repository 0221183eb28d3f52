"""A link of a topology, emulated on this machine: its bandwidth, its propagation delay, and its failures.

Every link is a process of its own, `emulation.relay`, that needs neither root nor kernel modules. Linux's own
`tc netem` is not used: it delays packets, so that the time of a message would depend on TCP's windows as well.
"""

import contextlib
import json
import subprocess
import sys
import threading
from dataclasses import dataclass, replace

from offramp.core.topology import Link
from offramp.errors import OfframpError

_LONGEST_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one direction of a link has carried since it started.

    taken_bytes: read from the sender; delivered_bytes: written to the receiver.
    bursts: how often bytes came to an idle link: the messages, where they come one at a time.
    """

    taken_bytes: int
    delivered_bytes: int
    bursts: int


@dataclass(frozen=True, slots=True)
class LinkTraffic:
    """What a link has carried since it started.

    forward: from the link's port to its target; backward: the other way.
    connections: that are open, or wait for the target to listen.
    """

    forward: Traffic
    backward: Traffic
    connections: int


class EmulatedLink:
    """A link from `port` on loopback to `target`, running while a `with` block does.

    A message takes bits / bandwidth + latency, in each direction independently. The target may start later, end and
    start again. The link's process ends whenever this one does.

    link: what to emulate.
    target: host and port to connect to, once for every connection to `port`.
    port: where the link listens, once it has started.
    Any thread may call any method; each raises `OfframpError` where the link's process has died.
    """

    def __init__(self, link: Link, *, target: tuple[str, int]) -> None:
        self.link = link
        self.target = target
        self.port = 0
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> "EmulatedLink":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the link's process; it listens on `port` when this returns."""
        host, port = self.target
        speed = [repr(self.link.bandwidth_bits_per_s), repr(self.link.latency_s)]
        with self._lock:
            # A process group of its own: an interrupt from the terminal is for the parent, which then stops the link.
            self._process = subprocess.Popen(
                [sys.executable, "-m", "offramp.runtime.emulation.relay", host, str(port), *speed],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                process_group=0,
            )
            self.port = int(self._answer(self._process))

    def stop(self) -> None:
        """End every connection and the process; does nothing if it has been stopped before."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                process.wait(_LONGEST_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    def cut(self) -> None:
        """End every connection, losing what is in flight, and refuse new ones until `restore`."""
        self._tell("cut")

    def stall(self) -> None:
        """Deliver no byte until `restore`, and close nothing: what TCP sees of a lost radio signal."""
        self._tell("stall")

    def restore(self) -> None:
        """Make the link what it was at its start: neither cut nor stalled, with its first bandwidth and latency."""
        self.become(self.link)
        self._tell("restore")

    def slow(self, factor: float) -> None:
        """Make every message take `factor` times as long as at first, by the bandwidth and by the latency."""
        bandwidth, latency = self.link.bandwidth_bits_per_s / factor, self.link.latency_s * factor
        self.become(replace(self.link, bandwidth_bits_per_s=bandwidth, latency_s=latency))

    def become(self, link: Link) -> None:
        """Take the bandwidth and latency of `link`, for bytes that come from now on."""
        self._tell(f"become {link.bandwidth_bits_per_s!r} {link.latency_s!r}")

    def traffic(self) -> LinkTraffic:
        """What the link has carried."""
        answer = json.loads(self._tell("count"))
        forward, backward = (
            Traffic(taken_bytes=counts["taken"], delivered_bytes=counts["delivered"], bursts=counts["bursts"])
            for counts in (answer["forward"], answer["backward"])
        )
        return LinkTraffic(forward=forward, backward=backward, connections=answer["connections"])

    def _tell(self, command: str) -> str:
        with self._lock:
            process = self._process
            if process is None:
                raise OfframpError("the emulated link is not running: start it first")
            assert process.stdin is not None
            # A process that has died reads nothing; the missing answer tells.
            with contextlib.suppress(OSError):
                process.stdin.write(f"{command}\n")
                process.stdin.flush()
            return self._answer(process)

    def _answer(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise OfframpError(f"the emulated link has ended with exit code {process.wait()}")
        return line
