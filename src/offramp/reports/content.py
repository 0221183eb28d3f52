"""What a report says, in which order."""

from __future__ import annotations

from collections.abc import Iterator

from offramp.core.exits import Replay
from offramp.reports.blocks import Block, Code, Content, Facts, Figure, Section, Table, Text
from offramp.reports.measurements import measurement_sections
from offramp.reports.study import Candidate, Study
from offramp.reports.tables import partition_table, spread_out, terms_table, tier_table
from offramp.view.frontier import FrontierPicture
from offramp.view.latency import SystemsPicture, TermsPicture
from offramp.view.placement import Placement
from offramp.view.text import bits, headline, latency_name, percent, proof, requirement_words, seconds

# A reader sees so many of a frontier's plans at first.
_MEMBERS_SHOWN = 16
_SCALARS_TOLD = 24
_LONGEST_TOLD = 120


def content(study: Study, *, command: str, made: str) -> Content:
    """The report of a study.

    command: the command line that makes it again; empty where there is none.
    made: by what and when.
    """
    backbone, topology = study.profile.backbone, study.planner.topology
    sections = [
        Section("In short", tuple(_summary(study))),
        Section("What was asked", tuple(_asked(study))),
        *(_plan_section(study, at) for at in range(len(study.candidates))),
        *([_beside(study)] if len(study.candidates) > 1 else []),
        Section("The frontier", tuple(_frontier(study))),
        Section("Beside published systems", tuple(_systems(study))),
        *measurement_sections(study.runs, study.validations),
        Section("How this was computed", tuple(_method(study, command))),
    ]
    return Content(
        title=f"{backbone.name} on {topology.name}",
        subtitle=f"{backbone.dataset}, {len(backbone.blocks)} blocks, {len(topology.tiers)} tiers. {made}",
        sections=tuple(sections),
    )


def _summary(study: Study) -> Iterator[Block]:
    first = study.candidates[0]
    predicted, latency = first.estimated.estimate, study.found.wanted.latency
    facts = [
        ("accuracy", percent(predicted.accuracy), "predicted"),
        (latency_name(study.found.wanted), seconds(latency.of(predicted)), "predicted"),
    ]
    if len(predicted.exit_rates) > 1 and min(predicted.exit_rates) >= 0:
        early = 1 - predicted.exit_rates[-1]
        facts.append(("leave early", percent(early), f"before partition {len(predicted.exit_rates)}"))
    measured = next((run.measured for _, run in study.runs if run.plan == first.estimated.plan), None)
    if measured is not None:
        if measured.accuracy is not None:
            facts.append(("accuracy", percent(measured.accuracy), "measured"))
        facts.append(("mean latency", seconds(measured.latency_s), "measured"))
    yield Code(str(first.estimated.plan))
    yield Facts(tuple(facts))
    yield Text(_verdict(study, first))


def _verdict(study: Study, candidate: Candidate) -> str:
    found = study.found
    best = found.shown
    if candidate.estimated == best and found.met:
        return f"{headline(study.planner, found)}. {' '.join(proof(found))}"
    if candidate.estimated == best:
        return f"{headline(study.planner, found)}; this one comes nearest. {' '.join(proof(found))}"
    asked = requirement_words(found.wanted)
    under = " under the conditions" if study.planner.options.constraints.stated else ""
    has = f"It has {asked}" if candidate.meets else f"It does not have {asked}"
    name, latency = latency_name(found.wanted), seconds(found.wanted.latency.of(best.estimate))
    return (
        f"{has}{under}. What planning finds is {best.plan}, with accuracy of {percent(best.estimate.accuracy)} and "
        f"{name} of {latency}. {' '.join(proof(found))}"
    )


