"""Networks in ONNX files: cut on the graph itself, run by ONNX Runtime, and left as they are."""

import functools
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, compose, inliner, numpy_helper, version_converter
from torch import Tensor, nn

from offramp.bundle.session import PartitionSession
from offramp.errors import Fault, InputError, fail
from offramp.files.parts import Parts
from offramp.nn.backbones.custom import shares, without_shares
from offramp.nn.export import OPSET
from offramp.nn.graph.check import samples_like
from offramp.nn.graph.onnx_answer import undo, with_both_logits
from offramp.nn.graph.onnx_graph import INPUT, OnnxTrace, body, trace
from offramp.nn.graph.outputs import logits_of
from offramp.nn.graph.split import grouped
from offramp.nn.graph.undo import Undone, redone, refuse_probabilities
from offramp.nn.heads import Cost
from offramp.nn.network import Line, Shape, Spec
from offramp.nn.onnx_block import OnnxBlock

KEPT = "backbone.onnx"
"""The file in which a run keeps a backbone that is an ONNX file."""

TOLERANCE = 1e-5
"""How far blocks may be from the file run as a whole, and a sample from the same among others: of the largest logit."""

_REMEDY = "export the classifier again: one input [B, ...], one output of logits [B, classes], the batch dynamic"


def onnx_file(path: Path) -> Spec:
    """The network in an ONNX file, with its weights: `net.onnx`, `net.onnx@work=2%`.

    Its blocks can't learn: light exits can be trained for it. Raises `InputError` where it is made, for a file that is
    none, has no point that one tensor passes alone, or is for a fixed number of samples that can't be undone.
    """
    return _spec(path.name, path.with_name(without_shares(path.name)).resolve())


def kept_onnx(name: str, folder: Path) -> Spec | None:
    """The backbone of that name as `Spec.keep` kept it in a folder; None where it did not."""
    file = (folder / KEPT).resolve()
    return _spec(name, file) if file.is_file() else None


def _spec(name: str, file: Path) -> Spec:
    make_for = functools.partial(_for, file, *shares(name))
    return Spec(
        name,
        make_for(torch.float32, ()),
        make_for=make_for,
        trained=True,
        learns=False,
        keep=functools.partial(_keep, file),
    )


def _for(file: Path, min_work: float, min_size: float, kind: torch.dtype, parts: Parts) -> Callable[[Shape, int], Line]:
    if parts:
        problem = f"{file.name} is cut where one tensor passes, and samples have {len(parts)} inputs"
        fail("backbone", problem, "give the network as a torch.export program or a module, whose inputs are packed")
    return functools.partial(_line, file, min_work, min_size, kind)


def _keep(file: Path, folder: Path, shape: Shape, classes: int, kind: torch.dtype, parts: Parts) -> None:
    (folder / KEPT).write_bytes(_read(file).SerializeToString())


def _line(file: Path, min_work: float, min_size: float, kind: torch.dtype, shape: Shape, classes: int) -> Line:
    given = _read(file)
    try:
        return _cut(given, shape, kind, min_work=min_work, min_size=min_size)
    except InputError as error:
        raise InputError(error.faults, source=str(file)) from error


def _cut(given: ModelProto, shape: Shape, kind: torch.dtype, *, min_work: float, min_size: float) -> Line:
    samples = samples_like(shape, kind).numpy()
    model, undone = _prepared(given, samples)
    traced = trace(model, samples, _run)
    places = body(traced)
    ends = [*grouped(traced, places, min_work=min_work, min_size=min_size)] if len(places) > 2 else []
    if len(ends) < 2:
        problem = "there are no two blocks with a single tensor between them"
        remedy = "ask for smaller blocks, @work=0.1%, or " if len(places) > 2 else ""
        fail("backbone", problem, f"{remedy}take another network")
    blocks = {name: _block(traced, start, end) for name, start, end in _named(traced, ends)}
    classifier = _block(traced, ends[-1], len(traced.values) - 1)
    _check(given, samples, [*blocks.values(), classifier], undone)

    def branch(shape: Shape) -> nn.Module:
        return OnnxBlock(classifier.content(), classifier.cost)

    return Line(blocks, branch)


def _block(traced: OnnxTrace, start: int, end: int) -> OnnxBlock:
    return OnnxBlock(traced.part(start, end), Cost(traced.size(start, end), traced.work(start, end)))


def _named(traced: OnnxTrace, ends: list[int]) -> Iterator[tuple[str, int, int]]:
    seen: dict[str, int] = {}
    for start, end in itertools.pairwise((0, *ends)):
        name = traced.name(start, end) or "block"
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}", start, end


def _read(file: Path) -> ModelProto:
    """The file, with all weights in it. Raises `InputError` where it is none."""
    try:
        model = onnx.load(file)
        onnx.checker.check_model(model)
    except OSError as error:
        fault = Fault("backbone", f"can't be read: {error.strerror or error}", "give the path of an ONNX file")
        raise InputError([fault], source=str(file)) from error
    except Exception as error:  # protobuf's, the checker's, and what it finds missing beside the file
        remedy = "export the network again, and leave the files with its weights beside it"
        fault = Fault("backbone", f"is no whole ONNX file: {_first_line(error)}", remedy)
        raise InputError([fault], source=str(file)) from error
    return inliner.inline_local_functions(model)


