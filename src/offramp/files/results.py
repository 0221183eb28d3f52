"""What plans achieved when they ran: `run.json` of one plan, `validation.json` of many, read and written.

What follows from other entries (means, percentiles, slopes) is written for whoever reads the file, and worked out
again when it is read back.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from offramp.core.energy import Energy, TierEnergy
from offramp.core.estimate import Estimate
from offramp.core.result import RunResult, ServedRequest
from offramp.core.validation import Achieved, ValidatedPlan, Validation
from offramp.errors import Fault, InputError, fail
from offramp.files.checking import Document, ValueDocument, attempt, checked
from offramp.files.parsing import parse_json
from offramp.files.plan import PlanEntry, PlanText, plan_document, plan_from
from offramp.files.sources import locate, naming, read_text
from offramp.files.writing import json_text, replace_files, target

RUN_FORMAT = "run-result/1"
VALIDATION_FORMAT = "validation/1"
MOST_BYTES = 1 << 27
MOST_REQUESTS = 1_000_000
MOST_PLANS = 10_000

_SECONDS = "seconds"
_SHARES = "a share of samples per partition"
_TIMES = "seconds per partition"
Shares = list[Annotated[float, Field(description="a share of samples", examples=[0.4])]]
Times = list[Annotated[float, Field(description=_SECONDS, examples=[0.1])]]


class TierEnergyEntry(Document):
    """What a tier spends on an answer."""

    compute: float = Field(description="joules while it computes, packs and unpacks", examples=[0.002])
    waiting: float = Field(description="joules while it waits, as the source", examples=[0.001])
    sending: float = Field(description="joules for the bits that it sends and receives", examples=[0.01])
    radio: float = Field(description="joules of its radio until the answer, as the source", examples=[0.2])
    tail: float = Field(description="joules of its radio after the answer, as the source", examples=[1.2])
    total: float | None = Field(None, description="joules, all of it; not read back")

    def core(self) -> TierEnergy:
        """The core's value."""
        return TierEnergy(self.compute, self.waiting, self.sending, self.radio, self.tail)


class EnergyEntry(Document):
    """What an answer takes, on average."""

    tiers: dict[str, TierEnergyEntry] = Field(description="by tier")
    total: float | None = Field(None, description="joules of all tiers; not read back")

    def core(self) -> Energy:
        """The core's value."""
        return Energy({name: tier.core() for name, tier in self.tiers.items()})


class EstimateEntry(Document):
    """An estimate as `offramp plan --json` prints it."""

    accuracy: float = Field(description="a share of samples", examples=[0.93])
    latency_s: float = Field(description="mean seconds per sample", examples=[0.3])
    exit_rates: Shares = Field(description=_SHARES)
    stay_rates: Shares = Field(description=_SHARES)
    compute_s: float = Field(description=_SECONDS, examples=[0.1])
    propagation_s: float = Field(description=_SECONDS, examples=[0.1])
    transmission_s: float = Field(description=_SECONDS, examples=[0.1])
    serialization_s: float = Field(description=_SECONDS, examples=[0.01])
    exit_latency_s: Times = Field(description=_TIMES)
    energy_j: EnergyEntry | None = Field(
        None, description="what an answer takes, in joules; null where it is not known"
    )
    percentiles_s: dict[str, Any] | None = Field(None, description="percentiles of latency; not read back")
    spread_s: float | None = Field(None, description="how far the mean strays between runs; not read back")

    def core(self) -> Estimate:
        """The core's estimate."""
        return Estimate(
            accuracy=self.accuracy,
            latency_s=self.latency_s,
            exit_rates=tuple(self.exit_rates),
            stay_rates=tuple(self.stay_rates),
            compute_s=self.compute_s,
            propagation_s=self.propagation_s,
            transmission_s=self.transmission_s,
            serialization_s=self.serialization_s,
            exit_latency_s=tuple(self.exit_latency_s),
            energy=None if self.energy_j is None else self.energy_j.core(),
        )


class TopologyName(Document):
    """Which topology a plan ran on."""

    name: str = Field(description="the name of a topology", examples=["mobile"])


