"""Scores as values: what is fitted has its shape, and quantiles let other samples exit each."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from offramp.core.exit_table import at_or_below
from offramp.core.score import LEVELS, Score, ScoreName, quantiles
from offramp.errors import InputError


@given(npst.arrays(np.float32, (2, 50), elements=st.floats(0, 1, width=32)))
def test_every_quantile_lets_other_samples_exit(scores):
    thresholds = quantiles(scores)
    assert 1 <= len(thresholds) <= LEVELS
    assert ((thresholds >= 0) & (thresholds <= 1)).all()
    exiting = [int(at_or_below(scores, threshold).sum()) for threshold in thresholds]
    assert exiting[0] > 0
    assert all(before < after for before, after in itertools.pairwise(exiting))
    assert all(float(f"{threshold:.6f}") == threshold for threshold in thresholds)


def test_of_scores_that_all_differ_the_quantiles_are_evenly_apart():
    scores = np.linspace(0, 0.01, 1000, dtype=np.float32)
    exiting = [int(at_or_below(scores, threshold).sum()) for threshold in quantiles(scores)]
    assert len(exiting) == LEVELS
    assert np.diff(exiting) == pytest.approx(50, abs=2)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("margin", [[1.0]], "parameters: are 1 by 1; leave them out: margin has none"),
        ("temperature", None, "parameters: are missing, which temperature has; give 1 for each exit"),
        ("temperature", [[1.0], [0.0]], "a temperature that is not above zero"),
        ("gate", [[1.0, 2.0]], "are 1 by 2; give 4 for each exit"),
        ("gate", [[1.0, 2.0, 3.0, np.inf]], "are not all finite"),
    ],
)
def test_what_is_fitted_has_its_shape(name, parameters, message):
    with pytest.raises(InputError, match=message):
        Score(ScoreName(name), None if parameters is None else np.array(parameters))
