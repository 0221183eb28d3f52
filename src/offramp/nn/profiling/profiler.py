"""A trained network and the machine at hand, measured: from a network and its data to the core's `Profile`."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor

from offramp.core.backbone import Backbone, Block
from offramp.core.checks import IntArray
from offramp.core.codec import Codec, InputCodec
from offramp.core.encoded import Encoded
from offramp.core.exit_table import ExitTable
from offramp.core.exits import DEFAULT_THRESHOLDS, first_exit_rates
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.score import ENTROPY, Score, ScoreName, quantiles
from offramp.core.timing import Timing
from offramp.nn.data import Dataset
from offramp.nn.export import export
from offramp.nn.network import MultiExitNetwork
from offramp.nn.profiling import machine
from offramp.nn.profiling.exit_tables import activation_bits, encoded_exit_tables, exit_table, fitted_on
from offramp.nn.profiling.partition_fit import count, sample
from offramp.nn.profiling.sent_inputs import sent_inputs
from offramp.nn.profiling.timing import (
    PERCENTILE,
    ComputeTimes,
    EncodingTimes,
    Report,
    compute_times,
    encoding_times,
    in_onnx_runtime,
    in_torch,
    input_times,
    objects_of,
    torch_threads,
)

REPEATS = 200
PARTITION_REPEATS = 50
# Pictures take more or less time to encode, by what is on them.
_TIMED_INPUTS = 8


def no_progress(stage: str, done: float) -> None:
    """A progress callback that does nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class MachineTimes:
    """What was measured on one machine.

    compute: by device name, how the same machine does with different sessions.
    encoding: by codec, the same for all of them.
    inputs: by codec, seconds to encode and to decode one input, likewise.
    """

    compute: Mapping[str, ComputeTimes]
    encoding: Mapping[Codec, EncodingTimes]
    inputs: Mapping[InputCodec, tuple[float, float]]

    def into(self, profile: Profile) -> Profile:
        """The profile with these times added, or in place of what it had for the same device names."""
        for device, compute in self.compute.items():
            profile = profile.with_timing(
                device,
                self._timing(compute),
                {codec: astuple(self.encoding[codec]) for codec in profile.codecs if codec in self.encoding},
                {codec: times for codec, times in self.inputs.items() if codec in profile.inputs},
            )
        before = profile.provenance.get("partitions")
        partitions = {**(before if isinstance(before, Mapping) else {}), **self.partitions()}
        return replace(profile, provenance={**profile.provenance, "partitions": partitions})

    def timings(self) -> dict[str, Timing]:
        """By device, with activations as they are."""
        return {device: self._timing(compute) for device, compute in self.compute.items()}

    def partitions(self) -> dict[str, Mapping[str, object]]:
        """For the provenance: by device, how many partitions were measured, and how wrong the others may be."""
        return {
            device: {
                "measured": compute.measured,
                "of": int(np.isfinite(compute.partition_s).sum()),
                "held_out": None if compute.held_out is None else asdict(compute.held_out),
            }
            for device, compute in self.compute.items()
        }

    def encoded(self, codec: Codec, table: ExitTable, bits: IntArray | None) -> Encoded:
        """What is different in that codec, with which the samples exit as `table` says.

        bits: [N, S] what outputs take where that differs from sample to sample.
        """
        times = self.encoding[codec]
        return Encoded(
            exit_table=table,
            serialize_s=dict.fromkeys(self.compute, times.serialize_s),
            deserialize_s=dict.fromkeys(self.compute, times.deserialize_s),
            bits=bits,
        )

    def _timing(self, compute: ComputeTimes) -> Timing:
        encoding = self.encoding[Codec.FP32]
        return Timing(
            block_s=compute.block_s,
            branch_s=compute.branch_s,
            partition_s=compute.partition_s,
            serialize_s=encoding.serialize_s,
            deserialize_s=encoding.deserialize_s,
            block_spread_s=compute.block_spread_s,
            branch_spread_s=compute.branch_spread_s,
        )


