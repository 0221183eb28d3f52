"""From text to plain dicts, lists and scalars, without trust in the text.

Both readers hand back the document and the faults that only the text shows (a key given twice, NaN); a text that
is no document at all raises `InputError` with its line and column.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import yaml

from offramp.errors import Fault, InputError, fail
from offramp.files.places import below

# Offramp's own documents are four deep; only a profile's provenance may be deeper.
MOST_DEPTH = 64

_DEPTH_REMEDY = f"nest at most {MOST_DEPTH} deep"
_YamlLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL_TAG = "tag:yaml.org,2002:null"


def parse_json(text: str) -> tuple[Any, list[Fault]]:
    """The JSON document in `text`."""
    try:
        document = json.loads(text, object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        raise InputError(
            [Fault(f"line {error.lineno}, column {error.colno}", f"is not JSON: {error.msg}", "correct it there")]
        ) from None
    except RecursionError:
        fail("document", "is nested too deep", _DEPTH_REMEDY)
    except ValueError:
        fail("document", "has a number of thousands of digits", "give numbers a computer can hold")
    return document, list(_json_faults("", document, MOST_DEPTH))


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys were given more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = [] if len(pairs) == len(self) else [k for k, n in Counter(k for k, _ in pairs).items() if n > 1]


def _json_faults(place: str, value: Any, depth: int) -> Iterator[Fault]:
    if not depth:
        raise InputError([Fault(place, "is nested too deep", _DEPTH_REMEDY)])
    if isinstance(value, _Object):
        for key in value.repeated:
            yield Fault(below(place, key), "is given twice", "keep one of the two")
        for key, item in value.items():
            yield from _text_faults(below(place, key), key)
            yield from _json_faults(below(place, key), item, depth - 1)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            # Long lists are lists of numbers: don't build a place for every entry.
            if type(item) is float and math.isfinite(item):
                continue
            yield from _json_faults(below(place, i), item, depth - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(place, f"{value} is not a finite number", "give a number, or leave out what was not measured")
    elif isinstance(value, str):
        yield from _text_faults(place, value)


def _text_faults(place: str, text: str) -> Iterator[Fault]:
    """JSON can escape half of a surrogate pair, which no file or terminal can hold."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        yield Fault(place, f"{text!a} is not Unicode text", "write characters, not halves of them")


def parse_yaml(text: str) -> tuple[Any, list[Fault]]:
    """The YAML document in `text`, every scalar as text or None: the fields say what a scalar must be.

    That keeps a tier named `no` or `1e3` a name, and leaves nothing for YAML's own types and tags to construct.
    """
    try:
        _refuse_tricks(text)
        root = yaml.compose(text, Loader=_YamlLoader)
    except yaml.YAMLError as error:
        place = _place(getattr(error, "problem_mark", None))
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is damaged"
        raise InputError([Fault(place, f"is not YAML: {reason}", "correct it there")]) from None
    faults: list[Fault] = []
    return (None if root is None else _plain(root, "", faults)), faults


class _Mark(Protocol):
    """Where something stands in a text, counted from 0."""

    line: int
    column: int


def _place(mark: _Mark | None) -> str:
    return "document" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


def _refuse_tricks(text: str) -> None:
    """Aliases can blow a small file up without end, tags can ask for objects, depth can exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_YamlLoader):
        place = _place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            fail(place, f"*{event.anchor} is an alias", "write the value out")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            fail(place, f"{event.tag!r} is a tag", "leave it out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            fail(place, "is nested too deep", _DEPTH_REMEDY)


def _plain(node: yaml.Node, place: str, faults: list[Fault]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, below(place, i), faults) for i, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                faults.append(Fault(f"line {line}", "a key is a list or a mapping", "keys are words"))
                continue
            key = key_node.value
            if key in mapping:
                faults.append(
                    Fault(below(place, key), f"is given twice, in lines {lines[key]} and {line}", "keep one of the two")
                )
            lines.setdefault(key, line)
            mapping[key] = _plain(value_node, below(place, key), faults)
        return mapping
    return None if node.tag == _NULL_TAG else node.value
