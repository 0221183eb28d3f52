"""A report as a PDF, or as one PNG: set by Typst, which comes whole in its package and needs no browser."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import matplotlib
import typst

from offramp.reports.blocks import Block, Content, Figure, Table
from offramp.view.drawing import svg

_INK = "#1b1f24"
_PIXELS_PER_INCH = 130.0


def paper(content: Content, kind: Literal["pdf", "png"]) -> bytes:
    """The content on pages of A4, or for a PNG on one page as long as it takes."""
    document = {
        "title": content.title,
        "subtitle": content.subtitle,
        "endless": kind == "png",
        "sections": [
            {"title": section.title, "blocks": [_block(block) for block in section.blocks]}
            for section in content.sections
        ],
    }
    inputs = {"content": json.dumps(document)}
    # The figures were measured in this font, so it must be there; the machine's own would differ from one to the next.
    fonts = [str(Path(matplotlib.get_data_path(), "fonts", "ttf"))]
    with as_file(files("offramp.reports") / "templates" / "report.typ") as template:
        made = typst.compile(
            str(template),
            format=kind,
            ppi=_PIXELS_PER_INCH,
            sys_inputs=inputs,
            font_paths=fonts,
            ignore_system_fonts=True,
        )
    assert isinstance(made, bytes)
    return made


def _block(block: Block) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": type(block).__name__}
    if isinstance(block, Table):
        shown = range(len(block.rows)) if block.shown is None else block.shown
        strong = None if block.strong is None else list(shown).index(block.strong)
        rows = [block.rows[at] for at in shown]
        return document | {
            "columns": block.columns, "rows": rows, "numeric": sorted(block.numeric), "strong": strong,
        }  # fmt: skip
    if isinstance(block, Figure):
        return document | {"caption": block.caption, "svg": svg(block.picture, name=block.name, ink=_INK)}
    return document | {name: getattr(block, name) for name in ("text", "facts") if hasattr(block, name)}
