"""The options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from offramp.core.codec import Codec
    from offramp.core.planner import Options, Planner
    from offramp.core.profile import Profile


class ExitModelOption(StrEnum):
    """Names of the exit models."""

    published = "published"
    marginal = "marginal"
    replay = "replay"


class ComputeOption(StrEnum):
    """Names of the sources of compute times."""

    blocks = "blocks"
    partitions = "partitions"


class CodecChoice(StrEnum):
    """Names of the codecs, and of the choice among them."""

    fp32 = "fp32"
    fp16 = "fp16"
    int8 = "int8"
    any = "any"


ProfileArgument = Annotated[
    str, typer.Argument(metavar="PROFILE", help="A profile: a JSON file, or the name of a shipped one.")
]
TopologyOption = Annotated[
    str, typer.Option("--topology", "-t", help="A topology: a YAML file, or a shipped one: mobile, iot.")
]
MinAccuracyOption = Annotated[
    float | None, typer.Option(help="Floor on accuracy, 0 to 1: find the fastest plan above it.")
]
MaxLatencyOption = Annotated[
    str | None, typer.Option(help="Limit on mean latency, e.g. 300ms: find the most accurate plan below it.")
]
ExitsOption = Annotated[
    ExitModelOption | None,
    typer.Option("--exit-model", help="How exit rates are modeled. [default: replay where there is an exit table]"),
]
ComputesOption = Annotated[
    ComputeOption | None,
    typer.Option("--compute", help="Which times to add up. [default: whole partitions where they were measured]"),
]
CodecOption = Annotated[
    CodecChoice, typer.Option(help="What activations travel as from tier to tier; any: whatever is best.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def planner_of(
    profile: Profile,
    topology: str,
    exit_model: ExitModelOption | None,
    compute: ComputeOption | None,
    thresholds: str | None,
    options: Options,
    codec: Codec | None = None,
) -> Planner:
    """The planner that the options of a command describe."""
    from offramp.core.codec import Codec
    from offramp.core.exits import ExitModelName
    from offramp.core.latency import ComputeSource
    from offramp.core.planner import Planner
    from offramp.files import read_topology

    return Planner.of(
        profile,
        read_topology(topology),
        exits=None if exit_model is None else ExitModelName(exit_model.value),
        compute=None if compute is None else ComputeSource(compute.value),
        thresholds=None if thresholds is None else _numbers("--thresholds", thresholds),
        options=options,
        codec=codec or Codec.FP32,
    )


def _numbers(option: str, text: str) -> list[float]:
    from offramp.errors import fail

    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        fail(option, f"{text!r} is not a list of numbers", "write e.g. 0.1,0.2,0.4")
