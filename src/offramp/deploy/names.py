"""Tiers' names as DNS labels: what services, hosts, images and node labels are called."""

import hashlib
import re

_MOST = 63
_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_DIGITS = 16
_DIGESTED = re.compile(rf".*-x[0-9a-f]{{{_DIGITS}}}")
# On every machine, a host of that name is the machine itself.
_RESERVED = {"localhost"}


def label(name: str) -> str:
    """`name` as a DNS label (RFC 1035): itself where it is one, else the characters a label may have and a digest.

    Different names have different labels: no name that is kept looks like a label with a digest.
    """
    plain = len(name) <= _MOST and _LABEL.fullmatch(name)
    if plain and not _DIGESTED.fullmatch(name) and name not in _RESERVED:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-0123456789")[: _MOST - _DIGITS - 2].rstrip("-")
    return f"{kept or 'tier'}-x{digest}"
