"""Times on the machine at hand: every block and branch, every partition, and the way from tensor to bytes and back."""

import functools
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor, nn

from offramp.bundle.codecs import decode, encode
from offramp.bundle.input_codecs import decode_input, encode_input
from offramp.core.checks import Float32Array, FloatArray, Uint8Array
from offramp.core.codec import Codec, InputCodec
from offramp.core.percentile import percentile
from offramp.nn import export
from offramp.nn.network import MultiExitNetwork, Partition
from offramp.nn.profiling.partition_fit import Ends, HeldOut, filled, held_out, pairs

PERCENTILE = 99
_WARM_UP = 10
_AT_A_TIME = 200

Report: TypeAlias = Callable[[str, float], None]
"""A progress callback: what is being measured, and the share of it that is done."""

Call: TypeAlias = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Compute:
    """Everything of a network that can run, ready to be called with a real sample. N blocks.

    blocks, branches: [N].
    partition: makes that of blocks first..last, 1-based, with the branch after the last; when it is measured, as all
        of them take more memory than there is.
    """

    blocks: Sequence[Call]
    branches: Sequence[Call]
    partition: Callable[[int, int], Call]


@dataclass(frozen=True, slots=True, eq=False)
class ComputeTimes:
    """What a network's parts take, in seconds; as in `core.Timing`.

    measured: how many partitions were; the others are fitted to them.
    held_out: how wrong the fit is; None where every partition was measured.
    """

    block_s: FloatArray
    branch_s: FloatArray
    partition_s: FloatArray
    block_spread_s: FloatArray
    branch_spread_s: FloatArray
    measured: int
    held_out: HeldOut | None


@dataclass(frozen=True, slots=True, eq=False)
class EncodingTimes:
    """[N+2] seconds from tensor to bytes and back: the input, the blocks' outputs, the result."""

    serialize_s: FloatArray
    deserialize_s: FloatArray


def in_onnx_runtime(whole: ModelProto, objects: Sequence[Tensor]) -> Compute:
    """The parts as they are deployed.

    whole: of `export.export`.
    objects: of `objects_of`.
    """
    n = len(objects) - 2
    inputs = [tensor.numpy() for tensor in objects]
    return Compute(
        blocks=[_loaded(export.cut_block(whole, i), inputs[i - 1]) for i in range(1, n + 1)],
        branches=[_loaded(export.cut_branch(whole, i), inputs[i]) for i in range(1, n + 1)],
        partition=lambda first, last: _loaded(export.cut(whole, first, last), inputs[first - 1]),
    )


def in_torch(network: MultiExitNetwork, objects: Sequence[Tensor]) -> Compute:
    """The parts as PyTorch runs them, eagerly.

    objects: of `objects_of`.
    """
    network.eval()
    return Compute(
        blocks=[_call(block, x) for block, x in zip(network.blocks, objects, strict=False)],
        branches=[_call(branch, x) for branch, x in zip(network.branches, objects[1:], strict=False)],
        partition=lambda first, last: _call(Partition(network, first, last).eval(), objects[first - 1]),
    )


def objects_of(network: MultiExitNetwork, image: Tensor) -> list[Tensor]:
    """[N+2] what can travel of a sample, each [1, ...]: the image, the blocks' outputs, the result.

    image: [1, ...] a raw sample.
    """
    network.eval()
    with torch.inference_mode():
        objects = [image]
        for block in network.blocks:
            objects.append(block(objects[-1]))
        return [*objects, torch.softmax(network.branches[-1](objects[-1]), dim=1)]


def compute_times(
    compute: Compute, partitions: Sequence[Ends], *, repeats: int, partition_repeats: int, report: Report
) -> ComputeTimes:
    """What the parts take, one sample at a time: percentile 99 over the repeats.

    Partitions are measured as wholes beside the blocks, since sums of blocks miss what lies between them (PORTEND,
    section IV: RMSE 0.11 ms by partition, 0.76 ms by block).

    partitions: those to measure, at least one, none twice; the others are fitted to them.
    """
    n = len(compute.blocks)
    with torch.inference_mode():
        parts_s = timed(
            [*compute.blocks, *compute.branches], repeats=repeats, report=functools.partial(report, "blocks")
        )
        wholes_s = statistic(
            timed_partitions(
                compute, partitions, repeats=partition_repeats, report=functools.partial(report, "partitions")
            )
        )
    block_s, branch_s = np.split(statistic(parts_s), 2)
    block_spread_s, branch_spread_s = np.split(parts_s.std(axis=1), 2)
    return ComputeTimes(
        block_s,
        branch_s,
        filled(block_s, branch_s, partitions, wholes_s),
        block_spread_s,
        branch_spread_s,
        measured=len(partitions),
        held_out=None if len(partitions) == len(pairs(n)) else held_out(block_s, branch_s, partitions, wholes_s),
    )


