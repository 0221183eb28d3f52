"""From what the user names to text: a file of theirs, or one that ships with Offramp."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from offramp.errors import InputError, fail

Folder = Literal["topologies", "profiles"]

_DATA = Path(__file__).parents[1] / "data"
_SUFFIX = {"topologies": ".yaml", "profiles": ".json"}


def shipped(folder: Folder) -> tuple[str, ...]:
    """Names of the topologies or profiles that ship with Offramp, sorted."""
    return tuple(sorted(path.stem for path in (_DATA / folder).glob(f"*{_SUFFIX[folder]}")))


@contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Inside it, every `InputError` says that it is about `source`."""
    try:
        yield
    except InputError as error:
        faults = [replace(fault, place=fault.place or "file") for fault in error.faults]
        raise InputError(faults, source=str(source)) from None


def locate(source: str | Path, folder: Folder | None = None, *, remedy: str = "give the path of a file") -> Path:
    """The file that `source` names: the shipped one of `folder` where the bare name is one, else the path.

    Raises `InputError` where there is no such file; the remedy suggests near names.
    """
    if not isinstance(source, str | Path) or source == "":
        fail("", "is empty" if source == "" else f"is {type(source).__name__}, no path", remedy)
    names = shipped(folder) if folder else ()
    if folder and source in names:
        return _DATA / folder / f"{source}{_SUFFIX[folder]}"
    path = Path(source)
    if is_file(path):
        return path
    near = difflib.get_close_matches(path.name, _neighbors(path), n=3)
    suggestions = [str(path.with_name(name)) for name in near]
    suggestions += difflib.get_close_matches(str(source), names)
    if suggestions:
        remedy = f"did you mean {' or '.join(suggestions)}?"
    elif names:
        remedy = f"give a file, or one of the shipped {folder}: {', '.join(names)}"
    fail("", _absence(path), remedy)


def read_bytes(path: Path, *, most: int) -> bytes:
    """The whole file, or an `InputError` where it can't be read or is longer than `most` bytes."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        fail("", f"can't be read: {error.strerror}", "check that you may read it")
    if len(content) > most:
        fail("", f"is larger than {most >> 20} MiB", "check that it is the file you mean")
    return content


def read_text(path: Path, *, most: int) -> str:
    """The whole file as text, with or without a byte order mark."""
    content = read_bytes(path, most=most)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail("", f"is not UTF-8 text: byte {error.start} is {content[error.start]:#04x}", "save it as UTF-8")


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _neighbors(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except (OSError, ValueError):
        return []


def _absence(path: Path) -> str:
    try:
        if path.is_dir():
            return "is a folder"
        if path.exists():
            return "is not a regular file"
        if not path.parent.is_dir():
            return f"there is no folder {str(path.parent)!r}"
    except (OSError, ValueError):
        return "no file can have this name"
    return f"there is no file {path.name!r}"
