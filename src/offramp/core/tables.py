"""HTML tables for notebooks."""

import html
import itertools
from collections.abc import Iterable, Sequence

MOST_ROWS = 100
"""Shown of a table; the others are counted."""


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str) -> str:
    """A table with everything escaped; None and NaN are empty cells, numbers that are not whole have four digits.

    header: the columns' names.
    rows: cells, one per column.
    """
    shown = iter(rows)
    body = [_row("td", cells) for cells in itertools.islice(shown, MOST_ROWS)]
    if more := sum(1 for _ in shown):
        body.append(f'<tr><td colspan="{len(header)}">and {more} more</td></tr>')
    return (
        f"<table><caption>{html.escape(caption)}</caption>"
        f"<thead>{_row('th', header)}</thead><tbody>{''.join(body)}</tbody></table>"
    )


def _row(tag: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(_cell(tag, cell) for cell in cells)}</tr>"


def _cell(tag: str, cell: object) -> str:
    if cell is None or cell != cell:  # only NaN is not itself
        return f"<{tag}></{tag}>"
    if isinstance(cell, int | float):
        text = f"{cell:.4g}" if isinstance(cell, float) and not cell.is_integer() else f"{cell:.0f}"
        return f'<{tag} style="text-align: right">{text}</{tag}>'
    return f"<{tag}>{html.escape(str(cell))}</{tag}>"
