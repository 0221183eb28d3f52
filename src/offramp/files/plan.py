"""Plans: one line of text, or JSON as `offramp plan --json` prints it, to `core.plan.Plan` and back."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from offramp.core.codec import Codec, InputCodec
from offramp.core.plan import Plan
from offramp.errors import Fault, InputError, fail
from offramp.files.checking import Document, ValueDocument, attempt, checked, refusing
from offramp.files.parsing import parse_json
from offramp.files.sources import is_file, locate, naming, read_text
from offramp.files.writing import json_text, replace_files, target

# A plan is a line; what may take room is the frontier beside it.
MOST_BYTES = 1 << 26

_EXAMPLE = "1-3@smartwatch 4-9@smartphone 10@cloud T=0.40"


def plan_from(text: str) -> Plan:
    """The plan in one line of text that is an entry of a document; raises `InputError` with that place alone."""
    try:
        return Plan.parse(text)
    except InputError as error:
        raise InputError(replace(fault, place="") for fault in error.faults) from None


PlanText = Annotated[
    str,
    Field(description="the plan in one line", examples=["1-3@smartwatch 4-10@cloud T=0.40"]),
    refusing(plan_from),
]


class PlanEntry(ValueDocument):
    """A plan as a line of text, as its lists, or as both, which must then say the same."""

    text: str | None = Field(None, description="the plan in one line", examples=[_EXAMPLE])
    ends: list[Annotated[int, Field(le=2**53, description="a block, from 1", examples=[3])]] | None = Field(
        None, description="the last block of each partition, from 1", examples=[[3, 9, 10]]
    )
    placement: list[Annotated[str, Field(description="the name of a tier", examples=["cloud"])]] | None = Field(
        None, description="the tier of each partition", examples=[["smartwatch", "smartphone", "cloud"]]
    )
    thresholds: (
        list[
            Annotated[
                float,
                Field(
                    description="a score, e.g. normalized entropy",
                    examples=[0.4],
                    json_schema_extra={"minimum": 0, "maximum": 1},
                ),
            ]
        ]
        | None
    ) = Field(None, description="at or below it a sample exits, one per partition but the last", examples=[[0.4, 0.4]])
    codec: Literal["fp32", "fp16", "int8", "int8+zstd"] | None = Field(
        None, description="what activations travel as; absent for fp32", examples=["int8"]
    )
    input_codec: Literal["raw", "png", "webp", "jpeg90", "jpeg75", "zstd"] | None = Field(
        None, description="what inputs travel as from the source; absent for raw", examples=["webp"]
    )

    def core(self) -> Plan:
        """The core's plan; raises `InputError`."""
        faults: list[Fault] = []
        parsed = None if self.text is None else attempt(faults, "text", plan_from, self.text)
        listed = None
        if self.ends is not None and self.placement is not None and self.thresholds is not None:
            listed = attempt(
                faults,
                "",
                Plan,
                ends=tuple(self.ends),
                placement=tuple(self.placement),
                thresholds=tuple(self.thresholds),
                codec=Codec(self.codec or "fp32"),
                input_codec=InputCodec(self.input_codec or "raw"),
            )
        elif missing := self._missing_lists():
            faults += [Fault(key, "is missing", "give ends, placement and thresholds together") for key in missing]
        elif self.text is None:
            fail("", "says nothing", f"give its text, e.g. {_EXAMPLE}")
        if parsed and self.codec not in (None, parsed.codec.value):
            faults.append(Fault("codec", f"is {self.codec}, the text says {parsed.codec.value}", "correct one of them"))
        if parsed and self.input_codec not in (None, parsed.input_codec.value):
            problem = f"is {self.input_codec}, the text says {parsed.input_codec.value}"
            faults.append(Fault("input_codec", problem, "correct one of them"))
        if parsed and listed and parsed != listed:
            faults.append(Fault("text", f"says {parsed}, the lists say {listed}", "give one of the two, or correct it"))
        plan = listed or parsed
        if plan is None or faults:
            raise InputError(faults)
        return plan

    def _missing_lists(self) -> list[str]:
        """Which of a plan's three lists are missing, where at least one is given."""
        lists = {"ends": self.ends, "placement": self.placement, "thresholds": self.thresholds}
        missing = [key for key, values in lists.items() if values is None]
        return missing if len(missing) < len(lists) else []


class PlanDocument(Document):
    """A plan, and what else `offramp plan --json` prints with it."""

    plan: PlanEntry = Field(description="the plan")
    estimate: dict[str, Any] | None = Field(None, description="what was predicted of the plan; not read back")
    guaranteed: dict[str, Any] | None = Field(None, description="what holds on samples not seen; not read back")
    quality: dict[str, Any] | None = Field(None, description="what is right class by class; not read back")
    warnings: list[str] | None = Field(None, description="what to know before believing the estimate; not read back")
    frontier: list[Any] | None = Field(None, description="the other plans worth having; not read back")
    search: dict[str, Any] | None = Field(None, description="how the plan was found; not read back")


def read_plan(source: str | Path) -> Plan:
    """The plan in a file, as text or JSON, or the text form itself.

    Raises `InputError` with every fault.
    """
    with naming(source):
        if isinstance(source, str) and "@" in source and not is_file(Path(source)):
            return Plan.parse(source)
        text = read_text(locate(source, remedy=f"give a file, or a plan, e.g. {_EXAMPLE}"), most=MOST_BYTES)
        if not text.lstrip().startswith(("{", "[")):
            return Plan.parse(text)
        raw, faults = parse_json(text)
        return checked(PlanDocument, raw, faults, strict=True).plan.core()


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as `offramp plan --json` prints it under "plan"."""
    return {
        "text": str(plan),
        "ends": list(plan.ends),
        "placement": list(plan.placement),
        "thresholds": list(plan.thresholds),
        **({} if plan.codec is Codec.FP32 else {"codec": plan.codec.value}),
        **({} if plan.input_codec is InputCodec.RAW else {"input_codec": plan.input_codec.value}),
    }


def write_plan(document: Mapping[str, Any], path: str | Path) -> None:
    """Write `document`, an object with `plan_document(plan)` under "plan", as JSON that `read_plan` reads.

    Raises `InputError` where it would not, or where the file can't be written.
    """
    checked(PlanDocument, dict(document), [], strict=True)
    replace_files({target(path): json_text(dict(document)).encode()})
