"""The link emulator in real time: bytes arrive in order, unchanged, in both directions, and never too early."""

import contextlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.topology import Link
from offramp.errors import OfframpError
from offramp.runtime.emulation.link import EmulatedLink

KBIT_500 = Link(bandwidth_bits_per_s=500e3, latency_s=0.006)
MBIT_10 = Link(bandwidth_bits_per_s=10e6, latency_s=0.04)
MBIT_500 = Link(bandwidth_bits_per_s=500e6, latency_s=0.05)
QUICK = Link(bandwidth_bits_per_s=1e9, latency_s=0.001)


def in_theory(link: Link, *sizes_bytes: int) -> float:
    return sum(sizes_bytes) * 8 / link.bandwidth_bits_per_s + link.latency_s


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(10)
        yield server


def connected(link: EmulatedLink) -> socket.socket:
    near = socket.create_connection(("127.0.0.1", link.port), timeout=10)
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near


@contextlib.contextmanager
def joined(link: Link) -> Iterator[tuple[EmulatedLink, socket.socket, socket.socket]]:
    """The link, the end that has connected to it and the end it has connected to."""
    with (
        listening() as server,
        EmulatedLink(link, target=server.getsockname()) as emulated,
        connected(emulated) as near,
        server.accept()[0] as far,
    ):
        far.settimeout(10)
        yield emulated, near, far


def received(end: socket.socket, size_bytes: int) -> bytes:
    data = memoryview(bytearray(size_bytes))
    read = 0
    while read < size_bytes:
        more = end.recv_into(data[read:])
        assert more, "the connection ended"
        read += more
    return bytes(data)


def received_all(end: socket.socket) -> bytes:
    return b"".join(iter(lambda: end.recv(65536), b""))


def sent(sender: socket.socket, receiver: socket.socket, *sizes_bytes: int) -> list[float]:
    """Send messages back to back. Returns how many seconds after the start each had arrived."""
    arrived_s: list[float] = []

    def receive() -> None:
        for size_bytes in sizes_bytes:
            received(receiver, size_bytes)
            arrived_s.append(time.monotonic())

    messages = [bytes(size_bytes) for size_bytes in sizes_bytes]
    thread = threading.Thread(target=receive)
    thread.start()
    began_s = time.monotonic()
    for message in messages:
        sender.sendall(message)
    thread.join()
    return [moment_s - began_s for moment_s in arrived_s]


def assert_not_too_early(times_s: list[float], theory_s: list[float]) -> None:
    """How late they are depends on the machine: `benchmarks/links.py` measures it."""
    assert all(time_s >= least_s for time_s, least_s in zip(times_s, theory_s, strict=True)), (times_s, theory_s)


@pytest.mark.parametrize(
    ("link", "size_bytes"),
    [(KBIT_500, 25_000), (MBIT_10, 25_000), (MBIT_10, 200_000), (MBIT_500, 25_000), (MBIT_500, 2_000_000)],
)
def test_no_message_is_faster_than_its_bits_over_the_bandwidth_and_the_latency(link: Link, size_bytes: int) -> None:
    with joined(link) as (_, near, far):
        assert_not_too_early(sent(near, far, size_bytes), [in_theory(link, size_bytes)])
        assert_not_too_early(sent(far, near, size_bytes), [in_theory(link, size_bytes)])


def test_messages_share_the_bandwidth() -> None:
    with joined(MBIT_10) as (_, near, far):
        theory_s = [in_theory(MBIT_10, *[25_000] * count) for count in (1, 2, 3)]
        assert_not_too_early(sent(near, far, *[25_000] * 3), theory_s)


