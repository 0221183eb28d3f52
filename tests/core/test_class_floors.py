"""Floors by class against trying every plan."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from offramp.core.constraints import Constraints
from offramp.core.estimate import Latency
from offramp.core.exit_table import ExitTable
from offramp.core.exits import ExitModelName
from offramp.core.feasible import is_feasible
from offramp.core.planner import Planner
from offramp.core.relaxation import minimal_relaxations
from offramp.core.requirement import Requirement
from offramp.errors import InputError
from offramp.files import read_profile, read_topology

from . import oracle
from .worlds import World, worlds


def recalls(table: ExitTable, ends: tuple, thresholds: tuple) -> list[float]:
    right: dict[int, list[bool]] = {}
    for s in range(table.samples):
        at = next((e for e, t in zip(ends[:-1], thresholds, strict=True) if table.scores[e - 1][s] <= t), ends[-1])
        right.setdefault(int(table.label[s]), []).append(bool(table.correct[at - 1][s]))
    return [sum(each) / len(each) for each in right.values()]


@pytest.mark.parametrize("compiled", [False, True], ids=["interpreted", "compiled"])
@settings(max_examples=60, deadline=None)
@given(world=worlds(most_tiers=3), data=st.data())
def test_floors_by_class_are_met_by_the_best_of_all_plans(compiled: bool, world: World, data: st.DataObject) -> None:
    table = world.profile.exit_table
    assume(table is not None)
    assert table is not None
    label = np.array(data.draw(st.lists(st.integers(0, 2), min_size=8, max_size=8)))
    table = ExitTable(table.scores, table.correct, label)
    profile = replace(world.profile, exit_table=table)
    shares = st.none() | st.integers(1, 6).map(lambda n: n / 6)
    per_exit = data.draw(st.booleans())
    constraints = Constraints(
        min_balanced_accuracy=data.draw(shares),
        min_class_recall=data.draw(shares),
        threshold_per_exit=per_exit,
        exits_per_tier=data.draw(st.integers(1, 2)),
    )
    latency = data.draw(st.sampled_from([Latency.MEAN, Latency.P95]))
    planner = Planner.of(profile, world.topology, compiled=compiled, thresholds=[0.25, 0.5])
    found = [
        (latency.of(each.estimate), each.estimate.accuracy)
        for each in planner.frontier(Requirement(latency=latency, constraints=constraints))
    ]
    plans = []
    for ends, places, cuts in oracle.every_wide_plan(
        table.blocks,
        len(world.topology.tiers),
        [0.25, 0.5],
        exits_per_tier=constraints.exits_per_tier,
        per_exit=per_exit,
    ):
        recall = recalls(table, ends, cuts)
        if min(recall) < (constraints.min_class_recall or 0) - 1e-9:
            continue
        if sum(recall) / len(recall) < (constraints.min_balanced_accuracy or 0) - 1e-9:
            continue
        rates, accuracy = oracle.replayed(table, ends, cuts)
        ways = [oracle.one_way(profile, world.topology, ends, places, k) for k in range(len(ends))]
        mean = sum(rate * way for rate, way in zip(rates, ways, strict=True))
        plans.append((mean if latency is Latency.MEAN else oracle.percentile(rates, ways, 95), -accuracy))
    wanted, best = [], -1.0
    for took, wrong in sorted(plans):
        if -wrong > best:
            best = -wrong
            wanted.append((took, best))
    assert found == wanted


def test_the_fastest_plan_with_every_class_right_often_enough() -> None:
    planner = Planner.of(read_profile("resnet20-digits"), read_topology("mobile"))
    free = planner.best(Requirement(0.9)).best
    floors = Constraints(min_balanced_accuracy=0.93, min_class_recall=0.85)
    answer = planner.best(Requirement(constraints=floors)).best
    assert free is not None
    assert answer is not None
    assert is_feasible(planner, answer, floors)
    assert answer.estimate.latency_s >= free.estimate.latency_s
    table = planner.exits.table  # type: ignore[attr-defined]
    assert min(recalls(table, answer.plan.ends, answer.plan.thresholds)) >= 0.85
    beyond = Requirement(max_latency_s=1, constraints=Constraints(min_class_recall=1.0))
    assert planner.best(beyond).best is None
    assert [each.given_up for each in minimal_relaxations([planner], beyond)] == [("min_class_recall",)]


def test_models_without_samples_refuse_them() -> None:
    planner = Planner.of(read_profile("resnet20-digits"), read_topology("mobile"), exits=ExitModelName.PUBLISHED)
    with pytest.raises(InputError, match="min_class_recall: the published model knows nothing of classes"):
        planner.best(Requirement(constraints=Constraints(min_class_recall=0.5)))
    with pytest.raises(InputError, match="min_balanced_accuracy: 2 is outside"):
        Constraints(min_balanced_accuracy=2)
