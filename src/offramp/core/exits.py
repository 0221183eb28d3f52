"""Three models of exit rates and accuracy behind one interface.

A plan's accuracy and its exit rates depend on where the branches are and on the thresholds, never on the placement.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, partial
from typing import Protocol

import numpy as np

from offramp.core import checks
from offramp.core.checks import BoolArray, Float32Array, FloatArray, WordArray
from offramp.core.exit_table import ExitTable, at_or_below
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.errors import fail, refuse

# The thresholds a search tries where the profile names none: 20 levels, as in EdgeSys'22.
DEFAULT_THRESHOLDS = tuple(round(0.05 * level, 2) for level in range(20))

# Thresholds nearer than this are the same number, written by another program.
SAME_THRESHOLD = 1e-9


class ExitModelName(Enum):
    """The three models of exit rates."""

    PUBLISHED = "published"
    MARGINAL = "marginal"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class PlanRates:
    """Exit rates and accuracy of a plan. L is the number of partitions.

    exit_rates: [L] E_k, the share of all samples that exit at partition k; they sum to one.
    stay_rates: [L] S_k, the share of all samples that continue past partition k; zero for the last.
    accuracy: share of all samples answered right.
    """

    exit_rates: tuple[float, ...]
    stay_rates: tuple[float, ...]
    accuracy: float


class ExitModel(Protocol):
    """Exit rates and accuracy for any partitioning and thresholds."""

    @property
    def name(self) -> ExitModelName:
        """Which of the three this is."""
        ...

    @property
    def thresholds(self) -> FloatArray:
        """[K] the thresholds a search tries."""
        ...

    def rates(self, ends: Sequence[int], thresholds: Sequence[float]) -> PlanRates:
        """What holds when the branches after blocks `ends` [L] are used, at `thresholds` [L-1]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Additive:
    """Exit rates that depend on each branch alone: `published` and `marginal`.

    With F_i(T) = `exited`, exit rates are E_k = F(P_k) - F(P_{k-1}), F = 1 for the last used branch, and accuracy is
    the sum of acc(P_k) E_k (EdgeSys'22, section 2.3; PORTEND, section III).

    thresholds: [K].
    exited: [K, N+1] F_i(T), the share of samples that have exited by branch i; F_0 = 0.
    branch_accuracy: [N+1] acc_i; entry 0 is not used.
    """

    name: ExitModelName
    thresholds: FloatArray
    exited: FloatArray
    branch_accuracy: FloatArray

    def rates(self, ends: Sequence[int], thresholds: Sequence[float]) -> PlanRates:
        """Exit rates and accuracy; the thresholds must be equal and among the model's own.

        Marginal rates need not grow with the block, so a rate can come out negative: PORTEND publishes them so.
        """
        if len(set(thresholds)) > 1:
            fail("thresholds", f"the {self.name.value} model knows one threshold for all exits", "use replay")
        row = self._row(thresholds[0]) if thresholds else 0
        exited = [0.0, *(float(self.exited[row, end]) for end in ends[:-1]), 1.0]
        rates = tuple(after - before for before, after in itertools.pairwise(exited))
        return PlanRates(
            exit_rates=rates,
            stay_rates=tuple(1 - share for share in exited[1:]),
            accuracy=sum(rate * float(self.branch_accuracy[end]) for rate, end in zip(rates, ends, strict=True)),
        )

    def at(self, thresholds: Sequence[float]) -> "Additive":
        """The same model, with a search trying only those of its thresholds."""
        rows = [self._row(threshold) for threshold in thresholds]
        return replace(self, thresholds=self.thresholds[rows], exited=self.exited[rows])

    def _row(self, threshold: float) -> int:
        for row, measured in enumerate(self.thresholds.tolist()):
            if abs(measured - threshold) < SAME_THRESHOLD:
                return row
        known = ", ".join(f"{t:g}" for t in self.thresholds)
        fail("thresholds", f"{threshold:g} was not measured", f"use one of {known}, or the replay model")


