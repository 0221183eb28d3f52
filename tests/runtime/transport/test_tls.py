"""Real Zenoh sessions over TLS on this machine: who may speak does, over several hops, and others hear nothing."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import zenoh

from offramp.core.topology import Link, Tier, Topology
from offramp.deploy.certificates import issue, write_credentials
from offramp.errors import InputError
from offramp.runtime.emulation.link import EmulatedLink
from offramp.runtime.transport import zenoh_session
from offramp.runtime.transport.keys import client_key, result_key, work_key
from offramp.runtime.transport.tls import CERTIFICATE, KEY, TRUSTED, tls_config
from offramp.runtime.transport.zenoh_transport import alive_key
from tests.runtime.places import free_port

TIERS = ["watch", "phone", "cloud"]
LONGEST_S = 10.0


def topology(*tiers: str) -> Topology:
    links = (Link(1e6, 0.01),) * (len(tiers) - 1)
    return Topology("line", tiers[0], tiers[0], tuple(Tier(name, 1.0) for name in tiers), links)


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployment") / "certs"
    write_credentials(issue(topology(*TIERS), deployment="5f2a", days=1), folder)
    return folder


@pytest.fixture(scope="module")
def other_certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same names, of another deployment."""
    folder = tmp_path_factory.mktemp("other") / "certs"
    write_credentials(issue(topology(*TIERS), deployment="5f2a", days=1), folder)
    return folder


