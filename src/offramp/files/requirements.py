"""What is asked of a plan, in words: those of a YAML file, of the command line and of Python are the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from pydantic import Field

from offramp.core.codec import Codec, InputCodec
from offramp.core.constraints import Constraints, Prices
from offramp.core.estimate import Latency
from offramp.core.requirement import MEMORY_BYTES, Objective, Requirement, SearchLimits
from offramp.errors import Fault, InputError
from offramp.files.checking import Document, attempt, check, merged
from offramp.files.parsing import parse_yaml
from offramp.files.quantities import SIZE, TIME
from offramp.files.sources import locate, naming, read_text
from offramp.files.topology import MOST_BYTES, Joules, Size, Time

LatencyWord = Literal["mean", "p50", "p95", "p99"]
CodecWord = Literal["fp32", "fp16", "int8", "int8+zstd", "any"]
InputCodecWord = Literal["raw", "png", "webp", "jpeg90", "jpeg75", "zstd", "any"]
ObjectiveWord = Literal["latency", "energy"]


class PriceWords(TypedDict, total=False):
    """What running costs, in any one unit: `tiers`, the price of a second by tier, and `bit`, of one bit on a link."""

    tiers: dict[str, float]
    bit: float


class RequirementWords(TypedDict, total=False):
    """The keys of a requirements file as arguments; `RequirementsDocument` describes each."""

    min_accuracy: float | None
    min_balanced_accuracy: float | None
    min_class_recall: float | None
    max_latency: str | None
    latency: LatencyWord
    codec: CodecWord
    input_codec: InputCodecWord
    confidence: float | None
    certify: bool | None
    exits_per_tier: int
    threshold_per_exit: bool
    keep: int | None
    memory: dict[str, str]
    forbid: list[str]
    require: list[str]
    max_upload: str | None
    prices: PriceWords | None
    budget: float | None
    max_energy: dict[str, str]
    max_total_energy: str | None
    minimize: ObjectiveWord
    time_limit: str | None
    memory_limit: str | None


class PricesDocument(Document):
    """What running costs, in any one unit."""

    tiers: dict[str, float] = Field({}, description="the price of a second of computing, by tier")
    bit: float = Field(0.0, description="the price of sending one bit over one link", examples=[1e-9])


class RequirementsDocument(Document):
    """What is asked of a plan."""

    min_accuracy: float | None = Field(None, description="a share of samples, 0 to 1", examples=[0.92])
    min_balanced_accuracy: float | None = Field(
        None, description="a mean of the classes' recalls, 0 to 1", examples=[0.9]
    )
    min_class_recall: float | None = Field(None, description="a recall of the worst class, 0 to 1", examples=[0.8])
    max_latency: Time | None = Field(None, description="a time", examples=[TIME.example])
    latency: LatencyWord = Field("mean", description="which latency is meant")
    codec: CodecWord = Field("fp32", description="what activations travel as; any: whatever is best", examples=["int8"])
    input_codec: InputCodecWord = Field(
        "raw",
        description="what inputs travel as from the source; any: whatever is best of what was measured",
        examples=["webp"],
    )
    certify: bool | None = Field(
        None,
        description="whether floor and limit are to hold on samples not seen; if absent, where plans may have a "
        "threshold per exit or several exits on a tier",
    )
    confidence: float | None = Field(
        None,
        description="with which floor and limit hold on samples not seen, 0.5 to 1; 0.95 if absent",
        examples=[0.9],
    )
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
    max_energy: dict[str, Joules] = Field(
        {}, description="by tier, the most that it may spend on an answer, on average", examples=[{"watch": "5 mJ"}]
    )
    max_total_energy: Joules | None = Field(
        None, description="the most that all tiers together may spend on an answer, on average", examples=["20 mJ"]
    )
    minimize: ObjectiveWord = Field(
        "latency",
        description="what is to be least, above min_accuracy and below max_latency; energy is that of all tiers",
    )
    time_limit: Time | None = Field(None, description="when to end the search, with the best so far", examples=["10 s"])
    memory_limit: Size | None = Field(None, description="the most that the search may keep", examples=["500 MB"])

    def core(self) -> Requirement:
        """The core's requirement; raises `InputError` with every fault."""
        faults: list[Fault] = []
        goals = (self.min_accuracy, self.min_balanced_accuracy, self.min_class_recall, self.max_latency)
        if self.latency != "mean" and all(goal is None for goal in goals):
            faults.append(Fault("latency", "is of no use alone", "give min_accuracy or max_latency, too"))
        prices = None
        if self.prices is not None:
            prices = attempt(faults, "prices", Prices, tier_s=self.prices.tiers, bit=self.prices.bit)
        constraints = attempt(
            faults,
            "",
            Constraints,
            exits_per_tier=self.exits_per_tier,
            threshold_per_exit=self.threshold_per_exit,
            keep_blocks=self.keep,
            memory_bits=self.memory,
            forbidden=frozenset(self.forbid),
            required=frozenset(self.require),
            max_upload_bits=self.max_upload,
            prices=prices,
            budget=self.budget,
            max_energy_j=self.max_energy,
            max_total_energy_j=self.max_total_energy,
            min_balanced_accuracy=self.min_balanced_accuracy,
            min_class_recall=self.min_class_recall,
        )
        memory_bytes = MEMORY_BYTES if self.memory_limit is None else self.memory_limit / 8
        limits = attempt(faults, "", SearchLimits, time_s=self.time_limit, memory_bytes=memory_bytes)
        requirement = attempt(
            faults,
            "",
            Requirement,
            self.min_accuracy,
            self.max_latency,
            Latency[self.latency.upper()],
            minimize=Objective(self.minimize),
            constraints=constraints or Constraints(),
            codecs=tuple(Codec) if self.codec == "any" else (Codec(self.codec),),
            input_codecs=tuple(InputCodec) if self.input_codec == "any" else (InputCodec(self.input_codec),),
            confidence=self.confidence,
            certify=self.certify,
            limits=limits or SearchLimits(),
        )
        if requirement is None or faults:
            raise InputError(faults)
        return requirement