def timed_partitions(
    compute: Compute, partitions: Sequence[Ends], *, repeats: int, report: Callable[[float], None]
) -> FloatArray:
    """[partitions, repeats] seconds of each, as `timed`, but 200 at a time: more may not fit in memory.

    partitions: in no order, so that a slow moment does not fall on neighbors.
    """
    groups = [partitions[begin : begin + _AT_A_TIME] for begin in range(0, len(partitions), _AT_A_TIME)]

    def times_of(group: Sequence[Ends], before: int) -> FloatArray:
        return timed(
            [compute.partition(*ends) for ends in group],
            repeats=repeats,
            report=lambda done: report((before + done) / len(groups)),
        )

    return np.concatenate([times_of(group, before) for before, group in enumerate(groups)])


def encoding_times(
    objects: Sequence[Tensor], codecs: Sequence[Codec], *, repeats: int, report: Report
) -> dict[Codec, EncodingTimes]:
    """What it takes to turn the objects into what travels and back, by codec, as tiers do it.

    objects: of `objects_of`.
    codecs: of the blocks' outputs; the input and the result travel as they are.
    """
    arrays = [tensor.numpy() for tensor in objects]
    round_trips = [_raw(arrays[0])]
    round_trips += [_encoded(array, codec) for codec in codecs for array in arrays[1:-1]]
    round_trips += [_raw(arrays[-1])]
    calls = [call for direction in zip(*round_trips, strict=True) for call in direction]
    seconds = statistic(timed(calls, repeats=repeats, report=functools.partial(report, "serialization")))
    serialize_s, deserialize_s = np.split(seconds, 2)

    def of(times: FloatArray, k: int) -> FloatArray:
        n = len(objects) - 2
        return np.array([times[0], *times[1 + k * n : 1 + (k + 1) * n], times[-1]])

    return {codec: EncodingTimes(of(serialize_s, k), of(deserialize_s, k)) for k, codec in enumerate(codecs)}


def input_times(
    samples: Sequence[NDArray[np.generic]], codecs: Sequence[InputCodec], *, repeats: int, report: Report
) -> dict[InputCodec, tuple[float, float]]:
    """Seconds to encode one input and to decode it, by codec: in the mean of some samples, as pictures differ."""
    round_trips = [_sent(sample, codec) for codec in codecs for sample in samples]
    if not round_trips:
        return {}
    calls = [call for direction in zip(*round_trips, strict=True) for call in direction]
    seconds = statistic(timed(calls, repeats=repeats, report=functools.partial(report, "inputs")))
    by_codec = seconds.reshape(2, len(codecs), len(samples)).mean(axis=2)
    return {codec: (float(by_codec[0, k]), float(by_codec[1, k])) for k, codec in enumerate(codecs)}


def timed(calls: Sequence[Call], *, repeats: int, report: Callable[[float], None]) -> FloatArray:
    """[calls, repeats] seconds of each call, after a warm-up.

    The calls take turns, so that a slow moment of the machine falls on all of them and not on one.
    """
    clock = time.perf_counter_ns
    elapsed = np.empty((len(calls), repeats), np.int64)
    with _no_garbage_collection():
        for repeat in range(-_WARM_UP, repeats):
            for i, call in enumerate(calls):
                before = clock()
                call()
                elapsed[i, max(repeat, 0)] = clock() - before
            report(max(repeat + 1, 0) / repeats)
    return elapsed / 1e9


def statistic(seconds: FloatArray) -> FloatArray:
    """[calls, repeats] -> [calls], the percentile that a profile keeps."""
    return percentile(seconds, PERCENTILE, axis=1)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Torch with so many threads, while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _loaded(model: bytes, x: Uint8Array | Float32Array) -> Call:
    return functools.partial(export.load(model).run, x)


def _call(module: nn.Module, x: Tensor) -> Call:
    return functools.partial(module, x)


def _raw(array: NDArray[np.generic]) -> tuple[Call, Call]:
    """To bytes and back, entries in row-major order."""
    data = array.tobytes()
    return array.tobytes, lambda: np.frombuffer(data, array.dtype).reshape(array.shape)


def _encoded(array: NDArray[np.float32], codec: Codec) -> tuple[Call, Call]:
    data = encode(array, codec)
    return functools.partial(encode, array, codec), functools.partial(decode, data, array.shape, codec)


def _sent(sample: NDArray[np.generic], codec: InputCodec) -> tuple[Call, Call]:
    data = encode_input(sample, codec)
    return (
        functools.partial(encode_input, sample, codec),
        functools.partial(decode_input, data, sample.shape, sample.dtype, codec),
    )


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
