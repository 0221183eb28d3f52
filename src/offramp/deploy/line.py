"""The tiers as places that run one container each, in the order of the line."""

from dataclasses import dataclass

from offramp.bundle.manifest import Manifest
from offramp.deploy.names import label

PORT = 7447
# Where images expect the tier's folder, its certificates, and room for what may be lost.
TIER_FOLDER, CERTS_FOLDER, SCRATCH_FOLDER = "/tier", "/certs", "/tmp"
USER = 1000

_MIB = 1 << 20
# What a worker without a partition takes (110 MB were measured), and with room for messages in transit.
_LEAST_MIB, _MOST_MIB = 128, 512
# A model in memory beside the file it came from, and what it computes.
_MODELS = 4


@dataclass(frozen=True, slots=True)
class Station:
    """Where one tier runs.

    tier: its name; label: the same as a DNS label, under which its neighbors find it.
    toward_cloud: the label of the next tier; None for the last.
    open: whether clients connect to it, as samples arise or answers are consumed on it.
    model_bytes: of its partitions' files.
    """

    tier: str
    label: str
    toward_cloud: str | None
    open: bool
    model_bytes: int

    @property
    def arguments(self) -> list[str]:
        """What `offramp` is called with."""
        onward = [] if self.toward_cloud is None else ["--next", f"{self.toward_cloud}:{PORT}"]
        return ["worker", TIER_FOLDER, "--port", str(PORT), *onward, "--certs", CERTS_FOLDER]

    @property
    def memory_mib(self) -> tuple[int, int]:
        """What it needs, and what it may use at most."""
        models = -(-_MODELS * self.model_bytes // _MIB)
        return _LEAST_MIB + models, _MOST_MIB + models


def deployment_name(bundle: Manifest) -> str:
    """What the whole deployment is called, as a DNS label."""
    return label(f"offramp-{bundle.deployment}")


def image_name(bundle: Manifest, station: Station) -> str:
    """The image of a tier: one name for all, so that one rule can point all to a registry."""
    return f"offramp-tier:{label(f'bundle-{bundle.deployment}')}-{station.label}"


def stations(bundle: Manifest) -> tuple[Station, ...]:
    """One for every tier, device first."""
    topology = bundle.topology
    labels = [label(tier.name) for tier in topology.tiers]
    return tuple(
        Station(
            tier=tier.name,
            label=labels[j],
            toward_cloud=labels[j + 1] if j + 1 < len(labels) else None,
            open=tier.name in (topology.source, topology.destination),
            model_bytes=sum(partition.size_bytes for partition in bundle.tier(tier.name).partitions),
        )
        for j, tier in enumerate(topology.tiers)
    )
