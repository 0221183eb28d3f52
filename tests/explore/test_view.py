"""What is answered, held against the library, the terminal, and sums written out."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp import Constraints, InputError, Latency, Plan, Planner, Prices, read_plan, read_profile, read_topology
from offramp.core.codec import Codec
from offramp.core.exits import ExitModelName
from offramp.core.requirement import Requirement
from offramp.explore import command
from offramp.explore.cloud import Cloud
from offramp.explore.regions import regime_map
from offramp.explore.state import State
from offramp.explore.view import Explorer, Surroundings, View, frontier_picture
from offramp.sweeps.regimes import UNMET, regime
from offramp.view.exits import ExitsPicture
from tests.explore.worlds import explorer, profile


def asked(*entries: tuple[str, str]) -> State:
    state = explorer().base
    for key, text in entries:
        state = explorer().entered(state, key, text)
    return state


def view(state: State) -> View:
    return explorer().view(state)


CHANGED = [
    ("links[0].bandwidth", "2.5 Mb/s"),
    ("links[1].latency", "12.5 ms"),
    ("tiers[0].slowdown", "33"),
    ("destination", "base-station"),
]
QUESTIONS = {
    "as it begins": [],
    "a floor on another topology": [*CHANGED, ("min-accuracy", "97.3 %")],
    "a limit": [*CHANGED, ("min-accuracy", "none"), ("max-latency", "61 ms")],
    "both": [("min-accuracy", "0.93"), ("max-latency", "0.11 s")],
    "neither": [("min-accuracy", "none")],
    "a percentile": [("min-accuracy", "0.985"), ("latency", "p95")],
    "more exits": [("exits-per-tier", "3"), ("min-accuracy", "0.92")],
    "a threshold each": [("threshold-per-exit", "yes"), *CHANGED],
}


@pytest.mark.parametrize("entries", QUESTIONS.values(), ids=QUESTIONS)
def test_the_plan_is_the_best_of_the_librarys_frontier(entries: list[tuple[str, str]]) -> None:
    state = asked(*entries)
    state = replace(state, requirement=replace(state.requirement, certify=False))
    solution = view(state).solution
    planner = Planner.of(profile(), state.topology, compiled=True)
    requirement = state.requirement
    latency = requirement.latency
    floor = requirement.min_accuracy if requirement.min_accuracy is not None else 0.0
    limit = requirement.max_latency_s if requirement.max_latency_s is not None else np.inf
    members = planner.frontier(requirement)
    if not requirement.has_goal:
        floor = members[-1].estimate.accuracy - 0.01
    meeting = [
        member
        for member in members
        if member.estimate.accuracy >= floor - 1e-9 and latency.of(member.estimate) <= limit * (1 + 1e-9)
    ]
    only_a_limit = requirement.min_accuracy is None and requirement.max_latency_s is not None
    assert solution is not None
    assert solution.met
    assert solution.estimated == (meeting[-1] if only_a_limit else meeting[0])


CONSTRAINED = Requirement(
    0.9,
    constraints=Constraints(
        keep_blocks=1,
        memory_bits={"smartwatch": 8e8},
        forbidden=frozenset({"cloud"}),
        required=frozenset({"base-station"}),
        max_upload_bits=2e5,
        prices=Prices(tier_s={"base-station": 0.5}, bit=1e-9),
        budget=10.0,
    ),
    codecs=(Codec.FP16,),
)


def begun(requirement: Requirement) -> Explorer:
    return Explorer.of(
        read_profile("resnet20-digits"),
        read_topology("mobile"),
        requirement,
        profile_source="resnet20-digits",
        topology_source="mobile",
        thresholds=[0.2, 0.4],
    )


def test_the_page_begins_with_what_is_asked() -> None:
    world = begun(CONSTRAINED)
    assert world.base.requirement == CONSTRAINED
    solution = world.view(world.base).solution
    assert solution is not None
    planner = Planner.of(world.profile, world.base.topology, thresholds=[0.2, 0.4], codec=Codec.FP16)
    assert solution.estimated == planner.best(CONSTRAINED).best
    # What the page can't set stays as it was asked.
    other = world.entered(world.base, "min-accuracy", "80 %")
    assert other.requirement.constraints == CONSTRAINED.constraints
    cloud = Cloud.drawn(world.planners[0], CONSTRAINED.constraints, plans=20)
    assert all(text.endswith("codec=fp16") for text in cloud.texts)


def test_the_page_finds_the_best_of_all_codecs() -> None:
    measured = (Codec.FP32, Codec.FP16, Codec.INT8)
    asked_of_all = replace(CONSTRAINED, codecs=tuple(Codec))
    world = begun(asked_of_all)
    view = world.view(world.base)
    assert view.solution is not None
    alone = [begun(replace(CONSTRAINED, codecs=(codec,))) for codec in measured]
    found = [each.view(each.base).solution for each in alone]
    best = min(asked_of_all.rank(each.estimate, met=each.met) for each in found if each is not None)
    assert asked_of_all.rank(view.solution.estimate, met=view.solution.met) == best
    members = Surroundings.of(view).members
    assert view.solution.estimated in members
    assert "--codec any" in command.command(world, world.base)


def test_the_page_shows_what_is_guaranteed_beside_what_was_seen() -> None:
    world = begun(Requirement(min_accuracy=0.9, confidence=0.9))
    shown = world.view(world.base)
    assert shown.solution is not None
    assert shown.solution.guaranteed is not None
    assert shown.solution.guaranteed.accuracy == 0.9 < shown.solution.estimate.accuracy
    assert shown.sentences[0].startswith("Guaranteed on new samples: accuracy of at least 90.00 %")
    assert "--confidence 0.9" in command.command(world, world.base)


@pytest.mark.parametrize("entries", [*QUESTIONS.values(), None], ids=[*QUESTIONS, "constraints"])
def test_the_command_line_gives_the_same_plan(entries: list[tuple[str, str]] | None, tmp_path: Path) -> None:
    world = begun(CONSTRAINED) if entries is None else explorer()
    state = world.base if entries is None else asked(*entries)
    solution = world.view(state).solution
    assert solution is not None
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "offramp"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m offramp "$@" --out answer.json\n')
    program.chmod(0o755)
    shell = shutil.which("sh")
    assert shell
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    text = command.command(world, state)
    done = subprocess.run(
        [shell, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == (0 if solution.met else 1), done.stderr
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["plan"]["text"] == str(solution.plan)
    assert answer["estimate"]["accuracy"] == solution.estimate.accuracy
    assert answer["estimate"]["latency_s"] == solution.estimate.latency_s


def test_what_cannot_be_had_is_said_in_words_with_what_comes_nearest() -> None:
    answer = view(asked(("min-accuracy", "99.9 %"), ("max-latency", "90 ms")))
    assert answer.solution is not None
    assert not answer.solution.met
    assert answer.headline == "No plan has accuracy of at least 99.90 % and latency of at most 90 ms."
    assert "Shown is the plan that comes nearest." in answer.sentences
    both = view(asked(("min-accuracy", "98 %"), ("max-latency", "90 ms")))
    told = " ".join(both.sentences)
    assert "Without the floor on accuracy: 72.67 % in 88.09 ms, by 1-3@smartphone." in told
    assert "Without the limit on latency: 98.00 % in 111.2 ms, by 1-7@smartphone." in told


def test_a_profile_that_does_not_go_with_the_topology_is_said_at_once() -> None:
    topology = explorer().base.topology
    tiers = (replace(topology.tiers[0], slowdown=None, device="abacus"), *topology.tiers[1:])
    answer = view(replace(explorer().base, topology=replace(topology, tiers=tiers)))
    assert answer.solution is None
    assert "no device 'abacus'" in answer.headline


def test_a_percentile_without_an_exit_table_is_refused_in_words() -> None:
    published = explorer(exits=ExitModelName.PUBLISHED)
    with pytest.raises(InputError, match="needs exit rates of each sample"):
        published.entered(published.base, "latency", "p95")


def test_a_search_that_is_ended_at_once_says_so() -> None:
    stopped = np.ones(1, np.bool_)
    answer = explorer().view(asked(("exits-per-tier", "4"), ("threshold-per-exit", "yes")), stopped)
    assert "ended" in " ".join((answer.headline, *answer.sentences))


def test_pins_are_estimated_on_the_topology_of_the_page_and_keep_their_order() -> None:
    texts = ("1-3@smartphone 4-10@cloud T=0.50", "1-10@cloud")
    state = asked(*CHANGED, *(("pin", text) for text in texts))
    answer = view(state)
    planner = Planner.of(profile(), state.topology)
    assert answer.pins == tuple(planner.estimate(Plan.parse(text)) for text in texts)
    assert answer.solution is not None
    assert answer.listed == (answer.solution.estimated, *answer.pins)


def test_the_surroundings_are_the_librarys_frontier_and_the_published_systems() -> None:
    answer = view(asked(*CHANGED))
    around = Surroundings.of(answer).with_systems(answer)
    assert around.members == Planner.of(profile(), answer.state.topology).frontier()
    assert "PORTEND" in {row.system for row in around.systems}
    assert "Offramp" not in {row.system for row in around.systems}


@pytest.mark.parametrize("latency", Latency)
@pytest.mark.parametrize(
    "constraints",
    [Constraints(), Constraints(exits_per_tier=3), Constraints(threshold_per_exit=True)],
    ids=["as in the paper", "more exits", "a threshold each"],
)
def test_every_plan_of_the_cloud_is_where_the_estimate_puts_it(latency: Latency, constraints: Constraints) -> None:
    state = asked(*CHANGED)
    planner = Planner.of(profile(), state.topology, compiled=True)
    cloud = Cloud.drawn(planner, constraints, plans=200)
    estimated = [planner.estimate(Plan.parse(text)) for text in cloud.texts]
    assert len(cloud.texts) >= 150
    assert len(set(cloud.texts)) == len(cloud.texts)
    assert sorted({len(plan.plan.ends) for plan in estimated}) == list(range(1, cloud.ends.shape[1] + 1))
    times = cloud.latency_s(planner.costs, latency)
    assert times == pytest.approx([latency.of(plan.estimate) for plan in estimated], rel=1e-12)
    assert cloud.accuracy.tolist() == [plan.estimate.accuracy for plan in estimated]
    # Nothing in the space is beyond its frontier.
    members = planner.frontier(Requirement(latency=latency, constraints=constraints))
    points = [(latency.of(member.estimate), member.estimate.accuracy) for member in members]
    for time, accuracy in zip(times, cloud.accuracy, strict=True):
        assert any(fast <= time * (1 + 1e-12) and sure >= accuracy for fast, sure in points)


def test_rates_that_are_no_shares_add_up_all_the_same() -> None:
    planner = Planner.of(profile(), explorer().base.topology, exits=ExitModelName.MARGINAL)
    cloud = Cloud.drawn(planner, Constraints(), plans=100)
    latencies = [planner.estimate(Plan.parse(text)).estimate.latency_s for text in cloud.texts]
    assert cloud.latency_s(planner.costs, Latency.MEAN) == pytest.approx(latencies, rel=1e-12)


def test_the_picture_of_the_frontier_has_the_plan_the_pins_and_the_systems() -> None:
    answer = view(asked(*CHANGED, ("pin", "1-10@cloud"), ("latency", "p95")))
    around = Surroundings.of(answer).with_systems(answer)
    picture = frontier_picture(answer, around)
    assert picture is not None
    assert answer.solution is not None
    assert picture.latency == "p95 latency"
    assert [point.plan for point in picture.frontier] == [str(member.plan) for member in around.members]
    assert picture.chosen.latency == 1000 * answer.solution.estimate.percentile_s(95)
    assert [point.plan for point in picture.pinned] == ["1-10@cloud"]
    assert picture.floor == 100 * answer.state.requirement.min_accuracy
    assert [system.system for system in picture.systems] == [row.system for row in around.systems]
    grouped = [system for group in picture.system_groups for system in group]
    assert sorted(system.system for system in grouped) == sorted(system.system for system in picture.systems)
    for group in picture.system_groups:
        assert len({(system.latency, system.accuracy) for system in group}) == 1


def test_exits_count_samples() -> None:
    table = profile().exit_table
    assert table is not None
    picture = ExitsPicture.of(explorer().planners[0], 0.45, (3, 10))
    exited = np.zeros(table.samples, bool)
    for bar in picture.exits:
        below = table.scores[bar.block - 1] <= np.float32(0.45) if bar.block < 10 else np.ones(table.samples, bool)
        assert bar.exit_rate == pytest.approx(100 * (below & ~exited).sum() / table.samples)
        assert bar.lone_exit_rate == pytest.approx(100 * below.sum() / table.samples)
        right = table.correct[bar.block - 1]
        assert bar.lone_accuracy == (pytest.approx(100 * right[below].mean()) if below.any() else None)
        assert bar.accuracy == pytest.approx(100 * right.mean())
        assert bar.used == (bar.block in (3, 10))
        exited |= below
    assert sum(bar.exit_rate for bar in picture.exits) == pytest.approx(100)


def test_exits_by_rates_take_the_nearest_threshold() -> None:
    planner = explorer(exits=ExitModelName.PUBLISHED).planners[0]
    assert ExitsPicture.of(planner, 0.4321) == ExitsPicture.of(planner, 0.45)


def test_the_map_has_the_planners_winner_in_every_cell_and_the_page_in_its_middle() -> None:
    state = asked(("min-accuracy", "0.983"))
    requirement = Requirement(min_accuracy=0.983)
    picture = regime_map(explorer(), state, requirement, steps=5, stop=np.zeros(1, np.bool_))
    assert picture is not None
    assert picture.y is not None
    assert picture.x.values[2] == 500e3
    assert picture.y.values[2] == 500
    for j, slowdown in enumerate(picture.y.values):
        for i, bandwidth in enumerate(picture.x.values):
            cell = asked(("links[0].bandwidth", f"{bandwidth!r} b/s"), ("tiers[0].slowdown", repr(slowdown)))
            best = Planner.of(profile(), cell.topology, compiled=True).best(requirement).best
            number = picture.cells[j][i]
            assert (regime(best.plan) if best else None) == (None if number == UNMET else picture.regimes[number])


def test_the_files_that_are_taken_along_read_back(tmp_path: Path) -> None:
    answer = view(asked(*CHANGED))
    assert answer.solution is not None
    around = Surroundings.of(answer)
    (tmp_path / "plan.json").write_bytes(command.plan_file(answer.solution.estimated))
    assert read_plan(tmp_path / "plan.json") == answer.solution.plan
    (tmp_path / "topology.yaml").write_bytes(command.topology_file(answer.state.topology))
    assert read_topology(tmp_path / "topology.yaml") == answer.state.topology
    rows = command.frontier_table(around.members).decode().splitlines()
    assert len(rows) == 1 + len(around.members)
    assert rows[1].startswith(f"{around.members[0].plan},{around.members[0].estimate.accuracy!r},")
    picture = frontier_picture(answer, around.with_systems(answer))
    assert picture is not None
    assert command.frontier_figure(picture, "png").startswith(b"\x89PNG")
    assert b"<svg" in command.frontier_figure(picture, "svg")
