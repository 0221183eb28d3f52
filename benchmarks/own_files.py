"""Where the ONNX files in a package can be cut, or why they can't."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch

import offramp
from offramp.nn.catalog import backbone_spec

ANY = 576
"""A size where a file takes any."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """What became of a file.

    takes: its inputs, as it says.
    blocks: what it is cut into; none where it is refused.
    refused: the message.
    """

    file: str
    takes: str
    blocks: tuple[str, ...] = ()
    refused: str = ""


def cuts_in(wheel: Path, folder: Path) -> Iterator[Cuts]:
    """Of every ONNX file in a wheel, by what its first input takes."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.endswith(".onnx"):
                yield _cuts(Path(archive.extract(member, folder)))


def _cuts(file: Path) -> Cuts:
    graph = onnx.load(file).graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    takes = ", ".join(f"{value.name} {_sizes(value)}" for value in inputs)
    shape = tuple(size if isinstance(size, int) else ANY for size in _sizes(inputs[0])[1:])
    classes = _sizes(graph.output[0])[-1]
    kind = onnx.helper.tensor_dtype_to_np_dtype(inputs[0].type.tensor_type.elem_type).name
    try:
        spec = backbone_spec(str(file))
        line = spec.line(shape, classes if isinstance(classes, int) else 1, getattr(torch, kind), ())
    except offramp.OfframpError as error:
        return Cuts(file.name, takes, refused=str(error))
    return Cuts(file.name, takes, tuple(line.blocks))


def _sizes(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_value or dim.dim_param or "any" for dim in value.type.tensor_type.shape.dim]
