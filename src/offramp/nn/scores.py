"""Scores of logits, computed the same for a profile's exit table and in the exported graph, and what is fitted."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from offramp.core.checks import FloatArray, IntArray
from offramp.core.score import Score, ScoreName

# Of temperatures, by their logarithm: beyond, probabilities are those of a coin, or of a single class.
_COLDEST, _HOTTEST = math.log(0.02), math.log(50)


def scores(logits: Tensor, score: Score, branch: int) -> Tensor:
    """[..., K] logits of one branch, 1-based -> [...] in [0, 1]."""
    parameters = None if score.parameters is None else torch.tensor(score.parameters[branch - 1]).to(logits)
    match score.name, parameters:
        case ScoreName.TEMPERATURE, Tensor():
            return _entropy(logits / parameters[0])
        case ScoreName.GATE, Tensor():
            return torch.sigmoid((_features(logits) * parameters[1:]).sum(dim=-1) + parameters[0])
        case ScoreName.MAX_PROBABILITY, _:
            return _largest(logits)
        case ScoreName.MARGIN, _:
            return _margin(logits)
        case _:
            return _entropy(logits)


def all_scores(logits: Tensor, score: Score, ends: Iterable[int]) -> Tensor:
    """[N, ..., K] logits of the branches after blocks `ends` -> [N, ...]."""
    return torch.stack([scores(own, score, end) for end, own in zip(ends, logits, strict=True)])


def fitted(name: ScoreName, logits: Tensor, labels: IntArray) -> Score:
    """The score of that name, with what is fitted for each exit on samples that no exit was trained on.

    logits: [N, S, K] of every exit. labels: [S].
    """
    match name:
        case ScoreName.TEMPERATURE:
            return Score(name, np.array([[_temperature(own.double(), torch.tensor(labels))] for own in logits]))
        case ScoreName.GATE:
            return Score(name, np.stack([_gate(own.double(), labels) for own in logits]))
        case _:
            return Score(name)


def _entropy(logits: Tensor) -> Tensor:
    log_probabilities = torch.log_softmax(logits, dim=-1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=-1) / math.log(logits.shape[-1])
    return entropy.clamp(0, 1)


def _largest(logits: Tensor) -> Tensor:
    return (1 - torch.softmax(logits, dim=-1).amax(dim=-1)).clamp(0, 1)


def _margin(logits: Tensor) -> Tensor:
    two = torch.softmax(logits, dim=-1).topk(2, dim=-1).values
    return (1 - two[..., 0] + two[..., 1]).clamp(0, 1)


def _features(logits: Tensor) -> Tensor:
    return torch.stack([_entropy(logits), _largest(logits), _margin(logits)], dim=-1)


def _temperature(logits: Tensor, labels: Tensor) -> float:
    """Under which the labels are likeliest."""

    def surprise(logarithm: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / math.exp(logarithm), labels))

    return math.exp(minimize_scalar(surprise, bounds=(_COLDEST, _HOTTEST), method="bounded").x)


def _gate(logits: Tensor, labels: IntArray) -> FloatArray:
    """[4] intercept and weights of a logistic regression of what is wrong."""
    wrong = logits.argmax(dim=-1).numpy() != labels
    if wrong.all() or not wrong.any():  # nothing to tell apart: by entropy
        return np.array([0.0, 1.0, 0.0, 0.0])
    regression = LogisticRegression(max_iter=1000).fit(_features(logits).numpy(), wrong)
    return np.concatenate([regression.intercept_, regression.coef_[0]])
