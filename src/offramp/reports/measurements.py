"""What a report says of runs: predicted beside measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from offramp.core.estimate import Estimate
from offramp.core.result import Measured, RunResult
from offramp.core.validation import ValidatedPlan, Validation
from offramp.reports.blocks import Block, Facts, Figure, Section, Table, Text
from offramp.view.latency import AgreementPicture, DistributionPicture
from offramp.view.text import percent, seconds

_PLANS_SHOWN = 12
# What would make a report too large to send stays in the file that it was read from.
_MOST_PLANS = 2000


def measurement_sections(
    runs: Sequence[tuple[str, RunResult]], validations: Sequence[tuple[str, Validation]]
) -> list[Section]:
    """A section for each run and each validation."""
    sections = [
        Section(f"Predicted against measured: {name}", tuple(_run(run, f"run-{at}")))
        for at, (name, run) in enumerate(runs, 1)
    ]
    sections += [
        Section(f"Predicted against measured: {name}", tuple(_validation(validation, f"validation-{at}")))
        for at, (name, validation) in enumerate(validations, 1)
    ]
    return sections


def _run(run: RunResult, name: str) -> Iterator[Block]:
    ended, measured = run.outcomes, run.measured
    yield Text(f"{run.plan}, {len(run.requests):,} samples on {run.topology}.")
    yield Facts(
        (
            ("answered", f"{ended.answered:,}", "as planned"),
            ("degraded", f"{ended.degraded:,}", "answered early, no way to the next tier"),
            ("failed", f"{ended.failed:,}", "not answered"),
        )
    )
    if measured is None:
        yield Text("Nothing was answered, so nothing was measured.")
        return
    columns = ("", "predicted", *(["replayed"] if run.replayed else []), "measured", "off by")
    yield Table(name, columns, tuple(_compared(run, measured)), numeric=frozenset(range(1, len(columns))))
    if run.replayed:
        yield Text(
            "Predicted: from the validation split. Replayed: the same model, with the very samples of this run. "
            'Measured: what came out. "Off by": measured less replayed.'
        )
    else:
        yield Text('Predicted: from the validation split. Measured: what came out. "Off by": measured less predicted.')
    if run.compute_s is not None and run.communication_s is not None:
        yield Text(
            f"Of the measured mean, tiers computed for {seconds(run.compute_s)}; all else took "
            f"{seconds(run.communication_s)}."
        )
    estimates = [("predicted", run.predicted), *([("replayed", run.replayed)] if run.replayed else [])]
    curves = [
        DistributionPicture.predicted(label, estimate) for label, estimate in estimates if min(estimate.exit_rates) >= 0
    ]
    curves.append(DistributionPicture.measured("measured", run))
    yield Figure(
        f"{name}-distribution",
        "Which share of the samples is answered within which time.",
        DistributionPicture(tuple(curves)),
    )


def _compared(run: RunResult, measured: Measured) -> Iterator[tuple[str, ...]]:
    against = run.replayed or run.predicted
    both = [run.predicted, *([run.replayed] if run.replayed else [])]
    if measured.accuracy is not None:
        points = f"{100 * (measured.accuracy - against.accuracy):+.2f} points"
        yield ("accuracy", *(percent(estimate.accuracy) for estimate in both), percent(measured.accuracy), points)
    mean = _off(measured.latency_s, against.latency_s)
    yield ("mean latency", *(seconds(estimate.latency_s) for estimate in both), seconds(measured.latency_s), mean)
    for q, time in ((50, measured.p50_s), (95, measured.p95_s), (99, measured.p99_s)):
        told = [_percentile(estimate, q) for estimate in both]
        off = "-" if told[-1] is None else _off(time, told[-1])
        yield (f"p{q} latency", *("-" if value is None else seconds(value) for value in told), seconds(time), off)
    for k, rate in enumerate(measured.exit_rates):
        points = f"{100 * (rate - against.exit_rates[k]):+.2f} points"
        rates = (percent(estimate.exit_rates[k]) for estimate in both)
        yield (f"exit rate of partition {k + 1}", *rates, percent(rate), points)
    for k, mean_s in enumerate(measured.exit_latency_s):
        if mean_s is not None:
            off = _off(mean_s, against.exit_latency_s[k])
            told_s = (seconds(estimate.exit_latency_s[k]) for estimate in both)
            yield (f"mean latency of exits at {k + 1}", *told_s, seconds(mean_s), off)


def _percentile(estimate: Estimate, q: float) -> float | None:
    return None if min(estimate.exit_rates) < 0 else estimate.percentile_s(q)


def _off(measured_s: float, predicted_s: float) -> str:
    return f"{100 * (measured_s - predicted_s) / predicted_s:+.1f} %" if predicted_s else "-"


def _validation(validation: Validation, name: str) -> Iterator[Block]:
    agreement, plans = validation.latency, validation.plans
    yield Text(f"{len(plans):,} plans ran, {sum(plan.samples for plan in plans):,} samples in all.")
    yield Facts(
        (
            ("slope", "-" if agreement.slope is None else f"{agreement.slope:.3f}", "of measured over predicted"),
            ("R²", "-" if agreement.r2 is None else f"{agreement.r2:.4f}", "of that line"),
            ("median error", f"{100 * agreement.median_relative_error:.1f} %", "of mean latency"),
            ("worst error", f"{100 * agreement.worst_relative_error:.1f} %", "of mean latency"),
            ("accuracy", f"{validation.accuracy_worst_points:.2f} points", "off at worst"),
            ("exit rates", f"{validation.exit_rate_worst_points:.2f} points", "off at worst"),
        )
    )
    yield Figure(
        f"{name}-agreement",
        "Predicted and measured mean latency of every plan; on the dashed line they are the same.",
        AgreementPicture.of(validation),
    )
    ordered = sorted(plans, key=_error, reverse=True)[:_MOST_PLANS]
    yield Text("The plans, the worst predicted first:")
    yield Table(
        name,
        ("topology", "predicted", "measured", "off by", "accuracy off by", "plan"),
        tuple(
            (
                plan.topology,
                seconds(plan.predicted.latency_s),
                seconds(plan.measured.latency_s),
                _off(plan.measured.latency_s, plan.predicted.latency_s),
                f"{100 * (plan.measured.accuracy - plan.predicted.accuracy):+.2f} points",
                str(plan.plan),
            )
            for plan in ordered
        ),
        numeric=frozenset({1, 2, 3, 4}),
        shown=None if len(ordered) <= _PLANS_SHOWN else tuple(range(_PLANS_SHOWN)),
    )


def _error(plan: ValidatedPlan) -> float:
    return abs(plan.measured.latency_s - plan.predicted.latency_s) / plan.measured.latency_s
