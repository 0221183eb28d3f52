"""From a tier's folder to a tier at work."""

import errno
import ipaddress
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import zenoh

from offramp.bundle import Manifest, TierManifest, read_model, read_tier
from offramp.bundle.session import PartitionSession
from offramp.core.profile import Profile
from offramp.errors import fail
from offramp.runtime.tier.slowdown import Pace
from offramp.runtime.tier.worker import Limits, Worker
from offramp.runtime.transport import zenoh_session as network
from offramp.runtime.transport.tls import tls_config

_LOG = logging.getLogger(__name__)
_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/?#\[\]]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a tier is.

    port: where it listens.
    host: the address it listens at; None for every one of the machine.
    toward_cloud: `host:port` of the next tier; None for the last.
    certificates: the folder with the tier's own; None to speak in the open.
    """

    port: int
    host: str | None = None
    toward_cloud: str | None = None
    certificates: Path | None = None


def load_sessions(folder: Path, bundle: Manifest) -> dict[tuple[int, int], PartitionSession]:
    """All partitions of the bundle in `folder`, by first and last block. Raises `InputError` for a damaged file."""
    found: dict[tuple[int, int], PartitionSession] = {}
    for partition in bundle.partitions:
        blocks = partition.blocks
        tier = next(plan.placement[plan.blocks.index(blocks)] for plan in bundle.plans if blocks in plan.blocks)
        found[blocks] = PartitionSession(read_model(folder / "tiers" / tier, partition))
    return found


@contextmanager
def at_work(folder: Path, place: Place, *, emulate: Profile | None = None, limits: Limits) -> Iterator[Worker]:
    """The tier in `folder` at work at `place`, while the block runs.

    emulate: the profile whose times for this tier are to be played; None to be as fast as this machine.
    Raises `InputError` for a folder that is no tier's, for a place where it can't be, and for a profile of another
    network.
    """
    tier = read_tier(folder)
    _check_place(tier, place)
    sessions = {(each.first, each.last): PartitionSession(read_model(folder, each)) for each in tier.partitions}
    here = tier.topology.index(tier.tier)
    pace = None
    if emulate is not None:
        played, needed = len(emulate.backbone.blocks), len(tier.object_bits) - 2
        if played != needed:
            problem = f"is of {emulate.backbone.name} with {played} blocks; the bundle's network has {needed}"
            fail("--emulate", problem, "give the profile.json that is in the bundle")
        pace = Pace.of(emulate, tier.topology, tier=here, codecs={plan.codec for plan in tier.plans})
    security = None
    if place.certificates is not None:
        names = [each.name for each in tier.topology.tiers]
        security = tls_config(
            place.certificates, [*names[max(here - 1, 0) : here], *names[here + 1 : here + 2], "client"]
        )
    elif not _is_loopback(place.host):
        where = "all addresses of this machine" if place.host is None else place.host
        _LOG.warning(
            "%s listens on %s without certificates: whoever reaches port %d can read and send everything; "
            "make certificates with `offramp certs` and give --certs, or listen at --host 127.0.0.1 only",
            tier.tier,
            where,
            place.port,
        )
    try:
        session = network.router(
            port=place.port,
            host=place.host,
            toward_cloud=place.toward_cloud,
            security=security,
            longest_send_s=_longest_send_s(tier, limits),
            largest_bits=max(tier.object_bits),
        )
    except zenoh.ZError as error:
        fail("the network", f"can't be joined: {error}", "look at --host, --port, --next and --certs")
    try:
        with closing(Worker(tier, sessions, session, pace=pace, limits=limits)) as worker:
            yield worker
    finally:
        _close(session)


def _close(session: zenoh.Session) -> None:
    try:
        session.close()
    except RuntimeError as error:  # it is lent to a message that a stalled link holds up
        _LOG.warning("the session ends with the process: it can't be closed now (%s)", error)


def _check_place(tier: TierManifest, place: Place) -> None:
    names = [each.name for each in tier.topology.tiers]
    onward = names[tier.topology.index(tier.tier) + 1 :]
    if place.toward_cloud is None:
        if onward:
            remedy = f"give the host:port where {onward[0]} listens"
            fail("--next", f"is missing: {tier.tier} is not the last tier of {' - '.join(names)}", remedy)
    elif not onward:
        fail("--next", f"leads nowhere: {tier.tier} is the last tier of {' - '.join(names)}", "leave it out")
    else:
        found = _HOST_PORT.fullmatch(place.toward_cloud)
        if found is None or not 1 <= int(found[2]) <= 65535:
            fail("--next", f"{place.toward_cloud!r} is not HOST:PORT", f"write e.g. {onward[0]}.local:{network.PORT}")
    if _is_taken(place):
        remedy = "stop what listens there, or give another"
        fail("--port", f"{place.port} is taken on this machine", remedy)


def _is_taken(place: Place) -> bool:
    """Whether something listens there. Zenoh's own words don't tell that from all else that can be wrong."""
    try:
        if place.host is None:
            both = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if both else socket.AF_INET
            socket.create_server(("", place.port), family=family, dualstack_ipv6=both).close()
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
    """What a full window of the largest objects takes on the slower of the links to the neighbors."""
    here = tier.topology.index(tier.tier)
    rates = [link.bandwidth_bits_per_s for link in tier.topology.links[max(here - 1, 0) : here + 1]]
    return max(((limits.window + 1) * max(tier.object_bits) / rate for rate in rates), default=0.0)
