"""Starting a worker from a tier's folder of a bundle."""

import errno
import ipaddress
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from offramp.bundle import Manifest, TierManifest, read_model, read_tier
from offramp.bundle.session import PartitionSession
from offramp.core.profile import Profile
from offramp.errors import fail
from offramp.runtime.tier.slowdown import SlowdownEmulator
from offramp.runtime.tier.validation import most_object_bytes
from offramp.runtime.tier.worker import Limits, Worker
from offramp.runtime.transport.interface import Transport, TransportError
from offramp.runtime.transport.tls import CLIENT, tls_config
from offramp.runtime.transport.zenoh_session import PORT
from offramp.runtime.transport.zenoh_transport import open_tier

_LOG = logging.getLogger(__name__)
_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/?#\[\]]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a tier listens, and what it connects to.

    port: to listen on.
    host: the address to listen on; None for all addresses of the machine.
    toward_cloud: `host:port` of the next tier; None for the last.
    certificates: the folder with the tier's certificates, for TLS; None for plain TCP.
    """

    port: int
    host: str | None = None
    toward_cloud: str | None = None
    certificates: Path | None = None


def load_sessions(folder: Path, bundle: Manifest) -> dict[tuple[int, int], PartitionSession]:
    """All partitions of the bundle in `folder`, by first and last block. Raises `InputError` for a damaged file."""
    sessions: dict[tuple[int, int], PartitionSession] = {}
    for partition in bundle.partitions:
        blocks = partition.blocks
        tier = next(plan.placement[plan.blocks.index(blocks)] for plan in bundle.plans if blocks in plan.blocks)
        sessions[blocks] = PartitionSession(read_model(folder / "tiers" / tier, partition))
    return sessions


@contextmanager
def at_work(folder: Path, place: Place, *, emulate: Profile | None = None, limits: Limits) -> Iterator[Worker]:
    """A worker for the tier in `folder`, running while the block does.

    emulate: the profile whose times for this tier are emulated; None to be as fast as this machine.
    Raises `InputError` for a folder that is not a tier's, a place where it can't listen, and a profile of another
    network.
    """
    tier = read_tier(folder)
    _check_place(tier, place)
    sessions = {partition.blocks: PartitionSession(read_model(folder, partition)) for partition in tier.partitions}
    slowdown = None if emulate is None else _slowdown(tier, emulate)
    with (
        closing(_transport(tier, place, limits)) as transport,
        closing(Worker(tier, sessions, transport, slowdown=slowdown, limits=limits)) as worker,
    ):
        yield worker


def _slowdown(tier: TierManifest, profile: Profile) -> SlowdownEmulator:
    given, expected = len(profile.backbone.blocks), len(tier.object_bits) - 2
    if given != expected:
        problem = f"is of {profile.backbone.name} with {given} blocks; the bundle's network has {expected}"
        fail("--emulate", problem, "give the profile.json that is in the bundle")
    index = tier.topology.index(tier.tier)
    return SlowdownEmulator.of(profile, tier.topology, tier=index, plans=tier.plans)


def _transport(tier: TierManifest, place: Place, limits: Limits) -> Transport:
    names, index = [member.name for member in tier.topology.tiers], tier.topology.index(tier.tier)
    security = None
    if place.certificates is not None:
        neighbors = [*names[max(index - 1, 0) : index], *names[index + 1 : index + 2]]
        security = tls_config(place.certificates, [*neighbors, CLIENT])
    elif not _is_loopback(place.host):
        _LOG.warning(
            "%s listens on %s without certificates: whoever reaches port %d can read and send everything; "
            "make certificates with `offramp certs` and give --certs, or listen at --host 127.0.0.1 only",
            tier.tier,
            "all addresses of this machine" if place.host is None else place.host,
            place.port,
        )
    try:
        return open_tier(
            index,
            len(names),
            port=place.port,
            host=place.host,
            toward_cloud=place.toward_cloud,
            security=security,
            longest_send_s=_longest_send_s(tier, limits),
            largest_bits=8 * most_object_bytes(tier),
        )
    except TransportError as error:
        fail("the network", f"can't be joined: {error}", "look at --host, --port, --next and --certs")


def _check_place(tier: TierManifest, place: Place) -> None:
    names = [member.name for member in tier.topology.tiers]
    onward = names[tier.topology.index(tier.tier) + 1 :]
    if place.toward_cloud is None:
        if onward:
            remedy = f"give the host:port where {onward[0]} listens"
            fail("--next", f"is missing: {tier.tier} is not the last tier of {' - '.join(names)}", remedy)
    elif not onward:
        fail("--next", f"leads nowhere: {tier.tier} is the last tier of {' - '.join(names)}", "leave it out")
    else:
        parts = _HOST_PORT.fullmatch(place.toward_cloud)
        if parts is None or not 1 <= int(parts[2]) <= 65535:
            fail("--next", f"{place.toward_cloud!r} is not HOST:PORT", f"write e.g. {onward[0]}.local:{PORT}")
    if _is_taken(place):
        remedy = "stop what listens there, or give another"
        fail("--port", f"{place.port} is taken on this machine", remedy)


def _is_taken(place: Place) -> bool:
    """Whether something listens there. Zenoh's error message doesn't tell that apart from other failures."""
    try:
        if place.host is None:
            dual = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if dual else socket.AF_INET
            socket.create_server(("", place.port), family=family, dualstack_ipv6=dual).close()
        else:
            family, *_, address = socket.getaddrinfo(place.host.strip("[]"), place.port, type=socket.SOCK_STREAM)[0]
            socket.create_server(address[:2], family=family).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def _longest_send_s(tier: TierManifest, limits: Limits) -> float:
    """How long a full window of the largest objects takes on the slower of the links to the neighbors."""
    index = tier.topology.index(tier.tier)
    rates = [link.bandwidth_bits_per_s for link in tier.topology.links[max(index - 1, 0) : index + 1]]
    return max(((limits.window + 1) * max(tier.object_bits) / rate for rate in rates), default=0.0)
