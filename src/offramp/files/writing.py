"""Writing files whole or not at all, and JSON that a person can read."""

import json
import os
import secrets
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from offramp.errors import Fault, InputError

_WIDTH = 110


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Put the contents in place, in their order.

    All of them are first written and flushed beside their targets, so that a full disk or a crash in the middle
    of writing leaves every old file as it was. Raises `InputError` where a file can't be written.
    """
    # A short name: it must fit wherever the target's name fits.
    parts = {path: path.parent / f".{secrets.token_hex(8)}.part" for path in contents}
    begun: list[Path] = []
    path = Path()
    try:
        for path, content in contents.items():
            with parts[path].open("xb") as file:
                begun.append(parts[path])
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, part in parts.items():
            os.replace(part, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        fault = Fault("file", f"can't be written: {reason}", "give a file in a folder that exists and has room")
        raise InputError([fault], source=str(path)) from error
    finally:
        for part in begun:
            part.unlink(missing_ok=True)


def target(path: str | Path) -> Path:
    """The path of a file to write. Raises `InputError` for what is no path."""
    if not isinstance(path, str | Path) or path == "":
        problem = "is empty" if path == "" else f"is {type(path).__name__}, no path"
        raise InputError([Fault("path", problem, "give the file to write")])
    return Path(path)


def json_text(document: Any) -> str:
    """`document` as JSON for people: what fits in a line is one, lists of numbers fill their lines."""
    return f"{_laid_out(document, '')}\n"


def _laid_out(value: Any, indent: str) -> str:
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list | tuple) or len(indent) + len(line) <= _WIDTH:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        entries = [f"{json.dumps(key, ensure_ascii=False)}: {_laid_out(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(deeper + entry for entry in entries) + f"\n{indent}}}"
    if all(isinstance(item, int | float) for item in value):
        rows = textwrap.wrap(line[1:-1], _WIDTH, initial_indent=deeper, subsequent_indent=deeper)
        return "[\n" + "\n".join(rows) + f"\n{indent}]"
    return "[\n" + ",\n".join(deeper + _laid_out(item, deeper) for item in value) + f"\n{indent}]"
