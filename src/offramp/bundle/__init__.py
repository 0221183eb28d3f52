"""A plan exported: a folder per tier with what that tier needs, and a manifest of it all."""

from offramp.bundle.folder import check_place, checksum, read_bundle, read_model, read_tier, write_bundle
from offramp.bundle.manifest import Manifest, PartitionFile, TierManifest
from offramp.bundle.schema import schema

__all__ = [
    "Manifest",
    "PartitionFile",
    "TierManifest",
    "check_place",
    "checksum",
    "read_bundle",
    "read_model",
    "read_tier",
    "schema",
    "write_bundle",
]
