"""Small bundles; unless they are given models, their partitions are bytes of no meaning."""

from collections.abc import Mapping
from pathlib import Path

from offramp.bundle import Manifest, PartitionFile, checksum, write_bundle
from offramp.core.estimate import Estimate
from offramp.core.plan import Plan
from offramp.core.topology import Link, Tier, Topology
from offramp.files import read_profile

Models = Mapping[tuple[int, int], bytes]
NO_MODELS: Models = {(1, 2): b"a partition" * 1000}


def bundle(
    *tiers: str, source: str = "", destination: str = "", plan: str = "", models: Models = NO_MODELS
) -> Manifest:
    """Two blocks of four numbers, and four classes; on the first tier unless there is a plan."""
    parsed = Plan.parse(plan or f"1-2@{tiers[0]}")
    staying = len(parsed.ends) - 1
    estimate = Estimate(
        accuracy=0.9,
        latency_s=0.0,
        exit_rates=(*[0.0] * staying, 1.0),
        stay_rates=(*[1.0] * staying, 0.0),
        compute_s=0.0,
        propagation_s=0.0,
        transmission_s=0.0,
        serialization_s=0.0,
        exit_latency_s=(0.0,) * len(parsed.ends),
    )
    return Manifest(
        deployment="5f2a90c1d3e4",
        backbone="resnet20",
        dataset="digits",
        class_names=("0", "1", "2", "3"),
        input_shape=(1, 2, 2),
        topology=Topology(
            name="line",
            source=source or tiers[0],
            destination=destination or tiers[0],
            tiers=tuple(Tier(name, 1.0) for name in tiers),
            links=(Link(1e8, 0.001),) * (len(tiers) - 1),
        ),
        plans=(parsed,),
        object_bits=(32, 128, 128, 128),
        estimate=estimate,
        estimate_before=estimate,
        partitions=tuple(
            PartitionFile(
                first=first,
                last=last,
                file=f"blocks-{first}-{last}.onnx",
                sha256=checksum(model),
                size_bytes=len(model),
                input_shape=(1, 2, 2),
                output_shape=(1, 2, 2),
                accuracy=0.9,
            )
            for (first, last), model in models.items()
        ),
        tolerance=1e-4,
        deviation=0.0,
    )


def written(
    manifest: Manifest, folder: Path, *, models: Models = NO_MODELS, extra: Mapping[str, str] | None = None
) -> Path:
    """The folder with the bundle in it."""
    write_bundle(manifest, models, read_profile("resnet20-digits"), folder, extra=extra)
    return folder
