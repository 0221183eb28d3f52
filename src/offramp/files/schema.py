"""JSON Schema of Offramp's files, for editors and for other programs."""

from collections.abc import Mapping
from typing import Any, Literal

from offramp.files.checking import Document, schema_of
from offramp.files.measured import ProfileDocument
from offramp.files.plan import PlanDocument
from offramp.files.requirements import RequirementsDocument
from offramp.files.results import RunDocument, ValidationDocument
from offramp.files.topology import TopologyDocument

Kind = Literal["topology", "profile", "plan", "requirements", "run", "validation"]

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
_FIGURES = {"accuracy": 0.93, "latency_s": 0.2, "exit_rates": [0.75, 0.25]}
_RUN = {
    "offramp": "run-result/1",
    "plan": {"text": "1-3@smartwatch 4-10@cloud T=0.40"},
    "topology": {"name": "mobile"},
    "samples": 2,
    "predicted": {
        **_FIGURES,
        "stay_rates": [0.25, 0.0],
        "compute_s": 0.05,
        "propagation_s": 0.05,
        "transmission_s": 0.1,
        "serialization_s": 0.0,
        "exit_latency_s": [0.1, 0.5],
    },
    "measured": {"compute_s": 0.05, "communication_s": 0.15},
    "requests": [
        {"id": 0, "exit": 0, "latency_s": 0.11, "correct": True},
        {"id": 1, "exit": None, "latency_s": None, "correct": None},
    ],
}
_VALIDATION = {
    "offramp": "validation/1",
    "plans": [
        {
            "topology": "mobile",
            "plan": "1-3@smartwatch 4-10@cloud T=0.40",
            "samples": 500,
            "predicted": _FIGURES,
            "measured": _FIGURES,
        }
    ],
}
_MODELS: dict[Kind, tuple[type[Document], str, Mapping[str, Any]]] = {
    "topology": (TopologyDocument, "Offramp topology", _TOPOLOGY),
    "profile": (ProfileDocument, "Offramp profile", _PROFILE),
    "plan": (PlanDocument, "Offramp plan", _PLAN),
    "requirements": (RequirementsDocument, "Offramp requirements", _REQUIREMENTS),
    "run": (RunDocument, "Offramp run", _RUN),
    "validation": (ValidationDocument, "Offramp validation", _VALIDATION),
}


def schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a kind of file, with an example.

    It describes the structure; what it can't say (lengths that must agree, rates that must sum to one) the readers
    check.
    """
    return titled_schema(*_MODELS[kind])


def titled_schema(model: type[Document], title: str, example: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of a model, with a title and an example."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema_of(model),
        "title": title,
        "examples": [example],
    }
