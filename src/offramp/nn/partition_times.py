"""Which partitions to measure where there are too many, and what the others take.

A partition takes about what its blocks and its branch take alone, plus what that sum misses. For blocks f..l, with CK
and CB the blocks and branches alone and B = CK_f + ... + CK_l:

    t(f..l) = B + CB_l                            the sum that EdgeSys'22 predicts with (section 2.2)
            + a_0                                 a call's fixed cost
            + a_1 (l - f)                         at each border inside: no call of its own, no activation handed over,
                                                  what the engine fuses across it
            + a_2 B + a_3 CB_l                    parts are faster or slower in company
            + a_4 B^2 / (CK_1 + ... + CK_N)       of a long partition the caches hold less
            + c_f + ... + c_l + e_f + d_l         what is special about a block inside, as the first and as the last

The a, c, e and d are fitted to the partitions that were measured, by least squares of relative errors. They are drawn
toward zero, which is the plain sum, as strongly as predicts best what was measured but left out: the less a machine
repeats itself, the more. An outlier counts less (Huber).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from offramp.core.checks import FloatArray, IntArray

Ends: TypeAlias = tuple[int, int]
"""First and last block of a partition, 1-based."""

_SHARE = 0.1
_USUALLY = 100
_LEAST = 10
_FOLDS = 5
_PULLS = 10.0 ** np.arange(-4, 3.1, 0.5)
_FREE = 10.0  # times more freedom for what all partitions share than for what is special about a block
_ROUNDS = 3
_OUTLIER = 1.5  # typical errors


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How wrong partitions are that were measured, but left out of the fit.

    error: the mean of the errors' sizes, each relative to what was measured.
    rmse_s: root mean square error in seconds.
    """

    error: float
    rmse_s: float


def pairs(blocks: int) -> list[Ends]:
    """Every partition of so many blocks, by its first block and then by its last."""
    return [(first, last) for first in range(1, blocks + 1) for last in range(first, blocks + 1)]


def count(blocks: int, share: float | None = None) -> int:
    """How many partitions to measure of a network with so many blocks.

    share: of all partitions, in (0, 1]; None for a tenth, but at least a hundred. All of them where they are fewer; ten
        at least, for with less there is nothing to fit.
    """
    every = blocks * (blocks + 1) // 2
    least, share = (_USUALLY, _SHARE) if share is None else (_LEAST, share)
    return min(every, max(least, math.ceil(share * every)))


def sample(blocks: int, size: int, *, seed: int) -> list[Ends]:
    """So many different partitions, in an order that has nothing to do with where they lie.

    Every so many-th of `pairs`: early and late ones, long and short ones are in it as they are in all, so that what is
    found of some left out holds for the others.
    """
    every = pairs(blocks)
    rng = np.random.default_rng(seed)
    places = (np.arange(size) + rng.random()) * (len(every) / size)
    return [every[int(place)] for place in rng.permutation(places)]


def filled(block_s: FloatArray, branch_s: FloatArray, ends: Sequence[Ends], seconds: FloatArray) -> FloatArray:
    """[N, N] what every partition takes, as `core.Timing.partition_s`: measured where it was, else fitted.

    block_s, branch_s: [N] seconds of the parts alone, above zero.
    ends, seconds: [M] of the partitions measured, at least one; seconds above zero.
    """
    n = len(block_s)
    every = pairs(n)
    found = dict(zip(ends, seconds, strict=True))
    if len(found) < len(every):
        found = dict(zip(every, predicted(block_s, branch_s, ends, seconds, every), strict=True)) | found
    partition_s = np.full((n, n), np.nan)
    for (first, last), value in found.items():
        partition_s[first - 1, last - 1] = value
    return partition_s


def predicted(
    block_s: FloatArray, branch_s: FloatArray, ends: Sequence[Ends], seconds: FloatArray, wanted: Sequence[Ends]
) -> FloatArray:
    """[W] seconds of the partitions wanted, by the model that is fitted to those measured, as in `filled`."""
    sums_s, columns = _terms(block_s, branch_s, np.array(ends))
    corrections = _fit(columns / sums_s[:, None], seconds / sums_s - 1)
    sums_s, columns = _terms(block_s, branch_s, np.array(wanted))
    # Nothing is faster than a part of it, whatever was measured.
    floor_s = branch_s[np.array(wanted)[:, 1] - 1]
    fitted: FloatArray = np.maximum(sums_s + columns @ corrections, floor_s)
    return fitted


