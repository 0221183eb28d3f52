"""Who may connect and what they may do: mutual TLS, and access control by the name in the peer's certificate.

Zenoh authenticates the peer at the other end of a link, not the origin of what the peer forwards. So a tier admits its
neighbors and clients, and trusts its neighbors to do the same. It also trusts clients not to route: one that connects
to source and destination and forwards between them reads nothing that is not its own, but disrupts their traffic.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from offramp.errors import Fault, fail, refuse
from offramp.files.sources import naming

# Files of a folder with certificates: the trusted ones, one's own, and one's private key.
TRUSTED, CERTIFICATE, KEY = "trusted.pem", "certificate.pem", "key.pem"
# The common name in the certificate that all clients share.
CLIENT = "client"

_EVERYTHING = (
    "put",
    "delete",
    "declare_subscriber",
    "query",
    "reply",
    "declare_queryable",
    "liveliness_token",
    "liveliness_query",
    "declare_liveliness_subscriber",
)
_REQUESTS = ["offramp/*/work", "offramp/*/plan"]
_ANSWERS = ["offramp/client/*"]
_ALIVE = ["offramp/*/alive"]
_TIER_RULES: Mapping[str, Mapping[str, Any]] = {
    "tier": {"flows": ["ingress", "egress"], "messages": _EVERYTHING, "key_exprs": ["offramp/**"]},
}
# From the tier's side: ingress is what comes from the client.
_CLIENT_RULES: Mapping[str, Mapping[str, Any]] = {
    "client requests": {"flows": ["ingress"], "messages": ["query"], "key_exprs": _REQUESTS},
    "client gets replies": {"flows": ["egress"], "messages": ["reply", "declare_queryable"], "key_exprs": _REQUESTS},
    "client takes answers": {"flows": ["egress"], "messages": ["query"], "key_exprs": _ANSWERS},
    "client acknowledges": {
        "flows": ["ingress"],
        "messages": ["reply", "declare_queryable"],
        "key_exprs": _ANSWERS,
    },
    "client queries presence": {
        "flows": ["ingress"],
        "messages": ["liveliness_query", "declare_liveliness_subscriber"],
        "key_exprs": _ALIVE,
    },
    "client sees presence": {"flows": ["egress"], "messages": ["liveliness_token", "reply"], "key_exprs": _ALIVE},
}


def tls_config(folder: Path, allowed: Sequence[str]) -> dict[str, Any]:
    """The part of a Zenoh configuration that admits only the peers in `allowed`.

    folder: with one's own certificate, its key and the trusted certificates, as `offramp certs` wrote them.
    allowed: names of tiers that may be at the other end of a link, and `client` for clients; a client may only send
        requests, take answers, and see which tiers are present.
    Raises `InputError` for certificates that are missing, don't belong together, are expired or not yet valid.
    """
    with naming(folder):
        _check(folder, datetime.now(UTC))
    subjects = {
        "tiers": [name for name in dict.fromkeys(allowed) if name != CLIENT],
        "clients": [name for name in (CLIENT,) if name in allowed],
    }
    rules = {"tiers": _TIER_RULES, "clients": _CLIENT_RULES}
    kinds = [kind for kind, names in subjects.items() if names]
    return {
        "transport/link/tls/root_ca_certificate": str(folder / TRUSTED),
        "transport/link/tls/listen_certificate": str(folder / CERTIFICATE),
        "transport/link/tls/listen_private_key": str(folder / KEY),
        "transport/link/tls/connect_certificate": str(folder / CERTIFICATE),
        "transport/link/tls/connect_private_key": str(folder / KEY),
        "transport/link/tls/enable_mtls": True,
        # A neighbor must not impersonate another: its certificate names its hosts, too.
        "transport/link/tls/verify_name_on_connect": True,
        "transport/link/tls/close_link_on_expiration": True,
        "access_control": {
            "enabled": True,
            "default_permission": "deny",
            "rules": [
                {"id": name, "permission": "allow", **rule} for kind in kinds for name, rule in rules[kind].items()
            ],
            "subjects": [{"id": kind, "cert_common_names": subjects[kind]} for kind in kinds],
            "policies": [{"rules": [*rules[kind]], "subjects": [kind]} for kind in kinds],
        },
    }


def _check(folder: Path, now: datetime) -> None:
    remedy = "give a folder that `offramp certs` wrote"
    refuse(Fault(name, "is not there", remedy) for name in (TRUSTED, CERTIFICATE, KEY) if not (folder / name).is_file())
    try:
        x509.load_pem_x509_certificates((folder / TRUSTED).read_bytes())
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
        key = load_pem_private_key((folder / KEY).read_bytes(), password=None)
    except (OSError, TypeError, ValueError) as error:
        fail("certificates", f"can't be read: {error}", remedy)
    if key.public_key() != certificate.public_key():
        fail(KEY, f"does not belong to {CERTIFICATE}", remedy)
    if now > certificate.not_valid_after_utc:
        until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        fail(CERTIFICATE, f"was valid until {until}", "make new ones for the whole deployment with `offramp certs`")
    if now < certificate.not_valid_before_utc:
        since = f"{certificate.not_valid_before_utc:%Y-%m-%d}"
        fail(CERTIFICATE, f"is valid from {since}, which has not come yet", "set this machine's clock")
