"""A plan that keeps its word on samples not seen.

The best of thousands of plans on some samples flatters itself on those samples: its accuracy there is also luck. So
some of the exit table's samples, the choosing part, bring up a few candidates, each a little safer than the one
after it; the others, which had no say in that, test them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace

import numpy as np

from offramp.core.bounds import lower_bound, mean_upper_bound, percentile_upper_bound, samples_needed
from offramp.core.checks import BoolArray, IntArray
from offramp.core.estimate import Estimate, Latency
from offramp.core.exit_table import ExitTable
from offramp.core.exits import Replay
from offramp.core.metrics import answering_branch
from offramp.core.plan import Plan
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement
from offramp.errors import fail

# One sample in so many chooses. Choosing needs fewer than certifying: what it gets wrong costs a little latency, and
# what certifying lacks must be made up for by accuracy. `benchmarks/unseen.py --one-in` compares.
CHOOSING_ONE_IN = 3

# How much safer than asked the candidates are: by so many standard errors of what the certifying part will find.
_MARGINS = np.arange(4, -0.01, -0.25)
# The same where the standard error is not known beforehand: so much less than the limit.
_LESS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)

# Candidates for a limit on a percentile come from higher percentiles, too.
_SAFER = {Latency.P50: (Latency.P95, Latency.P99), Latency.P95: (Latency.P99,), Latency.P99: (), Latency.MEAN: ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """What holds on new samples; each of the two with the certificate's confidence.

    accuracy: at least; the floor where one was asked for.
    latency_s: at most, of the latency that was asked for; the limit where one was.
    """

    accuracy: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """What samples that had no say in choosing a plan tell about it.

    confidence: in (0, 1).
    choosing_samples, certifying_samples: sizes of the parts.
    candidates: how many plans were brought up. tested: how many of them were tested.
    plan: the plan that passed; None where none did.
    guaranteed: what holds for it; None likewise.
    held_back: its estimate on the certifying part; None likewise.
    samples_needed: how many samples an exit table like this would need; None where a plan passed, and where no number
        would do.
    """

    confidence: float
    choosing_samples: int
    certifying_samples: int
    _: KW_ONLY
    candidates: int
    tested: int
    plan: Plan | None = None
    guaranteed: Guarantee | None = None
    held_back: Estimate | None = None
    samples_needed: int | None = None


def certify(
    planners: Sequence[Planner],
    requirement: Requirement,
    *,
    seed: int,
    one_in: int = CHOOSING_ONE_IN,
    stop: BoolArray | None = None,
) -> Certificate:
    """The best plan that keeps, on new samples and with that confidence, to the floor and the limit that are asked for.

    The candidates and their order come from the choosing part alone: the one with most to spare first. Each is tested
    on the certifying part, and the first failure ends the sequence. To hand back a plan that breaks the requirement,
    the first such plan in the order must pass its test. Which one that is was settled before the certifying part was
    looked at, so this happens with probability 1 - confidence at most, however many plans are tested, and of however
    many codecs (fixed-sequence testing: Bauer, Statistics in Medicine 10, 1991; Angelopoulos et al., "Learn then Test",
    2021). A plan passes where both its accuracy and its latency do; whichever of the two it breaks, passing that test
    alone has that probability (intersection-union: Berger, Technometrics 24, 1982). Of the plans that pass, any may be
    taken: it is the best as seen on all samples.

    Where only one of the two is asked for, the other is bounded too, for all candidates at once (Bonferroni).

    New samples are samples like the table's own, their classes in the same shares: the parts are stratified, and a
    count of successes of unequal chances has no heavier tail than the binomial (Hoeffding, Annals of Mathematical
    Statistics 27, 1956). Latencies differ from sample to sample by where they exit; the times of machines and links
    are taken as they are.

    planners: at least one, of the replay model on one topology, each with a codec of its own.
    requirement: with a floor, a limit or both, and a confidence.
    seed: of the parts.
    one_in: one sample in so many chooses.
    stop: [1] whoever sets it to true, from another thread, ends the searches; candidates are then those found so far.
    Raises `InputError` where there is neither floor nor limit, or no exit table, or the codecs' are of other samples.
    """
    requirement.check_goal()
    confidence = requirement.sureness
    least = 2 * one_in
    tables = [_table(planner) for planner in planners]
    if tables[0].samples < least:
        needed = max(least, _samples_needed(tables, [], requirement, one_in) or 0)
        return Certificate(confidence, 0, tables[0].samples, candidates=0, tested=0, samples_needed=needed)
    parts = [_Parts.of(planner, seed=seed, one_in=one_in) for planner in planners]
    if any(not np.array_equal(each.certifying.label, parts[0].certifying.label) for each in parts):
        fail("codec", "the codecs' exit tables are of other samples", "certify one codec, or profile the run again")
    candidates = _candidates(parts, requirement, stop)
    passed: list[_Candidate] = []
    for candidate in candidates:
        shown = candidate.shown(requirement.latency, confidence)
        if shown.accuracy < requirement.floor or shown.latency_s > requirement.limit:
            break
        passed.append(candidate)
    certificate = Certificate(
        confidence,
        parts[0].choosing.samples,
        parts[0].certifying.samples,
        candidates=len(candidates),
        tested=min(len(passed) + 1, len(candidates)),
    )
    if not passed:
        return replace(certificate, samples_needed=_samples_needed(tables, candidates, requirement, one_in))
    best = min(passed, key=lambda each: requirement.rank(each.seen, met=True))
    shown = best.shown(requirement.latency, 1 - (1 - confidence) / len(candidates))
    return replace(
        certificate,
        plan=best.plan,
        guaranteed=Guarantee(
            accuracy=shown.accuracy if requirement.min_accuracy is None else requirement.min_accuracy,
            latency_s=shown.latency_s if requirement.max_latency_s is None else requirement.max_latency_s,
        ),
        held_back=best.held_back,
    )


def split(table: ExitTable, *, seed: int, one_in: int = CHOOSING_ONE_IN) -> tuple[ExitTable, ExitTable]:
    """Two parts of the samples, drawn at random: one to choose with, one to certify with.

    Of every label the choosing part gets one in so many samples, give or take one, and so of all samples together.
    Raises `InputError` where a part would have fewer than two samples.
    """
    if table.samples < 2 * one_in:
        fail("exit_table", f"{table.samples} samples can't be split", f"give {2 * one_in} samples or more")
    rng = np.random.default_rng(seed)
    labels, rank = np.unique(table.label, return_inverse=True)
    # Dealt out like cards: labels in random order, the samples of a label in random order, one in so many to choose.
    order = np.lexsort((rng.permutation(table.samples), rng.permutation(len(labels))[rank]))
    chooses = np.arange(table.samples) % one_in == rng.integers(one_in)
    return _part(table, order[chooses]), _part(table, order[~chooses])


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """A planner, and its exit table in two parts.

    chooser: the same planner, which knows the choosing part alone. choosing: the samples of it.
    certifying: the samples that certify. order: [S] one in which they may have been drawn.
    """

    planner: Planner
    chooser: Planner
    choosing: ExitTable
    certifying: ExitTable
    order: IntArray

    @classmethod
    def of(cls, planner: Planner, *, seed: int, one_in: int) -> "_Parts":
        choosing, certifying = split(_table(planner), seed=seed, one_in=one_in)
        chooser = _knowing(planner, choosing)
        order = np.random.default_rng(seed).permutation(certifying.samples)
        return cls(planner, chooser, choosing, certifying, order)


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A plan that the choosing part brought up, and its estimate there."""

    plan: Plan
    chosen: Estimate
    parts: _Parts

    @property
    def seen(self) -> Estimate:
        """Its estimate on all samples."""
        return self.parts.planner.estimate(self.plan).estimate

    @property
    def held_back(self) -> Estimate:
        """Its estimate on the certifying part."""
        return _knowing(self.parts.planner, self.parts.certifying).estimate(self.plan).estimate

    def shown(self, latency: Latency, confidence: float) -> Guarantee:
        """What the certifying part shows of it, accuracy and latency each with that confidence."""
        table = self.parts.certifying
        branch = answering_branch(table, self.plan.ends, self.plan.thresholds)
        right = int(table.correct[branch, np.arange(table.samples)].sum())
        exit_s = np.array(self.chosen.exit_latency_s)
        times_s = exit_s[np.searchsorted(self.plan.ends, branch + 1)]
        if latency is Latency.MEAN:
            drawn = times_s[self.parts.order]
            bound_s = mean_upper_bound(drawn, float(exit_s.min()), float(exit_s.max()), confidence=confidence)
        else:
            bound_s = percentile_upper_bound(times_s, exit_s, latency.value, confidence=confidence)
        return Guarantee(accuracy=lower_bound(right, table.samples, confidence=confidence), latency_s=bound_s)

    def to_spare(self, requirement: Requirement) -> float:
        """By how many standard errors it would pass its tests, if the certifying part were like the choosing part."""
        spare, root = math.inf, math.sqrt(self.parts.certifying.samples)
        floor, limit, chosen = requirement.min_accuracy, requirement.max_latency_s, self.chosen
        if floor is not None:
            spare = _errors(chosen.accuracy - floor, math.sqrt(floor * (1 - floor)) / root)
        if limit is not None and requirement.latency is Latency.MEAN:
            spare = min(spare, _errors(limit - chosen.latency_s, _deviation_s(chosen) / root))
        elif limit is not None:
            share = requirement.latency.value / 100
            within = sum(rate for rate, s in zip(chosen.exit_rates, chosen.exit_latency_s, strict=True) if s <= limit)
            spare = min(spare, _errors(within - share, math.sqrt(share * (1 - share)) / root))
        return spare


