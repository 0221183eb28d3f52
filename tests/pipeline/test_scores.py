"""Another score than entropy, from the profile to a bundle that runs."""

import numpy as np
import pytest

import offramp
from offramp.core.score import LEVELS, ScoreName
from offramp.errors import InputError


def test_a_learned_gate_from_the_profile_to_a_run(run, tmp_path):
    profile = offramp.profile(run, out=tmp_path / "profile.json", repeats=4, score="gate")
    assert offramp.read_profile(tmp_path / "profile.json").score.parameters.shape == (4, 4)
    thresholds = profile.exits.thresholds
    assert len(thresholds) == LEVELS
    first = profile.exit_table.scores[0]
    threshold = thresholds[np.abs(thresholds - np.median(first)).argmin()]
    plan = f"1@smartwatch 2-4@cloud T={threshold}"
    bundle = offramp.build(run, plan, profile=profile, topology="mobile", out=tmp_path / "bundle", epochs=0)
    predicted = offramp.estimate(profile, "mobile", plan).estimate
    assert predicted.exit_rates[0] == np.mean(first <= np.float32(threshold))
    assert 0 < predicted.exit_rates[0] < 1
    assert bundle.manifest.estimate.exit_rates == pytest.approx(
        predicted.exit_rates, abs=1.5 / profile.exit_table.samples
    )
    result = offramp.run(bundle, run.dataset.test[:6])
    assert result.result.measured.exit_rates == result.result.replayed.exit_rates


def test_the_score_of_a_profile_stays(run, tmp_path):
    with pytest.raises(InputError, match="score: is that of the profile that times are added to; leave it out"):
        offramp.profile(run, into=tmp_path / "none.json", score=ScoreName.MARGIN)
    with pytest.raises(InputError, match="score: 'luck' is unknown; use one of entropy, max-probability"):
        offramp.profile(run, score="luck")