def profile_network(
    network: MultiExitNetwork,
    dataset: Dataset,
    *,
    backbone: str,
    seed: int,
    separate_accuracy: Sequence[float] | None,
    training: Mapping[str, object],
    device: str,
    repeats: int = REPEATS,
    partition_repeats: int = PARTITION_REPEATS,
    partitions: float | None = None,
    overhead_bits: int = 0,
    score: ScoreName = ScoreName.ENTROPY,
    report: Report = no_progress,
) -> Profile:
    """Everything measured of a trained network: times on this machine, sizes, and the exits of its validation split.

    network: with a branch after each of its N blocks, on the CPU.
    backbone: what it is called.
    seed: of which partitions are measured.
    separate_accuracy: [N] of networks trained for each branch alone; None where there are none.
    training: how the accuracies came about, for the provenance.
    device: what to call this machine, as in `measure`.
    repeats, partition_repeats: how often to time each block and each partition.
    partitions: the share of them to measure, in (0, 1]; the others are fitted. None for the usual,
        `partition_fit.count`.
    overhead_bits: what travels with every object beside its own bits.
    score: what exits compare to their thresholds. What it has to fit is fitted on the validation split. The thresholds
        to be searched are the paper's of entropy, and quantiles of any other score.
    """
    known = fitted_on(network, dataset.validation, score)
    table = exit_table(network, dataset.validation, known)
    joint = table.correct.mean(axis=1)
    encoded = encoded_exit_tables(network, dataset.validation, known)
    bits: dict[Codec, IntArray | None] = dict.fromkeys(encoded)
    if Codec.INT8 in encoded:
        encoded[Codec.INT8_ZSTD] = encoded[Codec.INT8]
        bits[Codec.INT8_ZSTD] = activation_bits(network, dataset.validation, Codec.INT8_ZSTD)
    sent = sent_inputs(network, dataset.validation, known)
    thresholds = np.array(DEFAULT_THRESHOLDS) if score is ScoreName.ENTROPY else quantiles(table.scores[:-1])
    times = measure(
        network,
        dataset,
        seed=seed,
        device=device,
        repeats=repeats,
        partition_repeats=partition_repeats,
        partitions=partitions,
        codecs=encoded,
        inputs=sent,
        score=known,
        report=report,
    )
    return Profile(
        backbone=describe(network, dataset, backbone=backbone),
        timings=times.timings(),
        reference_device=device,
        exits=ExitRates(
            thresholds=thresholds,
            meaning=Meaning.FIRST_EXIT,
            exit_rate=first_exit_rates(table.scores, thresholds.tolist()),
            accuracy=joint if separate_accuracy is None else np.array(separate_accuracy),
            samples=table.samples,
            joint_accuracy=joint,
        ),
        exit_table=table,
        codecs={codec: times.encoded(codec, table, bits[codec]) for codec, table in encoded.items()},
        inputs={codec: inputs.timed(times.compute, *times.inputs[codec]) for codec, inputs in sent.items()},
        overhead_bits=overhead_bits,
        score=known,
        provenance={
            **_origin(repeats, partition_repeats),
            "partitions": times.partitions(),
            "accuracy": "of the joint network"
            if separate_accuracy is None
            else "of networks trained for each branch alone",
            "training": training,
            "samples": {
                "train": len(dataset.train),
                "validation": len(dataset.validation),
                "test": len(dataset.test),
            },
        },
    )


def measure(
    network: MultiExitNetwork,
    dataset: Dataset,
    *,
    seed: int,
    device: str,
    repeats: int = REPEATS,
    partition_repeats: int = PARTITION_REPEATS,
    partitions: float | None = None,
    codecs: Iterable[Codec] = (),
    inputs: Iterable[InputCodec] = (),
    score: Score = ENTROPY,
    report: Report = no_progress,
) -> MachineTimes:
    """Times on this machine: as `device` in ONNX Runtime on one thread, which is what gets deployed.

    Beside it, for comparison: as `device-torch` in PyTorch with all its threads, as `device-torch-1thread` with one.

    network, seed, partitions: as in `profile_network`.
    codecs, inputs: those to time beside fp32 and raw.
    score: of its exits.
    """
    objects = objects_of(network, _first_image(dataset))
    n = len(network.blocks)
    measured = sample(n, count(n, partitions), seed=seed)
    eager = in_torch(network, objects)
    whole = export(network, dataset.image_shape, dataset.input_type, score=score)
    sessions = (
        (device, in_onnx_runtime(whole, objects), 1),
        (f"{device}-torch", eager, torch.get_num_threads()),
        (f"{device}-torch-1thread", eager, 1),
    )
    compute = {}
    for name, parts, threads in sessions:
        with torch_threads(threads):
            compute[name] = compute_times(
                parts,
                measured,
                repeats=repeats,
                partition_repeats=partition_repeats,
                report=_labeled(report, name),
            )
    return MachineTimes(
        compute,
        encoding_times(objects, [Codec.FP32, *codecs], repeats=repeats, report=report),
        input_times(
            [*np.array(dataset.validation.images[:_TIMED_INPUTS])], tuple(inputs), repeats=repeats, report=report
        ),
    )


def describe(network: MultiExitNetwork, dataset: Dataset, *, backbone: str) -> Backbone:
    """The core's view of a network: names of the blocks, and sizes taken from the tensors of a real sample.

    network: with a branch after every block.
    backbone: what it is called.
    """
    x = _first_image(dataset)
    input_bits = _bits(x)
    blocks = []
    with torch.inference_mode():
        for name, block, branch in zip(network.names, network.blocks, network.branches, strict=True):
            x = block(x)
            weights = [*block.state_dict().values(), *branch.state_dict().values()]
            blocks.append(Block(name, _bits(x), sum(map(_bits, weights))))
        result_bits = _bits(network.branches[-1](x))
    return Backbone(backbone, dataset.name, input_bits, result_bits, tuple(blocks))


def _labeled(report: Report, device: str) -> Report:
    """The callback with the device named in what is being measured."""
    return lambda stage, done: report(f"{device}: {stage}", done)


def _first_image(dataset: Dataset) -> Tensor:
    return torch.tensor(dataset.validation.images[:1])


def _bits(tensor: Tensor) -> int:
    """Size of the one sample in `tensor` [1, ...]."""
    return tensor.numel() * tensor.element_size() * 8


def _origin(repeats: int, partition_repeats: int) -> Mapping[str, object]:
    """Where and how the times were measured."""
    return {
        "machine": machine.cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": machine.versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "statistic": f"p{PERCENTILE}",
        "repeats": repeats,
        "partition_repeats": partition_repeats,
    }