@pytest.fixture(scope="module")
def gullible_certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TLS trusts everyone, as with one authority for all: access control is alone."""
    folder = tmp_path_factory.mktemp("gullible") / "certs"
    write_credentials(issue(topology(*TIERS, "stranger"), deployment="5f2a", days=1), folder)
    everyone = b"".join((party / CERTIFICATE).read_bytes() for party in folder.iterdir())
    for party in folder.iterdir():
        (party / TRUSTED).write_bytes(everyone)
    return folder


class Line:
    """The tiers in a line; each answers what it is asked with its own name and notes it."""

    def __init__(self, certs: Path, stack: ExitStack) -> None:
        self.ports = [free_port() for _ in TIERS]
        self.heard: list[list[bytes]] = [[] for _ in TIERS]
        self.sessions = []
        for j, name in enumerate(TIERS):
            allowed = [*TIERS[max(j - 1, 0) : j], *TIERS[j + 1 : j + 2], "client"]
            onward = f"localhost:{self.ports[j + 1]}" if j + 1 < len(TIERS) else None
            security = tls_config(certs / name, allowed)
            session = zenoh_session.router(port=self.ports[j], host="127.0.0.1", toward_cloud=onward, security=security)
            self.sessions.append(stack.enter_context(session))
            for key in (work_key(j), result_key(j)):
                stack.enter_context(session.declare_queryable(key, self.taker(j)))
            stack.enter_context(session.liveliness().declare_token(alive_key(str(j))))
        wait_for(self.works)

    def taker(self, j: int) -> Callable[[zenoh.Query], None]:
        def take(query: zenoh.Query) -> None:
            with query:
                self.heard[j].append(bytes(query.payload or b""))
                query.reply(query.key_expr, TIERS[j].encode())

        return take

    def works(self) -> bool:
        return asked(self.sessions[0], 2) == [b"cloud"] and asked(self.sessions[2], 0) == [b"watch"]

    def place(self, j: int, host: str = "127.0.0.1") -> str:
        return f"{host}:{self.ports[j]}"


@pytest.fixture(scope="module")
def line(certs: Path) -> Iterator[Line]:
    with ExitStack() as stack:
        yield Line(certs, stack)


@pytest.fixture(scope="module")
def gullible_line(gullible_certs: Path) -> Iterator[Line]:
    with ExitStack() as stack:
        yield Line(gullible_certs, stack)


def wait_for(condition: Callable[[], Any]) -> None:
    until_s = time.monotonic() + LONGEST_S
    while not condition():
        assert time.monotonic() < until_s, "it never came to be"
        time.sleep(0.05)


def asked(session: zenoh.Session, j: int, payload: bytes = b"hello", key: str = "") -> list[bytes]:
    replies = session.get(key or work_key(j), payload=payload, timeout=2.0)
    return [bytes(reply.ok.payload) for reply in replies if reply.ok is not None]


def seen(session: zenoh.Session) -> set[str]:
    replies = session.liveliness().get(alive_key("*"), timeout=2.0)
    return {str(reply.ok.key_expr) for reply in replies if reply.ok is not None}


def client(line: Line, j: int, folder: Path, allowed: Sequence[str] = TIERS, host: str = "127.0.0.1") -> zenoh.Session:
    return zenoh_session.client(tier=line.place(j, host), security=tls_config(folder, allowed))


def overheard(line: Line, intruder: zenoh.Session) -> set[str]:
    """What someone linked to the first tier hears by listening to all there is and passing for a tier."""
    heard: list[str] = []

    def take(query: zenoh.Query) -> None:
        with query:
            heard.append(str(query.key_expr))
            query.reply(query.key_expr, b"stolen")

    with ExitStack() as stack:
        for key in (work_key(7), result_key(7), "offramp/7/**"):
            stack.enter_context(intruder.declare_queryable(key, take))
        stack.enter_context(intruder.liveliness().declare_token(alive_key("7")))
        for key in ("offramp/**", "**"):
            stack.enter_context(intruder.declare_subscriber(key, lambda sample: heard.append(str(sample.key_expr))))
        time.sleep(0.3)
        for session in line.sessions[:2]:
            for key in (work_key(7), result_key(7)):
                asked(session, 7, b"for tier 7", key)
            session.put("offramp/news", b"news")
            heard += seen(session) & {alive_key("7")}
        time.sleep(0.3)
    return set(heard)


def answered(intruder: zenoh.Session) -> set[str]:
    """Where from someone linked to the first tier has answers to all there is, beside the work and the own session."""
    own = f"@/{intruder.info.zid()}"
    replies = [
        reply.ok
        for key in (result_key(0), result_key(1), "offramp/**", "**", "@/**")
        for reply in intruder.get(key, payload=b"intruding", timeout=2.0)
        if reply.ok is not None
    ]
    return {str(reply.key_expr) for reply in replies if not str(reply.key_expr).startswith(own)}


def test_tiers_reach_each_other_over_several_hops(line: Line) -> None:
    large = bytes(range(256)) * 1000
    assert asked(line.sessions[0], 2, large) == [b"cloud"]
    assert line.heard[2][-1] == large
    assert asked(line.sessions[2], 0, large) == [b"watch"]
    assert line.heard[0][-1] == large


def test_the_end_of_a_message_waits_for_no_keep_alive(certs: Path) -> None:
    """What a full socket leaves in TLS's own buffer: with usual keep-alives each message here takes 2.5 s longer."""
    port = free_port()
    near_security, far_security = tls_config(certs / "watch", ["phone"]), tls_config(certs / "phone", ["watch"])
    with (
        EmulatedLink(Link(4e6, 0.01), target=("127.0.0.1", port)) as link,
        zenoh_session.router(port=port, toward_cloud=None, host="127.0.0.1", security=far_security) as far,
        zenoh_session.router(
            port=free_port(), toward_cloud=f"localhost:{link.port}", host="127.0.0.1", security=near_security
        ) as near,
        far.declare_queryable(work_key(1), lambda query: query.reply(query.key_expr, b"phone")),
    ):
        wait_for(lambda: asked(near, 1) == [b"phone"])
        assert [asked(near, 1, bytes(100_000)) for _ in range(5)] == [[b"phone"]] * 5


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_client_asks_takes_answers_and_sees_who_is_there(line: Line, certs: Path, host: str) -> None:
    answers: list[bytes] = []

    def take(query: zenoh.Query) -> None:
        with query:
            answers.append(bytes(query.payload or b""))
            query.reply(query.key_expr, b"thanks")

    with client(line, 0, certs / "client", ["watch"], host) as session:
        with session.declare_queryable(client_key("ab12"), take):
            assert asked(session, 2) == [b"cloud"]
            wait_for(lambda: asked(line.sessions[2], 0, b"42", client_key("ab12")) == [b"thanks"])
        assert seen(session) == {alive_key(str(j)) for j in range(3)}
    assert set(answers) == {b"42"}


