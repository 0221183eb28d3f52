"""Pieces of SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

# Pixels.
_ROUND = 12.0


def fitted(text: str, most: int) -> str:
    """The text, cut off after so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def text(
    x: float,
    y: float,
    words: str,
    *,
    anchor: str = "start",
    size: int = 13,
    bold: bool = False,
    faint: bool = False,
    color: str = "",
) -> str:
    """Words at a place, in the color of the text unless another is given; nothing where there are none."""
    if not words:
        return ""
    fill = color or ("var(--faint)" if faint else "")
    more = (f' fill="{fill}"' if fill else "") + (' font-weight="600"' if bold else "")
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"{more}>{escape(words)}</text>'


def rounded(points: Sequence[tuple[float, float]]) -> str:
    """The path through the points, straight between them, round at the corners."""
    path = [f"M{points[0][0]:.2f} {points[0][1]:.2f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        into, out = _short_of(corner, before), _short_of(corner, after)
        path.append(f"L{into[0]:.2f} {into[1]:.2f}Q{corner[0]:.2f} {corner[1]:.2f} {out[0]:.2f} {out[1]:.2f}")
    path.append(f"L{points[-1][0]:.2f} {points[-1][1]:.2f}")
    return "".join(path)


def _short_of(corner: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """A little way from a corner towards another point, at most half of it."""
    dx, dy = towards[0] - corner[0], towards[1] - corner[1]
    distance = abs(dx) + abs(dy) or 1.0
    part = min(_ROUND, distance / 2) / distance
    return corner[0] + part * dx, corner[1] + part * dy
