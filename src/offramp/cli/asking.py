"""The options that say what is asked of a plan, shared by the commands that plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from offramp.files import Requirements

LatencyOption = Annotated[
    str | None, typer.Option(help="Which latency is meant: mean, p50, p95 or p99. [default: mean]")
]
ConfidenceOption = Annotated[
    float | None,
    typer.Option(help="Hold back half of the exit table and bound the accuracy on new samples, so surely, e.g. 0.95."),
]
CertifyOption = Annotated[
    bool | None, typer.Option("--certify", help="Let the floor hold for that bound. [confidence: 0.95]")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of the halves of the exit table.")]
ExitsPerTierOption = Annotated[int | None, typer.Option(help="Most exits on a tier. [default: 1, as in the paper]")]
ThresholdPerExitOption = Annotated[
    bool | None, typer.Option("--threshold-per-exit", help="Give each exit a threshold of its own.")
]
KeepOption = Annotated[
    int | None, typer.Option(help="Keep the raw input and so many of the first blocks on the source tier.")
]
MemoryOption = Annotated[
    list[str] | None, typer.Option(help="Memory of a tier, e.g. smartwatch=2MB. Can be given again.")
]
ForbidOption = Annotated[list[str] | None, typer.Option(help="A tier that must run nothing. Can be given again.")]
RequireOption = Annotated[list[str] | None, typer.Option(help="A tier that must run something. Can be given again.")]
MaxUploadOption = Annotated[
    str | None, typer.Option(help="Most the source tier may send per sample on average, e.g. 20kB.")
]
PriceOption = Annotated[
    list[str] | None, typer.Option(help="What a second of computing on a tier costs, e.g. cloud=0.02.")
]
PriceBitOption = Annotated[float | None, typer.Option(help="What sending a bit over a link costs.")]
BudgetOption = Annotated[float | None, typer.Option(help="Most a sample may cost on average.")]
RequirementsOption = Annotated[str | None, typer.Option(help="A YAML file of requirements; options take precedence.")]
ThresholdsOption = Annotated[
    str | None, typer.Option(help="Thresholds to try, e.g. 0.1,0.2,0.4. [default: those of the profile]")
]


def asked_for(
    requirements: str | None,
    *,
    memory: list[str] | None,
    price: list[str] | None,
    price_bit: float | None,
    **stated: Any,
) -> Requirements:
    """What the file and the options, which take precedence, ask for.

    stated: the other options, by their key in the file; None where one was not given.
    """
    from offramp.files import read_requirements

    stated["memory"] = None if memory is None else dict(_pair("--memory", each) for each in memory)
    stated["prices"] = None
    if price is not None or price_bit is not None:
        stated["prices"] = {"tiers": dict(_pair("--price", each) for each in price or ()), "bit": price_bit or 0.0}
    return read_requirements(requirements, {key: value for key, value in stated.items() if value is not None})


def _pair(option: str, text: str) -> tuple[str, str]:
    from offramp.errors import fail

    tier, equals, value = text.partition("=")
    if not equals:
        fail(option, f"{text!r} is not a tier and a value", "write TIER=VALUE, e.g. smartwatch=2MB")
    return tier, value
