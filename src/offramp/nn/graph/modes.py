"""Operations that do something else in training: dropout, batch normalization, recurrent layers."""

from typing import Any

from torch import fx, nn

from offramp.nn.graph.operations import operation
from offramp.nn.graph.recurrent import TRAINING, is_recurrent

BATCH_NORM = 5  # which of its arguments says whether batch normalization is in training


class Moded(nn.Module):
    """An operation that is told whether it is in training: dropout, batch normalization, a recurrent layer."""

    def __init__(self, operation: Any, place: int) -> None:
        super().__init__()
        self.operation = operation
        self.place = place

    def forward(self, *args: Any) -> Any:
        """The operation's own arguments, with the mode at `place` replaced by this module's."""
        return self.operation(*args[: self.place], self.training, *args[self.place + 1 :])


def mode_place(node: fx.Node) -> int | None:
    """Which argument says whether the operation is in training, where the module's mode decided that."""
    dropout = operation(node) in ("dropout", "dropout_", "feature_dropout", "feature_dropout_")
    place = BATCH_NORM if operation(node) == "batch_norm" else 2 if dropout else None
    place = TRAINING if is_recurrent(node) else place
    return place if place is not None and node.args[place] is False else None