BitSets = tuple[WordArray, WordArray, WordArray, WordArray, int]


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """Run every sample of the exit table through the plan.

    A sample exits at the first used branch whose score is at or below that branch's threshold, and its answer is
    looked up. Exact for the profiled network, with one threshold or one per exit.

    thresholds: [K] the thresholds a search tries; any other may be asked for.
    bit_sets: the table as the replay search wants it, packed when it is first asked for.
    """

    table: ExitTable
    thresholds: FloatArray
    bit_sets: Callable[[], BitSets] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bit_sets", cache(partial(_bit_sets, self.table, self.thresholds)))

    def check_memory(self, most: float) -> None:
        """Raise `InputError` where the table takes more bytes as bit sets than a search may keep."""
        if self.bit_set_bytes > most:
            problem = (
                f"is {most / 1e6:.4g} MB, and the exit table takes {self.bit_set_bytes / 1e6:.1f} MB at every threshold"
            )
            remedy = f"give at least {math.ceil(self.bit_set_bytes / 1e5) / 10:.1f} MB, or fewer thresholds"
            fail("memory_limit", problem, remedy)

    @property
    def bit_set_bytes(self) -> int:
        """What `bit_sets` take in memory."""
        rows = (len(self.thresholds) + 2) * (self.table.blocks + 1) + 1
        return 8 * rows * words_for(self.table.samples)

    @property
    def name(self) -> ExitModelName:
        """Always `REPLAY`."""
        return ExitModelName.REPLAY

    def rates(self, ends: Sequence[int], thresholds: Sequence[float]) -> PlanRates:
        """Exit rates and accuracy of the plan with those exits."""
        rows = [end - 1 for end in ends]
        return replayed_rates(self.table.scores[rows], self.table.correct[rows], thresholds)


def replayed_rates(scores: Float32Array, correct: BoolArray, thresholds: Sequence[float]) -> PlanRates:
    """Exit rates and accuracy of L exits in a row, every sample run through them.

    scores, correct: [L, S] what each exit says of each sample.
    thresholds: [L-1] of every exit but the last, which takes all samples that reach it.
    """
    samples = scores.shape[1]
    remaining = np.ones(samples, np.bool_)
    exit_rates, stay_rates, right = [], [], 0
    for k in range(len(scores)):
        last = k == len(scores) - 1
        exiting = remaining if last else remaining & at_or_below(scores[k], thresholds[k])
        remaining = remaining & ~exiting
        exit_rates.append(int(exiting.sum()) / samples)
        stay_rates.append(int(remaining.sum()) / samples)
        right += int((exiting & correct[k]).sum())
    return PlanRates(tuple(exit_rates), tuple(stay_rates), right / samples)


def first_exit_rates(scores: Float32Array, thresholds: Sequence[float]) -> FloatArray:
    """[K, N] alpha_i(T): the share of samples whose first branch at or below T is i (EdgeSys'22, section 2.3).

    scores: [N, S] of every branch. The last branch takes all samples that reach it.
    """
    first = _exits_at(scores, thresholds).argmax(axis=1)[:, None, :] == np.arange(len(scores))[:, None]  # [K, N, S]
    rates: FloatArray = first.mean(axis=2)
    return rates


def _exits_at(scores: Float32Array, thresholds: Sequence[float]) -> BoolArray:
    """[K, N, S] whether a sample that reaches the branch exits there; all do at the last."""
    exits = np.stack([at_or_below(scores, threshold) for threshold in thresholds])
    exits[:, -1] = True
    return exits


def exit_model(
    profile: Profile, name: ExitModelName | None = None, *, thresholds: Sequence[float] | None = None
) -> ExitModel:
    """The exit model of that name on what the profile has.

    name: by default replay where there is an exit table, else what the profile's exit rates mean.
    thresholds: what a search tries; by default those of the profile, else `DEFAULT_THRESHOLDS`. With exit rates and
        no table they must be among the measured ones.
    Raises `InputError` where the profile lacks what the model needs.
    """
    if name is None:
        name = _default_name(profile)
    if name is ExitModelName.REPLAY:
        if profile.exit_table is None:
            fail(
                "exit_table", "the replay model needs an exit table and the profile has none", "use another exit model"
            )
        return Replay(profile.exit_table, _grid(profile, thresholds))
    meaning = Meaning.FIRST_EXIT if name is ExitModelName.PUBLISHED else Meaning.MARGINAL
    measured = profile.exits if profile.exits is not None and profile.exits.meaning is meaning else None
    if profile.exit_table is not None and (measured is None or thresholds is not None):
        accuracy = profile.exit_table.correct.mean(axis=1) if measured is None else measured.accuracy
        return _counted(name, profile.exit_table, _grid(profile, thresholds), accuracy)
    if measured is None:
        fail("exits", f"the {name.value} model needs exit rates of meaning {meaning.value}", "use another exit model")
    model = _measured(name, measured)
    return model if thresholds is None else model.at(thresholds)


