"""JSON Schema of Offramp's files, for editors and for other programs."""

from typing import Any, Literal

from offramp.files.checking import schema_of
from offramp.files.measured import ProfileDocument
from offramp.files.plan import PlanDocument
from offramp.files.requirements import RequirementsDocument
from offramp.files.topology import TopologyDocument

Kind = Literal["topology", "profile", "plan", "requirements"]

_PLAN = {
    "plan": {
        "text": "1-3@smartwatch 4-10@cloud T=0.40",
        "ends": [3, 10],
        "placement": ["smartwatch", "cloud"],
        "thresholds": [0.4],
    }
}
_TOPOLOGY = {
    "name": "phone-and-cloud",
    "source": "phone",
    "destination": "phone",
    "tiers": [{"name": "phone", "slowdown": 10}, {"name": "cloud", "slowdown": 1}],
    "links": [{"bandwidth": "10 Mb/s", "latency": "40 ms"}],
    "transfer": "store-and-forward",
}
_PROFILE = {
    "offramp": "profile/1",
    "backbone": {
        "name": "tiny",
        "dataset": "digits",
        "input_bits": 24576,
        "result_bits": 320,
        "blocks": [{"name": "stem", "output_bits": 524288}, {"name": "body", "output_bits": 131072}],
    },
    "timings": {"pi4": {"block_s": [0.002, 0.003], "branch_s": [0.0004, 0.0004]}},
    "reference_device": "pi4",
    "exits": {
        "thresholds": [0.2, 0.4],
        "meaning": "first-exit",
        "exit_rate": [[0.3, 0.7], [0.5, 0.5]],
        "accuracy": [0.91, 0.95],
        "samples": 5000,
    },
}
_REQUIREMENTS = {"min_accuracy": 0.92, "max_latency": "300 ms", "latency": "p95", "keep": 1}
_MODELS = {
    "topology": (TopologyDocument, "Offramp topology", _TOPOLOGY),
    "profile": (ProfileDocument, "Offramp profile", _PROFILE),
    "plan": (PlanDocument, "Offramp plan", _PLAN),
    "requirements": (RequirementsDocument, "Offramp requirements", _REQUIREMENTS),
}


def schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a kind of file, with an example.

    It describes the structure; what it can't say (lengths that must agree, rates that must sum to one) the readers
    check.
    """
    model, title, example = _MODELS[kind]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema_of(model),
        "title": title,
        "examples": [example],
    }
