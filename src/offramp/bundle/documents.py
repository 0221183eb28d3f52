"""A bundle's JSON files as pydantic models that turn into the values of `manifest`."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field

from offramp.bundle.manifest import Manifest, PartitionFile, TierManifest
from offramp.core.topology import Topology
from offramp.files.checking import Document, ValueDocument
from offramp.files.measured import MOST_BLOCKS, Share, Whole
from offramp.files.plan import PlanText, plan_from
from offramp.files.results import EstimateEntry, estimate_document

FORMAT = "bundle/1"
TIER_FORMAT = "tier/1"
MOST_PLANS = 10_000

Axes = Annotated[list[Whole], Field(max_length=8)]
Plans = Annotated[
    list[Annotated[PlanText, Field(max_length=4096, description="a plan in one line")]], Field(max_length=MOST_PLANS)
]
Bits = Annotated[list[Whole], Field(max_length=MOST_BLOCKS + 2)]


class PartitionEntry(ValueDocument):
    """A partition as a file."""

    first: Whole = Field(description="its first block, from 1", examples=[1])
    last: Whole = Field(description="its last block", examples=[3])
    file: str = Field(max_length=200, description="in the tier's folder", examples=["blocks-1-3.onnx"])
    sha256: str = Field(max_length=64, description="of the file, in hexadecimal digits")
    size_bytes: Whole = Field(description="of the file", examples=[81920])
    input_shape: Axes = Field(description="of one sample's input")
    output_shape: Axes = Field(description="of what it hands on, float32")
    accuracy: Share = Field(description="of its branch over the validation split")
    staying_accuracy: Share | None = Field(None, description="of its branch over the samples that continue past it")

    def core(self) -> PartitionFile:
        """The value; raises `InputError`."""
        return PartitionFile(
            first=self.first,
            last=self.last,
            file=self.file,
            sha256=self.sha256,
            size_bytes=self.size_bytes,
            input_shape=tuple(self.input_shape),
            output_shape=tuple(self.output_shape),
            accuracy=self.accuracy,
            staying_accuracy=self.staying_accuracy,
        )


Partitions = Annotated[list[PartitionEntry], Field(max_length=MOST_BLOCKS**2)]


class TierManifestDocument(Document):
    """What one tier must know; the topology is in `topology.yaml` beside it."""

    offramp: Literal["tier/1"] = Field(description="the format", examples=["tier/1"])
    deployment: str = Field(max_length=64, description="the bundle's id", examples=["5f2a90c1d3e4"])
    tier: str = Field(max_length=200, description="the name of this tier", examples=["smartphone"])
    input_shape: Axes = Field(description="of a sample, images as channels, height and width", examples=[[3, 32, 32]])
    input_type: Annotated[str, Field(max_length=16)] = Field("uint8", description="of its numbers", examples=["uint8"])
    plans: Plans = Field(description="those the bundle was built for, the active one first")
    object_bits: Bits = Field(description="sizes of the input, the blocks' outputs, the result")
    partitions: Partitions = Field(description="those that this tier runs")

    def core(self, topology: Topology) -> TierManifest:
        """The value, with the topology beside it; raises `InputError`."""
        return TierManifest(
            deployment=self.deployment,
            tier=self.tier,
            input_shape=tuple(self.input_shape),
            input_type=self.input_type,
            topology=topology,
            plans=tuple(plan_from(text) for text in self.plans),
            object_bits=tuple(self.object_bits),
            partitions=tuple(partition.core() for partition in self.partitions),
        )


class ManifestDocument(Document):
    """What a bundle is; the topology is in `topology.yaml` beside it."""

    offramp: Literal["bundle/1"] = Field(description="the format", examples=["bundle/1"])
    deployment: str = Field(max_length=64, description="its id", examples=["5f2a90c1d3e4"])
    backbone: str = Field(description="what the backbone is called", examples=["resnet20"])
    dataset: str = Field(description="what it was trained on", examples=["digits"])
    class_names: Annotated[list[str], Field(max_length=100_000)] = Field(description="of the classes, in order")
    input_shape: Axes = Field(description="of a sample, images as channels, height and width", examples=[[3, 32, 32]])
    input_type: Annotated[str, Field(max_length=16)] = Field("uint8", description="of its numbers", examples=["uint8"])
    plans: Plans = Field(description="those it was built for, the active one first")
    object_bits: Bits = Field(description="sizes of the input, the blocks' outputs, the result")
    estimate: EstimateEntry = Field(description="as it was built")
    estimate_before: EstimateEntry = Field(description="as it was planned")
    partitions: Partitions = Field(description="all of them")
    tolerance: float = Field(description="the most by which partitions may differ from PyTorch", examples=[1e-4])
    deviation: float = Field(description="by how much they do", examples=[1e-6])
    provenance: dict[str, Any] = Field({}, description="where all this comes from, for people")

    def core(self, topology: Topology) -> Manifest:
        """The value, with the topology beside it; raises `InputError`."""
        return Manifest(
            deployment=self.deployment,
            backbone=self.backbone,
            dataset=self.dataset,
            class_names=tuple(self.class_names),
            input_shape=tuple(self.input_shape),
            input_type=self.input_type,
            topology=topology,
            plans=tuple(plan_from(text) for text in self.plans),
            object_bits=tuple(self.object_bits),
            estimate=self.estimate.core(),
            estimate_before=self.estimate_before.core(),
            partitions=tuple(partition.core() for partition in self.partitions),
            tolerance=self.tolerance,
            deviation=self.deviation,
            provenance=self.provenance,
        )


def tier_document(tier: TierManifest) -> dict[str, Any]:
    """The tier as `tier.json` holds it."""
    return {
        "offramp": TIER_FORMAT,
        "deployment": tier.deployment,
        "tier": tier.tier,
        "input_shape": list(tier.input_shape),
        "input_type": tier.input_type,
        "plans": [str(plan) for plan in tier.plans],
        "object_bits": list(tier.object_bits),
        "partitions": [_partition(partition) for partition in tier.partitions],
    }


def bundle_document(bundle: Manifest) -> dict[str, Any]:
    """The bundle as `bundle.json` holds it."""
    return {
        "offramp": FORMAT,
        "deployment": bundle.deployment,
        "backbone": bundle.backbone,
        "dataset": bundle.dataset,
        "class_names": list(bundle.class_names),
        "input_shape": list(bundle.input_shape),
        "input_type": bundle.input_type,
        "plans": [str(plan) for plan in bundle.plans],
        "object_bits": list(bundle.object_bits),
        "estimate": estimate_document(bundle.estimate),
        "estimate_before": estimate_document(bundle.estimate_before),
        "partitions": [_partition(partition) for partition in bundle.partitions],
        "tolerance": bundle.tolerance,
        "deviation": bundle.deviation,
        "provenance": dict(bundle.provenance),
    }


def _partition(partition: PartitionFile) -> dict[str, Any]:
    document = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(partition).items()}
    return {key: value for key, value in document.items() if value is not None}
