"""The exits of a network at one threshold, as the record of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.core.exit_table import at_or_below
from offramp.core.exits import Replay
from offramp.core.planner import Planner


@dataclass(frozen=True, slots=True)
class ExitBar:
    """An exit, in percent.

    block: the one it is after.
    exit_rate: share of all samples that exit where every exit is in place.
    lone_exit_rate: share that would exit were this the only exit before the last.
    lone_accuracy: accuracy of those; None where there are none, or it is not known.
    accuracy: accuracy were all samples to exit.
    used: whether the plan has this exit.
    """

    block: int
    exit_rate: float
    lone_exit_rate: float
    lone_accuracy: float | None
    accuracy: float
    used: bool


@dataclass(frozen=True, slots=True)
class ExitsPicture:
    """All exits of a network, the first first."""

    exits: tuple[ExitBar, ...]

    @classmethod
    def of(cls, planner: Planner, threshold: float, ends: Sequence[int] = ()) -> ExitsPicture:
        """The exits at that threshold, or the nearest that was measured; `ends` are those of the plan."""
        exits, n = planner.exits, len(planner.backbone.blocks)
        if not isinstance(exits, Replay):
            threshold = min(exits.thresholds.tolist(), key=lambda measured: abs(measured - threshold))
        exit_rates = exits.rates(range(1, n + 1), (threshold,) * (n - 1)).exit_rates
        bars = []
        for block in range(1, n + 1):
            lone_rate = exits.rates((block, n), (threshold,)).exit_rates[0] if block < n else 1.0
            lone_accuracy = None
            if isinstance(exits, Replay) and lone_rate:
                exiting = at_or_below(exits.table.scores[block - 1], threshold) | (block == n)
                lone_accuracy = 100 * float(exits.table.correct[block - 1][exiting].mean())
            bars.append(
                ExitBar(
                    block=block,
                    exit_rate=100 * exit_rates[block - 1],
                    lone_exit_rate=100 * lone_rate,
                    lone_accuracy=lone_accuracy,
                    accuracy=100 * exits.rates((block,), ()).accuracy,
                    used=block in ends,
                )
            )
        return cls(tuple(bars))
