"""What a bundle holds: a plan's partitions as files, and what tiers and clients must know to use them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from offramp.bundle.input_codecs import input_codecs
from offramp.core import checks
from offramp.core.estimate import Estimate, check_plan
from offramp.core.plan import Plan
from offramp.core.topology import Topology
from offramp.errors import Fault, InputError, refuse

LONGEST_PLAN = 2048
"""Characters of a plan in one line: it travels with every sample."""
INPUT_TYPES = {"uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 64, "float16": 16, "float32": 32}
"""Of the numbers in a sample, and how many bits each takes."""

MOST_PARTITIONS = 64
"""Of a plan: what every partition did travels with the sample, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFile:
    """A partition as an ONNX file: blocks first..last and the branch after the last.

    file: its name in the folders of the tiers that run it.
    sha256, size_bytes: of the file.
    input_shape: of one sample's input: as a sensor hands it over for the first block, float32 for any other.
    output_shape: of its output, float32.
    accuracy: of its branch over the validation split.
    staying_accuracy: of its branch over the validation samples that do not exit at it under the first plan with that
        partition: how accurate its degraded answers are, for samples that can't be passed on. None where all exit.
    """

    first: int
    last: int
    file: str
    sha256: str
    size_bytes: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    accuracy: float
    staying_accuracy: float | None = None

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        if not 1 <= self.first <= self.last:
            yield Fault("first", f"blocks {self.first} to {self.last} are no partition", "give 1 <= first <= last")
        if not self.file or "/" in self.file or "\\" in self.file or self.file.startswith("."):
            yield Fault("file", f"{self.file!r} is not a file name", "name a file in the tier's own folder")
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            yield Fault("sha256", f"{self.sha256[:80]!r} is not a checksum", "give 64 hexadecimal digits")
        yield from checks.positive("size_bytes", self.size_bytes, "give the size of the file")
        yield from checks.share("accuracy", self.accuracy, "accuracies are shares of samples")
        if self.staying_accuracy is not None:
            yield from checks.share("staying_accuracy", self.staying_accuracy, "accuracies are shares of samples")
        for name in ("input_shape", "output_shape"):
            shape = getattr(self, name)
            if not shape or min(shape) < 1:
                yield Fault(name, f"{shape} is not a shape", "give the axes without the batch, each at least 1")

    @property
    def blocks(self) -> tuple[int, int]:
        """First and last block, 1-based."""
        return self.first, self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class TierManifest:
    """What one tier must know.

    deployment: id of the bundle; messages of another are refused.
    tier: the name of this one.
    input_shape, input_type: of a sample, as in `Manifest`.
    plans: those the bundle was built for; the first is active from the start, the others can be switched in.
    object_bits: [N+2] sizes of the input, the blocks' outputs in fp32, and the result.
    partitions: those that this tier runs under any of the plans.
    """

    deployment: str
    tier: str
    input_shape: tuple[int, ...]
    input_type: str
    topology: Topology
    plans: tuple[Plan, ...]
    object_bits: tuple[int, ...]
    partitions: tuple[PartitionFile, ...]

    def __post_init__(self) -> None:
        faults = [*_common_faults(self.topology, self.plans, self.object_bits)]
        faults += _input_faults(self.input_shape, self.input_type, self.plans, self.object_bits)
        if not faults:
            placed = [
                blocks
                for plan in self.plans
                for blocks, tier in zip(plan.blocks, plan.placement, strict=True)
                if tier == self.tier
            ]
            if self.tier not in [tier.name for tier in self.topology.tiers]:
                faults.append(Fault("tier", f"{self.tier!r} is not in the topology", "use the folder as it was built"))
            faults += _partition_faults(self.partitions, placed)
        refuse(faults)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifest:
    """What a bundle is.

    deployment: its id, a digest of everything that tiers and clients must agree on.
    class_names: of the classes, in order.
    input_shape: of a sample, images (C, H, W).
    input_type: of its numbers, one of `INPUT_TYPES`.
    plans: as in `TierManifest`.
    estimate: of the first plan as it was built; estimate_before: as it was planned, from the profile alone.
    tolerance, deviation: the largest difference from PyTorch that the build allowed, and the one it measured.
    provenance: where all this comes from, for people; `data` says how to read the data set again.
    """

    deployment: str
    backbone: str
    dataset: str
    class_names: tuple[str, ...]
    input_shape: tuple[int, ...]
    topology: Topology
    plans: tuple[Plan, ...]
    object_bits: tuple[int, ...]
    estimate: Estimate
    estimate_before: Estimate
    partitions: tuple[PartitionFile, ...]
    tolerance: float
    deviation: float
    provenance: Mapping[str, object] = field(default_factory=dict)
    input_type: str = "uint8"

    def __post_init__(self) -> None:
        faults = [*_common_faults(self.topology, self.plans, self.object_bits)]
        faults += _input_faults(self.input_shape, self.input_type, self.plans, self.object_bits)
        if not faults:
            faults += _partition_faults(self.partitions, [blocks for plan in self.plans for blocks in plan.blocks])
            faults += _stated("class_names", 32 * len(self.class_names), self.object_bits[-1])
            for name in ("estimate", "estimate_before"):
                rates = len(getattr(self, name).exit_rates)
                faults += checks.length(f"{name}.exit_rates", rates, len(self.plans[0].ends), "one per partition")
        refuse(faults)

    def __repr__(self) -> str:
        return (
            f"Manifest({self.deployment}: {self.backbone} on {self.dataset}, {len(self.plans)} plans for "
            f"{self.topology.name}, {len(self.partitions)} partitions)"
        )

    def tier(self, name: str) -> TierManifest:
        """What the tier of that name must know."""
        placed = {
            blocks
            for plan in self.plans
            for blocks, tier in zip(plan.blocks, plan.placement, strict=True)
            if tier == name
        }
        return TierManifest(
            deployment=self.deployment,
            tier=name,
            input_shape=self.input_shape,
            input_type=self.input_type,
            topology=self.topology,
            plans=self.plans,
            object_bits=self.object_bits,
            partitions=tuple(partition for partition in self.partitions if partition.blocks in placed),
        )


