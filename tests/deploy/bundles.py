"""Bundles whose partitions are bytes of no meaning."""

from pathlib import Path

from offramp.bundle import Manifest, PartitionFile, checksum, write_bundle
from offramp.core.estimate import Estimate
from offramp.core.plan import Plan
from offramp.core.topology import Link, Tier, Topology
from offramp.files import read_profile

MODEL = b"a partition" * 1000


def bundle(*tiers: str, source: str = "", destination: str = "") -> Manifest:
    """One partition of one block, on the first tier."""
    return Manifest(
        deployment="5f2a90c1d3e4",
        backbone="resnet20",
        dataset="digits",
        class_names=("0", "1"),
        input_shape=(1, 2, 2),
        topology=Topology(
            name="line",
            source=source or tiers[0],
            destination=destination or tiers[0],
            tiers=tuple(Tier(name, 1.0) for name in tiers),
            links=(Link(1e6, 0.01),) * (len(tiers) - 1),
        ),
        plans=(Plan.parse(f"1@{tiers[0]}"),),
        object_bits=(32, 32, 64),
        estimate=ESTIMATE,
        estimate_before=ESTIMATE,
        partitions=(
            PartitionFile(
                first=1,
                last=1,
                file="blocks-1-1.onnx",
                sha256=checksum(MODEL),
                size_bytes=len(MODEL),
                input_shape=(1, 2, 2),
                output_shape=(1, 2, 2),
                accuracy=0.9,
            ),
        ),
        tolerance=1e-4,
        deviation=0.0,
    )


ESTIMATE = Estimate(
    accuracy=0.9,
    latency_s=0.0,
    exit_rates=(1.0,),
    stay_rates=(0.0,),
    compute_s=0.0,
    propagation_s=0.0,
    transmission_s=0.0,
    serialization_s=0.0,
    exit_latency_s=(0.0,),
)


def written(manifest: Manifest, folder: Path, *, extra: dict[str, str] | None = None) -> Path:
    """The folder with the bundle in it."""
    write_bundle(manifest, {(1, 1): MODEL}, read_profile("resnet20-digits"), folder, extra=extra)
    return folder
