"""Figures of energy as people read them."""

from dataclasses import replace

import pytest

from offramp.core.energy import Energy, TierEnergy
from offramp.core.estimate import Estimate
from offramp.core.requirement import Objective, Requirement
from offramp.core.search_result import Gap
from offramp.view.text import cost_words, energy_words, goal_words, price_words, proof_sentences

ASKED = Requirement(0.9, 0.2, minimize=Objective.ENERGY)
SPENT = Energy(
    {"watch": TierEnergy(compute_j=0.002, radio_j=0.001), "phone": TierEnergy(sending_j=0.0005), "far": TierEnergy()}
)
PREDICTED = Estimate(0.95, 0.1, (1.0,), (0.0,), 0.1, 0.0, 0.0, 0.0, (0.1,), SPENT)


def test_energy_is_told_by_tier_and_term_where_there_is_some() -> None:
    told = energy_words(SPENT)
    assert told == "energy 3.5 mJ = watch 3 mJ (compute 2 mJ + radio 1 mJ) + phone 500 uJ (sending 500 uJ)"
    assert energy_words(Energy({"watch": TierEnergy()})) == "energy 0 J"


def test_what_is_least_is_what_is_told() -> None:
    assert cost_words(ASKED, PREDICTED) == "3.5 mJ"
    assert cost_words(Requirement(0.9), PREDICTED) == "100 ms"
    assert goal_words(ASKED) == "plan of least energy with accuracy of at least 90.00 % and latency of at most 200 ms"


@pytest.mark.parametrize(("factor", "words"), [(1.5, "50.00 % costlier"), (0.5, "50.00 % thriftier")])
def test_the_price_of_a_certificate_is_in_energy(factor: float, words: str) -> None:
    other = replace(PREDICTED, energy=Energy({"watch": TierEnergy(compute_j=factor * SPENT.total_j)}))
    assert price_words(ASKED, other, PREDICTED) == f"{words} in energy than the best seen"


def test_the_gap_is_one_of_energy() -> None:
    sentences = proof_sentences(ASKED, met=True, plans=10, search_s=1.0, gap=Gap(0.0, 0.99, 0.001), certificate=None)
    assert "none is thriftier than 1 mJ or more accurate than 99.00 %" in " ".join(sentences)
