"""Tiers' names as DNS labels: what services, hosts, images and node labels are called."""

import hashlib
import re

_MOST = 63
_LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_DIGITS = 16
_MADE = re.compile(rf".*-x[0-9a-f]{{{_DIGITS}}}")
# A host of that name is always oneself.
_TAKEN = {"localhost"}


def label(name: str) -> str:
    """`name` as a DNS label (RFC 1035): itself where it is one, else what is left of it and a digest of it.

    Different names have different labels: none that is left as it is looks like one that was made.
    """
    plain = len(name) <= _MOST and _LABEL.fullmatch(name)
    if plain and not _MADE.fullmatch(name) and name not in _TAKEN:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]
    rest = re.sub(r"[^a-z0-9]+", "-", name.lower()).lstrip("-0123456789")[: _MOST - _DIGITS - 2].rstrip("-")
    return f"{rest or 'tier'}-x{digest}"
