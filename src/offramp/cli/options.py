"""The options that several commands share, each written once: a command takes a dataclass of them as one argument."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from offramp.core.requirement import Requirement
    from offramp.files.requirements import CodecWord, InputCodecWord

R = TypeVar("R")

ProfileArgument = Annotated[
    str, typer.Argument(metavar="PROFILE", help="A profile: a JSON file, or the name of a shipped one.")
]
TopologyOption = Annotated[
    str, typer.Option("--topology", "-t", help="A topology: a YAML file, or a shipped one: mobile, iot, lte, sensor.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of all that is drawn at random.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementOptions:
    """What is asked of a plan, in the words of a requirements file; what is None was not said."""

    min_accuracy: Annotated[
        float | None, typer.Option(help="Floor on accuracy, 0 to 1: find the fastest plan above it.")
    ] = None
    min_balanced_accuracy: Annotated[
        float | None, typer.Option(help="Floor on the mean of the classes' recalls, 0 to 1; needs an exit table.")
    ] = None
    min_class_recall: Annotated[
        float | None, typer.Option(help="Floor on the recall of the worst class, 0 to 1; needs an exit table.")
    ] = None
    max_latency: Annotated[
        str | None, typer.Option(help="Limit on latency, e.g. 300ms: find the most accurate plan below it.")
    ] = None
    latency: Annotated[
        Literal["mean", "p50", "p95", "p99"] | None, typer.Option(help="Which latency is meant. [default: mean]")
    ] = None
    codec: Annotated[
        Literal["fp32", "fp16", "int8", "int8+zstd", "any"] | None,
        typer.Option(help="What activations travel as from tier to tier; any: whatever is best. [default: fp32]"),
    ] = None
    input_codec: Annotated[
        Literal["raw", "png", "webp", "jpeg90", "jpeg75", "zstd", "any"] | None,
        typer.Option(help="What inputs travel as from the source; any: whatever is best. [default: raw]"),
    ] = None
    certify: Annotated[
        bool | None,
        typer.Option(
            "--certify/--no-certify",
            help="Have floor and limit hold on samples not seen; held-back samples of the exit table tell. [default: "
            "with --threshold-per-exit or several exits per tier]",
        ),
    ] = None
    confidence: Annotated[float | None, typer.Option(help="With which they hold, 0.5 to 1. [default: 0.95]")] = None
    exits_per_tier: Annotated[int | None, typer.Option(help="Most exits on a tier. [default: 1, as in the paper]")] = (
        None
    )
    threshold_per_exit: Annotated[
        bool | None, typer.Option("--threshold-per-exit", help="Give each exit a threshold of its own.")
    ] = None
    keep: Annotated[
        int | None, typer.Option(help="Keep the raw input and so many of the first blocks on the source tier.")
    ] = None
    memory: Annotated[
        list[str] | None, typer.Option(help="Memory of a tier, e.g. smartwatch=2MB. Can be given again.")
    ] = None
    forbid: Annotated[list[str] | None, typer.Option(help="A tier that must run nothing. Can be given again.")] = None
    require: Annotated[list[str] | None, typer.Option(help="A tier that must run something. Can be given again.")] = (
        None
    )
    max_upload: Annotated[
        str | None, typer.Option(help="Most the source tier may send per sample on average, e.g. 20kB.")
    ] = None
    price: Annotated[
        list[str] | None, typer.Option(help="What a second of computing on a tier costs, e.g. cloud=0.02.")
    ] = None
    price_bit: Annotated[float | None, typer.Option(help="What sending a bit over a link costs.")] = None
    budget: Annotated[float | None, typer.Option(help="Most a sample may cost on average.")] = None
    max_energy: Annotated[
        list[str] | None,
        typer.Option(
            help="Most energy of a tier per answer on average, e.g. smartwatch=5mJ, or of all tiers, e.g. 20mJ. "
            "Can be given again."
        ),
    ] = None
    minimize: Annotated[
        Literal["latency", "energy"] | None,
        typer.Option(
            help="What is to be least above the floor: latency, or the energy of all tiers. [default: latency]"
        ),
    ] = None
    time_limit: Annotated[
        str | None, typer.Option(help="End the search after so long, e.g. 10s, with the best so far and its gap.")
    ] = None
    memory_limit: Annotated[
        str | None, typer.Option(help="End it where it would keep more, e.g. 500MB. [default: 4 GB]")
    ] = None
    requirements: Annotated[str | None, typer.Option(help="A YAML file of requirements; options take precedence.")] = (
        None
    )

    def requirement(self, *, codec: CodecWord = "fp32", input_codec: InputCodecWord = "raw") -> Requirement:
        """What the file and the options, which take precedence, ask for.

        codec, input_codec: what activations and inputs travel as where neither says.
        """
        from offramp.files import read_requirements

        stated: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("memory", "max_energy", "price", "price_bit", "requirements")
        }
        stated["memory"] = None if self.memory is None else pairs("--memory", self.memory, "smartwatch=2MB")
        if self.max_energy is not None:
            stated["max_energy"] = pairs("--max-energy", [text for text in self.max_energy if "=" in text], "watch=5mJ")
            stated["max_total_energy"] = _one("--max-energy", [text for text in self.max_energy if "=" not in text])
        if self.price is not None or self.price_bit is not None:
            tiers = None if self.price is None else pairs("--price", self.price, "cloud=0.02")
            stated["prices"] = {"tiers": tiers, "bit": self.price_bit}
        if self.requirements is None:
            stated["codec"] = self.codec or codec
            stated["input_codec"] = self.input_codec or input_codec
        return read_requirements(self.requirements, **stated)


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateOptions:
    """By which model of exit rates and of compute times plans are estimated."""

    exit_model: Annotated[
        Literal["published", "marginal", "replay"] | None,
        typer.Option(help="How exit rates are modeled. [default: replay where there is an exit table]"),
    ] = None
    compute: Annotated[
        Literal["blocks", "partitions"] | None,
        typer.Option(help="Which times to add up. [default: whole partitions where they were measured]"),
    ] = None

    def arguments(self) -> dict[str, Any]:
        """As the verbs take them."""
        return {"exit_model": self.exit_model, "compute": self.compute}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions(EstimateOptions):
    """The same, and which thresholds plans are searched with."""

    thresholds: Annotated[
        str | None, typer.Option(help="Thresholds to try, e.g. 0.1,0.2,0.4. [default: those of the profile]")
    ] = None

    def arguments(self) -> dict[str, Any]:
        """As the verbs take them."""
        thresholds = None if self.thresholds is None else _numbers("--thresholds", self.thresholds)
        return {"exit_model": self.exit_model, "compute": self.compute, "thresholds": thresholds}


def flattened(command: Callable[..., R]) -> Callable[..., R]:
    """The command with every parameter that is a dataclass of options replaced by an option for each of its fields."""
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = kind
        hints = get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
            )
            for field in dataclasses.fields(kind)
        ]

    def run(**values: Any) -> R:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in dataclasses.fields(kind)})
        return command(**values)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    return run


def pairs(option: str, texts: list[str] | tuple[str, ...], example: str) -> dict[str, str]:
    """`TIER=VALUE` texts as a mapping. Raises `InputError` for one that is none, and for a tier that comes twice."""
    from offramp.errors import fail

    found: dict[str, str] = {}
    for text in texts:
        tier, equals, value = text.partition("=")
        if not equals:
            fail(option, f"{text!r} is not a tier and a value", f"write TIER=VALUE, e.g. {example}")
        if tier in found:
            fail(option, f"{tier} is given twice", "keep one of the two")
        found[tier] = value
    return found


def _one(option: str, texts: list[str]) -> str | None:
    """The one text that there is, if any. Raises `InputError` where there are several."""
    from offramp.errors import fail

    if len(texts) > 1:
        fail(option, f"{' and '.join(texts)} are both without a tier", "keep one of the two")
    return texts[0] if texts else None


def _numbers(option: str, text: str) -> list[float]:
    from offramp.errors import fail

    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        fail(option, f"{text!r} is not a list of numbers", "write e.g. 0.1,0.2,0.4")
