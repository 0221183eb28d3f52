"""How near the emulated links come to theory, bits / bandwidth + latency, and what Zenoh adds to a message.

Raw messages over one TCP connection, across two links in fragments that are stored and forwarded one by one, then
queries between two tiers' sessions: medians by one clock that both read. The longest message takes 32 s a try. Zenoh
closes a link that can't take a whole message in 5 s: such queries are lost.
"""

import argparse
import json
import os
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zenoh
from rich.console import Console
from rich.table import Table

from offramp.core.latency import transfer_s
from offramp.core.topology import Link, Tier, Topology
from offramp.runtime.emulation.link import EmulatedLink
from offramp.runtime.transport.keys import work_key
from offramp.runtime.transport.zenoh_session import router

LINKS = {
    "500 kb/s, 6 ms": Link(500e3, 0.006),
    "10 Mb/s, 40 ms": Link(10e6, 0.04),
    "500 Mb/s, 50 ms": Link(500e6, 0.05),
}
SIZES = (64, 25_000, 200_000, 2_000_000)
PATHS = (
    ("500 kb/s, 6 ms", "10 Mb/s, 40 ms"),
    ("10 Mb/s, 40 ms", "500 kb/s, 6 ms"),
    ("10 Mb/s, 40 ms", "500 Mb/s, 50 ms"),
)
MTU_BYTES = 9000
HOST = "127.0.0.1"
PAUSE_S = 0.05


def message_s(near: socket.socket, far: socket.socket, size_bytes: int) -> float:
    """Seconds from the sender's first byte to the receiver's last."""
    buffer = memoryview(bytearray(size_bytes))
    arrived_s: list[float] = []

    def receive() -> None:
        read = 0
        while read < size_bytes:
            read += far.recv_into(buffer[read:])
        arrived_s.append(time.monotonic())

    message = bytes(size_bytes)
    thread = threading.Thread(target=receive)
    thread.start()
    time.sleep(PAUSE_S)
    began_s = time.monotonic()
    near.sendall(message)
    thread.join()
    return arrived_s[0] - began_s


