"""A deployment on this machine: every tier a process of its own, every link emulated."""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from offramp.bundle import read_bundle
from offramp.errors import Fault, InputError
from offramp.runtime.client import Client
from offramp.runtime.emulation.link import EmulatedLink

_LONGEST_START_S = 30.0
_HOST = "127.0.0.1"


class LocalDeployment:
    """The tiers of the bundle in `folder`, running while a `with` block does.

    emulate: the file of the profile whose times the tiers emulate; None to be as fast as this machine.
    queue: tasks that may wait at each tier.

    links, processes: in the order of the topology; tests cut links and kill processes.
    Raises `InputError`, with the end of the tier's log, where one does not start.
    """

    def __init__(self, folder: Path, *, emulate: Path | None = None, queue: int = 32) -> None:
        self.bundle = read_bundle(folder)
        self._folder, self._emulate, self._queue = folder, emulate, queue
        tiers = self.bundle.topology.tiers
        self._ports = _free_ports(len(tiers))
        self.links = [
            EmulatedLink(link, target=(_HOST, port))
            for link, port in zip(self.bundle.topology.links, self._ports[1:], strict=True)
        ]
        self.processes: list[subprocess.Popen[bytes]] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "LocalDeployment":
        with contextlib.ExitStack() as stack:
            self._logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="offramp-")))
            for link in self.links:
                stack.enter_context(link)
            stack.callback(self._stop)
            self.processes += [self._start(j) for j in range(len(self._ports))]
            self.wait_until_alive()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def places(self) -> tuple[str, str]:
        """Where the source and the destination listen, as `host:port`; no emulated link leads there."""
        topology = self.bundle.topology
        source, destination = (topology.index(name) for name in (topology.source, topology.destination))
        return f"{_HOST}:{self._ports[source]}", f"{_HOST}:{self._ports[destination]}"

    def client(self) -> Client:
        """A client with a direct connection to the source and the destination."""
        source, destination = self.places()
        return Client(self.bundle, source=source, destination=destination)

    def kill(self, tier: int) -> None:
        """End a tier's process immediately, as a power failure would."""
        self.processes[tier].kill()
        _reap(self.processes[tier])

    def restart(self, tier: int) -> None:
        """Start a tier's process again."""
        self.processes[tier] = self._start(tier)

    def wait_until_alive(self) -> None:
        """Return when the source sees every tier. Raises `InputError` where one ended, or isn't present in time."""
        everyone = {tier.name for tier in self.bundle.topology.tiers}
        until_s = time.monotonic() + _LONGEST_START_S
        present: set[str] = set()
        while present != everyone:
            for j, process in enumerate(self.processes):
                if process.poll() is not None:
                    self._fail(j, f"ended with exit code {process.returncode}")
            if time.monotonic() > until_s:
                missing = min(everyone - present)
                self._fail(self.bundle.topology.index(missing), f"was not present after {_LONGEST_START_S:g} s")
            with contextlib.suppress(InputError), self.client() as client:
                present = client.alive()
            time.sleep(0.05)

    def _start(self, j: int) -> "subprocess.Popen[bytes]":
        tiers = self.bundle.topology.tiers
        command = [sys.executable, "-m", "offramp", "worker", str(self._folder / "tiers" / tiers[j].name)]
        command += ["--host", _HOST, "--port", str(self._ports[j]), "--queue", str(self._queue), "--attached"]
        if j < len(self.links):
            command += ["--next", f"{_HOST}:{self.links[j].port}"]
        if self._emulate is not None:
            command += ["--emulate", str(self._emulate)]
        with (self._logs / f"{j}.log").open("ab") as log:
            # The worker ends when its standard input is closed, which happens whenever this process ends.
            # A process group of its own: an interrupt from the terminal is for this process, which then stops it.
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0)

    def _stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
            _reap(process)

    def _fail(self, j: int, problem: str) -> None:
        log = (self._logs / f"{j}.log").read_text(errors="replace").strip()[-2000:] or "nothing"
        fault = Fault(f"tier {self.bundle.topology.tiers[j].name}", f"{problem}; it said: {log}", "fix that")
        raise InputError([fault])


def _reap(process: "subprocess.Popen[bytes]") -> None:
    """Wait until a process has ended, and close its standard input."""
    process.wait()
    assert process.stdin is not None
    process.stdin.close()


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind((_HOST, 0))
        return [free.getsockname()[1] for free in sockets]