def held_out(block_s: FloatArray, branch_s: FloatArray, ends: Sequence[Ends], seconds: FloatArray) -> HeldOut:
    """How wrong the model is for partitions left out of the fit, a fifth of those measured at a time; as in `filled`.

    What differs from one measurement of the same partition to the next is in these errors, too.
    """
    wrong_s = np.empty(len(ends))
    for fold in range(_FOLDS):
        out = np.arange(len(ends)) % _FOLDS == fold
        inside = [each for each, is_out in zip(ends, out, strict=True) if not is_out]
        outside = [each for each, is_out in zip(ends, out, strict=True) if is_out]
        wrong_s[out] = predicted(block_s, branch_s, inside, seconds[~out], outside) - seconds[out]
    return errors(wrong_s, seconds)


def errors(wrong_s: FloatArray, seconds: FloatArray) -> HeldOut:
    """Summary of errors [M] where `seconds` [M] were measured."""
    return HeldOut(float(np.mean(np.abs(wrong_s) / seconds)), float(np.sqrt(np.mean(wrong_s**2))))


def sums(block_s: FloatArray, branch_s: FloatArray, ends: Sequence[Ends]) -> FloatArray:
    """[M] seconds of partitions as the plain sums of their parts' times alone, [N] each."""
    return _terms(block_s, branch_s, np.array(ends))[0]


def _terms(block_s: FloatArray, branch_s: FloatArray, ends: IntArray) -> tuple[FloatArray, FloatArray]:
    """[M] the plain sums, and [M, 5+3N] what multiplies the corrections, for partitions [M, 2]."""
    blocks = np.arange(1, len(block_s) + 1)
    first, last = ends[:, :1], ends[:, 1:]
    inside = (first <= blocks) & (blocks <= last)
    in_blocks_s = inside @ block_s
    in_branch_s = branch_s[ends[:, 1] - 1]
    call_s = branch_s.min()  # a branch computes next to nothing
    shared = [
        np.full(len(ends), call_s),
        (ends[:, 1] - ends[:, 0]) * call_s,
        in_blocks_s,
        in_branch_s,
        in_blocks_s**2 / block_s.sum(),
    ]
    special = np.concatenate([inside, first == blocks, last == blocks], axis=1) * np.tile(block_s, 3)
    return in_blocks_s + in_branch_s, np.column_stack([_FREE * np.column_stack(shared), special])


def _fit(columns: FloatArray, missing: FloatArray) -> FloatArray:
    """[P] corrections, from [M, P] and [M] what the sums miss, both relative to the sums."""
    weight = np.ones(len(missing))
    for _ in range(_ROUNDS):
        corrections, left_out = _ridge(columns * weight[:, None], missing * weight)
        size = np.abs(left_out) / weight
        typical = max(float(np.median(size)), 1e-12)
        weight = np.sqrt(np.minimum(1, _OUTLIER * typical / np.maximum(size, typical)))
    return corrections


def _ridge(columns: FloatArray, missing: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least squares, drawn toward zero as strongly as leaves the least error on each that is left out of the fit.

    [P] the corrections, and [M] those errors: r_i / (1 - h_i), for h_i the weight of an entry in its own prediction
    (Golub, Heath, Wahba: Generalized cross-validation, Technometrics 1979, section 1).
    """
    u, scale, vt = np.linalg.svd(columns, full_matrices=False)
    along = u.T @ missing
    best: tuple[float, FloatArray, FloatArray] | None = None
    for pull in _PULLS:
        kept = scale**2 / (scale**2 + pull)
        left_out = (missing - u @ (kept * along)) / (1 - u**2 @ kept)
        error = float(np.mean(left_out**2))
        if best is None or error < best[0]:
            best = error, vt.T @ (scale / (scale**2 + pull) * along), left_out
    assert best is not None
    return best[1], best[2]
