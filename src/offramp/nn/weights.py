"""Weights that were trained elsewhere, from their file into the network that they are of."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from offramp.errors import Fault, InputError, refuse

_UNREADABLE = (OSError, SafetensorError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile)
# What trainers call the weights where their file holds more than these.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")
_MOST_NAMED = 5
_SAVE = "save them by torch.save(module.state_dict(), FILE), or by safetensors.torch.save_file"


def load_weights(module: nn.Module, path: Path) -> None:
    """Give `module` the weights in a file: `.safetensors`, or a state dict that `torch.save` wrote.

    A prefix that all names in the file begin with is taken away where the module's don't have it, such as `module.` or
    `_orig_mod.`, which wrappers leave. Raises `InputError` for a file of another kind, and for every weight that is
    missing, unknown or of another shape.
    """
    own = module.state_dict()
    weights = _without_prefix(read_weights(path), own)
    refuse(_faults(weights, own), source=str(path))
    # How many batches normalization has seen is only counted where its momentum is None, and older files lack it.
    module.load_state_dict({**own, **{name: weight for name, weight in weights.items() if name in own}})


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name, on the CPU. Raises `InputError` where `path` isn't such a file; runs no code that is in it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        fault = Fault("weights", "there is no such file", "give the path of one")
        raise InputError([fault], source=str(path)) from error
    except (UnpicklingError, KeyError) as error:  # the latter where the first bytes mean nothing to it
        problem = "is no state dict: it is another kind of file, or holds objects that only running code brings back"
        raise InputError([Fault("weights", problem, _SAVE)], source=str(path)) from error
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError([Fault("weights", f"can't be read: {reason}", _SAVE)], source=str(path)) from error
    for _ in _WRAPPERS:
        inner = next((content[key] for key in _WRAPPERS if isinstance(content, Mapping) and key in content), None)
        content = inner if isinstance(inner, Mapping) else content
    if not isinstance(content, Mapping) or not content:
        fault = Fault("weights", f"holds {type(content).__name__}, no weights by name", _SAVE)
        raise InputError([fault], source=str(path))
    others = [name for name, value in content.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    refuse((Fault(str(name), "is no tensor", _SAVE) for name in others[:_MOST_NAMED]), source=str(path))
    return dict(content)


def _without_prefix(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights by the names that the module has, as far as a prefix alone is in the way."""
    best, most = weights, len(weights.keys() & own.keys())
    for prefix in _prefixes(weights):
        renamed = {name.removeprefix(prefix): weight for name, weight in weights.items()}
        if len(renamed.keys() & own.keys()) > most:
            best, most = renamed, len(renamed.keys() & own.keys())
    return best


def _prefixes(weights: Mapping[str, Tensor]) -> Iterator[str]:
    """All that every name begins with, up to a dot: `a.b.`, `a.`."""
    first = next(iter(weights), "")
    parts = first.split(".")
    for count in range(1, len(parts)):
        prefix = ".".join(parts[:count]) + "."
        if all(name.startswith(prefix) for name in weights):
            yield prefix


def _faults(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> Iterator[Fault]:
    missing = [name for name in own if name not in weights and not _counts(name)]
    unknown = [name for name in weights if name not in own and not _counts(name)]
    other = [name for name, weight in weights.items() if name in own and weight.shape != own[name].shape]
    remedy = "give the weights of this very network, or let the factory make the one they are of"
    for names, problem in ((missing, "is not in the file"), (unknown, "is in the file, and no weight of the network")):
        yield from (Fault(name, problem, remedy) for name in names[:_MOST_NAMED])
        if len(names) > _MOST_NAMED:
            yield Fault(f"{len(names) - _MOST_NAMED} more", problem.replace("is", "are", 1), remedy)
    for name in other[:_MOST_NAMED]:
        shapes = f"is {[*weights[name].shape]} in the file, {[*own[name].shape]} in the network"
        yield Fault(name, shapes, "let the factory make it as wide, and for as many classes, as when it was trained")


def _counts(name: str) -> bool:
    return name.rpartition(".")[2] == "num_batches_tracked"
