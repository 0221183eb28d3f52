"""What the content of a report is made of, whatever it is laid out as. All text is plain text."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.view.drawing import Picture


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be copied, or drawn with characters: its spaces and line ends count."""

    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A few figures that matter most: (what, value, a word on it)."""

    facts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text.

    name: of its file where it gets one.
    numeric: the columns that hold numbers, from 0.
    strong: the row to be pointed out, if any.
    shown: the rows that a reader sees at first; None for all.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    strong: int | None = None
    shown: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture.

    name: of its file where it gets one; unlike that of any other.
    caption: what it shows, also for those who can't see it.
    """

    name: str
    caption: str
    picture: Picture


Block = Text | Code | Facts | Table | Figure


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """A whole report."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
