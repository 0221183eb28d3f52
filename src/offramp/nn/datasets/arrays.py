"""Arrays of images and labels, in memory or from an archive: what is accepted, and how they become a data set."""

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from offramp.errors import fail
from offramp.files.arrays import Samples, are_pictures, as_pictures, as_samples
from offramp.files.parts import Parts, packed, unpacked
from offramp.nn.data import Dataset, split
from offramp.nn.datasets.pictures import resized

Array: TypeAlias = NDArray[np.generic]

NAME, CLASS_NAMES = NAMES = ("name", "class_names")
# Of the arrays of one pair, or of the splits that were published apart (as MedMNIST's archives have them).
_WHOLE = ("",)
_SPLITS = ("train_", "val_", "test_")
# Images by the one name may be laid out in several ways, inputs are as they are.
_KINDS = ("images", "inputs")
REMEDY = (
    "give `images`, uint8 [S, C, H, W], or `inputs`, numbers of any shape [S, ...], and `labels`, whole numbers [S], "
    "in memory or as numpy.savez writes them; or `train_images`, `train_labels`, `test_images` and so on"
)


def names_in(held: Collection[str]) -> Iterator[str]:
    """Of the arrays that are called so, those that make up a data set; required ones whether they are held or not."""
    kind, parts = _kind(held), _parts(held)
    for prefix in _prefixes(held):
        yield from [f"{prefix}inputs_{part}" for part in parts] or [f"{prefix}{kind}"]
        yield f"{prefix}labels"
    yield from (name for name in NAMES if name in held)


def dataset_of(arrays: Mapping[str, Array], *, name: str, place: str, seed: int, size: int | None) -> Dataset:
    """The data set that arrays make up.

    arrays: `images` and `labels`, or `train_images`, `train_labels`, `test_images`, `test_labels` and, it may be,
        `val_images` and `val_labels`. Images are uint8 [S, H, W], [S, H, W, C] or [S, C, H, W] with C 1 or 3; gray
        ones get three equal channels. Or `inputs` and so on, numbers of any shape [S, ...], as they are; where a sample
        has several inputs, `inputs_NAME`, by the names that the network's `forward` gives them.
        Labels are whole numbers from 0, [S] or [S, 1]. Beside them there may be `class_names` [classes] and `name`.
    name: of the data set, where `arrays` has none.
    place: of the arrays in messages.
    size: the images are resized to size x size; None for as they are.
    Raises `InputError` for anything else, and where there is no room for images that are large.
    """
    arrays, parts = _packed(arrays, place)
    pairs = {prefix: _pair(arrays, prefix, place) for prefix in _prefixes(arrays)}
    if len({images.shape[1:] for images, _ in pairs.values()}) > 1:
        fail(place, "has parts with images of different shapes", "give all images one shape")
    counts = {prefix: len(labels) for prefix, (_, labels) in pairs.items()}
    first, *_ = (images for images, _ in pairs.values())
    if size is not None and not are_pictures(first):
        fail("image_size", f"{place} holds samples of shape {first.shape[1:]}, no images of 8 bits", "leave it out")
    held_out = "test_" if "test_" in counts else "val_"
    return split(
        _name(arrays[NAME], place) if NAME in arrays else name,
        [_resized(images, size) for images, _ in pairs.values()],
        np.concatenate([labels for _, labels in pairs.values()]),
        seed=seed,
        validation=counts.get("val_", 0) if held_out == "test_" else 0,
        test=counts.get(held_out, 0),
        class_names=_class_names(arrays[CLASS_NAMES], place) if CLASS_NAMES in arrays else None,
        parts=parts,
    )