def _candidates(parts: Sequence[_Parts], requirement: Requirement, stop: BoolArray | None) -> list[_Candidate]:
    """Plans that the choosing part has for the requirement and for stricter ones, that with most to spare first."""
    found = []
    for stricter in _stricter(parts, requirement, stop):
        answers = [answer.best for each in parts if (answer := each.chooser.meeting(stricter, stop)).best]
        found.append(min(answers, key=lambda best: requirement.rank(best.estimate, met=True), default=None))
    plans = {
        best.plan: _Candidate(best.plan, best.estimate, next(each for each in parts if each.planner.serves(best.plan)))
        for best in found
        if best
    }
    return sorted(plans.values(), key=lambda each: -each.to_spare(requirement))


def _stricter(parts: Sequence[_Parts], requirement: Requirement, stop: BoolArray | None) -> Iterator[Requirement]:
    """The requirement, and others that ask for more than it."""
    floor, limit, samples = requirement.min_accuracy, requirement.max_latency_s, parts[0].certifying.samples
    if floor is not None:
        error = math.sqrt(floor * (1 - floor) / samples)
        # Plans more accurate than the best branch are hardly any, and to find that there are none takes longest.
        most = max(floor, *(float(each.choosing.accuracy.max()) for each in parts))
        for accuracy in sorted({min(most, floor + margin * error) for margin in _MARGINS}):
            yield replace(requirement, min_accuracy=accuracy)
        return
    assert limit is not None
    for latency in _SAFER[requirement.latency]:
        yield replace(requirement, latency=latency)
    limits = [limit * (1 - less) for less in _LESS]
    if requirement.latency is Latency.MEAN:
        for each in parts:
            if (best := each.chooser.meeting(requirement, stop).best) is not None:
                error_s = _deviation_s(best.estimate) / math.sqrt(samples)
                limits += [limit - margin * error_s for margin in _MARGINS if limit > margin * error_s]
    for lower in dict.fromkeys(limits):
        yield replace(requirement, max_latency_s=lower)


