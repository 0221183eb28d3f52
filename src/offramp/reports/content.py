"""What a report says, in which order."""

from __future__ import annotations

from collections.abc import Iterator

from offramp.core.constraints import Constraints
from offramp.core.exits import Replay
from offramp.reports.blocks import Block, Code, Content, Facts, Figure, Section, Table, Text
from offramp.reports.measurements import measurement_sections
from offramp.reports.quality import quality_blocks
from offramp.reports.study import Candidate, Study
from offramp.reports.tables import partition_table, spread_out, terms_table, tier_table
from offramp.view.frontier import FrontierPicture
from offramp.view.latency import SystemsPicture, TermsPicture
from offramp.view.placement import Placement
from offramp.view.text import (
    bits,
    cost_name,
    cost_words,
    goal_words,
    joules,
    latency_name,
    percent,
    requirement_words,
    seconds,
)

# A reader sees so many of a frontier's plans at first.
_MEMBERS_SHOWN = 16
_SCALARS_TOLD = 24
_LONGEST_TOLD = 120


def content(study: Study, *, command: str, made: str) -> Content:
    """The report of a study.

    command: the command line that makes it again; empty where there is none.
    made: by what and when.
    """
    backbone, topology = study.solution.profile.backbone, study.solution.topology
    sections = [
        Section("In short", tuple(_summary(study))),
        Section("What was asked", tuple(_asked(study))),
        *(_plan_section(study, at) for at in range(len(study.candidates))),
        *([_beside(study)] if len(study.candidates) > 1 else []),
        *([Section("What is right, class by class", quality)] if (quality := tuple(quality_blocks(study))) else []),
        *([Section("The frontier", tuple(_frontier(study)))] if study.solution.frontier else []),
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
    predicted, requirement = first.estimated.estimate, study.solution.requirement
    facts = [
        ("accuracy", percent(predicted.accuracy), "predicted"),
        (latency_name(requirement), seconds(requirement.latency.of(predicted)), "predicted"),
    ]
    guaranteed = study.solution.guaranteed
    if guaranteed is not None and first.estimated == study.solution.estimated:
        least, most = percent(guaranteed.accuracy), seconds(guaranteed.latency_s)
        facts.append(("accuracy", f"≥ {least}".replace(" ", "\N{NO-BREAK SPACE}"), "guaranteed"))
        facts.append((latency_name(requirement), f"≤ {most}".replace(" ", "\N{NO-BREAK SPACE}"), "guaranteed"))
    if predicted.energy is not None:
        facts.append(("energy", joules(predicted.energy.total_j), "predicted, per answer"))
    if len(predicted.exit_rates) > 1 and min(predicted.exit_rates) >= 0:
        early = 1 - predicted.exit_rates[-1]
        facts.append(("exit early", percent(early), f"before partition {len(predicted.exit_rates)}"))
    measured = next((run.measured for _, run in study.runs if run.plan == first.estimated.plan), None)
    if measured is not None:
        if measured.accuracy is not None:
            facts.append(("accuracy", percent(measured.accuracy), "measured"))
        facts.append(("mean latency", seconds(measured.latency_s), "measured"))
    yield Code(str(first.estimated.plan))
    yield Facts(tuple(facts))
    yield Text(_verdict(study, first))


def _verdict(study: Study, candidate: Candidate) -> str:
    solution, requirement = study.solution, study.solution.requirement
    proof = " ".join(solution.proof)
    if candidate.estimated == solution.estimated:
        return (
            f"{solution.headline}{'' if solution.met or solution.certificate else '; this one comes nearest'}. {proof}"
        )
    has = f"It {'has' if candidate.meets else 'does not have'} {requirement_words(requirement)}"
    under = " under the constraints" if requirement.constraints.stated else ""
    accuracy, latency = percent(solution.estimate.accuracy), seconds(solution.latency_s)
    return (
        f"{has}{under}. What planning finds is {solution.plan}, with accuracy of {accuracy} and "
        f"{latency_name(requirement)} of {latency}. {proof}"
    )


def _asked(study: Study) -> Iterator[Block]:
    solution, requirement = study.solution, study.solution.requirement
    constraints = requirement.constraints
    yield Text(f"The {goal_words(requirement)}.")
    exits = "one exit" if constraints.exits_per_tier == 1 else f"at most {constraints.exits_per_tier} exits"
    thresholds = "a threshold for each exit" if constraints.threshold_per_exit else "one threshold for all exits"
    codecs = " or ".join(codec.value for codec in requirement.codecs)
    inputs = " or ".join(codec.value for codec in requirement.input_codecs)
    sent = f"activations as {codecs}, inputs as {inputs}"
    yield Text(f"Allowed: any cut, any order of tiers, {exits} on a tier, {thresholds}, {sent}.")
    stated = tuple(_constraints(constraints))
    if stated:
        yield Table("constraints", ("constraint", "value"), stated)
    if not solution.met and solution.relaxations:
        rows = tuple(
            (
                " and ".join(relaxation.given_up).replace("_", " "),
                percent(relaxation.plan.estimate.accuracy),
                seconds(requirement.latency.of(relaxation.plan.estimate)),
                str(relaxation.plan.plan),
            )
            for relaxation in solution.relaxations
        )
        yield Text("No plan meets all of it. What could be given up, and the plan then:")
        columns = ("give up", "accuracy", latency_name(requirement), "plan")
        yield Table("relaxations", columns, rows, numeric=frozenset({1, 2}))


def _constraints(constraints: Constraints) -> Iterator[tuple[str, str]]:
    if constraints.keep_blocks is not None:
        yield "stay on the source tier", f"the input and the first {constraints.keep_blocks} blocks"
    for tier, size in constraints.memory_bits.items():
        yield f"memory of {tier}", bits(size)
    for tier in sorted(constraints.forbidden):
        yield tier, "runs nothing"
    for tier in sorted(constraints.required):
        yield tier, "runs something"
    if constraints.max_upload_bits is not None:
        yield "most the source tier sends per sample", bits(constraints.max_upload_bits)
    for tier, energy in constraints.max_energy_j.items():
        yield f"most energy of {tier} per answer", joules(energy)
    if constraints.max_total_energy_j is not None:
        yield "most energy per answer", joules(constraints.max_total_energy_j)
    if constraints.prices is not None:
        for tier, price in constraints.prices.tier_s.items():
            yield f"price of a second on {tier}", f"{price:g}"
        if constraints.prices.bit:
            yield "price of a bit over a link", f"{constraints.prices.bit:g}"
    if constraints.min_balanced_accuracy is not None:
        yield "least balanced accuracy", percent(constraints.min_balanced_accuracy)
    if constraints.min_class_recall is not None:
        yield "least recall of any class", percent(constraints.min_class_recall)
    if constraints.budget is not None:
        yield "most a sample may cost", f"{constraints.budget:g}"


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
        f"Where the plan runs. Blue: samples sent on, the line as wide as they are many; answers go to "
        f"{study.solution.topology.destination}.",
        Placement.of(study.solution.topology, estimated),
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
    certificate, model = study.solution.certificate, study.solution.planner.exits
    if certificate is not None and candidate.estimated == study.solution.estimated:
        said += [study.solution.guarantee, *study.solution.proof]
    elif isinstance(model, Replay):
        said.append(
            f"The accuracy is that of the {model.table.samples:,} samples which also chose the plan, so it flatters "
            "itself a little; with --certify some of them choose, and the others tell what holds on new samples."
        )
    else:
        said.append(f"The {model.name.value} exit model works with rates alone, so the accuracy comes without a bound.")
    return " ".join(said)


def _beside(study: Study) -> Section:
    names = [f"plan {at}" for at in range(1, len(study.candidates) + 1)]
    rows = tuple(
        (
            name,
            percent(candidate.estimated.estimate.accuracy),
            seconds(candidate.estimated.estimate.latency_s),
            "yes" if candidate.meets else "no",
            str(candidate.estimated.plan),
        )
        for name, candidate in zip(names, study.candidates, strict=True)
    )
    table = Table("plans", ("", "accuracy", "mean latency", "meets", "plan"), rows, numeric=frozenset({1, 2}))
    estimates = [candidate.estimated.estimate for candidate in study.candidates]
    terms = TermsPicture.of(list(zip(names, estimates, strict=True)))
    asked = Text(f"Asked was {requirement_words(study.solution.requirement)}.")
    return Section(
        "The plans beside each other",
        (asked, table, Figure("plans-terms", "What the mean latency of each plan is made of.", terms)),
    )


def _frontier(study: Study) -> Iterator[Block]:
    solution, shown = study.solution, study.candidates[0].estimated
    members, requirement = solution.frontier, solution.requirement
    yield Text(
        f"{len(members)} plans that no other of {solution.plan_count:,} beats in both accuracy and latency; "
        "the one this report is about is circled."
    )
    yield Figure(
        "frontier",
        f"The frontier: every plan on it, by its {cost_name(requirement)} and its accuracy, and what was asked.",
        FrontierPicture.of(members, shown, requirement, topology=solution.topology, plan_count=solution.plan_count),
    )
    strong = next((i for i, member in enumerate(members) if member == shown), None)
    yield Table(
        "frontier",
        (cost_name(requirement), "accuracy", "plan"),
        tuple(
            (cost_words(requirement, member.estimate), percent(member.estimate.accuracy), str(member.plan))
            for member in members
        ),
        numeric=frozenset({0, 1}),
        strong=strong,
        shown=spread_out(len(members), strong, most=_MEMBERS_SHOWN),
    )


def _systems(study: Study) -> Iterator[Block]:
    rows, requirement = study.systems, study.solution.requirement
    name = latency_name(requirement)
    ours = next((at for at, row in enumerate(rows) if row.system == "Offramp"), None)
    yield Text(
        "Every system chooses in its own space by its own model of the world, for the same request; the "
        f"{study.solution.planner.exits.name.value} exit model judges what each choice achieves."
    )
    if requirement.constraints.stated:
        yield Text("Offramp alone keeps to the constraints above; the systems know nothing of them.")
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
                "" if row.system == "Offramp" else _gain(row.gain),
                f"{row.plan} ({row.note})" if row.note else row.plan,
            )
            for row in rows
        ),
        numeric=frozenset({1, 2, 4}),
        strong=ours,
    )
    yield Text('"Offramp is": at an accuracy no lower than the row\'s; "-" where it has no plan so accurate.')