def arrays_of(dataset: Dataset) -> dict[str, Array]:
    """The arrays that `dataset_of` makes the same splits, classes and names of."""
    arrays: dict[str, Array] = {NAME: np.array(dataset.name), CLASS_NAMES: np.array(dataset.class_names)}
    kind = "images" if dataset.pictures and dataset.image_shape[0] == 3 else "inputs"
    for prefix, part in zip(_SPLITS, (dataset.train, dataset.validation, dataset.test), strict=True):
        inputs = unpacked(part.images, dataset.parts)
        arrays |= {f"{prefix}inputs_{name}": values for name, values in inputs.items()}
        arrays |= {f"{prefix}labels": part.labels} | ({} if inputs else {f"{prefix}{kind}": part.images})
    return arrays


def _packed(arrays: Mapping[str, Array], place: str) -> tuple[Mapping[str, Array], Parts]:
    """The arrays with several inputs as one, and what that is packed of."""
    names = _parts(arrays)
    if not names:
        return arrays, ()
    packed_ones, parts = {}, {}
    for prefix in _prefixes(arrays):
        inputs = {name: arrays[f"{prefix}inputs_{name}"] for name in names if f"{prefix}inputs_{name}" in arrays}
        if missing := [name for name in names if name not in inputs]:
            fail(f"{place}: {prefix}inputs_{missing[0]}", "is missing", "give every part all inputs")
        packed_ones[f"{prefix}inputs"], parts[prefix] = packed(place, inputs)
    if len({*parts.values()}) > 1:
        fail(place, "has parts with inputs of different shapes or types", "give them one")
    others = {name: array for name, array in arrays.items() if "inputs_" not in name}
    return {**others, **packed_ones}, next(iter(parts.values()))


def _parts(held: Collection[str]) -> list[str]:
    """Names of several inputs."""
    first = "train_inputs_" if "train_labels" in held else "inputs_"
    return sorted(name.removeprefix(first) for name in held if name.startswith(first))


def _kind(held: Collection[str]) -> str:
    """What samples are called in what is held."""
    found = [kind for kind in _KINDS for prefix in ("", "train_") if f"{prefix}{kind}" in held]
    found += ["inputs"] if _parts(held) else []
    if len({*found}) > 1:
        fail("data", "holds images and inputs", "give one of them")
    return found[0] if found else _KINDS[0]


def _resized(images: Samples, size: int | None) -> Samples:
    return images if size is None else resized(images.view(np.uint8), size)


def _prefixes(held: Collection[str]) -> tuple[str, ...]:
    """Of the splits that are held; of the one pair where they are not split."""
    parts = _parts(held)
    first = f"inputs_{parts[0]}" if parts else _kind(held)
    if f"train_{first}" not in held:
        return _WHOLE
    return tuple(prefix for prefix in _SPLITS if prefix == "train_" or f"{prefix}{first}" in held)


def _pair(arrays: Mapping[str, Array], prefix: str, place: str) -> tuple[Samples, NDArray[np.int64]]:
    """[S, 3, H, W] images, or [S, ...] inputs, and [S] labels."""
    kind = _kind(arrays)
    for name in (f"{prefix}{kind}", f"{prefix}labels"):
        if name not in arrays:
            fail(f"{place}: {name}", "is missing", REMEDY)
    given, labels = arrays[f"{prefix}{kind}"], arrays[f"{prefix}labels"]
    samples = (as_pictures if kind == "images" else as_samples)(f"{place}: {prefix}{kind}", given)
    if labels.shape not in ((len(samples),), (len(samples), 1)) or not np.issubdtype(labels.dtype, np.integer):
        problem = f"is {labels.dtype} of shape {labels.shape}"
        fail(f"{place}: {prefix}labels", problem, f"give {len(samples)} whole numbers, a class each")
    return samples, labels.reshape(-1).astype(np.int64)


def _name(name: Array, place: str) -> str:
    if name.dtype.kind != "U" or name.ndim:
        fail(f"{place}: {NAME}", f"is {name.dtype} of shape {name.shape}", "give one text")
    return str(name)


def _class_names(names: Array, place: str) -> tuple[str, ...]:
    if names.dtype.kind != "U" or names.ndim != 1:
        fail(f"{place}: {CLASS_NAMES}", f"is {names.dtype} of shape {names.shape}", "give a name for each class")
    return tuple(map(str, names))
