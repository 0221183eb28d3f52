"""Tables: rows of numbers, or paths of pictures, with a column that holds the class."""

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.errors import Fault, InputError, MissingExtraError, fail
from offramp.files.arrays import Samples, as_samples
from offramp.files.images import SUFFIXES, opened
from offramp.nn.data import Augmentation, Dataset, split
from offramp.nn.datasets.pictures import stacked

_LABELS = ("label", "class", "target", "category", "y")
_PATHS = ("path", "image", "file", "filename", "file_name", "filepath", "image_path")
_SPLIT = "split"
_PARTS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}

_MOST_NAMED = 8
_MOST_BYTES = 1 << 32

Column = NDArray[np.generic]


def table(path: Path, choice: Mapping[str, str], *, seed: int, size: int | None = None) -> Dataset:
    """The data set in a table with names of columns in its first row.

    choice: `label`, the column with the class; where there is none, one called label, class, target, category or y.
        `image`, the column with paths of pictures, relative to the table's folder; where there is none, one called
        path, image, file or the like, if it holds such names. `drop`, columns that are no features, with commas.
    Without pictures, all other columns are features, [S, F] float32. Classes are the values of the label's column in
    order. A column `split` with train, val and test says which rows are held out.
    size: pictures are resized to size x size; None for as they are.
    Raises `InputError` where a column is missing or isn't of numbers, with its name and the row.
    """
    columns = _parquet(path) if path.suffix == ".parquet" else _text(path)
    label = _label(path, columns, choice)
    order, validation, test = _parts(path, columns)
    names, classes = np.unique(columns[label], return_inverse=True)
    if np.issubdtype(columns[label].dtype, np.floating) and (columns[label] != np.floor(columns[label])).any():
        fail(f"{path}: {label}", "holds numbers with fractions, which are no classes", "name the column of the class")
    rest = {name: column for name, column in columns.items() if name not in (label, _SPLIT)}
    image = _image(path, rest, choice)
    dropped = [name for name in choice.get("drop", "").split(",") if name]
    if unknown := [name for name in dropped if name not in rest]:
        fail(f"{path}: drop", f"there is no column {unknown[0]!r}", _of(rest))
    if image is None:
        if size is not None:
            fail("image_size", f"{path} holds numbers, no pictures", "leave it out")
        features = {name: column for name, column in rest.items() if name not in dropped}
        samples: Samples = _features(path, features)[order]
    else:
        files = ((f"{path}: row {row + 2}", str(path.parent / str(rest[image][row]))) for row in order.tolist())
        samples = stacked(opened(files), count=len(classes), size=size)
    return split(
        path.name.split(".")[0],
        samples,
        classes.astype(np.int64)[order],
        seed=seed,
        validation=validation,
        test=test,
        augmentation=None if image is None else Augmentation(shift=samples.shape[2] // 8, flip=True),
        class_names=[_name(name) for name in names.tolist()],
    )


def _of(columns: Mapping[str, Column]) -> str:
    """Which columns there are, the last first: the class is often there."""
    names = [*columns][::-1]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"choose of {', '.join(names[:_MOST_NAMED])}{more}"


def _name(value: object) -> str:
    """Of a class: a whole number is written as such."""
    return str(int(value)) if isinstance(value, float) else str(value)


def _text(path: Path) -> dict[str, Column]:
    """Columns of comma- or tab-separated text: of numbers where all of them are numbers."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if len(content) > _MOST_BYTES:
            fail(str(path), f"holds more than {_MOST_BYTES >> 30} GB", "give an npz, or fewer rows")
        separator = "\t" if ".tsv" in path.name.lower() else ","
        rows = [*csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator, strict=True)]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        fault = Fault("table", f"can't be read: {error}", "give UTF-8 text, with commas between columns")
        raise InputError([fault], source=str(path)) from error
    rows = [row for row in rows if row]
    if len(rows) < 2:
        fail(str(path), f"has {len(rows)} rows", "give names of columns in the first, and a sample in each other")
    names = rows[0]
    if len({*names}) != len(names):
        fail(str(path), "has two columns of the same name", "name each column in the first row, and differently")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(names):
            fail(f"{path}: row {number}", f"has {len(row)} values, there are {len(names)} columns", "mend it")
    columns = zip(*rows[1:], strict=True)
    return {name: _numbers_or_text(values) for name, values in zip(names, columns, strict=True)}


def _numbers_or_text(values: Sequence[str]) -> Column:
    """Whole numbers, or numbers, where all are; missing ones as not-a-number, where there are others."""
    text = np.array(values)
    for kind in (np.int64, np.float64):
        try:
            return text.astype(kind)
        except (ValueError, OverflowError):
            continue
    filled = np.where(np.char.strip(text) == "", "nan", text)
    try:
        numbers = filled.astype(np.float64)
    except ValueError:
        return text
    return text if np.isnan(numbers).all() else numbers


def _parquet(path: Path) -> dict[str, Column]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(f"{path} needs pyarrow: pip install 'offramp[fleet]'") from error
    try:
        held = parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError([Fault("table", f"can't be read: {error}", "write it again")], source=str(path)) from error
    columns = {name: held.column(name).to_numpy() for name in held.column_names}
    return {
        name: column.astype(str)
        if column.dtype == object and all(isinstance(value, str) for value in column)
        else column
        for name, column in columns.items()
    }


def _label(path: Path, columns: Mapping[str, Column], choice: Mapping[str, str]) -> str:
    if "label" in choice and choice["label"] not in columns:
        fail(f"{path}: label", f"there is no column {choice['label']!r}", _of(columns))
    found = [choice["label"]] if "label" in choice else [name for name in columns if name.lower() in _LABELS]
    if len(found) != 1:
        problem = f"{' and '.join(found) or 'none'} of its columns may hold the class"
        named = f"{path.name}?label={found[0] if found else 'NAME'}"
        fail(str(path), problem, f"name it, {named}; {_of(columns)}")
    return found[0]


def _image(path: Path, columns: Mapping[str, Column], choice: Mapping[str, str]) -> str | None:
    """The column with paths of pictures, if there is one."""
    if "image" in choice:
        if choice["image"] not in columns:
            fail(f"{path}: image", f"there is no column {choice['image']!r}", _of(columns))
        return choice["image"]
    named = [name for name in columns if name.lower() in _PATHS and columns[name].dtype.kind == "U"]
    return next((name for name in named if str(columns[name][0]).lower().endswith(SUFFIXES)), None)


def _features(path: Path, columns: Mapping[str, Column]) -> Samples:
    """[S, F]."""
    if not columns:
        fail(str(path), "has no column beside the class", "give features")
    for name, column in columns.items():
        if column.dtype.kind not in "iufb":
            said = f"holds {str(column[0])[:40]!r}, which is no number"
            fail(f"{path}: {name}", said, f"make numbers of it, or leave it out: {path.name}?drop={name}")
        missing = np.flatnonzero(~np.isfinite(column.astype(np.float64)))
        if len(missing):
            fail(f"{path}: {name}", f"row {missing[0] + 2} has no finite number", "fill it in, or leave the row out")
    return as_samples(str(path), np.stack([*columns.values()], axis=1).astype(np.float32))


def _parts(path: Path, columns: Mapping[str, Column]) -> tuple[NDArray[np.int64], int, int]:
    """The order of the rows, held-out ones last, and how many are for validation and for the test."""
    count = len(next(iter(columns.values())))
    if _SPLIT not in columns:
        return np.arange(count), 0, 0
    said = np.char.lower(columns[_SPLIT].astype(str))
    rows = {part: np.flatnonzero(np.isin(said, names)) for part, names in _PARTS.items()}
    if sum(map(len, rows.values())) < count or not len(rows["train"]):
        fail(
            f"{path}: {_SPLIT}",
            f"holds {', '.join(sorted({*said.tolist()})[:5])}",
            "say train, val or test in each row",
        )
    held_out = "test" if len(rows["test"]) else "val"
    order = np.concatenate([rows["train"], *([rows["val"]] if held_out == "test" else []), rows[held_out]])
    return order, len(rows["val"]) if held_out == "test" else 0, len(rows[held_out])
