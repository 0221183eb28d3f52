"""A bundle at work on this machine, predicted beside measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from offramp.bundle import Manifest
from offramp.core.estimate import Estimate
from offramp.core.exits import PlanRates
from offramp.core.plan import Plan
from offramp.core.result import Measured, RunResult
from offramp.core.topology import Topology
from offramp.errors import InputError, MissingExtraError, fail
from offramp.files import read_profile, write_run_result
from offramp.files.quantities import TIME
from offramp.files.results import run_document
from offramp.files.samples import TABLES, check_samples, read_samples
from offramp.pipeline.arguments import path_of, require_runtime, require_training, whole_number
from offramp.pipeline.build import Bundle, bundle_of
from offramp.pipeline.profile import writable
from offramp.pipeline.progress import ShowProgress, counted, reporting
from offramp.view.drawing import plotted
from offramp.view.html import page, table
from offramp.view.latency import DistributionPicture
from offramp.view.text import percent, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from offramp.core.checks import IntArray
    from offramp.runtime.client import Answer

COUNT = 100
MOST_WINDOW = 256
_LONGEST_S = 86400.0


@runtime_checkable
class LabeledImages(Protocol):
    """Samples with their true classes, as a split of a data set has them: [S, ...], images [C, H, W], and [S]."""

    @property
    def images(self) -> NDArray[np.generic]:
        """[S, ...]."""
        ...

    @property
    def labels(self) -> IntArray:
        """[S] the true classes."""
        ...


SampleSource: TypeAlias = "LabeledImages | NDArray[np.generic] | str | Path"
"""A split of a data set, samples [S, ...] such as images [S, C, H, W], an npz, or a folder of images."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BundleRun:
    """What a run of a bundle came to.

    result: what was predicted and what was measured.
    answers: in the order of the samples.
    emulated: whether the tiers were as slow as the topology says, or as fast as this machine.
    """

    result: RunResult
    answers: tuple[Answer, ...]
    emulated: bool

    @property
    def plan(self) -> Plan:
        """The plan that ran."""
        return self.result.plan

    @property
    def measured(self) -> Measured | None:
        """What was measured; None without any answer."""
        return self.result.measured

    @property
    def predicted(self) -> Estimate:
        """What was predicted of these samples where their classes are known, else of the validation split."""
        return self.result.replayed or self.result.predicted

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The requests by column, one entry per sample: for `pandas.DataFrame`, polars, or `numpy.savez`."""
        return self.result.columns()

    @property
    def first_error(self) -> str:
        """Why the first sample without an answer has none; empty where all have one."""
        return next((answer.error for answer in self.answers if answer.error), "")

    @property
    def computing_s(self) -> float:
        """Seconds that the partitions themselves took here, on average per sample."""
        spans_ns = (entry.computed_ns - entry.started_ns for answer in self.answers for entry in answer.trace)
        return sum(spans_ns) / 1e9 / len(self.answers)

    def rows(self) -> list[tuple[str, ...]]:
        """What, each prediction, measured, and by how much the nearest prediction is off; empty without any answer."""
        measured = self.result.measured
        if measured is None:
            return []
        predictions = [estimate for _, estimate in self.predictions]
        nearest = predictions[-1]
        accuracy, off = "-", "-"
        if measured.accuracy is not None:
            accuracy = percent(measured.accuracy)
            off = f"{100 * (measured.accuracy - nearest.accuracy):+.2f} points"
        rows: list[tuple[str, ...]] = [
            ("accuracy", *(percent(estimate.accuracy) for estimate in predictions), accuracy, off)
        ]
        for name, predicted_s, measured_s in (
            ("mean latency", [estimate.latency_s for estimate in predictions], measured.latency_s),
            ("p50", [estimate.percentile_s(50) for estimate in predictions], measured.p50_s),
            ("p95", [estimate.percentile_s(95) for estimate in predictions], measured.p95_s),
            ("p99", [estimate.percentile_s(99) for estimate in predictions], measured.p99_s),
        ):
            off = f"{100 * (measured_s - predicted_s[-1]) / predicted_s[-1]:+.2f} %"
            rows.append((name, *map(seconds, predicted_s), seconds(measured_s), off))
        for k, ((first, last), tier) in enumerate(
            zip(self.result.plan.blocks, self.result.plan.placement, strict=True)
        ):
            rate = measured.exit_rates[k]
            off = f"{100 * (rate - nearest.exit_rates[k]):+.2f} points"
            shares = (percent(estimate.exit_rates[k]) for estimate in predictions)
            rows.append((f"exit {first}-{last}@{tier}", *shares, percent(rate), off))
        return rows

    @property
    def columns_of_rows(self) -> tuple[str, ...]:
        """The headings of `rows`."""
        return ("", *(heading for heading, _ in self.predictions), "measured", "off by")

    @property
    def predictions(self) -> list[tuple[str, Estimate]]:
        """The estimates there are, with what they are of."""
        named = (("predicted", self.result.predicted), ("on these samples", self.result.replayed))
        return [(heading, estimate) for heading, estimate in named if estimate is not None]

    @property
    def outcome(self) -> str:
        """How many samples ended how, in words."""
        outcomes = self.result.outcomes
        ended = f"{outcomes.answered} answered, {outcomes.degraded} degraded, {outcomes.failed} failed"
        return f"{len(self.result.requests)} samples: {ended}"

    def document(self) -> dict[str, Any]:
        """The run as JSON, as `offramp run --json` prints it."""
        return run_document(self.result)

    def write(self, path: str | Path) -> None:
        """Write what was predicted and measured into a JSON file. Raises `InputError` where it can't be written."""
        write_run_result(self.result, path)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw which share of samples was answered within which time, on `ax`, or on a figure of its own."""
        curves = [DistributionPicture.predicted(heading, estimate) for heading, estimate in self.predictions]
        if self.result.measured is not None:
            curves.append(DistributionPicture.measured("measured", self.result))
        return plotted(DistributionPicture(tuple(curves)), ax)

    def __repr__(self) -> str:
        measured = self.result.measured
        told = "" if measured is None else f", mean latency {seconds(measured.latency_s)}"
        return f"BundleRun({self.result.plan}: {self.outcome}{told})"

    def _repr_html_(self) -> str:
        return page(f"{self.result.plan}", self.outcome, table(self.columns_of_rows, self.rows()), self.first_error)


def run(
    bundle: Bundle | str | Path,
    samples: SampleSource | None = None,
    *,
    count: int | None = None,
    window: int = 1,
    deadline: str = "60s",
    emulate: bool = True,
    out: str | Path | None = None,
    progress: ShowProgress = None,
) -> BundleRun:
    """Run a bundle on this machine: every tier a process, every link emulated.

    bundle: a bundle, or its folder.
    samples: a split of a data set, such as `data.test[:100]`; images; an npz; a folder of images; or a table as it is
        trained on, whose held-out samples are taken. None for those of the data set that the bundle was built for.
    count: how many to send at most; None for all that are given, and for `COUNT` of the held-out ones.
    window: how many requests are in flight at once. With one, latencies are the model's; with more they hold the
        waiting too, which it leaves out.
    deadline: of each request, with its unit.
    emulate: whether the tiers are as slow as the topology says; links always are.
    out: the file to write what was predicted and measured to.
    Raises `InputError` at once for what can't be used.
    """
    require_runtime()
    from offramp.pipeline.measure_run import run_result
    from offramp.pipeline.reference import estimate_at, run_locally
    from offramp.runtime.local import LocalDeployment
    from offramp.runtime.tier.serve import load_sessions

    deadline_s = deadline_of(deadline)
    if count is not None:
        whole_number("count", count, least=1)
    whole_number("window", window, least=1, most=MOST_WINDOW)
    path = None if out is None else writable("out", path_of("out", out, "a file for the result"))
    bundle = bundle_of(bundle)
    manifest, folder = bundle.manifest, bundle.folder
    images, labels = _samples(manifest, samples, count)
    profile_path = folder / "profile.json"
    profile = read_profile(profile_path)
    plan, planned = manifest.plans[0], manifest.estimate
    topology = manifest.topology if emulate else without_slowdowns(manifest.topology)
    rates = PlanRates(planned.exit_rates, planned.stay_rates, planned.accuracy)
    predicted, replayed = estimate_at(plan, rates, profile=profile, topology=topology), None
    if labels is not None:
        outputs = run_locally(load_sessions(folder, manifest), plan, images, labels)
        replayed = outputs.estimate(profile=profile, topology=topology)
    with (
        reporting(progress) as tell,
        LocalDeployment(folder, emulate=profile_path if emulate else None) as deployment,
        deployment.client() as client,
    ):
        asked = client.ask_all(images, deadline_s=deadline_s, window=window)
        answers = tuple(counted(asked, "samples", total=len(images), tell=tell))
    result = run_result(
        answers, labels, plan=plan, topology=manifest.topology.name, predicted=predicted, replayed=replayed
    )
    finished = BundleRun(result, answers, emulated=emulate)
    if path is not None:
        finished.write(path)
    return finished


def deadline_of(text: str) -> float:
    """The seconds that a deadline says. Raises `InputError` for none that a request can have."""
    try:
        seconds_ = TIME.parse(text)
    except InputError as error:
        raise InputError([fault.under("deadline") for fault in error.faults]) from error
    if not 0 < seconds_ <= _LONGEST_S:
        fail("deadline", f"{text} is no time to wait", "give more than nothing, and at most a day: 86400 s")
    return seconds_


def without_slowdowns(topology: Topology) -> Topology:
    """The same line of tiers, every one of them the machine that the profile was made on."""
    return replace(topology, tiers=tuple(replace(tier, slowdown=1.0, device=None) for tier in topology.tiers))


def _samples(
    manifest: Manifest, source: SampleSource | None, count: int | None
) -> tuple[NDArray[np.generic], IntArray | None]:
    """[S, ...] samples and [S] labels, if they are known."""
    shape, kind, classes = manifest.input_shape, manifest.input_type, len(manifest.class_names)
    match source:
        case None:
            return _held_out(manifest, COUNT if count is None else count)
        case str() | Path():
            if str(source).partition("?")[0].lower().endswith(TABLES):
                found = _held_out(manifest, COUNT if count is None else count, str(source))
                return check_samples(*found, shape=shape, kind=kind, classes=classes)
            return read_samples(source, shape=shape, kind=kind, classes=classes, most=count)[1:]
        case np.ndarray():
            return check_samples(source[:count], None, shape=shape, kind=kind, classes=classes)
        case LabeledImages():
            return check_samples(source.images[:count], source.labels[:count], shape=shape, kind=kind, classes=classes)
        case _:
            fail("samples", f"are {type(source).__name__}", "give a split, images, an npz, a table, or a folder")


def _held_out(manifest: Manifest, count: int, table: str | None = None) -> tuple[NDArray[np.generic], IntArray | None]:
    """The first of the held-out samples of the data set that the bundle was built for, or of a table like its own."""
    try:
        require_training()
    except MissingExtraError as error:
        raise MissingExtraError(f"give samples; the data set's own are read by what trains: {error}") from error
    from offramp.nn.datasets import read_data

    match manifest.provenance.get("data"):
        case {"source": str(origin), "seed": int(seed), "image_size": int() | None as size}:
            dataset = read_data(table or str(origin), seed=seed, size=size)
            if table is not None and dataset.class_names != manifest.class_names:
                own, other = (", ".join(names[:5]) for names in (dataset.class_names, manifest.class_names))
                fail("samples", f"are of classes {own}, the network tells apart {other}", "give one with these")
            held_out = dataset.test
            return held_out.images[:count], held_out.labels[:count]
        case _:
            fail("samples", "the bundle does not say which data set it is for", "give samples")
