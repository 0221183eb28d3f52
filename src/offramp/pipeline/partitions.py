"""From a network and plans to what a bundle holds: partitions exported, compared with PyTorch, and measured."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offramp.bundle import Manifest, PartitionFile, checksum
from offramp.core.estimate import Estimate
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.topology import Topology
from offramp.errors import fail
from offramp.nn.data import Dataset
from offramp.nn.export import cut, export, load
from offramp.nn.network import MultiExitNetwork
from offramp.nn.parity import TOLERANCE, parity
from offramp.nn.rounding import rounding
from offramp.pipeline.reference import PartitionSessions, PlanOutputs, run_locally

PARITY_SAMPLES = 32
# Operations inside of blocks are rounded as well, and not only what blocks put out.
_ROUNDED = 4

Models = Mapping[tuple[int, int], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What becomes a bundle.

    manifest: of all of it.
    models: ONNX files by first and last block.
    """

    manifest: Manifest
    models: Models


def export_plans(
    network: MultiExitNetwork,
    dataset: Dataset,
    plans: Sequence[Plan],
    *,
    profile: Profile,
    topology: Topology,
    estimate_before: Estimate,
    provenance: Mapping[str, object],
) -> Exported:
    """Export the partitions of all plans, see that they say what PyTorch says, and measure what the first achieves.

    network: with branches at all ends of the plans, on the CPU.
    dataset: it is measured on the validation split and compared with PyTorch on held-out samples.
    plans: the first is active from the start; all have been checked against the profile and the topology.
    profile: of the backbone, for times, sizes, and the score of its exits.
    estimate_before: of the first plan, as it was planned.
    Raises `InputError` where a partition differs from PyTorch by more than `TOLERANCE`, and by more than the network's
    own rounding explains.
    """
    score = profile.score
    whole = export(network, dataset.image_shape, dataset.input_type, score=score)
    wanted = sorted({blocks for plan in plans for blocks in plan.blocks})
    models = {blocks: cut(whole, *blocks) for blocks in wanted}
    sessions = {blocks: load(model) for blocks, model in models.items()}
    held_out = dataset.test.images[:PARITY_SAMPLES]
    chains = [{blocks[1]: models[blocks] for blocks in plan.blocks} for plan in plans]
    deviation = float(np.max([parity(network, chain, held_out, score=score) for chain in chains]))
    tolerance = TOLERANCE
    if deviation > tolerance:
        tolerance = max(tolerance, _ROUNDED * rounding(network, network.ends, held_out, score=score))
    if not deviation <= tolerance:  # NaN is no agreement either
        remedy = "report it with the backbone, or use another"
        fail("export", f"ONNX Runtime differs from PyTorch by {deviation:.2g}, more than {tolerance:.2g}", remedy)
    outputs = _outputs(sessions, plans, dataset)
    estimate = outputs[0].estimate(profile=profile, topology=topology)
    shapes = _shapes(sessions, plans, dataset.test.images[:1])
    accuracy = {blocks: _accuracy(blocks, outputs) for blocks in models}
    object_bits = profile.backbone.object_bits
    manifest = Manifest(
        deployment=_identity(models, plans, topology, object_bits),
        backbone=profile.backbone.name,
        dataset=dataset.name,
        class_names=dataset.class_names,
        input_shape=dataset.image_shape,
        input_type=dataset.train.images.dtype.name,
        topology=topology,
        plans=tuple(plans),
        object_bits=object_bits,
        estimate=estimate,
        estimate_before=estimate_before,
        partitions=tuple(
            PartitionFile(
                first=blocks[0],
                last=blocks[1],
                file=f"blocks-{blocks[0]}-{blocks[1]}.onnx",
                sha256=checksum(model),
                size_bytes=len(model),
                input_shape=shapes[blocks][0],
                output_shape=shapes[blocks][1],
                accuracy=accuracy[blocks][0],
                staying_accuracy=accuracy[blocks][1],
            )
            for blocks, model in models.items()
        ),
        tolerance=tolerance,
        deviation=deviation,
        provenance=provenance,
    )
    return Exported(manifest, models)


def _outputs(sessions: PartitionSessions, plans: Sequence[Plan], dataset: Dataset) -> list[PlanOutputs]:
    """What the exits of each plan say of the validation split; plans whose activations are the same share a run."""
    split = dataset.validation
    ran: dict[object, PlanOutputs] = {}
    for plan in plans:
        if _path(plan) not in ran:
            ran[_path(plan)] = run_locally(sessions, plan, split.images, split.labels)
    return [replace(ran[_path(plan)], plan=plan) for plan in plans]


def _path(plan: Plan) -> object:
    """All that the activations of a plan and its input, as it is received, depend on."""
    hops = tuple(a != b for a, b in zip(plan.placement, plan.placement[1:], strict=False))
    return plan.ends, hops, plan.codec, plan.input_codec


def _accuracy(blocks: tuple[int, int], outputs: Sequence[PlanOutputs]) -> tuple[float, float | None]:
    """Of a partition's branch: over all samples, and over those that continue past it under the first plan with it."""
    first = next(output for output in outputs if blocks in output.plan.blocks)
    k = first.plan.blocks.index(blocks)
    return float(first.correct[k].mean()), first.staying_accuracy()[k]


def _shapes(
    sessions: PartitionSessions, plans: Sequence[Plan], image: NDArray[np.generic]
) -> dict[tuple[int, int], tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes of what goes into each partition and of what it hands on, without the batch."""
    shapes = {}
    for plan in plans:
        x: NDArray[np.generic] = image
        for blocks in plan.blocks:
            output = sessions[blocks].run(x)[0]
            shapes[blocks] = x.shape[1:], output.shape[1:]
            x = output
    return shapes


def _identity(models: Models, plans: Sequence[Plan], topology: Topology, object_bits: Sequence[int]) -> str:
    """An id of everything that those who talk to each other must agree on."""
    said = [*map(str, plans), topology.source, topology.destination, *(tier.name for tier in topology.tiers)]
    said += [*map(str, object_bits), *(f"{blocks} {checksum(model)}" for blocks, model in models.items())]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:12]
