"""What is asked of a plan: one value for all of it."""

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, field, fields
from enum import Enum

from offramp.core import checks
from offramp.core.codec import Codec, InputCodec
from offramp.core.constraints import Constraints
from offramp.core.estimate import Estimate, Latency
from offramp.errors import Fault, fail, refuse

# A requirement is met by a plan that misses it by no more than what adding up in another order can change.
TOLERANCE = 1e-9

# How sure a bound is where nobody says.
CONFIDENCE = 0.95

# What a search may keep where nothing else is said.
MEMORY_BYTES = 4e9


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchLimits:
    """When to end a search that takes too long, with the best plans so far and a bound on all the others.

    time_s: seconds to search for; None without a limit. `offramp.solve` keeps to it: the planner reads no clock.
    memory_bytes: most that a search may keep; one over exit tables keeps them as bits, and next to nothing beside.
    """

    time_s: float | None = None
    memory_bytes: float = MEMORY_BYTES

    def __post_init__(self) -> None:
        faults: list[Fault] = []
        if self.time_s is not None:
            faults += checks.positive("time_limit", self.time_s, "give a time, e.g. 10 s")
        if not self.memory_bytes >= 1e5:
            problem = f"{self.memory_bytes:g} bytes are too few to search in"
            faults.append(Fault("memory_limit", problem, "give at least 100 kB"))
        refuse(faults)


class Objective(Enum):
    """What is to be least."""

    LATENCY = "latency"
    ENERGY = "energy"
    """Of all tiers together, on average."""


