"""The JSON Schemas say what the readers take: every good file fits its schema, and what they refuse does not."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.topology import Topology
from offramp.files import plan_document, read_plan, read_profile, read_topology, schema, write_profile, write_topology
from offramp.files.sources import locate, shipped
from tests import strategies as own
from tests.files.test_faults import PLAN, PROFILE_FAULTS, TOPOLOGY, changed, put
from tests.files.test_round_trips import SMALL_PROFILE

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def fits(value: Any, node: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether the value obeys the schema: the few words of JSON Schema that ours use."""
    if "$ref" in node:
        return fits(value, root["$defs"][node["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in node and not any(fits(value, option, root) for option in node["anyOf"]):
        return False
    right_type = isinstance(value, TYPES[node["type"]]) if "type" in node else True
    if not right_type or (isinstance(value, bool) and node.get("type") in ("number", "integer")):
        return False
    if value not in node.get("enum", [value]) or value != node.get("const", value):
        return False
    if isinstance(value, dict):
        known, extra = node.get("properties", {}), node.get("additionalProperties", True)
        others = [value[key] for key in value.keys() - known.keys()]
        return (
            value.keys() >= set(node.get("required", ()))
            and node.get("minProperties", 0) <= len(value) <= node.get("maxProperties", len(value))
            and (extra is not False or not others)
            and (isinstance(extra, bool) or all(fits(other, extra, root) for other in others))
            and all(fits(value[key], known[key], root) for key in value.keys() & known.keys())
        )
    if isinstance(value, list):
        return node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value)) and all(
            fits(item, node.get("items", {}), root) for item in value
        )
    if isinstance(value, str):
        return re.search(node.get("pattern", ""), value) is not None
    if isinstance(value, int | float):
        return node.get("minimum", value) <= value <= node.get("maximum", value) and value > node.get(
            "exclusiveMinimum", value - 1
        )
    return True


def described(node: Any) -> bool:
    """Whether every property says what it is."""
    if isinstance(node, list):
        return all(map(described, node))
    if not isinstance(node, dict):
        return True
    properties = node.get("properties", {})
    return all("description" in each for each in properties.values()) and all(
        described(value) for key, value in node.items() if key != "examples"
    )


@pytest.mark.parametrize("kind", ["topology", "profile", "plan"])
def test_a_schema_stands_on_its_own(kind: str) -> None:
    made = schema(kind)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert kind in made["title"]
    assert described(made)
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_the_examples_fit_and_can_be_read(tmp_path: Path) -> None:
    for kind, read in (("topology", read_topology), ("profile", read_profile), ("plan", read_plan)):
        made = schema(kind)
        for example in made["examples"]:
            assert fits(example, made, made)
            path = tmp_path / kind
            path.write_text(json.dumps(example))
            read(path)


@pytest.mark.parametrize("name", shipped("topologies"))
def test_the_shipped_topologies_fit(name: str) -> None:
    made = schema("topology")
    assert fits(yaml.safe_load(locate(name, "topologies").read_text()), made, made)


@settings(max_examples=30, deadline=None)
@given(own.topologies(), own.profiles(), own.plans())
def test_what_is_written_fits(topology: Topology, profile: Profile, plan: Plan) -> None:
    schemas = {kind: schema(kind) for kind in ("topology", "profile", "plan")}
    with TemporaryDirectory() as folder:
        path = Path(folder, "x.json")
        write_profile(profile, path)
        assert fits(json.loads(path.read_text("utf-8")), schemas["profile"], schemas["profile"])
        write_topology(topology, path)
        written = yaml.safe_load(path.read_text("utf-8"))
        # The plain YAML loader reads exponents without a dot as text; the reader does not.
        for tier in written["tiers"]:
            tier.update({"slowdown": float(tier["slowdown"])} if "slowdown" in tier else {})
        assert fits(written, schemas["topology"], schemas["topology"])
    assert fits({"plan": plan_document(plan)}, schemas["plan"], schemas["plan"])


@pytest.mark.parametrize(
    ("kind", "document", "change"),
    [
        ("topology", TOPOLOGY, put("links", 0, "bandwidth", "500 kg")),
        ("topology", TOPOLOGY, put("links", 0, "bandwidth", "500")),
        ("topology", TOPOLOGY, put("links", 0, "latency", 40)),
        ("topology", TOPOLOGY, put("mtu", "9 s")),
        ("topology", TOPOLOGY, put("tiers", 0, "slowdown", 0)),
        ("topology", TOPOLOGY, put("colour", "red")),
        ("plan", PLAN, put("frontir", [])),
        ("plan", PLAN, put("plan", "thresholds", [1.5])),
        *[("profile", json.loads(SMALL_PROFILE), change) for change, _, words in PROFILE_FAULTS if "is not" in words],
        ("profile", json.loads(SMALL_PROFILE), put("exits", "accuracy", 0, 91)),
        ("profile", json.loads(SMALL_PROFILE), put("timings", "pi4", "block_s", 0, -1)),
    ],
)
def test_what_is_refused_does_not_fit(kind: str, document: dict[str, Any], change: Any) -> None:
    made = schema(kind)
    assert fits(document, made, made)
    broken = changed(document, change)
    if "NaN" not in json.dumps(broken) and "Infinity" not in json.dumps(broken):
        assert not fits(broken, made, made)