def test_a_client_does_nothing_else(line: Line, certs: Path) -> None:
    """It does not take a tier's work from it, nor pass for one, nor end requests."""
    with client(line, 0, certs / "client") as session:
        assert asked(session, 0) == [b"watch"]
        assert overheard(line, session) == set()
        assert answered(session) == set()
    assert all(b"intruding" not in heard for heard in line.heard)


def test_whoever_is_no_neighbor_is_refused(line: Line, certs: Path, other_certs: Path) -> None:
    """Another deployment's tiers of the same names, tiers from elsewhere on the line, clients where none come."""
    for j, folder in ((0, other_certs / "client"), (0, other_certs / "phone"), (0, certs / "cloud")):
        with pytest.raises(zenoh.ZError):
            client(line, j, folder)
    with pytest.raises(zenoh.ZError):
        client(line, 1, certs / "client")


def test_without_a_certificate_one_is_refused(line: Line, certs: Path) -> None:
    with pytest.raises(zenoh.ZError):
        zenoh_session.client(tier=line.place(0))
    security = tls_config(certs / "client", ["watch"])
    bare = {key: value for key, value in security.items() if "connect_" not in key or "verify" in key}
    assert len(bare) == len(security) - 2
    with pytest.raises(zenoh.ZError):
        zenoh_session.client(tier=line.place(0), security=bare)


def test_a_tier_can_not_leave_the_line(line: Line, certs: Path, gullible_line: Line, gullible_certs: Path) -> None:
    """A link from the cloud to the watch would be the shortest way between them, and lead nowhere."""
    shortcut = {"port": free_port(), "host": "127.0.0.1"}
    security = tls_config(gullible_certs / "cloud", TIERS)
    with zenoh_session.router(**shortcut, toward_cloud=gullible_line.place(0), security=security) as router:
        wait_for(lambda: [*router.info.routers_zid()])  # so that what follows can fail
    security = tls_config(certs / "cloud", TIERS)
    with zenoh_session.router(**shortcut, toward_cloud=line.place(0), security=security) as router:
        time.sleep(1.0)
        assert not [*router.info.routers_zid()]
        assert line.works()


def test_a_silent_stranger_keeps_nobody_out(line: Line, certs: Path) -> None:
    """A client is served while the stranger is connected, not only once Zenoh has given that up."""
    with socket.create_connection(("127.0.0.1", line.ports[0])) as stranger:
        with client(line, 0, certs / "client") as session:
            assert asked(session, 0) == [b"watch"]
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(1)


def test_where_access_is_allowed_it_shows(gullible_line: Line, gullible_certs: Path) -> None:
    """So that the tests of what is not allowed can fail."""
    with client(gullible_line, 0, gullible_certs / "phone") as neighbor:
        everything = {work_key(7), result_key(7), alive_key("7"), "offramp/news"}
        assert overheard(gullible_line, neighbor) == everything
        assert {result_key(0), result_key(1)} <= answered(neighbor)
    assert b"intruding" in gullible_line.heard[2]


@pytest.mark.parametrize("name", ["stranger", "cloud"])
def test_access_is_by_name_even_where_tls_trusts(gullible_line: Line, gullible_certs: Path, name: str) -> None:
    with client(gullible_line, 0, gullible_certs / name) as session:
        assert asked(session, 0) == []
        assert seen(session) == set()
        assert overheard(gullible_line, session) == set()
        assert answered(session) == set()


