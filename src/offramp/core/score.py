"""Scores: how unsure an exit is of an answer, which its threshold is compared to."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from offramp.core import checks
from offramp.core.checks import Float32Array, FloatArray
from offramp.errors import Fault, refuse

LEVELS = 20
"""How many thresholds are tried of a score, as in EdgeSys'22."""
_DECIMALS = 6


class ScoreName(Enum):
    """What a score is computed of; all are in [0, 1], and the lower, the surer is the exit."""

    ENTROPY = "entropy"
    """Of the probabilities, over the logarithm of their number (EdgeSys'22, BranchyNet)."""
    MAX_PROBABILITY = "max-probability"
    """One minus the greatest probability."""
    MARGIN = "margin"
    """One minus the difference of the two greatest probabilities."""
    TEMPERATURE = "temperature"
    """Entropy, after logits are divided by a temperature of the exit's own (Guo et al., ICML 2017)."""
    GATE = "gate"
    """The probability that the answer is wrong, by a logistic regression of the exit's own on the first three."""

    @property
    def has_parameters(self) -> bool:
        """Whether there is something to be fitted for every exit."""
        return self in _PARAMETERS


_PARAMETERS = {ScoreName.TEMPERATURE: 1, ScoreName.GATE: 4}


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A score with what was fitted for it.

    parameters: [N, 1] each exit's temperature; or of its gate [N, 4] the intercept and the weights of entropy,
        `MAX_PROBABILITY` and `MARGIN`; None for scores that have none.
    """

    name: ScoreName = ScoreName.ENTROPY
    parameters: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.parameters is not None:
            object.__setattr__(self, "parameters", checks.frozen_array(self.parameters, np.float64, 2, "parameters"))
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        width = _PARAMETERS.get(self.name, 0)
        if self.parameters is None:
            if width:
                yield Fault("parameters", f"are missing, which {self.name.value} has", f"give {width} for each exit")
        elif self.parameters.shape[1] != width or not len(self.parameters):
            remedy = f"give {width} for each exit" if width else f"leave them out: {self.name.value} has none"
            yield Fault("parameters", f"are {len(self.parameters)} by {self.parameters.shape[1]}", remedy)
        elif not np.isfinite(self.parameters).all():
            yield Fault("parameters", "are not all finite", "give numbers")
        elif self.name is ScoreName.TEMPERATURE and not (self.parameters > 0).all():
            yield Fault("parameters", "has a temperature that is not above zero", "give positive ones")

    def __repr__(self) -> str:
        return f"Score({self.name.value})"


ENTROPY = Score()
"""The paper's."""


def quantiles(scores: Float32Array, levels: int = LEVELS) -> FloatArray:
    """[K] thresholds that are quantiles of scores [...], so that each lets other samples exit; K at most `levels`.

    Of the scores' distinct values, as many samples may have the very same; rounded up to six decimals, which is what a
    plan's one-line form shows.
    """
    steps = 10**_DECIMALS
    distinct = np.unique(np.ceil(scores.astype(np.float64) * steps)) / steps
    chosen = np.unique(np.quantile(distinct, (np.arange(levels) + 0.5) / levels, method="nearest"))
    thresholds: FloatArray = np.minimum(chosen, 1.0)
    return thresholds