def _deviation_s(predicted: Estimate) -> float:
    """Standard deviation of a sample's latency, in seconds."""
    times = np.array(predicted.exit_latency_s)
    return math.sqrt(max(0.0, float((times - predicted.latency_s) ** 2 @ predicted.exit_rates)))


def _errors(distance: float, error: float) -> float:
    """A distance in standard errors."""
    return distance / error if error else math.copysign(math.inf, distance)


def _samples_needed(
    tables: Sequence[ExitTable], candidates: Sequence[_Candidate], requirement: Requirement, one_in: int
) -> int | None:
    """How many samples a table would need for the most accurate plan known to be certified, if it is that accurate."""
    if requirement.min_accuracy is None:
        return None
    known = [*(each.seen.accuracy for each in candidates), *(float(table.accuracy.max()) for table in tables)]
    needed = samples_needed(max(known), requirement.min_accuracy, confidence=requirement.sureness)
    return None if needed is None else math.ceil(needed * one_in / (one_in - 1))


def _table(planner: Planner) -> ExitTable:
    if not isinstance(planner.exits, Replay):
        problem = f"the {planner.exits.name.value} model has no samples to certify with"
        fail("exits", problem, "use the replay model")
    return planner.exits.table


def _knowing(planner: Planner, table: ExitTable) -> Planner:
    """The same planner with other samples."""
    assert isinstance(planner.exits, Replay)
    return replace(planner, exits=replace(planner.exits, table=table))


def _part(table: ExitTable, members: IntArray) -> ExitTable:
    """Those samples of the table, in its own order."""
    return table.part(np.sort(members))
