"""Values as HTML, for notebooks: sentences, tables and pictures one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from offramp.core.tables import html_table
from offramp.view.drawing import Picture, svg


def page(*parts: str) -> str:
    """The parts, one below the other: what `table` and `picture` make as it is, anything else as a paragraph."""
    told = (part if part.startswith("<") else f"<p>{escape(part)}</p>" for part in parts if part)
    return f"<div>{''.join(told)}</div>"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, escaped."""
    return html_table(columns, rows, caption="")


def picture(record: Picture, *, name: str) -> str:
    """A picture, in the ink of the page that it stands on; matplotlib escapes its texts."""
    return svg(record, name=name, ink="currentColor")
