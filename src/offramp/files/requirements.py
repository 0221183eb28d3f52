"""What is asked of a plan: YAML, command-line options, or both."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from offramp.core.constraints import Constraints, Prices
from offramp.core.estimate import Latency
from offramp.core.planner import Options, Requirement
from offramp.errors import Fault, InputError
from offramp.files.checking import Document, attempt, check
from offramp.files.parsing import parse_yaml
from offramp.files.quantities import SIZE, TIME
from offramp.files.sources import locate, naming, read_text
from offramp.files.topology import MOST_BYTES, Size, Time


@dataclass(frozen=True, slots=True)
class Requirements:
    """All that is asked.

    requirement: the floor or the limit; None where neither is stated.
    options: which plans are allowed.
    confidence: of the bound on accuracy for samples that had no say in the choice; None where no bound is asked for.
    certify: whether the floor on accuracy is to hold for that bound.
    """

    requirement: Requirement | None
    options: Options
    confidence: float | None
    certify: bool


class PricesDocument(Document):
    """What running costs, in any one unit."""

    tiers: dict[str, float] = Field({}, description="the price of a second of computing, by tier")
    bit: float = Field(0.0, description="the price of sending one bit over one link", examples=[1e-9])


class RequirementsDocument(Document):
    """What is asked of a plan."""

    min_accuracy: float | None = Field(None, description="a share of samples, 0 to 1", examples=[0.92])
    max_latency: Time | None = Field(None, description="a time", examples=[TIME.example])
    latency: Literal["mean", "p50", "p95", "p99"] = Field("mean", description="which latency is meant")
    confidence: float | None = Field(
        None, description="how sure the bound on accuracy for samples not seen is to be, 0.5 to 1", examples=[0.95]
    )
    certify: bool = Field(False, description="whether that bound is to keep to min_accuracy, not the accuracy measured")
    exits_per_tier: int = Field(1, description="the most exits on a tier", examples=[1])
    threshold_per_exit: bool = Field(False, description="whether each exit has a threshold of its own")
    keep: int | None = Field(None, description="how many of the first blocks stay on the source tier", examples=[2])
    memory: dict[str, Size] = Field(
        {}, description="by tier, the most that weights and largest activation may take", examples=[{"phone": "2 MB"}]
    )
    forbid: list[str] = Field([], description="the tiers that must not run anything")
    require: list[str] = Field([], description="the tiers that must run something")
    max_upload: Size | None = Field(None, description="a size per sample", examples=[SIZE.example])
    prices: PricesDocument | None = Field(None, description="what computing and sending cost")
    budget: float | None = Field(None, description="the most that a sample may cost", examples=[0.01])


def read_requirements(source: str | Path | None, overrides: Mapping[str, Any]) -> Requirements:
    """What the YAML file asks for, with the entries of `overrides` in place of its own.

    overrides: by key of the file, as it would stand there. Raises `InputError` with every fault.
    """
    with naming("the requirements" if source is None else source):
        raw: Any = {}
        faults: list[Fault] = []
        if source is not None:
            raw, faults = parse_yaml(read_text(locate(source, None), most=MOST_BYTES))
        if isinstance(raw, dict):
            raw = {**raw, **overrides}
        document, more = check(RequirementsDocument, raw, strict=False)
        faults += more
        if document is None or faults:
            raise InputError(faults)
        found = _core(document, faults)
        if found is None or faults:
            raise InputError(faults)
        return found


def _core(document: RequirementsDocument, faults: list[Fault]) -> Requirements | None:
    requirement = None
    if document.min_accuracy is not None or document.max_latency is not None:
        latency = Latency[document.latency.upper()]
        requirement = attempt(faults, "", Requirement, document.min_accuracy, document.max_latency, latency)
    elif document.latency != "mean":
        faults.append(Fault("latency", "is of no use alone", "give min_accuracy or max_latency, too"))
    if document.confidence is not None and not 0.5 <= document.confidence < 1:
        faults.append(Fault("confidence", f"{document.confidence} is not from 0.5 to below 1", "give e.g. 0.95"))
    if document.certify and document.min_accuracy is None:
        faults.append(Fault("certify", "has no floor to certify", "give min_accuracy, too"))
    prices = None
    if document.prices is not None:
        prices = attempt(faults, "prices", Prices, tier_s=document.prices.tiers, bit=document.prices.bit)
    constraints = attempt(
        faults,
        "",
        Constraints,
        keep_blocks=document.keep,
        memory_bits=document.memory,
        forbidden=frozenset(document.forbid),
        required=frozenset(document.require),
        max_upload_bits=document.max_upload,
        prices=prices,
        budget=document.budget,
    )
    if constraints is None:
        return None
    options = attempt(faults, "", Options, document.exits_per_tier, document.threshold_per_exit, constraints)
    if options is None:
        return None
    confidence = 0.95 if document.certify and document.confidence is None else document.confidence
    return Requirements(requirement, options, confidence, document.certify)
