"""Requirements in YAML, as options, or both."""

from pathlib import Path

import pytest

from offramp.core.estimate import Latency
from offramp.errors import InputError
from offramp.files import read_requirements

EVERYTHING = """
min_accuracy: 0.9
max_latency: 300 ms
latency: p95
confidence: 0.9
certify: true
exits_per_tier: 2
threshold_per_exit: true
keep: 1
memory: {phone: 2 MB, watch: 100 kB}
forbid: [cloud]
require: [phone]
max_upload: 20 kB
prices:
  tiers: {phone: 0.5}
  bit: 1e-6
budget: 0.25
"""


def test_everything_that_can_be_asked(tmp_path: Path) -> None:
    path = tmp_path / "requirements.yaml"
    path.write_text(EVERYTHING)
    found = read_requirements(path)
    assert (found.min_accuracy, found.max_latency_s) == (0.9, 0.3)
    assert found.latency is Latency.P95
    assert (found.confidence, found.certify) == (0.9, True)
    rules = found.constraints
    assert (rules.exits_per_tier, rules.threshold_per_exit) == (2, True)
    assert (rules.keep_blocks, rules.memory_bits) == (1, {"phone": 16e6, "watch": 8e5})
    assert (rules.forbidden, rules.required) == (frozenset({"cloud"}), frozenset({"phone"}))
    assert (rules.max_upload_bits, rules.budget) == (160_000, 0.25)
    assert rules.prices is not None
    assert (rules.prices.tier_s, rules.prices.bit) == ({"phone": 0.5}, 1e-6)


def test_options_take_precedence(tmp_path: Path) -> None:
    path = tmp_path / "requirements.yaml"
    path.write_text("min_accuracy: 0.9\nkeep: 1\n")
    found = read_requirements(path, min_accuracy=0.5, forbid=["cloud"])
    assert found.min_accuracy == 0.5
    assert found.constraints.keep_blocks == 1
    assert found.constraints.forbidden == {"cloud"}


def test_nothing_asked() -> None:
    found = read_requirements()
    assert not found.has_goal
    assert found.constraints.stated == ()


def test_every_fault_at_once(tmp_path: Path) -> None:
    path = tmp_path / "requirements.yaml"
    path.write_text("min_acuracy: 0.9\nmax_latency: 300\nmemory: {phone: 2 s}\nlatency: p96\n")
    with pytest.raises(InputError) as raised:
        read_requirements(path, keep="some")
    faults = {fault.place: str(fault) for fault in raised.value.faults}
    assert "did you mean min_accuracy?" in faults["min_acuracy"]
    assert "has no unit" in faults["max_latency"]
    assert "its unit is 's'" in faults["memory.phone"]
    assert "'mean' or 'p50' or 'p95' or 'p99'" in faults["latency"]
    assert "a whole number" in faults["keep"]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"min_accuracy": 92}, r"outside \[0, 1\]"),
        ({"min_accuracy": "nan"}, r"min_accuracy"),
        ({"max_latency": "-3 ms"}, "not above zero"),
        ({"latency": "p95"}, "is of no use alone"),
        ({"certify": True}, "certify: has nothing to certify"),
        ({"min_accuracy": 0.9, "confidence": 1.0}, "not from 0.5 to below 1"),
        ({"keep": -1}, "0 or more"),
        ({"budget": 3}, "goes with prices"),
        ({"exits_per_tier": 0}, "allow at least one exit on a tier"),
        ({"forbid": ["a"], "require": ["a"]}, "take it out of one of the two"),
    ],
)
def test_faults_name_the_remedy(asked: dict, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_requirements(**asked)
