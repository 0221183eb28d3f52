"""Per-sample outputs: everything that the exits say, as a table that other programs read."""

import io

import numpy as np
import pytest

from offramp.nn.inference import predict
from offramp.nn.profiling.samples import samples_parquet


def test_a_confusion_matrix_and_other_rules_can_be_made_of_the_file(network, tiny):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(io.BytesIO(samples_parquet(network, tiny.validation)))
    logits = predict(network, tiny.validation).numpy()
    exits, samples, classes = logits.shape
    assert len(table) == exits * samples
    assert table.exit.tolist() == [*range(1, exits + 1)] * samples
    for i in range(exits):
        own = table[table.exit == i + 1]
        assert own.id.tolist() == tiny.validation.members.tolist()
        assert own.label.tolist() == tiny.validation.labels.tolist()
        assert np.array_equal(np.stack(own.logits.to_numpy()), logits[i])
        odds = np.exp(logits[i].astype(float))
        p = np.sort(odds / odds.sum(axis=1, keepdims=True), axis=1)
        assert own.predicted.tolist() == logits[i].argmax(axis=1).tolist()
        assert own.max_probability.to_numpy() == pytest.approx(p[:, -1])
        assert own.margin.to_numpy() == pytest.approx(p[:, -1] - p[:, -2])
        assert own.entropy.to_numpy() == pytest.approx(-(p * np.log(p)).sum(axis=1) / np.log(classes), abs=1e-6)
        assert own[["temperature", "gate"]].to_numpy().min() >= 0
        assert own[["temperature", "gate"]].to_numpy().max() <= 1