def _default_name(profile: Profile) -> ExitModelName:
    if profile.exit_table is not None:
        return ExitModelName.REPLAY
    assert profile.exits is not None
    return ExitModelName.PUBLISHED if profile.exits.meaning is Meaning.FIRST_EXIT else ExitModelName.MARGINAL


def _grid(profile: Profile, thresholds: Sequence[float] | None) -> FloatArray:
    if thresholds is None:
        thresholds = DEFAULT_THRESHOLDS if profile.exits is None else profile.exits.thresholds.tolist()
    grid = checks.frozen_array(thresholds, np.float64, 1, "thresholds")
    refuse(checks.thresholds("thresholds", grid))
    return grid


def _counted(name: ExitModelName, table: ExitTable, grid: FloatArray, accuracy: FloatArray) -> Additive:
    """Exit rates counted from the exit table."""
    exits_there = _exits_at(table.scores, grid.tolist())
    if name is ExitModelName.PUBLISHED:
        exits_there = np.logical_or.accumulate(exits_there, axis=1)
    return _additive(name, grid, exits_there.mean(axis=2), accuracy)


def _measured(name: ExitModelName, exits: ExitRates) -> Additive:
    """Exit rates as the profile gives them."""
    exited = exits.exit_rate
    if exits.meaning is Meaning.FIRST_EXIT:
        exited = np.minimum(np.cumsum(exited, axis=1), 1.0)
    return _additive(name, exits.thresholds, exited, exits.accuracy)


def _additive(name: ExitModelName, thresholds: FloatArray, exited: FloatArray, accuracy: FloatArray) -> Additive:
    return Additive(
        name=name,
        thresholds=thresholds,
        exited=checks.frozen_array(np.pad(exited, ((0, 0), (1, 0))), np.float64, 2, "exits.exit_rate"),
        branch_accuracy=checks.frozen_array(np.pad(accuracy, (1, 0)), np.float64, 1, "exits.accuracy"),
    )


def _bit_sets(table: ExitTable, thresholds: FloatArray) -> BitSets:
    """The first arguments of `search_replay`: sets of samples as bits, with a row for the input in front.

    Packed row by row: a byte for every sample, branch and threshold would be eight times as much at its peak.
    """
    blocks, samples = table.blocks, table.samples
    exits_there = np.zeros((len(thresholds), blocks + 1, words_for(samples)), np.uint64)
    for q in range(blocks):
        for k, threshold in enumerate(thresholds.tolist()):
            exits_there[k, q + 1] = words(at_or_below(table.scores[q], threshold))
    right, later = np.zeros((2, blocks + 1, words_for(samples)), np.uint64)
    for q in range(blocks, 0, -1):
        right[q] = words(table.correct[q - 1])
        later[q - 1] = later[q] | right[q]
    return exits_there, right, later, words(np.ones(samples, np.bool_)), samples


def words_for(samples: int) -> int:
    """W, how many words of 64 bits a set of so many samples takes."""
    return -(-samples // 64)


def words(members: BoolArray) -> WordArray:
    """[..., S] to [..., W]: sets of samples as words of 64 bits."""
    padded = np.zeros((*members.shape[:-1], 64 * words_for(members.shape[-1])), np.bool_)
    padded[..., : members.shape[-1]] = members
    return np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)


def normalized_entropy(probabilities: FloatArray) -> FloatArray:
    """Entropy of class probabilities over the logarithm of the number of classes.

    probabilities: [..., C], rows sum to one, C >= 2.
    Returns [...] in [0, 1], NaN for NaN, where 1 is a uniform guess (EdgeSys'22, section 2.1; Teerapittayanon et al.,
    BranchyNet, ICPR 2016).
    """
    classes = probabilities.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probabilities == 0, 0.0, probabilities * np.log(probabilities))
    entropy: FloatArray = np.clip(-terms.sum(axis=-1) / math.log(classes), 0.0, 1.0)
    return entropy