def raw(name: str, link: Link, repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each size, sent over one connection."""
    with (
        socket.create_server((HOST, 0)) as server,
        EmulatedLink(link, target=server.getsockname()) as emulated,
        socket.create_connection((HOST, emulated.port)) as near,
        server.accept()[0] as far,
    ):
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for size_bytes in SIZES:
            times_s = [message_s(near, far, size_bytes) for _ in range(repeats)]
            yield row(name, theory_s(size_bytes, link), size_bytes, times_s)


def fragments(path: tuple[str, str], repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each size, across two links; the tier between them forwards each fragment once it has it whole."""
    first, second = (LINKS[name] for name in path)
    with (
        socket.create_server((HOST, 0)) as middle,
        socket.create_server((HOST, 0)) as server,
        EmulatedLink(first, target=middle.getsockname()) as one,
        EmulatedLink(second, target=server.getsockname()) as other,
        socket.create_connection((HOST, one.port)) as near,
        middle.accept()[0] as arriving,
        socket.create_connection((HOST, other.port)) as leaving,
        server.accept()[0] as far,
    ):
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        leaving.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for size_bytes in SIZES:
            times_s = []
            for _ in range(repeats):
                thread = threading.Thread(target=forward, args=[arriving, leaving, size_bytes])
                thread.start()
                times_s.append(message_s(near, far, size_bytes))
                thread.join()
            yield row(" + ".join(path), theory_s(size_bytes, first, second), size_bytes, times_s)


def forward(arriving: socket.socket, leaving: socket.socket, size_bytes: int) -> None:
    """Forward a message in fragments."""
    for begin in range(0, size_bytes, MTU_BYTES):
        leaving.sendall(arriving.recv(min(MTU_BYTES, size_bytes - begin), socket.MSG_WAITALL))


def theory_s(size_bytes: int, *links: Link) -> float:
    """What the performance model says of a message across those links."""
    tiers = tuple(Tier(f"tier-{j}", slowdown=1) for j in range(len(links) + 1))
    topology = Topology("line", tiers[0].name, tiers[-1].name, tiers, links, mtu_bits=8 * MTU_BYTES)
    return float(transfer_s(topology, np.array([8.0 * size_bytes]))[0, -1, 0])


def queries(name: str, link: Link, repeats: int) -> Iterator[dict[str, Any]]:
    """A row for each size, as a query from one tier to the next."""
    with socket.socket() as reserved:
        reserved.bind((HOST, 0))
        port = reserved.getsockname()[1]
    reached_s = [0.0]

    def take(query: zenoh.Query) -> None:
        reached_s[0] = time.monotonic()
        query.reply(query.key_expr, b"")
        query.drop()

    longest_send_s = 8 * max(SIZES) / link.bandwidth_bits_per_s
    with (
        EmulatedLink(link, target=(HOST, port)) as emulated,
        router(port=port, toward_cloud=None, host=HOST) as far,
        router(port=0, toward_cloud=f"{HOST}:{emulated.port}", host=HOST, longest_send_s=longest_send_s) as near,
        far.declare_queryable(work_key(1), take),
    ):
        for size_bytes in SIZES:
            times_s, wire_bytes, back_bytes = [], [], []
            payload = bytes(size_bytes)
            for _ in range(repeats):
                # A link that was lost comes back by itself.
                while not answered(near, b""):
                    time.sleep(PAUSE_S)
                time.sleep(PAUSE_S)
                before = emulated.traffic()
                began_s = time.monotonic()
                if not answered(near, payload):
                    continue
                times_s.append(reached_s[0] - began_s)
                time.sleep(PAUSE_S)
                after = emulated.traffic()
                wire_bytes.append(after.forward.delivered_bytes - before.forward.delivered_bytes)
                back_bytes.append(after.backward.delivered_bytes - before.backward.delivered_bytes)
            added = {
                "arrived": f"{len(times_s)} of {repeats}",
                "added_bytes": statistics.median(wire_bytes) - size_bytes if wire_bytes else None,
                "reply_bytes": statistics.median(back_bytes) if back_bytes else None,
            }
            yield row(name, theory_s(size_bytes, link), size_bytes, times_s) | added


def answered(near: zenoh.Session, payload: bytes) -> bool:
    """Whether the other tier has answered a query."""
    replies = list(near.get(work_key(1), payload=payload, timeout=120))
    return bool(replies) and all(reply.ok is not None for reply in replies)


def row(name: str, theory_s: float, size_bytes: int, times_s: list[float]) -> dict[str, Any]:
    """What was measured beside what it should have been."""
    median_s = statistics.median(times_s) if times_s else None
    return {
        "link": name,
        "size_bytes": size_bytes,
        "theory_s": theory_s,
        "median_s": median_s,
        "error": median_s / theory_s - 1 if median_s is not None else None,
        "worst_error": max(times_s) / theory_s - 1 if times_s else None,
    }


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table of rows."""
    table = Table(title=title)
    columns = ["link", "message", "in theory", "median", "error", "worst", "arrived", "bytes added", "reply"]
    for column in columns if "arrived" in rows[0] else columns[:-3]:
        table.add_column(column, justify="left" if column == "link" else "right", no_wrap=True)
    for each in rows:
        cells = [each["link"], f"{each['size_bytes']:,} B", f"{each['theory_s'] * 1e3:,.2f} ms"]
        if each["median_s"] is None:
            cells += ["-", "-", "-"]
        else:
            cells += [f"{each['median_s'] * 1e3:,.2f} ms", f"{each['error']:+.2%}", f"{each['worst_error']:+.2%}"]
        if "arrived" in each:
            cells += [each["arrived"]]
            cells += ["-" if each[name] is None else f"{each[name]:g} B" for name in ("added_bytes", "reply_bytes")]
        table.add_row(*cells)
    console.print(table)


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    options = parser.parse_args()
    console = Console()
    console.print(f"{os.cpu_count()} processors, median of {options.repeats}")
    across = [each for path in PATHS for each in fragments(path, options.repeats)]
    tables = {
        "Messages over TCP": [each for name, link in LINKS.items() for each in raw(name, link, options.repeats)],
        f"Across two links in fragments of {MTU_BYTES:,} B": across,
        "Queries between two tiers": [
            each for name, link in LINKS.items() for each in queries(name, link, options.repeats)
        ],
    }
    for title, rows in tables.items():
        show(console, title, rows)
    if options.json:
        options.json.write_text(json.dumps(tables, indent=2))


if __name__ == "__main__":
    main()
