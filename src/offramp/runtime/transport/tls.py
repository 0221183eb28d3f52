"""Who may speak to whom: TLS with certificates on both sides, and access by the name in the other's certificate.

Zenoh knows who is at the other end of a link, not who first sent what comes over it. So a tier lets in its neighbors
and clients, and trusts its neighbors to have done the same. It also trusts clients not to route: one that comes to
source and destination and joins them hears nothing that is not its own, but stops what would pass between them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from offramp.errors import Fault, fail, refuse
from offramp.files.sources import naming

# Files of a folder with certificates: of those one may meet, one's own, and one's own key.
TRUSTED, CERTIFICATE, KEY = "trusted.pem", "certificate.pem", "key.pem"
# Whose certificate all clients share.
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
_ASKED = ["offramp/*/work", "offramp/*/plan"]
_ANSWERED = ["offramp/client/*"]
_ALIVE = ["offramp/*/alive"]
_TIER_RULES: Mapping[str, Mapping[str, Any]] = {
    "tier": {"flows": ["ingress", "egress"], "messages": _EVERYTHING, "key_exprs": ["offramp/**"]},
}
# As the tier sees it: ingress is what comes from the client.
_CLIENT_RULES: Mapping[str, Mapping[str, Any]] = {
    "client asks": {"flows": ["ingress"], "messages": ["query"], "key_exprs": _ASKED},
    "client is told": {"flows": ["egress"], "messages": ["reply", "declare_queryable"], "key_exprs": _ASKED},
    "client takes answers": {"flows": ["egress"], "messages": ["query"], "key_exprs": _ANSWERED},
    "client got them": {"flows": ["ingress"], "messages": ["reply", "declare_queryable"], "key_exprs": _ANSWERED},
    "client looks around": {
        "flows": ["ingress"],
        "messages": ["liveliness_query", "declare_liveliness_subscriber"],
        "key_exprs": _ALIVE,
    },
    "client sees": {"flows": ["egress"], "messages": ["liveliness_token", "reply"], "key_exprs": _ALIVE},
}


def tls_config(folder: Path, allowed: Sequence[str]) -> dict[str, Any]:
    """The part of a Zenoh configuration that lets in only those in `allowed`.

    folder: with one's own certificate, its key and the certificates to trust, as `offramp certs` wrote them.
    allowed: names of tiers that may be at the other end of a link, and `client` for clients; a client may only ask,
        take answers, and see who is there.
    Raises `InputError` for certificates that are missing, that don't belong together, or whose time is over.
    """
    with naming(folder):
        _check(folder, datetime.now(UTC))
    subjects = {
        "tiers": [name for name in dict.fromkeys(allowed) if name != CLIENT],
        "clients": [name for name in (CLIENT,) if name in allowed],
    }
    rules = {"tiers": _TIER_RULES, "clients": _CLIENT_RULES}
    present = [who for who, names in subjects.items() if names]
    return {
        "transport/link/tls/root_ca_certificate": str(folder / TRUSTED),
        "transport/link/tls/listen_certificate": str(folder / CERTIFICATE),
        "transport/link/tls/listen_private_key": str(folder / KEY),
        "transport/link/tls/connect_certificate": str(folder / CERTIFICATE),
        "transport/link/tls/connect_private_key": str(folder / KEY),
        "transport/link/tls/enable_mtls": True,
        # A neighbor whose name is allowed must not pass for another: its certificate names its hosts, too.
        "transport/link/tls/verify_name_on_connect": True,
        "transport/link/tls/close_link_on_expiration": True,
        "access_control": {
            "enabled": True,
            "default_permission": "deny",
            "rules": [
                {"id": name, "permission": "allow", **rule} for who in present for name, rule in rules[who].items()
            ],
            "subjects": [{"id": who, "cert_common_names": subjects[who]} for who in present],
            "policies": [{"rules": [*rules[who]], "subjects": [who]} for who in present],
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
