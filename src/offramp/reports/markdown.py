"""A report as Markdown, with its figures and its whole tables as files beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from offramp.reports.blocks import Block, Code, Content, Facts, Figure, Table, Text
from offramp.view.drawing import svg

_INK = "#1b1f24"
_MARKUP = str.maketrans({mark: f"\\{mark}" for mark in r"\`*_{}[]<>#|~$"} | {"\n": " ", "\r": " "})


def markdown(content: Content, *, folder: str) -> tuple[str, dict[str, bytes]]:
    """The content as Markdown, and the files of `folder` that it shows and links to."""
    files: dict[str, bytes] = {}
    parts = [f"# {_escaped(content.title)}", _escaped(content.subtitle)]
    for section in content.sections:
        parts.append(f"## {_escaped(section.title)}")
        for block in section.blocks:
            parts += _parts(block, folder, files)
    return "\n\n".join(parts) + "\n", files


def _parts(block: Block, folder: str, files: dict[str, bytes]) -> Iterator[str]:
    match block:
        case Text(text):
            yield _escaped(text)
        case Code(text):
            fence = "`" * max(3, 1 + max(map(len, _runs(text, "`")), default=0))
            yield f"{fence}\n{text}\n{fence}"
        case Facts(facts):
            yield "\n".join(
                f"- **{_escaped(what)}**: {_escaped(value)} ({_escaped(note)})" for what, value, note in facts
            )
        case Figure():
            files[f"{block.name}.svg"] = _on_white(svg(block.picture, name=block.name, ink=_INK)).encode()
            yield f"![{_escaped(block.caption)}]({folder}/{block.name}.svg)"
        case Table():
            files[f"{block.name}.csv"] = _csv(block)
            shown = range(len(block.rows)) if block.shown is None else block.shown
            rules = ["---:" if at in block.numeric else "---" for at in range(len(block.columns))]
            lines = [_row([_escaped(name) for name in block.columns]), _row(rules)]
            for at in shown:
                cells = [_escaped(cell) for cell in block.rows[at]]
                lines.append(_row([f"**{cell}**" if at == block.strong and cell else cell for cell in cells]))
            yield "\n".join(lines)
            if block.shown is not None:
                yield f"All {len(block.rows)}: [{block.name}.csv]({folder}/{block.name}.csv)"


def _escaped(text: str) -> str:
    return text.translate(_MARKUP)


def _runs(text: str, mark: str) -> list[str]:
    return [run for run in "".join(c if c == mark else " " for c in text).split() if run]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _on_white(drawn: str) -> str:
    """The SVG with a white background, as readers of Markdown may show it on black."""
    end = drawn.index(">") + 1
    return f'{drawn[:end]}<rect width="100%" height="100%" fill="#ffffff"/>{drawn[end:]}'


def _csv(table: Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue().encode()
