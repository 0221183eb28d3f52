"""The colors of the explorer in light and dark; Okabe and Ito's, which color-blind readers can tell apart."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.view.frontier import COLORS

_ORANGE, _SKY, _GREEN, _PINK, _RED, _BLUE, _YELLOW = COLORS


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is drawn in which color.

    paper, card, ink, faint, line: background, raised background, text, text of less weight, hairlines.
    samples, exits: samples that continue, and those that exit.
    block: partitions. on_block: text on them.
    strong: the plan in question.
    partitions: plans of one partition, of two, and so on.
    plans: the plan and those pinned, in the order they are listed.
    terms: the terms of latency, in the order of the model.
    """

    paper: str
    card: str
    ink: str
    faint: str
    line: str
    samples: str
    exits: str
    block: str
    on_block: str
    strong: str
    partitions: tuple[str, ...]
    plans: tuple[str, ...]
    terms: tuple[str, ...]

    def css(self) -> str:
        """The declarations of the CSS variables that drawings use: `--paper: #fff; ...`."""
        names = ("paper", "card", "ink", "faint", "line", "samples", "exits", "block", "on_block", "strong")
        return " ".join(f"--{name.replace('_', '-')}: {getattr(self, name)};" for name in names)


LIGHT = Scheme(
    paper="#f4f6f8",
    card="#ffffff",
    ink="#16202b",
    faint="#566573",
    line="#d5dbe1",
    samples=_SKY,
    exits=_ORANGE,
    block=_BLUE,
    on_block="#ffffff",
    strong=_RED,
    partitions=(_ORANGE, _SKY, _GREEN, _PINK, _RED, _BLUE),
    plans=(_RED, _BLUE, _GREEN, _PINK, _ORANGE),
    terms=(_BLUE, _ORANGE, _SKY, _PINK),
)
DARK = Scheme(
    paper="#10161d",
    card="#19212b",
    ink="#e8edf2",
    faint="#9fb0bf",
    line="#33404e",
    samples=_SKY,
    exits=_ORANGE,
    block="#1b86c4",
    on_block="#ffffff",
    strong="#ff7a33",
    partitions=(_ORANGE, _SKY, _GREEN, _PINK, _RED, _YELLOW),
    plans=("#ff7a33", _SKY, _GREEN, _PINK, _YELLOW),
    terms=("#3f9fd8", _ORANGE, _YELLOW, _PINK),
)
