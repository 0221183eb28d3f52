"""Data sets by name from the Hugging Face hub."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from offramp.errors import MissingExtraError, fail
from offramp.nn.data import Augmentation, Dataset, split
from offramp.nn.datasets.pictures import stacked

_VALIDATION = ("validation", "valid", "val")


def hub(name: str, *, seed: int, size: int | None = None) -> Dataset:
    """A data set of the hub by its name, e.g. `uoft-cs/cifar100?label=fine_label`; or in a folder, as saved to disk.

    Behind `?` may stand `config=`, and `image=` and `label=`, the columns, where there are several that fit. A label is
    a class label, or a whole number.
    Its split `test` is held out, else its `validation`; what it does not have is drawn from `train`.
    size: the pictures are resized to size x size; None where all are of one size.
    Raises `MissingExtraError` without the package `datasets`, `InputError` where the data set can't be had or has
    no such columns.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError(f"hf:{name} needs Hugging Face datasets: pip install 'offramp[hub]'") from error
    address = urlsplit(name)
    choice = {key: values[-1] for key, values in parse_qs(address.query).items()}
    try:
        splits = _loaded(address.path, choice.get("config"))
    except Exception as error:
        # The library and those below it raise their own types for what may go wrong on the way.
        first = next(iter(str(error).splitlines()), type(error).__name__)
        remedy = "check the name, and that this machine has internet; or download the images and give their folder"
        fail(f"hf:{name}", f"can't be had: {first}", remedy)
    if "train" not in splits:
        fail(f"hf:{name}", f"has the splits {', '.join(map(str, splits))}", "take one that has train")
    validation = next((part for part in _VALIDATION if part in splits), None)
    held_out = [part for part in (validation, "test") if part in splits]
    table = datasets.concatenate_datasets([splits[part] for part in ("train", *held_out)])
    image = _column(name, table.features, choice, "image", lambda feature: isinstance(feature, datasets.Image))
    named = any(isinstance(feature, datasets.ClassLabel) for feature in table.features.values())
    label = _column(
        name,
        table.features,
        choice,
        "label",
        lambda feature: isinstance(feature, datasets.ClassLabel) if named else _is_whole(feature),
    )
    pictures = ((f"hf:{name}[{place}]", row[image]) for place, row in enumerate(table.select_columns([image])))
    images = stacked(pictures, count=len(table), size=size)
    counts = [len(splits[part]) for part in held_out]
    return split(
        address.path,
        images,
        np.asarray(table[label], np.int64),
        seed=seed,
        validation=counts[0] if len(counts) == 2 else 0,
        test=counts[-1] if counts else 0,
        augmentation=Augmentation(shift=images.shape[2] // 8, flip=True),
        class_names=table.features[label].names if named else None,
    )


def _loaded(name: str, config: str | None) -> Any:
    """The splits by name: of a folder that `save_to_disk` wrote, or as the library finds them."""
    import datasets

    if not any((Path(name) / file).is_file() for file in ("dataset_dict.json", "dataset_info.json")):
        return datasets.load_dataset(name, config)
    saved = datasets.load_from_disk(name)
    return saved if isinstance(saved, datasets.DatasetDict) else datasets.DatasetDict(train=saved)


def _is_whole(feature: object) -> bool:
    return str(getattr(feature, "dtype", "")).startswith(("int", "uint"))


def _column(name: str, features: dict[str, Any], choice: dict[str, str], role: str, fits: Callable[[Any], bool]) -> str:
    """The column that the user chose, or the only one that fits."""
    fitting = [column for column, feature in features.items() if fits(feature)]
    chosen = [choice[role]] if role in choice else fitting
    if len(chosen) != 1 or chosen[0] not in fitting:
        columns = ", ".join(fitting) or f"none, of {', '.join(features)}"
        remedy = f"choose one, e.g. hf:{name.split('?')[0]}?{role}={fitting[0]}" if fitting else "take another"
        fail(f"hf:{name}", f"the columns for the {role} are {columns}", remedy)
    return chosen[0]
