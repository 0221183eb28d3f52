"""Which partitions to measure where there are too many, and what the others take.

Those that begin with block 1 are all measured: every plan has one of them, and the raw sample goes into them, which
sessions lay out another way than activations. The others take about what their blocks and their branch take alone, plus
what that sum misses. For blocks f..l, with CK and CB the blocks and branches alone:

    t(f..l) = CK_f + ... + CK_l + CB_l            the sum that EdgeSys'22 predicts with (section 2.2)
            + a_0                                 a call's fixed cost
            + a_1 (l - f)                         at each border inside: no call of its own, no activation handed over,
                                                  what the engine fuses across it
            + a_2 (CK_f + ... + CK_l) + a_3 CB_l  parts are faster or slower in company
            + c_f + ... + c_l + e_f + d_l         what is special about a block inside, as the first and as the last

The a, c, e and d are fitted to a sample that was measured, by least squares of relative errors. They are drawn toward
zero, which is the plain sum, as strongly as predicts best what was measured but left out: the less a machine repeats
itself, the more. An outlier counts less (Huber).
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
_OUTLIER = 2.0  # typical errors


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

    share: of all partitions, in (0, 1]; None for a tenth, but at least a hundred. All of them where they are fewer; at
        least those that begin with block 1 and ten others, for with less there is nothing to fit.
    """
    every = blocks * (blocks + 1) // 2
    least, share = (_USUALLY, _SHARE) if share is None else (0, share)
    return min(every, max(least, blocks + _LEAST, math.ceil(share * every)))


def sample(blocks: int, size: int, *, seed: int) -> list[Ends]:
    """So many different partitions, in an order that has nothing to do with where they lie.

    All that begin with block 1, and every so many-th of the others: early and late ones, long and short ones are in it
    as they are in all, so that what is found of some left out holds for those not measured.

    size: of `count`.
    """
    beginning, others = pairs(blocks)[:blocks], pairs(blocks)[blocks:]
    rng = np.random.default_rng(seed)
    places = (np.arange(size - blocks) + rng.random()) * (len(others) / max(size - blocks, 1))
    taken = beginning + [others[int(place)] for place in places]
    return [taken[k] for k in rng.permutation(size)]


def filled(block_s: FloatArray, branch_s: FloatArray, ends: Sequence[Ends], seconds: FloatArray) -> FloatArray:
    """[N, N] what every partition takes, as `core.Timing.partition_s`: measured where it was, else fitted.

    block_s, branch_s: [N] seconds of the parts alone, above zero.
    ends, seconds: [M] of the partitions measured, of `sample`; seconds above zero.
    """
    n = len(block_s)
    known = dict(zip(ends, seconds, strict=True))
    others = [partition for partition in pairs(n) if partition not in known]
    if others:
        known |= dict(zip(others, predicted(block_s, branch_s, ends, seconds, others), strict=True))
    partition_s = np.full((n, n), np.nan)
    for (first, last), value in known.items():
        partition_s[first - 1, last - 1] = value
    return partition_s


def predicted(
    block_s: FloatArray, branch_s: FloatArray, ends: Sequence[Ends], seconds: FloatArray, others: Sequence[Ends]
) -> FloatArray:
    """[W] seconds of the other partitions, none of which begins with block 1, by the model fitted to those measured.

    block_s, branch_s, ends, seconds: as in `filled`.
    """
    sums_s, columns = _terms(block_s, branch_s, np.array(ends))
    fit = np.array(ends)[:, 0] > 1
    corrections = _fit(columns[fit] / sums_s[fit, None], seconds[fit] / sums_s[fit] - 1)
    sums_s, columns = _terms(block_s, branch_s, np.array(others))
    # Nothing is faster than a part of it, whatever was measured.
    floor_s = branch_s[np.array(others)[:, 1] - 1]
    fitted: FloatArray = np.maximum(sums_s + columns @ corrections, floor_s)
    return fitted


def held_out(block_s: FloatArray, branch_s: FloatArray, ends: Sequence[Ends], seconds: FloatArray) -> HeldOut:
    """How wrong the model is for partitions left out of the fit, a fifth of those fitted to at a time; as in `filled`.

    What differs from one measurement of the same partition to the next is in these errors, too.
    """
    known = [k for k, (first, _) in enumerate(ends) if first > 1]
    wrong_s = np.empty(len(known))
    for fold in range(_FOLDS):
        inside = [k for place, k in enumerate(known) if place % _FOLDS != fold]
        outside = known[fold::_FOLDS]
        fitted_s = predicted(block_s, branch_s, [ends[k] for k in inside], seconds[inside], [ends[k] for k in outside])
        wrong_s[fold::_FOLDS] = fitted_s - seconds[outside]
    return errors(wrong_s, seconds[known])


def errors(wrong_s: FloatArray, seconds: FloatArray) -> HeldOut:
    """Summary of errors [M] where `seconds` [M] were measured."""
    return HeldOut(float(np.mean(np.abs(wrong_s) / seconds)), float(np.sqrt(np.mean(wrong_s**2))))


def sums(block_s: FloatArray, branch_s: FloatArray, ends: Sequence[Ends]) -> FloatArray:
    """[M] seconds of partitions as the plain sums of their parts' times alone, [N] each."""
    return _terms(block_s, branch_s, np.array(ends))[0]


def _terms(block_s: FloatArray, branch_s: FloatArray, ends: IntArray) -> tuple[FloatArray, FloatArray]:
    """[M] the plain sums, and [M, 4+3N] what multiplies the corrections, for partitions [M, 2]."""
    blocks = np.arange(1, len(block_s) + 1)
    first, last = ends[:, :1], ends[:, 1:]
    inside = (first <= blocks) & (blocks <= last)
    in_blocks_s = inside @ block_s
    in_branch_s = branch_s[ends[:, 1] - 1]
    call_s = branch_s.min()  # a branch computes next to nothing
    shared = np.column_stack([np.full(len(ends), call_s), (ends[:, 1] - ends[:, 0]) * call_s, in_blocks_s, in_branch_s])
    special = [inside * block_s, (first == blocks) * call_s, (last == blocks) * call_s]
    return in_blocks_s + in_branch_s, np.column_stack([_FREE * shared, *special])


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
