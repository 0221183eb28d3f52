"""Places in a document, written as the user would: `links[2].bandwidth`."""

from collections.abc import Iterable


def below(place: str, step: int | str) -> str:
    """The place one step below `place`: an entry of a list (from 0) or a key."""
    if isinstance(step, int):
        return f"{place}[{step}]"
    word = step if step.isprintable() else ascii(step)
    return f"{place}.{word}" if place else word


def place_of(steps: Iterable[int | str]) -> str:
    """The place that `steps` lead to from the top of the document."""
    place = ""
    for step in steps:
        place = below(place, step)
    return place