class MeasuredEntry(Document):
    """What a run achieved; only what does not follow from the requests is read back."""

    accuracy: float | None = Field(None, description="a share of samples; not read back")
    latency_s: float | None = Field(None, description="mean seconds; not read back")
    p50_s: float | None = Field(None, description="seconds; not read back")
    p95_s: float | None = Field(None, description="seconds; not read back")
    p99_s: float | None = Field(None, description="seconds; not read back")
    exit_rates: list[Any] | None = Field(None, description="shares; not read back")
    exit_latency_s: list[Any] | None = Field(None, description="seconds; not read back")
    compute_s: float | None = Field(None, description="mean seconds per sample that tiers computed")
    communication_s: float | None = Field(None, description="mean seconds per sample that all else took")


class RequestEntry(ValueDocument):
    """What became of one request."""

    id: int = Field(le=2**63 - 1, description="the number of the request", examples=[0])
    exit: int | None = Field(
        None,
        le=2**53,
        description="the partition at whose branch the sample exited, from 0; null without an answer",
        examples=[0],
    )
    latency_s: float | None = Field(None, description="seconds; null without an answer", examples=[0.1])
    correct: bool | None = Field(None, description="whether the answer was right; null where that is not known")
    degraded: bool = Field(
        False, description="whether it was answered early because the next tier could not be reached"
    )

    def core(self) -> ServedRequest:
        """The core's request; raises `InputError`."""
        return ServedRequest(
            id=self.id, exit=self.exit, latency_s=self.latency_s, correct=self.correct, degraded=self.degraded
        )


class RunDocument(Document):
    """What one plan achieved when it ran."""

    offramp: Literal["run-result/1"] = Field(description="the format and its version")
    plan: PlanEntry = Field(description="the plan that ran")
    topology: TopologyName = Field(description="the topology it ran on")
    samples: int = Field(le=2**53, description="how many samples were sent", examples=[500])
    predicted: EstimateEntry = Field(description="what was predicted from the validation split")
    replayed: EstimateEntry | None = Field(None, description="what is predicted from the samples of this run")
    measured: MeasuredEntry | None = Field(None, description="what was achieved")
    outcomes: dict[str, Any] | None = Field(None, description="how many requests ended how; not read back")
    requests: list[RequestEntry] = Field(
        max_length=MOST_REQUESTS, description="every request, in the order they were sent"
    )

    def core(self) -> RunResult:
        """The core's value; raises `InputError`."""
        faults: list[Fault] = []
        if self.samples != len(self.requests):
            problem = f"{self.samples} samples and {len(self.requests)} requests"
            faults.append(Fault("samples", problem, "give as many as there are requests"))
        result = attempt(
            faults,
            "",
            RunResult,
            plan=self.plan.core(),
            topology=self.topology.name,
            predicted=self.predicted.core(),
            replayed=None if self.replayed is None else self.replayed.core(),
            requests=tuple(request.core() for request in self.requests),
            compute_s=None if self.measured is None else self.measured.compute_s,
            communication_s=None if self.measured is None else self.measured.communication_s,
        )
        if result is None or faults:
            raise InputError(faults)
        return result


class AchievedEntry(ValueDocument):
    """The figures of a plan that a validation compares."""

    accuracy: float = Field(description="a share of samples", examples=[0.93])
    latency_s: float = Field(description="mean seconds per sample", examples=[0.3])
    exit_rates: Shares = Field(description=_SHARES)

    def core(self) -> Achieved:
        """The core's figures; raises `InputError`."""
        return Achieved(accuracy=self.accuracy, latency_s=self.latency_s, exit_rates=tuple(self.exit_rates))


class ValidatedPlanEntry(ValueDocument):
    """One plan of a validation."""

    topology: str = Field(description="the name of the topology it ran on", examples=["mobile"])
    plan: PlanText
    samples: int = Field(le=2**53, description="how many samples were answered", examples=[500])
    predicted: AchievedEntry = Field(description="what was predicted")
    measured: AchievedEntry = Field(description="what was achieved")

    def core(self) -> ValidatedPlan:
        """The core's value; raises `InputError`."""
        return ValidatedPlan(
            topology=self.topology,
            plan=plan_from(self.plan),
            samples=self.samples,
            predicted=self.predicted.core(),
            measured=self.measured.core(),
        )


