"""A report as one HTML file that loads nothing: light and dark, on a screen of any width and on paper."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from offramp.reports.blocks import Block, Content, Figure
from offramp.view.drawing import NARROW, WIDE, svg

_LONGEST_WORD = 40


def html(content: Content) -> str:
    """The content as an HTML page. Every text in it is escaped; only our own figures are markup."""
    environment = Environment(
        loader=PackageLoader("offramp.reports"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["unbroken"] = _unbroken
    template = environment.get_template("report.html.j2")
    return template.render(content=content, kind_of=_kind_of, svg_of=_svg_of)


def _kind_of(block: Block) -> str:
    return type(block).__name__


def _svg_of(figure: Figure, narrow: bool) -> Markup:
    # matplotlib escapes the texts that it puts into an SVG.
    return Markup(svg(figure.picture, name=figure.name, ink="currentColor", width=NARROW if narrow else WIDE))


def _unbroken(text: str) -> Markup:
    """The text with its hyphenated words, tiers and partitions mostly, kept in one piece where they are short."""
    words = (
        Markup('<span class="word">{}</span>').format(word) if "-" in word and len(word) < _LONGEST_WORD else word
        for word in text.split(" ")
    )
    return Markup(" ").join(words)
