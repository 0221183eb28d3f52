"""Certificates for a deployment: an authority that signs once, one for each tier, one for clients."""

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

from offramp.deploy.names import label
from offramp.errors import Fault, InputError, fail, refuse
from offramp.runtime.security import AUTHORITY, CERTIFICATE, CLIENT, KEY

# X.509's limit for what a name in a certificate may hold.
_MOST_NAME_BYTES = 64
# Clocks of small devices are late until something sets them.
_EARLIER = timedelta(days=1)


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What one party needs, as PEM.

    hosts: the names and addresses under which others may find it.
    until: when its certificate ends.
    """

    authority: bytes
    certificate: bytes
    key: bytes
    hosts: tuple[str, ...]
    until: datetime


def default_hosts(tier: str) -> tuple[str, ...]:
    """Where a tier may be found without being told: its service's name, in the local network, on this machine."""
    return label(tier), f"{label(tier)}.local", "localhost", "127.0.0.1", "::1"


def issue(
    tiers: Sequence[str], *, deployment: str, days: int, hosts: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Credentials]:
    """Certificates for the tiers and for `client`, from an authority whose key is then forgotten.

    days: how long they are valid from now.
    hosts: more names and addresses of tiers.
    Raises `InputError` for names that can't stand in certificates.
    """
    hosts = hosts or {}
    refuse(_faults(tiers, hosts))
    now = datetime.now(UTC).replace(microsecond=0)
    valid = now - _EARLIER, now + timedelta(days=days)
    signing = ec.generate_private_key(ec.SECP256R1())
    issuer = _name(f"offramp {deployment}"[:_MOST_NAME_BYTES])
    authority = (
        _begun(issuer, issuer, signing.public_key(), signing.public_key(), valid)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(signing, SHA256())
        .public_bytes(Encoding.PEM)
    )

    def credentials(name: str, found_at: tuple[str, ...]) -> Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        # A client's certificate is not for listening with: it must not pass for a tier.
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if found_at else [])]
        builder = (
            _begun(_name(name), issuer, key.public_key(), signing.public_key(), valid)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        )
        if found_at:
            names = x509.SubjectAlternativeName([_host(host) for host in found_at])
            builder = builder.add_extension(names, critical=False)
        return Credentials(
            authority=authority,
            certificate=builder.sign(signing, SHA256()).public_bytes(Encoding.PEM),
            key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            hosts=found_at,
            until=valid[1],
        )

    found_at = {tier: tuple(dict.fromkeys((*default_hosts(tier), *hosts.get(tier, ())))) for tier in tiers}
    return {name: credentials(name, found_at.get(name, ())) for name in (*tiers, CLIENT)}


def write_credentials(credentials: Mapping[str, Credentials], folder: Path) -> None:
    """Make `folder`, with one folder for each party that only its owner can read.

    Raises `InputError` where `folder` exists or can't be made.
    """
    if folder.exists():
        fail(str(folder), "exists, and keys are not overwritten", "give another folder, or delete that one first")
    part = folder.parent / f".{secrets.token_hex(8)}.part"
    try:
        part.mkdir(mode=0o700, parents=True)
        for name, each in credentials.items():
            (part / name).mkdir(mode=0o700)
            for file, data in ((AUTHORITY, each.authority), (CERTIFICATE, each.certificate), (KEY, each.key)):
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


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signing: ec.EllipticCurvePublicKey,
    valid: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    """What all certificates have in common."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
