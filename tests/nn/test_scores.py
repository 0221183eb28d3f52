"""Scores are what their formulas say, in PyTorch and in the exported graph, and what is fitted is found again."""

import numpy as np
import pytest
import torch

from offramp.bundle.session import PartitionSession
from offramp.core.codec import Codec
from offramp.core.score import Score, ScoreName
from offramp.nn.export import cut_branch, export
from offramp.nn.inference import predict
from offramp.nn.profiling.exit_tables import encoded_exit_table, exit_table
from offramp.nn.scores import fitted, scores


def by_hand(name: str, z: list[float], parameters) -> float:
    """Of one sample, as the formulas are written."""
    z = np.array(z, np.float64)
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    second, first = sorted(p)[-2:]
    entropy = -sum(x * np.log(x) for x in p if x > 0) / np.log(len(p))
    match name:
        case "entropy":
            return entropy
        case "max-probability":
            return 1 - first
        case "margin":
            return 1 - (first - second)
        case "temperature":
            return by_hand("entropy", z / parameters[0], None)
        case "gate":
            said = parameters[0] + parameters[1] * entropy + parameters[2] * (1 - first)
            return 1 / (1 + np.exp(-said - parameters[3] * (1 - first + second)))
    raise AssertionError(name)


PARAMETERS = {"temperature": [[2.0], [0.5], [1.0], [3.0]], "gate": [[-1.0, 2.0, 3.0, -0.5]] * 3 + [[0.5, 1, 1, 1]]}


def score_of(name: str) -> Score:
    return Score(ScoreName(name), np.array(PARAMETERS[name]) if name in PARAMETERS else None)


@pytest.mark.parametrize("name", [each.value for each in ScoreName])
def test_tables_and_exported_graphs_hold_what_the_formula_says(name, network, tiny):
    score = score_of(name)
    table = exit_table(network, tiny.test, score)
    assert table.score is score.name
    logits = predict(network, tiny.test).numpy()
    for branch in range(4):
        own = PARAMETERS.get(name, [None] * 4)[branch]
        expected = [by_hand(name, sample, own) for sample in logits[branch].tolist()]
        assert table.scores[branch] == pytest.approx(np.array(expected), abs=1e-6)
    whole = export(network, tiny.image_shape, score=score)
    x = torch.tensor(tiny.test.images)
    with torch.inference_mode():
        for i, block in enumerate(network.blocks, start=1):
            x = block(x)
            _, said = PartitionSession(cut_branch(whole, i)).run(x.numpy())
            assert said == pytest.approx(table.scores[i - 1], abs=1e-5)


def test_the_table_of_a_codec_has_the_same_score(network, tiny):
    assert encoded_exit_table(network, tiny.test, Codec.FP16, score_of("margin")).score is ScoreName.MARGIN


def test_a_temperature_is_found_again():
    """Of labels that are drawn as softmax(z / 3) has it, the likeliest temperature is about 3."""
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(scale=6, size=(2, 4000, 5)))
    chances = torch.softmax(logits[0] / 3, dim=1).numpy()
    labels = np.array([rng.choice(5, p=own) for own in chances])
    score = fitted(ScoreName.TEMPERATURE, logits[:1], labels)
    assert score.parameters[0, 0] == pytest.approx(3, rel=0.1)


def test_a_gate_says_how_likely_an_answer_is_wrong():
    rng = np.random.default_rng(1)
    logits = torch.tensor(rng.normal(scale=3, size=(1, 4000, 4)))
    labels = np.array([rng.choice(4, p=own) for own in torch.softmax(logits[0], dim=1).numpy()])
    score = fitted(ScoreName.GATE, logits, labels)
    said = scores(logits[0], score, 1).numpy()
    wrong = logits[0].argmax(dim=1).numpy() != labels
    assert said.mean() == pytest.approx(wrong.mean(), abs=0.005)
    surest = np.argsort(said)[:2000]
    assert wrong[surest].mean() == pytest.approx(said[surest].mean(), abs=0.02)


def test_a_gate_without_wrong_answers_goes_by_entropy():
    logits = torch.tensor([[[4.0, 0.0], [1.0, 0.0]]])
    said = fitted(ScoreName.GATE, logits, np.array([0, 0]))
    first, second = scores(logits[0], said, 1).tolist()
    assert first < second