def test_connections_share_the_bandwidth() -> None:
    with (
        listening() as server,
        EmulatedLink(MBIT_10, target=server.getsockname()) as emulated,
        connected(emulated) as near_a,
        server.accept()[0] as far_a,
        connected(emulated) as near_b,
        server.accept()[0] as far_b,
    ):
        began_s = time.monotonic()
        threads = [threading.Thread(target=sent, args=[*pair, 100_000]) for pair in ((near_a, far_a), (near_b, far_b))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - began_s >= in_theory(MBIT_10, 100_000, 100_000)


@pytest.fixture(scope="module")
def quick_link() -> Iterator[tuple[EmulatedLink, socket.socket]]:
    with listening() as server, EmulatedLink(QUICK, target=server.getsockname()) as emulated:
        yield emulated, server


@settings(max_examples=30, deadline=None)
@given(
    forth=st.lists(st.integers(1, 200) | st.integers(1, 50_000), max_size=8),
    back=st.lists(st.integers(1, 200), max_size=8),
    randomness=st.randoms(use_true_random=False),
)
def test_bytes_arrive_unchanged_and_one_end_may_close_before_the_other(
    quick_link: tuple[EmulatedLink, socket.socket], forth: list[int], back: list[int], randomness: random.Random
) -> None:
    emulated, server = quick_link
    pieces_forth, pieces_back = ([randomness.randbytes(size) for size in sizes] for sizes in (forth, back))
    with connected(emulated) as near, server.accept()[0] as far:
        far.settimeout(10)
        for piece in pieces_forth:
            near.sendall(piece)
        near.shutdown(socket.SHUT_WR)
        assert received_all(far) == b"".join(pieces_forth)
        for piece in pieces_back:
            far.sendall(piece)
        far.close()
        assert received_all(near) == b"".join(pieces_back)


def test_a_cut_link_ends_connections_and_refuses_others_until_it_is_restored() -> None:
    with joined(MBIT_10) as (emulated, near, far):
        near.sendall(bytes(100_000))
        emulated.cut()
        with contextlib.suppress(ConnectionResetError):
            assert len(received_all(far)) < 100_000
        with contextlib.suppress(ConnectionResetError):
            assert received_all(near) == b""
        with pytest.raises(ConnectionResetError), connected(emulated) as refused:
            refused.recv(1)
        eventually(lambda: emulated.traffic().connections == 0)


def test_a_restored_link_carries_new_connections() -> None:
    with listening() as server, EmulatedLink(QUICK, target=server.getsockname()) as emulated:
        for _ in range(3):
            with connected(emulated) as near, server.accept()[0] as far:
                near.sendall(b"there")
                assert received(far, 5) == b"there"
                far.sendall(b"back")
                assert received(near, 4) == b"back"
                emulated.cut()
                emulated.restore()


def test_a_stalled_link_holds_bytes_back_and_keeps_the_connection() -> None:
    with joined(QUICK) as (emulated, near, far):
        emulated.stall()
        message = bytes(range(256)) * 40
        near.sendall(message)
        far.settimeout(0.3)
        with pytest.raises(TimeoutError):
            far.recv(1)
        emulated.restore()
        far.settimeout(10)
        assert received(far, len(message)) == message


def test_a_stalled_link_can_be_cut() -> None:
    with joined(QUICK) as (emulated, near, far):
        emulated.stall()
        near.sendall(b"lost")
        emulated.cut()
        assert received_all(far) == b""
        emulated.restore()


def test_a_link_can_become_slower_and_what_it_was() -> None:
    with joined(MBIT_500) as (emulated, near, far):
        for change, theory_s in (
            (lambda: emulated.slow(40), 40 * in_theory(MBIT_500, 25_000)),
            (lambda: emulated.become(KBIT_500), in_theory(KBIT_500, 25_000)),
            (emulated.restore, in_theory(MBIT_500, 25_000)),
        ):
            change()
            assert_not_too_early(sent(near, far, 25_000), [theory_s])


def test_a_sender_is_held_back_by_the_link() -> None:
    link = Link(bandwidth_bits_per_s=100e6, latency_s=0.01)
    with joined(link) as (_, near, far):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        near.settimeout(30)
        reader = threading.Thread(target=received, args=[far, 5_000_000])
        reader.start()
        began_s = time.monotonic()
        near.sendall(bytes(5_000_000))
        sent_s = time.monotonic() - began_s
        reader.join()
        # All but what the link and the buffers at its ends hold has left the sender at the bandwidth.
        assert sent_s > (5_000_000 - 1_000_000) * 8 / link.bandwidth_bits_per_s


def test_a_sender_is_held_back_by_a_receiver_that_does_not_read() -> None:
    with joined(Link(bandwidth_bits_per_s=100e6, latency_s=0.01)) as (_, near, far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        near.settimeout(0.5)
        sent_bytes = 0
        with contextlib.suppress(TimeoutError):
            while sent_bytes < 5_000_000:
                sent_bytes += near.send(bytes(10_000))
        assert sent_bytes < 2_000_000
        far.settimeout(10)
        received(far, sent_bytes)


def test_a_link_waits_for_its_target_and_finds_it_again() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))  # and refuses connections, since it does not listen yet
        address = server.getsockname()
        with EmulatedLink(QUICK, target=address) as emulated, connected(emulated) as near:
            near.sendall(b"early")
            time.sleep(0.1)
            server.listen()
            server.settimeout(10)
            with server.accept()[0] as far:
                assert received(far, 5) == b"early"
            assert received_all(near) == b""


def test_a_peer_that_gives_up_before_the_target_is_there_is_forgotten() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        with EmulatedLink(QUICK, target=server.getsockname()) as emulated:
            with connected(emulated) as near:
                near.sendall(b"early")
                eventually(lambda: emulated.traffic().connections == 1)
            eventually(lambda: emulated.traffic().connections == 0)


def test_what_a_link_has_carried_is_counted() -> None:
    with joined(QUICK) as (emulated, near, far):
        for size_bytes in (100, 20, 3):
            near.sendall(bytes(size_bytes))
            received(far, size_bytes)
        far.sendall(bytes(50))
        received(near, 50)
        eventually(lambda: emulated.traffic().backward.delivered_bytes == 50)
        traffic = emulated.traffic()
        assert (traffic.forward.taken_bytes, traffic.forward.delivered_bytes, traffic.forward.bursts) == (123, 123, 3)
        assert (traffic.backward.taken_bytes, traffic.backward.bursts) == (50, 1)


def test_a_link_that_does_not_run_says_so() -> None:
    emulated = EmulatedLink(QUICK, target=("127.0.0.1", 1))
    with pytest.raises(OfframpError, match="start it first"):
        emulated.cut()
    with emulated:
        assert emulated._process is not None
        emulated._process.kill()
        with pytest.raises(OfframpError, match="exit code -9"):
            emulated.cut()


def test_a_link_ends_with_the_process_that_started_it() -> None:
    program = (
        "import time; from offramp.core.topology import Link\n"
        "from offramp.runtime.emulation.link import EmulatedLink\n"
        "link = EmulatedLink(Link(1e6, 0.0), target=('127.0.0.1', 1)); link.start()\n"
        "print(link.port, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        eventually(lambda: _refuses(port))


def _refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def eventually(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until_s, "it never came to that"
        time.sleep(0.01)
