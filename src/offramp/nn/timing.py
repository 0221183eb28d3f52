"""Times on the machine at hand: every block and branch, every partition, and the way from tensor to bytes and back."""

import functools
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from offramp.core.checks import FloatArray
from offramp.core.profile import Timing
from offramp.nn.network import MultiExitNetwork, Partition

PERCENTILE = 99
_WARM_UP = 10

Report: TypeAlias = Callable[[str, float], None]
"""Told what is being measured and the share of it that is done."""


def measure(
    network: MultiExitNetwork, image: Tensor, *, threads: int, repeats: int, partition_repeats: int, report: Report
) -> Timing:
    """Times of the full configuration on the CPU, one sample at a time: percentile 99 over the repeats.

    image: [1, C, H, W] uint8, a real sample.
    threads: how many torch may use; set back afterwards.
    repeats: of blocks, branches and serialization; partition_repeats: of the N(N+1)/2 partitions.

    Partitions are measured as wholes beside the blocks, since sums of blocks miss what lies between them (PORTEND,
    section IV: RMSE 0.11 ms by partition, 0.76 ms by block).
    """
    network.eval()
    n = len(network.blocks)
    with _threads(threads), torch.inference_mode():
        inputs = [image]
        for block in network.blocks:
            inputs.append(block(inputs[-1]))
        result = network.branch(n)(inputs[-1])[0]
        blocks = [_call(block, x) for block, x in zip(network.blocks, inputs[:-1], strict=True)]
        branches = [_call(branch, x) for branch, x in zip(network.branches, inputs[1:], strict=True)]
        objects = [*inputs, result]
        encoded = [to_bytes(x) for x in objects]
        encode: list[Callable[[], object]] = [functools.partial(to_bytes, x) for x in objects]
        decode: list[Callable[[], object]] = [
            functools.partial(from_bytes, data, x) for data, x in zip(encoded, objects, strict=True)
        ]
        ends = [(first, last) for first in range(1, n + 1) for last in range(first, n + 1)]
        wholes = [_call(Partition(network, first, last).eval(), inputs[first - 1]) for first, last in ends]

        network_s = timed(blocks + branches, repeats=repeats, report=functools.partial(report, "blocks"))
        bytes_s = timed(encode + decode, repeats=repeats, report=functools.partial(report, "serialization"))
        wholes_s = timed(wholes, repeats=partition_repeats, report=functools.partial(report, "partitions"))
    typical, spread = statistic(network_s), network_s.std(axis=1)
    bytes_typical = statistic(bytes_s)
    partition_s = np.full((n, n), np.nan)
    for (first, last), seconds in zip(ends, statistic(wholes_s), strict=True):
        partition_s[first - 1, last - 1] = seconds
    return Timing(
        block_s=typical[:n],
        branch_s=typical[n:],
        partition_s=partition_s,
        serialize_s=bytes_typical[: n + 2],
        deserialize_s=bytes_typical[n + 2 :],
        block_spread_s=spread[:n],
        branch_spread_s=spread[n:],
    )


def timed(calls: Sequence[Callable[[], object]], *, repeats: int, report: Callable[[float], None]) -> FloatArray:
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
    found: FloatArray = np.percentile(seconds, PERCENTILE, axis=1)
    return found


def to_bytes(tensor: Tensor) -> bytes:
    """What goes on the wire: the entries in row-major order."""
    return tensor.numpy().tobytes()


def from_bytes(data: bytes, like: Tensor) -> Tensor:
    """The tensor that `to_bytes` was given; its shape and type are those of `like`."""
    array = np.frombuffer(data, like.numpy().dtype).reshape(like.shape)
    return torch.from_numpy(array.copy())


def _call(module: nn.Module, x: Tensor) -> Callable[[], object]:
    return functools.partial(module, x)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