def read_requirements(source: str | Path | None = None, **words: Unpack[RequirementWords]) -> Requirement:
    """The requirement that a YAML file states, with `words` in place of the file's own.

    source: None for words alone.
    words: by key of the file, as it would stand there: `max_latency="300 ms"`. Of mappings, memory, prices and
        max_energy, those entries take precedence that they have. None is as if it was not said.
    Raises `InputError` with every fault.
    """
    with naming("the requirements" if source is None else source):
        raw: Any = {}
        faults: list[Fault] = []
        if source is not None:
            raw, faults = parse_yaml(read_text(locate(source, None), most=MOST_BYTES))
        if isinstance(raw, dict):
            raw = _overridden(raw, words)
            faults += _yes_and_no(raw)
        document, more = check(RequirementsDocument, raw, strict=False)
        faults = merged(faults, more)
        if document is None or faults:
            raise InputError(faults)
        return document.core()


def _overridden(stated: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """What a file states, with words in its place; of mappings entry by entry."""
    result = dict(stated)
    for key, value in words.items():
        if isinstance(value, Mapping):
            before = result.get(key)
            result[key] = _overridden(before if isinstance(before, Mapping) else {}, value)
        elif value is not None:
            result[key] = value
    return result


def _yes_and_no(stated: Mapping[str, Any]) -> list[Fault]:
    """A fault for each number that is given as yes or no, which would else count as one or zero."""
    fields = RequirementsDocument.model_fields
    return [
        Fault(key, f"{str(value).lower()} is no answer to it", f"give {fields[key].description}")
        for key, value in stated.items()
        if isinstance(value, bool) and key in fields and fields[key].annotation not in (bool, bool | None)
    ]
