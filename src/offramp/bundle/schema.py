"""JSON Schema of a bundle's own files."""

from typing import Any, Literal

from offramp.bundle.documents import ManifestDocument, TierManifestDocument
from offramp.files.schema import titled_schema

_COMMON = {
    "deployment": "5f2a90c1d3e4",
    "plans": ["1-3@smartwatch 4-10@cloud T=0.40"],
    "object_bits": [24576, *[524288] * 4, *[262144] * 3, *[131072] * 3, 320],
}
_PARTITION = {
    "first": 1,
    "last": 3,
    "file": "blocks-1-3.onnx",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "size_bytes": 81920,
    "input_shape": [3, 32, 32],
    "output_shape": [16, 32, 32],
    "accuracy": 0.81,
    "staying_accuracy": 0.74,
}
_ESTIMATE = {
    "accuracy": 0.93,
    "latency_s": 0.2,
    "exit_rates": [0.75, 0.25],
    "stay_rates": [0.25, 0.0],
    "compute_s": 0.05,
    "propagation_s": 0.05,
    "transmission_s": 0.1,
    "serialization_s": 0.0,
    "exit_latency_s": [0.1, 0.5],
}
_BUNDLE = {
    "offramp": "bundle/1",
    **_COMMON,
    "backbone": "resnet20",
    "dataset": "digits",
    "class_names": ["0", "1"],
    "input_shape": [3, 32, 32],
    "input_type": "uint8",
    "estimate": _ESTIMATE,
    "estimate_before": _ESTIMATE,
    "partitions": [_PARTITION, {**_PARTITION, "first": 4, "last": 10, "file": "blocks-4-10.onnx"}],
    "tolerance": 1e-4,
    "deviation": 1e-6,
}
_TIER = {
    "offramp": "tier/1",
    **_COMMON,
    "tier": "smartwatch",
    "input_shape": [3, 32, 32],
    "input_type": "uint8",
    "partitions": [_PARTITION],
}


def schema(kind: Literal["bundle", "tier"]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `bundle.json` or `tier.json`, with an example."""
    if kind == "bundle":
        return titled_schema(ManifestDocument, "Offramp bundle", _BUNDLE)
    return titled_schema(TierManifestDocument, "A tier of an Offramp bundle", _TIER)
