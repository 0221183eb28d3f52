"""What is answered, held against the library, the terminal, and sums written out."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp import InputError, Latency, Plan, Planner, read_plan, read_topology
from offramp.core.exits import ExitModelName
from offramp.core.planner import Options, Requirement, SearchLimits
from offramp.explore import command
from offramp.explore.cloud import Cloud
from offramp.explore.regions import regime_map
from offramp.explore.state import State
from offramp.explore.view import Surroundings, View, exit_rows
from offramp.sweeps.regimes import UNMET, regime
from tests.explore.worlds import explorer, profile


def asked(*entries: tuple[str, str]) -> State:
    state = explorer().base
    for key, text in entries:
        state = explorer().entered(state, key, text)
    return state


def view(state: State) -> View:
    return explorer().view(state, SearchLimits())


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
    found = view(state).found
    planner = Planner.of(profile(), state.topology, options=state.options, compiled=True)
    latency = state.latency
    floor = state.min_accuracy if state.min_accuracy is not None else 0.0
    limit = state.max_latency_s if state.max_latency_s is not None else np.inf
    members = planner.frontier(latency)
    if state.requirement is None:
        floor = members[-1].estimate.accuracy - 0.01
    meeting = [
        each
        for each in members
        if each.estimate.accuracy >= floor - 1e-9 and latency.of(each.estimate) <= limit * (1 + 1e-9)
    ]
    only_a_limit = state.min_accuracy is None and state.max_latency_s is not None
    wanted = meeting[-1] if only_a_limit else meeting[0]
    assert found is not None
    assert found.met
    assert found.shown == wanted


@pytest.mark.parametrize("entries", QUESTIONS.values(), ids=QUESTIONS)
def test_the_command_line_gives_the_same_plan(entries: list[tuple[str, str]], tmp_path: Path) -> None:
    state = asked(*entries)
    found = view(state).found
    assert found is not None
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "offramp"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m offramp "$@" --out answer.json\n')
    program.chmod(0o755)
    shell = shutil.which("sh")
    assert shell
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    text = command.command(explorer(), state)
    done = subprocess.run(
        [shell, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["plan"]["text"] == str(found.shown.plan)
    assert answer["estimate"]["accuracy"] == found.shown.estimate.accuracy
    assert answer["estimate"]["latency_s"] == found.shown.estimate.latency_s


def test_what_cannot_be_had_is_said_in_words_with_what_comes_nearest() -> None:
    answer = view(asked(("min-accuracy", "99.9 %"), ("max-latency", "90 ms")))
    assert answer.found is not None
    assert not answer.found.met
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
    assert answer.found is None
    assert "no device 'abacus'" in answer.headline


def test_a_percentile_without_an_exit_table_is_refused_in_words() -> None:
    published = explorer(exits=ExitModelName.PUBLISHED)
    with pytest.raises(InputError, match="needs to know who leaves where"):
        published.entered(published.base, "latency", "p95")


def test_a_search_that_is_ended_at_once_says_so() -> None:
    ended = SearchLimits(stop=np.ones(1, np.bool_))
    answer = explorer().view(asked(("exits-per-tier", "4"), ("threshold-per-exit", "yes")), ended)
    assert "ended" in " ".join((answer.headline, *answer.sentences))


def test_pins_are_priced_where_the_page_is_and_keep_their_order() -> None:
    texts = ("1-3@smartphone 4-10@cloud T=0.50", "1-10@cloud")
    state = asked(*CHANGED, *(("pin", text) for text in texts))
    answer = view(state)
    planner = Planner.of(profile(), state.topology)
    assert answer.pins == tuple(planner.estimate(Plan.parse(text)) for text in texts)
    assert answer.found is not None
    assert answer.listed == (answer.found.shown, *answer.pins)


def test_the_surroundings_are_the_librarys_frontier_and_the_published_systems() -> None:
    answer = view(asked(*CHANGED))
    around = Surroundings.of(answer, SearchLimits()).with_systems(explorer(), answer)
    assert around.members == Planner.of(profile(), answer.state.topology).frontier()
    assert "PORTEND" in {row.system for row in around.systems}
    assert "Offramp" not in {row.system for row in around.systems}


@pytest.mark.parametrize("latency", Latency)
@pytest.mark.parametrize(
    "options", [Options(), Options(3), Options(1, True)], ids=["as in the paper", "more exits", "a threshold each"]
)
def test_every_plan_of_the_cloud_is_where_the_estimate_puts_it(latency: Latency, options: Options) -> None:
    state = asked(*CHANGED)
    planner = Planner.of(profile(), state.topology, options=options, compiled=True)
    cloud = Cloud.drawn(planner.exits, state.topology, options, blocks=10, plans=200)
    estimated = [planner.estimate(Plan.parse(text)) for text in cloud.texts]
    assert len(cloud.texts) >= 150
    assert len(set(cloud.texts)) == len(cloud.texts)
    assert sorted({len(each.plan.ends) for each in estimated}) == list(range(1, cloud.ends.shape[1] + 1))
    times = cloud.latency_s(planner.costs, latency)
    assert times == pytest.approx([latency.of(each.estimate) for each in estimated], rel=1e-12)
    assert cloud.accuracy.tolist() == [each.estimate.accuracy for each in estimated]
    # Nothing in the space is beyond its frontier.
    members = [(latency.of(each.estimate), each.estimate.accuracy) for each in planner.frontier(latency)]
    for time, accuracy in zip(times, cloud.accuracy, strict=True):
        assert any(fast <= time * (1 + 1e-12) and sure >= accuracy for fast, sure in members)


def test_rates_that_are_no_shares_add_up_all_the_same() -> None:
    planner = Planner.of(profile(), explorer().base.topology, exits=ExitModelName.MARGINAL)
    cloud = Cloud.drawn(planner.exits, planner.topology, planner.options, blocks=10, plans=100)
    wanted = [planner.estimate(Plan.parse(text)).estimate.latency_s for text in cloud.texts]
    assert cloud.latency_s(planner.costs, Latency.MEAN) == pytest.approx(wanted, rel=1e-12)


def test_exit_rows_count_samples() -> None:
    table = profile().exit_table
    assert table is not None
    rows = exit_rows(explorer().planner, 0.45, (3, 10))
    left = np.zeros(table.samples, bool)
    for row in rows:
        here = table.entropy[row.block - 1] <= np.float32(0.45) if row.block < 10 else np.ones(table.samples, bool)
        assert row.leave == pytest.approx((here & ~left).sum() / table.samples)
        assert row.alone == pytest.approx(here.sum() / table.samples)
        right = table.correct[row.block - 1]
        assert row.right_alone == (pytest.approx(right[here].mean()) if here.any() else None)
        assert row.right_all == pytest.approx(right.mean())
        assert row.used == (row.block in (3, 10))
        left |= here
    assert sum(row.leave for row in rows) == pytest.approx(1)


def test_exit_rows_of_rates_take_the_nearest_threshold() -> None:
    planner = explorer(exits=ExitModelName.PUBLISHED).planner
    assert exit_rows(planner, 0.4321) == exit_rows(planner, 0.45)


def test_the_map_has_the_planners_winner_in_every_cell_and_the_page_in_its_middle() -> None:
    state = asked(("min-accuracy", "0.983"))
    requirement = Requirement(min_accuracy=0.983)
    picture = regime_map(explorer(), state, requirement, steps=5, limits=SearchLimits())
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
    assert answer.found is not None
    around = Surroundings.of(answer, SearchLimits())
    (tmp_path / "plan.json").write_bytes(command.plan_file(answer))
    assert read_plan(tmp_path / "plan.json") == answer.found.shown.plan
    (tmp_path / "topology.yaml").write_bytes(command.topology_file(answer.state.topology))
    assert read_topology(tmp_path / "topology.yaml") == answer.state.topology
    rows = command.frontier_table(around).decode().splitlines()
    assert len(rows) == 1 + len(around.members)
    assert rows[1].startswith(f"{around.members[0].plan},{around.members[0].estimate.accuracy!r},")
    assert command.frontier_figure(answer, around, "png").startswith(b"\x89PNG")
    assert b"<svg" in command.frontier_figure(answer, around, "svg")
