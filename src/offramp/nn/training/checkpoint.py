"""One network's weights as a safetensors file, with the optimizer's state while it is still in training."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from offramp.errors import Fault, InputError

_WEIGHT, _MOMENTUM, _BEST = "weight:", "momentum:", "best:"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A network after some epochs.

    epoch: how many epochs it has learned.
    weights: the network's state by name.
    momentum: the optimizer's state by parameter name; empty once training is over.
    accuracy: of its branches on the validation split, shallowest first; empty until training is over.
    best: the state after the best epoch so far, where it counts which that was.
    best_epoch, best_score: which it was, and how good; 0 before there is one.
    heads: the kinds of its branches but the last, where they were chosen.
    """

    epoch: int
    weights: Mapping[str, Tensor]
    momentum: Mapping[str, Tensor] = field(default_factory=dict)
    accuracy: tuple[float, ...] = ()
    best: Mapping[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: float = 0.0
    heads: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether training is over."""
        return bool(self.accuracy)


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` so that at any moment there is a whole file at `path`, the old one or the new one.

    What is not a tensor goes into the file's own JSON header: two files could get out of step.
    """
    tensors = {_WEIGHT + name: tensor for name, tensor in checkpoint.weights.items()}
    tensors |= {_MOMENTUM + name: tensor for name, tensor in checkpoint.momentum.items()}
    tensors |= {_BEST + name: tensor for name, tensor in checkpoint.best.items()}
    header = {"epoch": json.dumps(checkpoint.epoch), "accuracy": json.dumps(checkpoint.accuracy)}
    if checkpoint.best:
        header["best"] = json.dumps([checkpoint.best_epoch, checkpoint.best_score])
    if checkpoint.heads:
        header["heads"] = json.dumps(checkpoint.heads)
    unfinished = path.with_suffix(".tmp")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, unfinished, header)
    os.replace(unfinished, path)


def read(path: Path) -> Checkpoint | None:
    """The checkpoint at `path`, on the CPU; None where there is no file. Raises `InputError` for another file."""
    if not path.exists():
        return None
    with _readable(path), safe_open(path, "pt") as file:
        header = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it has no __iter__
        best_epoch, best_score = json.loads(header.get("best", "[0, 0.0]"))
        return Checkpoint(
            epoch=json.loads(header["epoch"]),
            weights=_under(_WEIGHT, tensors),
            momentum=_under(_MOMENTUM, tensors),
            accuracy=tuple(json.loads(header["accuracy"])),
            best=_under(_BEST, tensors),
            best_epoch=best_epoch,
            best_score=best_score,
            heads=tuple(json.loads(header.get("heads", "[]"))),
        )


def finished_accuracy(path: Path) -> tuple[float, ...] | None:
    """The branches' accuracy that a finished checkpoint has, without its weights; None where none is finished."""
    if not path.exists():
        return None
    with _readable(path), safe_open(path, "pt") as file:
        return tuple(json.loads(file.metadata()["accuracy"])) or None


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise `InputError` where what is done here with the file shows that it is another."""
    try:
        yield
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        fault = Fault("checkpoint", f"can't be read: {error}", "delete it and train again")
        raise InputError([fault], source=str(path)) from error


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
