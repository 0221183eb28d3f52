"""Tiers' sessions at both ends of an emulated link: what Zenoh sends beside a payload, and what it waits for."""

import time
from collections.abc import Iterator

import pytest
import zenoh

from offramp.core.topology import Link
from offramp.runtime.emulation.link import EmulatedLink
from offramp.runtime.transport.keys import work_key
from offramp.runtime.transport.zenoh_session import router
from tests.runtime.places import free_port

# What Zenoh sends beside a payload to a key that is declared: for the query, and for each batch its payload fills.
QUERY_BYTES, FRAGMENT_BYTES, BATCH_BYTES = 32, 8, 8192


class Pair:
    """Two tiers joined by an emulated link; the second notes when queries reach it."""

    def __init__(self, link: EmulatedLink, near: zenoh.Session) -> None:
        self.link, self.near = link, near
        self.reached_s = 0.0

    def take(self, query: zenoh.Query) -> None:
        self.reached_s = time.monotonic()
        query.reply(query.key_expr, b"")
        query.drop()

    def ask(self, payload: bytes) -> float:
        """Seconds until the query has reached the other tier; 0 where nobody has answered."""
        began_s = time.monotonic()
        replies = list(self.near.get(work_key(1), payload=payload, timeout=20))
        return self.reached_s - began_s if replies and replies[0].ok else 0.0


KBIT_500, MBIT_10, MBIT_500 = Link(500e3, 0.006), Link(10e6, 0.04), Link(500e6, 0.05)


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    port = free_port()
    with (
        EmulatedLink(request.param, target=("127.0.0.1", port)) as link,
        router(port=port, toward_cloud=None, host="127.0.0.1") as far,
        router(port=free_port(), toward_cloud=f"127.0.0.1:{link.port}", host="127.0.0.1") as near,
    ):
        pair = Pair(link, near)
        with far.declare_queryable(work_key(1), pair.take):
            until_s = time.monotonic() + 20
            while not pair.ask(b""):
                assert time.monotonic() < until_s, "the tiers never found each other"
                time.sleep(0.05)
            yield pair


@pytest.mark.parametrize(
    ("pair", "size_bytes"),
    [(KBIT_500, 25_000), (MBIT_10, 25_000), (MBIT_10, 200_000), (MBIT_500, 200_000)],
    indirect=["pair"],
)
def test_a_query_is_no_faster_than_its_bytes(pair: Pair, size_bytes: int) -> None:
    """How much slower it is, `benchmarks/links.py` measures."""
    link = pair.link.link
    assert pair.ask(bytes(size_bytes)) >= size_bytes * 8 / link.bandwidth_bits_per_s + link.latency_s


@pytest.mark.parametrize(
    ("pair", "size_bytes"), [(MBIT_10, size) for size in (0, 1000, 25_000, 200_000)], indirect=["pair"]
)
def test_zenoh_adds_little_to_a_payload(pair: Pair, size_bytes: int) -> None:
    before = pair.link.traffic().forward.taken_bytes
    assert pair.ask(bytes(size_bytes))
    added = pair.link.traffic().forward.taken_bytes - before - size_bytes
    assert 0 < added <= QUERY_BYTES + FRAGMENT_BYTES * (size_bytes // BATCH_BYTES + 1)


def test_a_message_that_keeps_a_link_busy_for_long_arrives() -> None:
    """Zenoh drops what a link has no room for in five seconds, unless it is told how long that takes."""
    slow, port = Link(50e3, 0.006), free_port()
    longest_send_s = 40_000 * 8 / slow.bandwidth_bits_per_s
    with (
        EmulatedLink(slow, target=("127.0.0.1", port)) as link,
        router(port=port, toward_cloud=None, host="127.0.0.1") as far,
        router(
            port=free_port(), toward_cloud=f"127.0.0.1:{link.port}", host="127.0.0.1", longest_send_s=longest_send_s
        ) as near,
    ):
        pair = Pair(link, near)
        with far.declare_queryable(work_key(1), pair.take):
            until_s = time.monotonic() + 20
            while not pair.ask(b""):
                assert time.monotonic() < until_s, "the tiers never found each other"
                time.sleep(0.05)
            assert pair.ask(bytes(40_000)) > longest_send_s > 5