def _asked(study: Study) -> Iterator[Block]:
    found, options = study.found, study.planner.options
    aim = "The most accurate" if found.wanted.min_accuracy is None else "The fastest"
    yield Text(f"{aim} plan with {requirement_words(found.wanted)}.")
    allowed = "one exit" if options.exits_per_tier == 1 else f"at most {options.exits_per_tier} exits"
    thresholds = "a threshold for each exit" if options.threshold_per_exit else "one threshold for all exits"
    yield Text(f"Allowed: any cut, any order of tiers, {allowed} on a tier, {thresholds}.")
    conditions = tuple(_conditions(study))
    if conditions:
        yield Table("conditions", ("condition", "value"), conditions)
    if not found.met and found.ways:
        rows = tuple(
            (
                " and ".join(way.given_up).replace("_", " "),
                percent(way.plan.estimate.accuracy),
                seconds(found.wanted.latency.of(way.plan.estimate)),
                str(way.plan.plan),
            )
            for way in found.ways
        )
        yield Text("No plan meets all of it. What could be given up, and the plan then:")
        columns = ("give up", "accuracy", latency_name(found.wanted), "plan")
        yield Table("ways-out", columns, rows, numeric=frozenset({1, 2}))


def _conditions(study: Study) -> Iterator[tuple[str, str]]:
    limits = study.planner.options.constraints
    if limits.keep_blocks is not None:
        yield "stay on the source tier", f"the input and the first {limits.keep_blocks} blocks"
    for tier, size in limits.memory_bits.items():
        yield f"memory of {tier}", bits(size)
    for tier in sorted(limits.forbidden):
        yield tier, "runs nothing"
    for tier in sorted(limits.required):
        yield tier, "runs something"
    if limits.max_upload_bits is not None:
        yield "most the source tier sends per sample", bits(limits.max_upload_bits)
    if limits.prices is not None:
        for tier, price in limits.prices.tier_s.items():
            yield f"price of a second on {tier}", f"{price:g}"
        if limits.prices.bit:
            yield "price of a bit over a link", f"{limits.prices.bit:g}"
    if limits.budget is not None:
        yield "most a sample may cost", f"{limits.budget:g}"


def _plan_section(study: Study, at: int) -> Section:
    candidate = study.candidates[at]
    title = "The plan" if len(study.candidates) == 1 else f"Plan {at + 1}"
    return Section(title, tuple(_plan(study, candidate, name=f"plan-{at + 1}")))


def _plan(study: Study, candidate: Candidate, *, name: str) -> Iterator[Block]:
    estimated = candidate.estimated
    if len(study.candidates) > 1:
        yield Code(str(estimated.plan))
    yield Figure(
        f"{name}-placement",
        f"Where the plan runs. Blue: the way of the samples, as wide as they are many; answers go to "
        f"{study.planner.topology.destination}.",
        Placement.of(study.planner.topology, estimated),
    )
    yield partition_table(f"{name}-partitions", estimated)
    yield Text("What it is predicted to achieve:")
    yield terms_table(f"{name}-estimate", candidate)
    if len(study.candidates) == 1:
        yield Figure(
            f"{name}-terms",
            "What the mean latency is made of.",
            TermsPicture.of([("this plan", estimated.estimate)]),
        )
    yield Text(_confidence(study, candidate))


def _confidence(study: Study, candidate: Candidate) -> str:
    said = []
    if candidate.spread_s is not None:
        said.append(
            f"From one run to the next the mean latency strays by {seconds(candidate.spread_s)} (one standard "
            "deviation), because the times of the blocks do; the links are taken as they are stated."
        )
    certificate, model = study.found.certificate, study.planner.exits
    if certificate is not None and certificate.plan == candidate.estimated.plan:
        said += proof(study.found)
    elif isinstance(model, Replay):
        said.append(
            f"The accuracy is that of the {model.table.samples:,} samples which also chose the plan, so it flatters "
            "itself a little; with --confidence 0.95, half of them choose and the others bound it for new samples."
        )
    else:
        said.append(f"The {model.name.value} exit model works with rates alone, so the accuracy comes without a bound.")
    return " ".join(said)


