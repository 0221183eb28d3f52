"""`offramp certs`: what it writes, to whom TLS (OpenSSL's, not Zenoh's) lets speak with it, and what it refuses."""

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typer.testing import CliRunner

from offramp.cli.certifying import certs
from offramp.errors import InputError
from tests.deploy.bundles import bundle, written

APP = typer.Typer()
APP.command()(certs)


def run(folder: Path, *arguments: str) -> str:
    """What the command prints; an `InputError` is raised as it is."""
    result = CliRunner().invoke(APP, [str(folder), *arguments])
    if result.exception:
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples arise at the watch, answers are consumed at the phone."""
    folder = tmp_path_factory.mktemp("deployment")
    manifest = bundle("watch", "phone", "cloud", destination="phone")
    run(written(manifest, folder / "bundle"), "--out", str(folder / "certs"), "--days", "30", "--host", "phone=p.org")
    return folder / "certs"


def certificate(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "certificate.pem").read_bytes())


def test_each_party_has_a_folder_of_its_own_that_only_its_owner_reads(made: Path) -> None:
    assert {each.name for each in made.iterdir()} == {"watch", "phone", "cloud", "client"}
    for party in made.iterdir():
        assert stat.S_IMODE(party.stat().st_mode) == 0o700
        assert {each.name for each in party.iterdir()} == {"trusted.pem", "certificate.pem", "key.pem"}
        assert {stat.S_IMODE(each.stat().st_mode) for each in party.iterdir()} == {0o600}
        key = load_pem_private_key((party / "key.pem").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
    assert len({(party / "key.pem").read_bytes() for party in made.iterdir()}) == 4
    assert sorted(path.name for path in made.parent.iterdir()) == ["bundle", "certs"]


def test_certificates_say_who_where_and_until_when(made: Path) -> None:
    phone = certificate(made / "phone")
    (name,) = phone.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert name.value == "phone"
    found_at = phone.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found_at.get_values_for_type(x509.DNSName) == ["phone", "phone.local", "localhost", "p.org"]
    now = datetime.now(UTC)
    assert timedelta(days=29.9) < phone.not_valid_after_utc - now < timedelta(days=30)
    assert phone.not_valid_before_utc < now - timedelta(hours=12)


def test_each_party_trusts_whom_it_meets_and_no_one_else(made: Path) -> None:
    met = {"watch": ["phone", "client"], "phone": ["watch", "cloud", "client"], "cloud": ["phone"]}
    for party, others in {**met, "client": ["watch", "phone"]}.items():
        trusted = x509.load_pem_x509_certificates((made / party / "trusted.pem").read_bytes())
        assert {each.serial_number for each in trusted} == {certificate(made / each).serial_number for each in others}


def speak(server: Path, client: Path, *, host: str | None) -> bool:
    """Whether OpenSSL lets the two speak, with certificates on both sides; None for any host."""
    contexts = [ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)]
    for context, folder in zip(contexts, (server, client), strict=True):
        context.check_hostname = context.check_hostname and host is not None
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
        context.load_verify_locations(folder / "trusted.pem")
    ends = socket.socketpair()
    for end in ends:
        end.settimeout(5)
    told: list[bytes] = []

    def serve() -> None:
        try:
            with contexts[0].wrap_socket(ends[0], server_side=True) as secured:
                told.append(secured.recv(5))
                secured.sendall(b"hello")
        except OSError:
            ends[0].close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with contexts[1].wrap_socket(ends[1], server_hostname=host) as secured:
            secured.sendall(b"hello")
            return secured.recv(5) == b"hello" and told == [b"hello"]
    except OSError:
        return False
    finally:
        ends[1].close()
        thread.join()


def test_tls_lets_neighbors_speak_and_clients_where_they_come(made: Path) -> None:
    parties = ("watch", "phone", "cloud", "client")
    allowed = {
        (server, other)
        for server in parties[:3]
        for other in parties
        if speak(made / server, made / other, host=server)
    }
    assert allowed == {
        ("watch", "phone"),
        ("phone", "watch"),
        ("phone", "cloud"),
        ("cloud", "phone"),
        ("watch", "client"),
        ("phone", "client"),
    }


def test_tls_lets_no_client_pass_for_a_tier_and_no_tier_for_another(made: Path) -> None:
    assert speak(made / "phone", made / "watch", host="p.org")
    assert not speak(made / "phone", made / "watch", host="cloud")
    assert speak(made / "phone", made / "watch", host=None)
    assert not speak(made / "client", made / "watch", host=None)


def test_it_prints_where_tiers_may_be_found(made: Path, tmp_path: Path) -> None:
    output = run(written(bundle("Base-Station"), tmp_path / "b"), "--out", str(tmp_path / "certs"))
    assert "base-station-x" in output
    until = certificate(tmp_path / "certs" / "Base-Station").not_valid_after_utc
    assert f"Valid until {until:%Y-%m-%d}." in output


def test_keys_are_not_overwritten(made: Path, tmp_path: Path) -> None:
    before = (made / "watch" / "key.pem").read_bytes()
    with pytest.raises(InputError, match="exists, and keys are not overwritten"):
        run(written(bundle("watch"), tmp_path / "b"), "--out", str(made))
    assert (made / "watch" / "key.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("tiers", "hosts", "said"),
    [
        (["client", "cloud"], [], "one is named 'client'"),
        (["x" * 65], [], "can't stand in a certificate"),
        (["ü" * 33], [], "can't stand in a certificate"),
        (["watch"], ["phone=p.org"], "there is no tier 'phone'"),
        (["watch"], ["watch=a b"], "is neither a host's name nor an address"),
        (["watch"], ["watch="], "is neither a host's name nor an address"),
        (["watch"], ["p.org"], "write TIER=HOST"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path: Path, tiers: list[str], hosts: list[str], said: str) -> None:
    folder = written(bundle(*tiers), tmp_path / "b")
    with pytest.raises(InputError, match=said):
        run(folder, "--out", str(tmp_path / "certs"), *(text for host in hosts for text in ("--host", host)))
    assert not (tmp_path / "certs").exists()


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can't be written"):
        run(written(bundle("watch", "cloud"), tmp_path / "bundle"), "--out", str(tmp_path / "file" / "certs"))