class ValidationDocument(Document):
    """What many plans achieved when they ran."""

    offramp: Literal["validation/1"] = Field(description="the format and its version")
    plans: list[ValidatedPlanEntry] = Field(max_length=MOST_PLANS, description="the plans that ran")
    latency: dict[str, Any] | None = Field(None, description="how well latencies agree; not read back")
    accuracy_worst_points: float | None = Field(None, description="the worst difference; not read back")
    exit_rate_worst_points: float | None = Field(None, description="the worst difference; not read back")

    def core(self) -> Validation:
        """The core's value; raises `InputError`."""
        return Validation(tuple(plan.core() for plan in self.plans))


def read_result(source: str | Path) -> RunResult | Validation:
    """The run or the validation in a JSON file, whichever its first entry says it is.

    Raises `InputError` with every fault.
    """
    with naming(source):
        raw, faults = parse_json(read_text(locate(source), most=MOST_BYTES))
        kind = raw.get("offramp") if isinstance(raw, dict) else None
        if kind not in (RUN_FORMAT, VALIDATION_FORMAT):
            fail(
                "offramp",
                "the file holds neither a run nor a validation",
                "give what offramp run --out or offramp validate --out wrote",
            )
        if kind == RUN_FORMAT:
            return checked(RunDocument, raw, faults, strict=True).core()
        return checked(ValidationDocument, raw, faults, strict=True).core()


def estimate_document(predicted: Estimate) -> dict[str, Any]:
    """An estimate as every command prints it under "estimate"."""
    document = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(predicted).items()}
    del document["energy"]
    if predicted.energy is not None:
        document["energy_j"] = energy_document(predicted.energy)
    if min(predicted.exit_rates) >= 0:
        document["percentiles_s"] = {f"p{percent}": predicted.percentile_s(percent) for percent in (50, 95, 99)}
    return document


def energy_document(energy: Energy) -> dict[str, Any]:
    """What an answer takes, in joules, by tier and term and in all."""
    return {
        "total": energy.total_j,
        "tiers": {
            name: {"total": tier.total_j, **{term.removesuffix("_j"): value for term, value in asdict(tier).items()}}
            for name, tier in energy.tiers.items()
        },
    }


def run_document(result: RunResult) -> dict[str, Any]:
    """The run as `run.json` holds it."""
    measured = result.measured
    return {
        "offramp": RUN_FORMAT,
        "plan": plan_document(result.plan),
        "topology": {"name": result.topology},
        "samples": len(result.requests),
        "predicted": estimate_document(result.predicted),
        "replayed": None if result.replayed is None else estimate_document(result.replayed),
        "measured": {
            **({} if measured is None else asdict(measured)),
            "compute_s": result.compute_s,
            "communication_s": result.communication_s,
        },
        "outcomes": asdict(result.outcomes),
        "requests": [asdict(request) for request in result.requests],
    }


def validation_document(validation: Validation) -> dict[str, Any]:
    """The validation as `validation.json` holds it."""
    return {
        "offramp": VALIDATION_FORMAT,
        "plans": [{**asdict(plan), "plan": str(plan.plan)} for plan in validation.plans],
        "latency": asdict(validation.latency),
        "accuracy_worst_points": validation.accuracy_worst_points,
        "exit_rate_worst_points": validation.exit_rate_worst_points,
    }


def write_run_result(result: RunResult, path: str | Path) -> None:
    """Write `run.json` so that `read_result` reads it back. Raises `InputError` where it can't be written."""
    replace_files({target(path): json_text(run_document(result)).encode()})


def write_validation(validation: Validation, path: str | Path) -> None:
    """Write `validation.json` so that `read_result` reads it back. Raises `InputError` where it can't be written."""
    replace_files({target(path): json_text(validation_document(validation)).encode()})
