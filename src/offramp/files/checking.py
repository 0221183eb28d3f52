"""Holding a document against its model: every fault at once, each with its place and, from the schema, its remedy.

A document holds what the file holds: texts, numbers, lists and other documents. `core()` turns it into the core's
value.
"""

import difflib
import functools
import math
import operator
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from offramp.errors import Fault, InputError
from offramp.files.places import place_of

T = TypeVar("T")
M = TypeVar("M", bound="Document")
Loc = tuple[int | str, ...]

_NOUNS = {
    "number": "a number",
    "integer": "a whole number",
    "string": "text",
    "array": "a list",
    "object": "a mapping of keys to values",
}
_LONGEST_SHOWN = 40
# A file that is wrong a thousand times over is not the file that was meant; nobody reads on.
MOST_ERRORS = 1000


class Document(BaseModel):
    """A mapping in a file: its keys and their types. What the values must obey is the core's to say."""

    # Built at first use, as most commands read one or two of the kinds of file.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class ValueDocument(Document):
    """A document that stands for one value of the core, and is valid only where that value can be built.

    So the core's faults are reported for every part of a file that can be read, at its place, whatever is wrong with
    the rest of the file.
    """

    @abstractmethod
    def core(self) -> object:
        """The value. Raises `InputError` with places as in this document."""

    @model_validator(mode="after")
    def _refuse_unbuildable(self) -> Self:
        self.core()
        return self


def refusing(build: Callable[[T], object]) -> AfterValidator:
    """For a field that `build` makes a value of: refuses what `build` refuses, and keeps what the file holds."""

    def validated(written: T) -> T:
        build(written)
        return written

    return AfterValidator(validated)


class _Schema(GenerateJsonSchema):
    """JSON Schema without the titles pydantic derives from the keys, which say nothing new."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_of(model: type[Document]) -> dict[str, Any]:
    """The model's JSON Schema (draft 2020-12)."""
    return model.model_json_schema(schema_generator=_Schema)


def attempt(faults: list[Fault], place: str, build: Callable[..., T], *args: Any, **options: Any) -> T | None:
    """What `build` makes of its arguments; None, and its faults as seen from `place`, where it refuses them."""
    try:
        return build(*args, **options)
    except InputError as error:
        faults += [fault.under(place) if place else fault for fault in error.faults]
        return None


def checked(model: type[M], document: Any, faults: list[Fault], *, strict: bool) -> M:
    """The document as its model.

    faults: what the text showed to be wrong before.
    Raises `InputError` with these and with every fault that `check` finds.
    """
    valid, more = check(model, document, strict=strict)
    faults = merged(faults, more)
    if valid is None or faults:
        raise InputError(faults)
    return valid


def check(model: type[M], document: Any, *, strict: bool) -> tuple[M | None, list[Fault]]:
    """The document as its model, or None and every fault found.

    strict: numbers must be numbers; otherwise text that reads as a number is one.

    Where an entry has no place or no meaning, the whole mapping it is in can't be built and what the core has to
    say of its other entries would be lost. So a faulty document is checked twice, the second time with stand-ins
    for those entries; faults of the second time at places that had one the first time are dropped.
    """
    try:
        return model.model_validate(document, strict=strict), []
    except ValidationError as error:
        errors = _listed(error)
    schema = schema_of(model)
    faults = [fault for error in errors for fault in _faults(error, schema)]
    try:
        model.model_validate(_mended(document, errors, schema), strict=strict)
    except ValidationError as error:
        faults = merged(faults, [fault for second in _listed(error) for fault in _faults(second, schema)])
    return None, faults


def _listed(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False)[:MOST_ERRORS]


def merged(faults: list[Fault], more: list[Fault]) -> list[Fault]:
    """`faults`, and those of `more` at other places."""
    places = {fault.place for fault in faults}
    return faults + [fault for fault in more if fault.place not in places]


def _faults(error: ErrorDetails, schema: dict[str, Any]) -> list[Fault]:
    loc = error["loc"]
    place = place_of(loc)
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return [fault.under(place) if place else fault for fault in cause.faults]
    if not loc:
        keys = ", ".join(schema["properties"])
        return [Fault("document", f"{_shown(error['input'])} is not {_NOUNS['object']}", f"known keys are {keys}")]
    field = _field(schema, loc)
    remedy = "give " + field.get("description", "what the format asks for").rstrip(".")
    if "examples" in field:
        remedy += f", e.g. {field['examples'][0]}"
    match error["type"]:
        case "missing":
            return [Fault(place, "is missing", remedy)]
        case "extra_forbidden":
            return [Fault(place, "is not a known key", _near(str(loc[-1]), _field(schema, loc[:-1])))]
        case "too_long" | "too_short":
            kind = "Properties" if isinstance(error["input"], dict) else "Items"
            least, most = field.get(f"min{kind}"), field.get(f"max{kind}")
            bounds = f"{most}" if least == most else f"at least {least}" if not error["input"] else f"at most {most}"
            return [Fault(place, f"has {len(error['input'])} entries", f"give {bounds}: {field['description']}")]
        case "less_than_equal":
            return [Fault(place, f"{_shown(error['input'])} is too large", f"give at most {field['maximum']}")]
        case _:
            problem = f"{_shown(error['input'])} is not {_noun(field)}"
            return [Fault(place, problem, remedy)]


def _noun(field: dict[str, Any]) -> str:
    choices = [repr(choice) for choice in field.get("enum", [field["const"]] if "const" in field else [])]
    return " or ".join(choices) or _NOUNS.get(field.get("type", ""), "of the right kind")


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _near(key: str, parent: dict[str, Any]) -> str:
    known = list(parent.get("properties", {}))
    match = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {match[0]}?" if match else f"known keys are {', '.join(known)}"


def _field(schema: dict[str, Any], loc: Loc) -> dict[str, Any]:
    """The part of the JSON Schema that describes the entry at `loc`."""
    node = schema
    for step in loc:
        node = _resolved(node, schema)
        below = node.get("items") if isinstance(step, int) else node.get("properties", {}).get(step)
        node = below or node.get("additionalProperties") or {}
    return _resolved(node, schema)


def _resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The node with its reference followed, and for an optional entry what it is when given."""
    if "anyOf" in node:
        node = {**node["anyOf"][0], **node}
    reference = node.get("$ref")
    return node if reference is None else {**schema["$defs"][reference.rsplit("/", 1)[1]], **node}


def _mended(document: Any, errors: list[ErrorDetails], schema: dict[str, Any]) -> Any:
    """A copy with stand-ins for unreadable entries and without unknown ones.

    NaN stands in for a number, as no comparison with it succeeds: it offends at its own place only.
    """
    copy = _copied(document)
    for error in errors:
        if not error["loc"]:
            continue
        *above, key = error["loc"]
        parent = functools.reduce(operator.getitem, above, copy)
        field = _field(schema, error["loc"])
        if error["type"] == "extra_forbidden":
            del parent[key]
        elif field.get("type") == "number":
            parent[key] = math.nan
        elif field.get("type") in ("integer", "string") and "examples" in field:
            parent[key] = field["examples"][0]
    return copy


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