def _beside(study: Study) -> Section:
    names = [f"plan {at}" for at in range(1, len(study.candidates) + 1)]
    wanted = study.found.wanted
    rows = tuple(
        (
            name,
            percent(each.estimated.estimate.accuracy),
            seconds(each.estimated.estimate.latency_s),
            "yes" if each.meets else "no",
            str(each.estimated.plan),
        )
        for name, each in zip(names, study.candidates, strict=True)
    )
    table = Table("plans", ("", "accuracy", "mean latency", "meets", "plan"), rows, numeric=frozenset({1, 2}))
    terms = TermsPicture.of([(n, each.estimated.estimate) for n, each in zip(names, study.candidates, strict=True)])
    asked = Text(f"Asked was {requirement_words(wanted)}.")
    return Section(
        "The plans beside each other",
        (asked, table, Figure("plans-terms", "What the mean latency of each plan is made of.", terms)),
    )


def _frontier(study: Study) -> Iterator[Block]:
    found, shown = study.found, study.candidates[0].estimated
    members = found.members
    yield Text(
        f"{len(members)} plans that no other of {study.planner.plans:,} beats in both accuracy and latency; "
        "the one this report is about is circled."
    )
    yield Figure(
        "frontier",
        "The frontier: every plan on it, by its latency and its accuracy, and what was asked.",
        FrontierPicture.of(study.planner, members, shown, found.wanted),
    )
    strong = next((i for i, each in enumerate(members) if each == shown), None)
    yield Table(
        "frontier",
        (latency_name(found.wanted), "accuracy", "plan"),
        tuple(
            (seconds(found.wanted.latency.of(each.estimate)), percent(each.estimate.accuracy), str(each.plan))
            for each in members
        ),
        numeric=frozenset({0, 1}),
        strong=strong,
        shown=spread_out(len(members), strong, most=_MEMBERS_SHOWN),
    )


def _systems(study: Study) -> Iterator[Block]:
    rows, name = study.systems, latency_name(study.found.wanted)
    yield Text(
        "Every system chooses in its own space by its own model of the world, for the same request; the "
        f"{study.planner.exits.name.value} exit model judges what each choice achieves."
    )
    if study.planner.options.constraints.stated:
        yield Text("Offramp alone keeps to the conditions above; the systems know nothing of them.")
    yield Figure(
        "systems",
        "What each system's choice achieves; hollow where it misses what was asked.",
        SystemsPicture.of(rows, latency=name),
    )
    yield Table(
        "systems",
        ("system", name, "accuracy", "meets", "Offramp is", "plan"),
        tuple(
            (
                row.system,
                seconds(row.latency_s),
                percent(row.estimate.accuracy),
                "yes" if row.meets else "no",
                "" if row is rows[-1] else _gain(row.gain),
                f"{row.plan} ({row.note})" if row.note else row.plan,
            )
            for row in rows
        ),
        numeric=frozenset({1, 2, 4}),
        strong=len(rows) - 1,
    )
    yield Text('"Offramp is": at an accuracy no lower than the row\'s; "-" where it has no plan so accurate.')


def _gain(gain: float | None) -> str:
    if gain is None:
        return "-"
    return f"{abs(100 * gain):.1f} % {'faster' if gain >= 0 else 'slower'}"


def _method(study: Study, command: str) -> Iterator[Block]:
    planner, profile = study.planner, study.profile
    topology = planner.topology
    compute = planner.work.compute
    source = "whole partitions where those were measured, else blocks" if compute is None else compute.value
    yield Text(f"The topology: samples arise at {topology.source}, answers are used at {topology.destination}.")
    yield tier_table(topology)
    if topology.mtu_bits is None:
        transfer = "Tiers between two others store what they forward."
    else:
        transfer = f"Transfers are pipelined in fragments of {bits(topology.mtu_bits)}."
    yield Text(
        f"{transfer} Times of computing are those of {source}. "
        f"Who leaves where comes from the {planner.exits.name.value} exit model."
    )
    told = [(key, str(value)) for key, value in profile.provenance.items() if isinstance(value, str | int | float)]
    if told:
        rows = tuple((key[:_LONGEST_TOLD], value[:_LONGEST_TOLD]) for key, value in told[:_SCALARS_TOLD])
        yield Text("How the profile was measured:")
        yield Table("provenance", ("", ""), rows)
    if command:
        yield Text("The command that makes this report again:")
        yield Code(command)
