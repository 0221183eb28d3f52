"""From a tier's folder to a tier at work."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import zenoh

from offramp import engine
from offramp.bundle import Manifest, TierManifest, read_model, read_tier
from offramp.core.profile import Profile
from offramp.errors import Fault, InputError
from offramp.runtime import session as network
from offramp.runtime.pace import Pace
from offramp.runtime.security import tls_config
from offramp.runtime.worker import Limits, Worker


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


def load_engines(folder: Path, bundle: Manifest) -> dict[tuple[int, int], engine.Session]:
    """All partitions of the bundle in `folder`, by first and last block. Raises `InputError` for a damaged file."""
    found: dict[tuple[int, int], engine.Session] = {}
    for partition in bundle.partitions:
        blocks = partition.blocks
        tier = next(plan.placement[plan.blocks.index(blocks)] for plan in bundle.plans if blocks in plan.blocks)
        found[blocks] = engine.Session(read_model(folder / "tiers" / tier, partition))
    return found


@contextmanager
def at_work(folder: Path, place: Place, *, emulate: Profile | None = None, limits: Limits) -> Iterator[Worker]:
    """The tier in `folder` at work at `place`, while the block runs.

    emulate: the profile whose times for this tier are to be played; None to be as fast as this machine.
    Raises `InputError` for a folder that is no tier's, and where its place is taken.
    """
    tier = read_tier(folder)
    engines = {(each.first, each.last): engine.Session(read_model(folder, each)) for each in tier.partitions}
    here = tier.topology.index(tier.tier)
    pace = None
    if emulate is not None:
        pace = Pace.of(emulate, tier.topology, tier=here, codecs={plan.codec for plan in tier.plans})
    security = None
    if place.certificates is not None:
        names = [each.name for each in tier.topology.tiers]
        security = tls_config(
            place.certificates, [*names[max(here - 1, 0) : here], *names[here + 1 : here + 2], "client"]
        )
    try:
        session = network.router(
            port=place.port,
            host=place.host,
            toward_cloud=place.toward_cloud,
            security=security,
            longest_send_s=_longest_send_s(tier, limits),
        )
    except zenoh.ZError as error:
        fault = Fault("--port", f"{place.port} can't be listened at: {error}", "stop what is there, or give another")
        raise InputError([fault]) from error
    with session:
        worker = Worker(tier, engines, session, pace=pace, limits=limits)
        try:
            yield worker
        finally:
            worker.close()


def _longest_send_s(tier: TierManifest, limits: Limits) -> float:
    """What a full window of the largest objects takes on the slower of the links to the neighbors."""
    here = tier.topology.index(tier.tier)
    rates = [link.bandwidth_bits_per_s for link in tier.topology.links[max(here - 1, 0) : here + 1]]
    return max(((limits.window + 1) * max(tier.object_bits) / rate for rate in rates), default=0.0)
