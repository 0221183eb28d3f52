"""A trained run and the machine at hand, measured."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.core.cautions import table_cautions, timing_cautions
from offramp.core.metrics import quality_of_exit
from offramp.core.profile import Profile
from offramp.core.score import ScoreName
from offramp.errors import fail
from offramp.files.profile import check_tables
from offramp.pipeline.arguments import (
    member,
    path_of,
    profile_of,
    require_training,
    run_of,
    same_backbone,
    whole_number,
)
from offramp.pipeline.estimate import quality_document
from offramp.pipeline.progress import Progress, ShowProgress, reporting

if TYPE_CHECKING:
    from offramp.nn.training.run import Run

REPEATS = 200
# A partition takes as long as all of its blocks, and there are many more of them.
_PARTITION_SHARE = 4


def profile(
    run: Run | str | Path,
    *,
    out: str | Path | None = None,
    device: str | None = None,
    repeats: int = REPEATS,
    partitions: float | str = "auto",
    into: Profile | str | Path | None = None,
    score: ScoreName | str | None = None,
    samples: str | Path | None = None,
    progress: ShowProgress = None,
) -> Profile:
    """Measure a trained network on this machine: times, sizes, and what every branch says of every validation sample.

    run: a run, or its folder.
    out: the file to write the profile to, its exit table beside it; None to write none.
    device: what to call this machine; None for a name after its processor.
    repeats: how often to time each block; each partition a quarter of it.
    partitions: how many of them to time; the others are fitted. `all`, a share as 0.2 or "20%", or `auto` for a tenth,
        but at least a hundred.
    into: a profile of the same network that this machine's times are added to; accuracy is not measured again then.
    score: what exits compare to their thresholds; None for entropy. Temperatures and gates are fitted on the
        validation split; of all but entropy, quantiles are the thresholds that are searched.
    samples: the Parquet file to write what every exit says of every sample to, logits included; None to write none.
    Raises `InputError` at once for what can't be used.
    """
    check_repeats(repeats)
    share = _share(partitions)
    named = member("score", ScoreName, score)
    if named is not None and into is not None:
        fail("score", "is that of the profile that times are added to", "leave it out")
    path = None if out is None else writable("out", path_of("out", out, "a file for the profile"))
    if path is not None:
        check_tables(path)  # before there is work to lose
    answers = None if samples is None else writable("samples", path_of("samples", samples, "a file for the samples"))
    require_training()
    from offramp.files import write_profile
    from offramp.files.writing import replace_files
    from offramp.nn.profiling import profiler
    from offramp.nn.profiling.samples import require_parquet, samples_parquet
    from offramp.runtime.transport import messages

    if answers is not None:
        require_parquet()
    before = None if into is None else profile_of(into, "into")
    trained = run_of(run)
    name = device_name(device)
    network, dataset, setup = trained.network, trained.dataset, trained.setup
    with reporting(progress) as tell:

        def report(stage: str, done: float) -> None:
            tell(Progress(stage, done))

        if before is None:
            measured = profiler.profile_network(
                network,
                dataset,
                backbone=setup.backbone,
                seed=setup.seed,
                separate_accuracy=trained.separate_accuracy,
                training=trained.training_record(),
                device=name,
                repeats=repeats,
                partition_repeats=repeats // _PARTITION_SHARE,
                partitions=share,
                overhead_bits=messages.overhead_bits(),
                score=named or ScoreName.ENTROPY,
                report=report,
            )
        else:
            same_backbone(trained, before, "into")
            measured = profiler.measure(
                network,
                dataset,
                seed=setup.seed,
                device=name,
                repeats=repeats,
                partition_repeats=repeats // _PARTITION_SHARE,
                partitions=share,
                codecs=before.codecs,
                inputs=before.inputs,
                score=before.score,
                report=report,
            ).into(before)
    if answers is not None:
        replace_files({answers: samples_parquet(network, dataset.validation)})
    if path is not None:
        write_profile(measured, path)
    return measured


def device_name(device: str | None) -> str:
    """What this machine is called: as it is said, or after its processor."""
    if device is not None:
        return device
    from offramp.nn.profiling import machine

    return machine.short_name(machine.cpu_model())


def timed_partitions(profile: Profile, device: str) -> dict[str, Any]:
    """How many partitions were timed on a device, of how many, and how far off the fit of the others is."""
    match profile.provenance.get("partitions"):
        case Mapping() as by_device:
            return dict(by_device.get(device, {}))
        case _:
            return {}


def quality_documents(profile: Profile) -> list[dict[str, Any]]:
    """What each exit has right class by class, as commands print it; empty without an exit table."""
    table = profile.exit_table
    if table is None:
        return []
    return [
        {"block": block.name, **quality_document(quality_of_exit(table, number))}
        for number, block in enumerate(profile.backbone.blocks, start=1)
    ]


def warnings(profile: Profile, *, times_only: bool = False) -> list[str]:
    """What to know before believing the times and accuracies of a profile, in sentences."""
    of_exits = [] if times_only or profile.exit_table is None else table_cautions(profile.exit_table)
    return [*timing_cautions(profile.timings), *of_exits]


def check_repeats(repeats: int) -> None:
    """Raise `InputError` for too few."""
    whole_number("repeats", repeats, least=_PARTITION_SHARE)


def _share(partitions: float | str) -> float | None:
    """The share of partitions to time, in (0, 1]; None for `auto`. Raises `InputError` for anything else."""
    if partitions in ("auto", "all"):
        return None if partitions == "auto" else 1.0
    share = math.nan
    if isinstance(partitions, str):
        percent = partitions.endswith("%")
        with contextlib.suppress(ValueError):
            share = float(partitions.removesuffix("%")) / (100 if percent else 1)
    elif isinstance(partitions, Real) and not isinstance(partitions, bool):
        share = float(partitions)
    if not 0 < share <= 1:
        fail("partitions", f"{partitions!r} is no share of them", "use auto, all, or a share such as 10% or 0.1")
    return share


def writable(place: str, path: Path) -> Path:
    """The path of a file that can be made. Raises `InputError` for one that can't, before there is work to lose."""
    if not path.absolute().parent.is_dir():
        fail(place, f"there is no folder {path.parent}", "make it first")
    if path.is_dir():
        fail(place, f"{path} is a folder", f"name a file, e.g. {path / 'profile.json'}")
    return path
