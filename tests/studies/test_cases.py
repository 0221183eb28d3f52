"""The paper's four cases: the shipped profile answers them, and each effect is there or is demonstrated."""

import subprocess
import sys

import pytest

from offramp import Plan, Planner, read_profile, read_topology
from studies.edgesys22 import cases
from tests.studies.conftest import ROOT


# Not II: this network is as good after eight blocks as after ten, and no speeds make three exits pay.
@pytest.mark.parametrize("number", [0, 2, 3], ids=["I", "III", "IV"])
def test_the_effect_is_shown(number: int) -> None:
    case, profile = cases.CASES[number], read_profile("resnet20-digits")
    assert cases.answer(case, profile)
    found = cases.demonstrate(case, profile)
    assert found is not None
    planner = Planner.of(profile, read_topology(case.topology))
    changed = planner.on(cases.scaled(planner.topology, devices=found.devices, links=found.links))
    assert case.effect(changed, found.plans)
    # The plans shown are what planning afresh on the changed topology answers.
    fresh = Planner.of(profile, changed.topology, compiled=True)
    assert case.ask(fresh) == found.plans


def test_the_effects_are_what_they_say() -> None:
    planner = Planner.of(read_profile("resnet20-digits"), read_topology("iot"))
    names = [tier.name for tier in planner.topology.tiers]

    def estimated(text: str) -> tuple:
        return (planner.estimate(Plan.parse(text)),)

    assert cases.goes_back(planner, estimated(f"1-3@{names[2]} 4-9@{names[1]} T=0.40"))
    assert not cases.goes_back(planner, estimated(f"1-3@{names[1]} 4-9@{names[2]} T=0.40"))
    assert cases.is_trimmed(planner, estimated(f"1-9@{names[0]}"))
    assert not cases.is_trimmed(planner, estimated(f"1-10@{names[0]}"))
    assert cases.has_three_exits_in_use(planner, estimated(f"1-5@{names[0]} 6-7@{names[1]} 8@{names[2]} T=0.10"))
    assert not cases.has_three_exits_in_use(planner, estimated(f"1-3@{names[0]} 4-9@{names[1]} T=0.40"))


def test_the_script_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "studies.edgesys22.cases", "resnet20-digits"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert done.stdout.count("the paper's effect is there") == 3
