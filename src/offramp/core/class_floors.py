"""Floors on what is right class by class, as the replay search counts it and as a given plan meets it."""

import numpy as np

from offramp.core.checks import FloatArray, IntArray, WordArray
from offramp.core.constraints import Constraints
from offramp.core.exits import Replay, words
from offramp.core.metrics import quality_of_plan
from offramp.core.plan import Plan
from offramp.core.requirement import TOLERANCE


def class_floors(label: IntArray, constraints: Constraints) -> tuple[WordArray, FloatArray, FloatArray, float]:
    """The last arguments of `search_replay`: of no class where no floor is stated.

    label: [S] the samples' classes. Balanced accuracy is the sum of the right answers, those to a sample of class c
    weighted with 1 / (C n_c); a class's recall is at its floor when so many of its n_c samples are right.
    """
    classes, counts = np.unique(label, return_counts=True)
    if not constraints.floor_by_class:
        classes, counts = classes[:0], counts[:0]
    recall, balanced = constraints.min_class_recall, constraints.min_balanced_accuracy
    return (
        words(label == classes[:, None]),
        np.zeros(len(counts)) if recall is None else np.ceil((recall - TOLERANCE) * counts),
        1.0 / (max(1, len(counts)) * counts),
        -np.inf if balanced is None else balanced - TOLERANCE,
    )


def meets_class_floors(exits: Replay, plan: Plan, constraints: Constraints) -> bool:
    """Whether a plan keeps to the floors by class that there are."""
    if not constraints.floor_by_class:
        return True
    quality = quality_of_plan(exits.table, plan.ends, plan.thresholds)
    return (
        constraints.min_balanced_accuracy is None
        or quality.balanced_accuracy >= constraints.min_balanced_accuracy - TOLERANCE
    ) and (constraints.min_class_recall is None or quality.least_recall >= constraints.min_class_recall - TOLERANCE)