def _gain(gain: float | None) -> str:
    if gain is None:
        return "-"
    return f"{abs(100 * gain):.1f} % {'faster' if gain >= 0 else 'slower'}"


def _method(study: Study, command: str) -> Iterator[Block]:
    planner, profile, topology = study.solution.planner, study.solution.profile, study.solution.topology
    compute = planner.work.compute
    source = "whole partitions where those were measured, else blocks" if compute is None else compute.value
    yield Text(f"The topology: samples start at {topology.source}, answers are used at {topology.destination}.")
    yield tier_table(topology)
    if topology.mtu_bits is None:
        transfer = "Tiers between two others store what they forward."
    else:
        transfer = f"Transfers are pipelined in fragments of {bits(topology.mtu_bits)}."
    yield Text(
        f"{transfer} Times of computing are those of {source}. "
        f"Exit rates come from the {planner.exits.name.value} exit model."
    )
    told = [(key, str(value)) for key, value in profile.provenance.items() if isinstance(value, str | int | float)]
    if told:
        rows = tuple((key[:_LONGEST_TOLD], value[:_LONGEST_TOLD]) for key, value in told[:_SCALARS_TOLD])
        yield Text("How the profile was measured:")
        yield Table("provenance", ("", ""), rows)
    if command:
        yield Text("The command that makes this report again:")
        yield Code(command)
