"""A table, from training to a deployment that answers for the very file."""

import csv

import numpy as np
import pytest
from torch import nn

import offramp
from offramp.errors import InputError


def written(path, names):
    """A table of 120 rows whose classes, called so, are told apart by the first of three columns."""
    rows = np.random.default_rng(0).normal(size=(120, 3))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "kind"], *([*row, names[int(row[0] > 0)]] for row in rows)])
    return path


def test_the_file_that_was_trained_on_is_what_is_sent(tmp_path):
    table = f"{written(tmp_path / 't.csv', ('no', 'yes'))}?label=kind"
    module = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    run = offramp.train(module, table, out=tmp_path / "run", epochs=2, train="all", separate=False)
    profile = offramp.profile(run, repeats=4)
    bundle = offramp.build(run, "1@smartwatch 2@cloud T=0.5", profile=profile, topology="mobile", out=tmp_path / "b")
    sent = offramp.run(bundle, table, count=5)
    own = offramp.run(bundle, count=5)
    assert [answer.label for answer in sent.answers] == [answer.label for answer in own.answers]
    assert sent.measured.accuracy == own.measured.accuracy
    others = written(tmp_path / "others.csv", ("cat", "dog"))
    with pytest.raises(InputError, match="are of classes cat, dog, the network tells apart no, yes"):
        offramp.run(bundle, f"{others}?label=kind")