def test_a_stranger_that_routes_hears_nothing(gullible_line: Line, gullible_certs: Path) -> None:
    security = tls_config(gullible_certs / "stranger", TIERS)
    with zenoh_session.router(
        port=free_port(), toward_cloud=gullible_line.place(0), host="127.0.0.1", security=security
    ) as router:
        wait_for(lambda: [*router.info.routers_zid()])
        assert asked(router, 0) == []
        assert overheard(gullible_line, router) == set()
        assert answered(router) == set()
        assert gullible_line.works()


def test_a_tier_tells_nothing_to_a_next_tier_of_another_name(gullible_certs: Path) -> None:
    port = free_port()
    security = tls_config(gullible_certs / "stranger", ["watch"])
    heard: list[str] = []
    with zenoh_session.router(port=port, toward_cloud=None, security=security) as impostor:
        impostor.declare_queryable(work_key(1), lambda query: heard.append(str(query.key_expr)))
        security = tls_config(gullible_certs / "watch", ["phone"])
        with zenoh_session.router(port=free_port(), toward_cloud=f"localhost:{port}", security=security) as tier:
            wait_for(lambda: [*tier.info.routers_zid()])
            time.sleep(0.3)
            assert asked(tier, 1) == []
    assert heard == []


@pytest.mark.parametrize(("who", "host"), [("client", "127.0.0.1"), ("watch", "127.0.0.2")])
def test_one_does_not_talk_to_impostors(gullible_certs: Path, who: str, host: str) -> None:
    """A client that listens is no tier; a tier that is elsewhere than its certificate says may be another."""
    port = free_port()
    security = tls_config(gullible_certs / who, ["client"])
    with zenoh_session.router(port=port, toward_cloud=None, host=host, security=security), pytest.raises(zenoh.ZError):
        zenoh_session.client(tier=f"{host}:{port}", security=tls_config(gullible_certs / "client", TIERS))


def test_a_tier_is_found_where_its_certificate_was_told(tmp_path: Path) -> None:
    write_credentials(
        issue(topology("watch"), deployment="5f2a", days=1, hosts={"watch": ["127.0.0.2"]}), tmp_path / "c"
    )
    port = free_port()
    security = tls_config(tmp_path / "c" / "watch", ["client"])
    with zenoh_session.router(port=port, toward_cloud=None, host="127.0.0.2", security=security):
        zenoh_session.client(
            tier=f"127.0.0.2:{port}", security=tls_config(tmp_path / "c" / "client", ["watch"])
        ).close()


def test_what_is_missing_is_named(certs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        tls_config(tmp_path, TIERS)
    assert {fault.place for fault in error.value.faults} == {TRUSTED, CERTIFICATE, KEY}
    assert "offramp certs" in str(error.value)
    for name in (TRUSTED, CERTIFICATE, KEY):
        (tmp_path / name).write_bytes((certs / "watch" / name).read_bytes())
    assert tls_config(tmp_path, TIERS)
    (tmp_path / KEY).write_bytes((certs / "phone" / KEY).read_bytes())
    with pytest.raises(InputError, match="does not belong to"):
        tls_config(tmp_path, TIERS)
    (tmp_path / KEY).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="can't be read"):
        tls_config(tmp_path, TIERS)


def test_certificates_end(tmp_path: Path) -> None:
    write_credentials(issue(topology(*TIERS), deployment="5f2a", days=-1), tmp_path / "certs")
    with pytest.raises(InputError, match=r"was valid until .*; make new ones for the whole deployment"):
        tls_config(tmp_path / "certs" / "watch", TIERS)


def test_certificates_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine whose clock is behind."""
    monkeypatch.setattr("offramp.deploy.certificates._EARLIER", timedelta(days=-1))
    write_credentials(issue(topology(*TIERS), deployment="5f2a", days=9), tmp_path / "certs")
    with pytest.raises(InputError, match=r"is valid from .*, which has not come yet; set this machine's clock"):
        tls_config(tmp_path / "certs" / "watch", TIERS)
