"""Certificates for a deployment: one for each tier and one for clients, each trusted by its neighbors alone.

There is no common certificate authority. With one, Zenoh's access control would keep a party from receiving what is
not meant for it, but not from connecting to two tiers: Zenoh would then route through that party, and nothing would
arrive. So every tier has its neighbors' certificates, and TLS itself refuses whoever is no neighbor.
"""

import ipaddress
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from offramp.core.topology import Topology
from offramp.deploy.names import label
from offramp.errors import Fault, InputError, fail, refuse
from offramp.runtime.transport.tls import CERTIFICATE, CLIENT, KEY, TRUSTED

# X.509's limit for what a name in a certificate may hold.
_MOST_NAME_BYTES = 64
# Clocks of small devices are late until something sets them.
_EARLIER = timedelta(days=1)


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What one party needs, as PEM.

    trusted: the certificates of those that may be at the other end of a link.
    hosts: the names and addresses under which others find it.
    until: when its certificate ends.
    """

    trusted: bytes
    certificate: bytes
    key: bytes
    hosts: tuple[str, ...]
    until: datetime


def default_hosts(tier: str) -> tuple[str, ...]:
    """A tier's addresses where none are given: its service's name, in the local network, on this machine."""
    return label(tier), f"{label(tier)}.local", "localhost", "127.0.0.1", "::1"


def issue(
    topology: Topology, *, deployment: str, days: int, hosts: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Credentials]:
    """Certificates for the tiers, which trust their neighbors, and for `client`, which source and destination trust.

    days: how long they are valid from now.
    hosts: more names and addresses of tiers.
    Raises `InputError` for names that can't stand in certificates.
    """
    tiers, hosts = [tier.name for tier in topology.tiers], hosts or {}
    refuse(_faults(tiers, hosts))
    now = datetime.now(UTC).replace(microsecond=0)
    valid = now - _EARLIER, now + timedelta(days=days)
    addresses = {tier: tuple(dict.fromkeys((*default_hosts(tier), *hosts.get(tier, ())))) for tier in tiers}
    peers = {tier: [*tiers[max(j - 1, 0) : j], *tiers[j + 1 : j + 2]] for j, tier in enumerate(tiers)} | {CLIENT: []}
    for tier in {topology.source, topology.destination}:
        peers[tier].append(CLIENT)
        peers[CLIENT].append(tier)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in peers}
    certificates = {
        name: _certificate(name, key, deployment=deployment, hosts=addresses.get(name, ()), valid=valid)
        for name, key in keys.items()
    }
    return {
        name: Credentials(
            trusted=b"".join(certificates[peer] for peer in peers[name]),
            certificate=certificates[name],
            key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            hosts=addresses.get(name, ()),
            until=valid[1],
        )
        for name, key in keys.items()
    }


def write_credentials(credentials: Mapping[str, Credentials], folder: Path) -> None:
    """Make `folder`, with one folder for each party that only its owner can read.

    Raises `InputError` where `folder` exists or can't be made.
    """
    if folder.exists():
        fail(str(folder), "exists, and keys are not overwritten", "give another folder, or delete that one first")
    part = folder.parent / f".{secrets.token_hex(8)}.part"
    try:
        part.mkdir(mode=0o700, parents=True)
        for name, party in credentials.items():
            (part / name).mkdir(mode=0o700)
            for file, data in ((TRUSTED, party.trusted), (CERTIFICATE, party.certificate), (KEY, party.key)):
                path = part / name / file
                path.touch(mode=0o600)
                path.write_bytes(data)
        part.rename(folder)
    except OSError as error:
        fault = Fault("--out", f"can't be written: {error.strerror}", "give a folder where there is room")
        raise InputError([fault], source=str(folder)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _faults(tiers: Sequence[str], hosts: Mapping[str, Sequence[str]]) -> Iterator[Fault]:
    for tier in tiers:
        if tier == CLIENT:
            yield Fault("tiers", f"one is named {tier!r}, as clients are", "rename it in the topology and build again")
        if len(tier.encode()) > _MOST_NAME_BYTES or tier in (".", "..") or set(tier) & set("/\\\0"):
            remedy = f"use a name of at most {_MOST_NAME_BYTES} bytes without slashes"
            yield Fault("tiers", f"{tier!r} can't stand in a certificate or be a folder", remedy)
    for tier, names in hosts.items():
        if tier not in tiers:
            yield Fault("--host", f"there is no tier {tier!r}", f"use one of {', '.join(tiers)}")
        for name in names:
            try:
                _host(name)
            except ValueError:
                yield Fault("--host", f"{name!r} is neither a host's name nor an address", "give e.g. edge.example.org")


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if not host or not all(c.isascii() and (c.isalnum() or c in "-.") for c in host):
            raise
        return x509.DNSName(host)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    deployment: str,
    hosts: Sequence[str],
    valid: tuple[datetime, datetime],
) -> bytes:
    """A certificate signed by its own key; without hosts it is a client's, and not for listening with."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"offramp {deployment}"[:_MOST_NAME_BYTES]),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