@dataclass(frozen=True, slots=True, repr=False)
class Requirement:
    """All that is asked of a plan. With a floor the fastest plan is wanted, else the most accurate.

    Where energy is to be least, the plan of least energy is wanted, with a floor and without one.

    min_accuracy: share of samples to be answered right, at least (problem P_lat of EdgeSys'22).
    max_latency_s: latency, at most (problem P_acc). Without floor and limit there is no one best plan, only a frontier.
    latency: which latency is meant.
    minimize: what is to be least; with energy, latency is the mean.
    constraints: which plans are allowed; among them floors that count class by class.
    codecs: what activations may travel as; of several, those that were measured are tried.
    input_codecs: what inputs may travel as from the source, likewise.
    certify: whether floor and limit are to hold for new samples; None for where a choice from so many plans flatters
        itself most, in a space that is wider than one threshold and one exit per tier, or a confidence is given.
    confidence: with which they hold; None for `CONFIDENCE`.
    limits: when to end the search.
    """

    min_accuracy: float | None = None
    max_latency_s: float | None = None
    latency: Latency = Latency.MEAN
    _: KW_ONLY
    minimize: Objective = Objective.LATENCY
    constraints: Constraints = field(default_factory=Constraints)
    codecs: tuple[Codec, ...] = (Codec.FP32,)
    input_codecs: tuple[InputCodec, ...] = (InputCodec.RAW,)
    certify: bool | None = None
    confidence: float | None = None
    limits: SearchLimits = field(default_factory=SearchLimits)

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        if self.min_accuracy is not None:
            yield from checks.share("min_accuracy", self.min_accuracy, "give a share of samples, e.g. 0.92")
        if self.max_latency_s is not None:
            yield from checks.positive("max_latency", self.max_latency_s, "give a time, e.g. 300 ms")
        if self.minimize is Objective.ENERGY and self.latency is not Latency.MEAN:
            problem = f"is {self.latency.name.lower()}, and the plan of least energy is known for the mean alone"
            yield Fault("latency", problem, "ask for the mean, or limit the energy and let latency be least")
        if not self.codecs:
            yield Fault("codec", "is none", "give one at least, e.g. fp32")
        if not self.input_codecs:
            yield Fault("input_codec", "is none", "give one at least, e.g. raw")
        if self.confidence is not None and not 0.5 <= self.confidence < 1:
            yield Fault("confidence", f"{self.confidence} is not from 0.5 to below 1", "give e.g. 0.95")
        asked = "certify" if self.certify else "confidence" if self.confidence is not None else ""
        if asked and self.certify is False:
            yield Fault("confidence", "is of a certificate, and there is to be none", "leave it out, or certify")
        elif asked and self.constraints.floor_by_class:
            problem = "is of accuracy and latency, and there are floors by class"
            yield Fault(asked, problem, "leave it out, or the floors by class")
        elif asked and not self.has_goal:
            yield Fault(asked, "has nothing to certify", "give min_accuracy or max_latency, too")

    def __repr__(self) -> str:
        """Only what differs from nothing asked."""
        stated = (
            f"{part.name}={value!r}"
            for part in fields(self)
            if (value := getattr(self, part.name)) != getattr(NO_REQUIREMENT, part.name)
        )
        return f"Requirement({', '.join(stated)})"

    @property
    def sureness(self) -> float:
        """With which confidence a certificate holds."""
        return CONFIDENCE if self.confidence is None else self.confidence

    def certifies(self, *, samples: bool) -> bool:
        """Whether a plan is to be certified.

        samples: whether there is an exit table to certify with; without one, only who insists asks for it.
        """
        if self.certify is not None or self.confidence is not None:
            return self.certify is not False
        return samples and self.constraints.wide and self.has_goal and not self.constraints.floor_by_class

    @property
    def counts_bits(self) -> bool:
        """Whether a plan that sends fewer bits may be preferred to a faster one."""
        rules = self.constraints
        counted = rules.max_upload_bits is not None or rules.prices is not None or rules.limits_energy
        return counted or self.minimize is Objective.ENERGY

    @property
    def has_goal(self) -> bool:
        """Whether there is a floor or a limit, so that one plan is the best."""
        return self.has_floor or self.max_latency_s is not None

    @property
    def wants_least(self) -> bool:
        """Whether the plan of least latency or energy is wanted, and not the most accurate: above a floor it is."""
        return self.has_floor or self.minimize is Objective.ENERGY

    @property
    def has_floor(self) -> bool:
        """Whether there is a floor, on accuracy or by class."""
        return self.min_accuracy is not None or bool(self.constraints.floor_by_class)

    @property
    def floor(self) -> float:
        """The least accuracy that meets the requirement; minus infinity where there is no floor."""
        return -math.inf if self.min_accuracy is None else self.min_accuracy - TOLERANCE

    @property
    def limit(self) -> float:
        """The greatest latency that meets the requirement, in seconds; infinity where there is no limit."""
        return math.inf if self.max_latency_s is None else self.max_latency_s * (1 + TOLERANCE)

    def cost(self, predicted: Estimate) -> float:
        """What is to be least, of a plan with that estimate: the latency that is meant in seconds, or joules."""
        if self.minimize is Objective.LATENCY:
            return self.latency.of(predicted)
        assert predicted.energy is not None, "a search for the least energy starts with what it depends on"
        return predicted.energy.total_j

    def met_by(self, predicted: Estimate) -> bool:
        """Whether a plan with that estimate has the accuracy and the latency that are asked for.

        What isn't in an estimate, as what is right class by class, is up to the search.
        """
        return predicted.accuracy >= self.floor and self.latency.of(predicted) <= self.limit

    def rank(self, predicted: Estimate, *, met: bool) -> tuple[bool, float, float]:
        """What to sort plans by, the best first: those that meet the requirement, then the least or most accurate.

        met: whether the plan counts as one that does.
        Both to eleven digits: what differs by less does so by rounding, and is a tie.
        """
        cost, error = (float(f"{value:.11g}") for value in (self.cost(predicted), -predicted.accuracy))
        return (not met, cost, error) if self.wants_least else (not met, error, cost)

    def check_goal(self) -> None:
        """Raise `InputError` where there is neither a floor nor a limit."""
        if not self.has_goal:
            fail("requirement", "is empty", "give a floor on accuracy or a limit on latency")


NO_REQUIREMENT = Requirement()
"""Nothing asked: every plan of EdgeSys'22, whatever its accuracy and latency."""