def _prepared(given: ModelProto, samples: NDArray[np.generic]) -> tuple[ModelProto, Undone | None]:
    """The same network with the input `x`, logits as its output, for any number of samples, and a recent opset.

    And what of its end was undone for that.
    """
    model = ModelProto()
    model.CopyFrom(given)
    inputs = _inputs(model)
    if len(inputs) != 1 or len(model.graph.output) != 1:
        taken, made = (", ".join(value.name for value in values) for values in (inputs, model.graph.output))
        problem = f"has {len(inputs)} inputs and {len(model.graph.output)} outputs: {taken} -> {made}"
        fail("backbone", problem, _REMEDY)
    _check_taken(inputs[0], samples)
    opset = max((known.version for known in model.opset_import if not known.domain), default=0)
    if opset < OPSET:
        try:
            model = version_converter.convert_version(model, OPSET)
        except Exception as error:  # the converter's own kinds, where it doesn't know an operation
            fail("backbone", f"opset {opset} can't be converted: {_first_line(error)}", f"export it with opset {OPSET}")
    _free_the_batch(model, inputs[0])
    own = _with_input(model)
    undone = undo(own)
    with_both_logits(own)
    return own, undone


def _check_taken(value: onnx.ValueInfoProto, samples: NDArray[np.generic]) -> None:
    """Refuse samples of another shape or type than the file says it takes."""
    described = value.type.tensor_type
    kind = onnx.helper.tensor_dtype_to_np_dtype(described.elem_type)
    dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in described.shape.dim]
    fits = len(dims) == samples.ndim and all(
        own in (None, size) for own, size in zip(dims[1:], samples.shape[1:], strict=True)
    )
    if not fits or kind != samples.dtype:
        own = ", ".join("any" if size is None else str(size) for size in dims[1:])
        problem = f"the file takes samples [{own}] of {kind}, these are {[*samples.shape[1:]]} of {samples.dtype}"
        fail("backbone", problem, "resize them, --image-size, or export the network for such samples")


def _free_the_batch(model: ModelProto, value: onnx.ValueInfoProto) -> None:
    """Let a file for a fixed number of samples take any, as far as shapes that are written down can say so."""
    fixed = value.type.tensor_type.shape.dim[0].dim_value
    del model.graph.value_info[:]
    for described in (*model.graph.input, *model.graph.output):
        if described.name in {value.name, *(output.name for output in model.graph.output)}:
            described.type.tensor_type.shape.dim[0].dim_param = "batch"
    if not fixed:
        return
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    tensors |= {
        node.output[0]: node.attribute[0].t
        for node in model.graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    for node in model.graph.node:
        if node.op_type == "Reshape" and node.input[1] in tensors and _any_first(tensors[node.input[1]], fixed):
            del node.attribute[:]  # that a size of zero means none, instead of as many as there are


def _any_first(tensor: onnx.TensorProto, fixed: int) -> bool:
    """Whether a shape begins with that number of samples; if so, it is now for any."""
    sizes = numpy_helper.to_array(tensor).copy()
    if sizes.ndim != 1 or not len(sizes) or sizes[0] not in (fixed, 0):
        return False
    sizes[0] = 0 if -1 in sizes[1:] else -1
    tensor.CopyFrom(numpy_helper.from_array(sizes, tensor.name))
    return True


def _inputs(model: ModelProto) -> list[onnx.ValueInfoProto]:
    """Those that are no weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _with_input(model: ModelProto) -> ModelProto:
    """The same with its input called `x`; all other names are others."""
    own = compose.add_prefix(model, "file/", rename_nodes=False)
    [value] = _inputs(own)
    taken = onnx.ValueInfoProto()
    taken.CopyFrom(value)
    taken.name = INPUT
    nodes = [onnx.helper.make_node("Identity", [INPUT], [value.name], name="input"), *own.graph.node]
    del own.graph.node[:], own.graph.input[:]
    own.graph.node.extend(nodes)
    own.graph.input.append(taken)
    return own


def _run(model: bytes, x: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    try:
        return [*PartitionSession(model).run(x)]
    except InputError as error:
        fail("backbone", error.faults[0].problem, _REMEDY)
    except Exception as error:  # of ONNX Runtime, which has a dozen
        fail("backbone", f"fails on {len(x)} samples in ONNX Runtime: {_first_line(error)}", _REMEDY)


def _check(given: ModelProto, samples: NDArray[np.generic], blocks: list[OnnxBlock], undone: Undone | None) -> None:
    """Refuse blocks that, one after the other, don't compute what the file does, or not sample by sample."""
    whole = torch.from_numpy(np.concatenate([_whole(given, sample[None]) for sample in samples]))
    expected = logits_of(whole, len(samples))
    if undone is None:
        refuse_probabilities(expected)
    alone = torch.cat([_chained(blocks, torch.from_numpy(sample[None])) for sample in samples])
    apart = _apart(redone(alone, undone), expected)
    bound = TOLERANCE * (1.0 if undone else max(1.0, float(alone.abs().max())))
    if not apart <= bound:
        fail("backbone", f"its blocks compute other numbers than the file as a whole: {apart:g} apart", _REMEDY)
    # One sample is rounded differently than three, which networks may amplify: so it is three in either case.
    together = redone(_chained(blocks, torch.from_numpy(samples)), undone)
    for place, sample in enumerate(samples):
        repeated = redone(_chained(blocks, torch.from_numpy(np.stack([sample] * len(samples)))), undone)
        apart = _apart(repeated[place : place + 1], together[place : place + 1])
        if not apart <= bound:
            fail("backbone", f"samples depend on the others that they are computed with: {apart:g} apart", _REMEDY)


def _apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")


def _whole(given: ModelProto, sample: NDArray[np.generic]) -> NDArray[np.generic]:
    """What the file itself answers to one sample."""
    [value] = _inputs(given)
    fixed = value.type.tensor_type.shape.dim[0].dim_value
    [output] = _run(_with_input(given).SerializeToString(), np.repeat(sample, fixed or 1, axis=0))
    return output[:1]


def _chained(blocks: list[OnnxBlock], x: Tensor) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
