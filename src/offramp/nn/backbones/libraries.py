"""Networks by their names in torchvision and timm, and transformers' from a folder: made here, never downloaded."""

import difflib
import functools
import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from offramp.errors import InputError, MissingExtraError, fail
from offramp.nn.backbones.custom import custom, without_shares
from offramp.nn.graph.operations import what_happened
from offramp.nn.network import Shape, Spec
from offramp.nn.weights import load_weights

LIBRARIES = ("torchvision", "timm", "hf")
"""What a backbone's name begins with, before a colon, that is one of a library."""

_NEAR = 3
_CLASSIFIERS = ("ForImageClassification", "ForSequenceClassification")


def of_library(name: str, *, weights: Path | None = None) -> Spec:
    """The backbone `torchvision:resnet18` or `timm:mobilenetv3_small_100`, with new weights; or `hf:./folder`.

    The first two are made for as many classes as the data have; a folder holds a classifier of images or texts of
    transformers, with its weights.
    weights: a file of weights for it, as `load_weights` takes it.
    Raises `MissingExtraError`, where the backbone is made, without the library, and `InputError` for what it lacks.
    """
    library, _, model = without_shares(name).partition(":")
    match library:
        case "torchvision":
            make = functools.partial(_torchvision, model, weights)
        case "timm":
            make = functools.partial(_timm, model, weights)
        case _:
            make = functools.partial(_transformers, Path(model).resolve(), weights)
    return custom(name, make, trained=library == "hf")


def _torchvision(model: str, weights: Path | None, image_shape: Shape, classes: int) -> nn.Module:
    models = _library("torchvision.models", "torchvision")
    _check_known("torchvision", model, models.list_models(module=models))
    return _made(f"torchvision:{model}", models.get_model, (model,), weights, {"weights": None, "num_classes": classes})


def _timm(model: str, weights: Path | None, image_shape: Shape, classes: int) -> nn.Module:
    timm = _library("timm", "timm")
    _check_known("timm", model, timm.list_models())
    options: dict[str, object] = {"pretrained": False, "num_classes": classes, "in_chans": image_shape[0]}
    known = timm.get_pretrained_cfg(model)
    if getattr(known, "fixed_input_size", False):
        options["img_size"] = image_shape[1:]
    return _made(f"timm:{model}", timm.create_model, (model,), weights, options)


def _transformers(folder: Path, weights: Path | None, image_shape: Shape, classes: int) -> nn.Module:
    transformers = _library("transformers", "transformers")
    if not (folder / "config.json").is_file():
        fail("backbone", f"hf:{folder} is no folder with a config.json", "give one that save_pretrained wrote")
    kind = next((kind for kind in _CLASSIFIERS if any(name.endswith(kind) for name in _architectures(folder))), None)
    if kind is None:
        problem = f"hf:{folder} holds {' and '.join(_architectures(folder)) or 'something'} without a classifier"
        fail("backbone", problem, "write a function that adds one, and name it: package.module:factory")
    make = getattr(transformers, f"AutoModel{kind}").from_pretrained
    module = _made(f"hf:{folder}", make, (folder,), weights, {"local_files_only": True})
    if (said := _normalization(folder)) is not None:
        module.normalize = said  # type: ignore[assignment]
    return module


def _architectures(folder: Path) -> list[str]:
    """Of which classes of transformers the network in a folder is, as it says itself."""
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures")
    except (OSError, ValueError, AttributeError):
        said = None
    return [name for name in said if isinstance(name, str)] if isinstance(said, list) else []


def _normalization(folder: Path) -> tuple[Any, Any] | str | None:
    """What the folder's own preprocessing does; None where it doesn't say."""
    try:
        said = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if said.get("do_normalize") is False:
        return "unit" if said.get("do_rescale", True) else "raw"
    mean, deviation = said.get("image_mean"), said.get("image_std")
    return (mean, deviation) if mean and deviation else None


def _library(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is None or error.name.split(".")[0] != package:
            fail("backbone", f"{package} can't be imported{what_happened(error)}", f"install a {package} that works")
        raise MissingExtraError(f"this backbone needs {package}: pip install {package}") from error
    except Exception as error:  # it doesn't fit the torch that is installed
        fail("backbone", f"{package} can't be imported{what_happened(error)}", "install one made for this torch")


def _check_known(library: str, model: str, known: Iterable[str]) -> None:
    names = [*known]
    if model not in names:
        near = difflib.get_close_matches(model, names, _NEAR)
        remedy = f"did you mean {' or '.join(near)}?" if near else f"see {library}'s own list of models"
        fail("backbone", f"{library} has no {model!r}", remedy)


def _made(
    name: str, make: Any, arguments: tuple[object, ...], weights: Path | None, options: dict[str, object]
) -> nn.Module:
    try:
        module: nn.Module = make(*arguments, **options)
    except InputError:
        raise
    except Exception as error:  # whatever the library ran into
        fail("backbone", f"{name} can't be made{what_happened(error)}", "take another, or name a function of yours")
    if weights is not None:
        load_weights(module, weights)
    return module