def _common_faults(topology: Topology, plans: tuple[Plan, ...], object_bits: tuple[int, ...]) -> Iterator[Fault]:
    if not plans:
        yield Fault("plans", "is empty", "give at least one")
    if len(object_bits) < 3 or min(object_bits) < 1 or any(bits % 8 for bits in object_bits):
        yield Fault("object_bits", "are not sizes in whole bytes", "give the input, every block's output, the result")
    for i, plan in enumerate(plans):
        if len(str(plan)) > LONGEST_PLAN or len(plan.ends) > MOST_PARTITIONS:
            yield Fault(f"plans[{i}]", "is too long to go with every message", "use fewer partitions or shorter names")
        try:
            check_plan(plan, blocks=max(len(object_bits) - 2, 1), topology=topology)
        except InputError as error:
            yield from (fault.under(f"plans[{i}]") for fault in error.faults)


def _input_faults(
    shape: tuple[int, ...], kind: str, plans: tuple[Plan, ...], object_bits: tuple[int, ...]
) -> Iterator[Fault]:
    if kind not in INPUT_TYPES:
        yield Fault("input_type", f"{kind!r} is unknown", f"use {', '.join(INPUT_TYPES)}")
        return
    yield from _stated("input_shape", INPUT_TYPES[kind] * math.prod(shape), object_bits[0] if object_bits else 0)
    known = input_codecs(shape, np.dtype(kind))
    for i, plan in enumerate(plans):
        if plan.input_codec not in known:
            problem = f"sends inputs as {plan.input_codec.value}, which {kind} of shape {shape} can't be"
            yield Fault(f"plans[{i}]", problem, f"use {', '.join(codec.value for codec in known)}")


def _stated(name: str, bits: int, stated: int) -> Iterator[Fault]:
    """Clients take these sizes from the manifest, before anything has been sent."""
    if bits != stated:
        yield Fault(name, f"means {bits} bits, object_bits says {stated}", "build the bundle again")


def _partition_faults(partitions: tuple[PartitionFile, ...], needed: list[tuple[int, int]]) -> Iterator[Fault]:
    given = [partition.blocks for partition in partitions]
    for blocks in sorted(set(needed) - set(given)):
        yield Fault("partitions", f"blocks {blocks[0]}-{blocks[1]} are missing", "build the bundle again")
    if len(set(given)) < len(given) or len({partition.file for partition in partitions}) < len(given):
        yield Fault("partitions", "two are of the same blocks or file", "build the bundle again")
