"""What a module does, operation by operation, as `torch.export` writes it down.

Not by `torch.fx.symbolic_trace`, which gives up where a network asks a tensor for its shape: it traced none of 14
image classifiers of `transformers` that `torch.export` traced.
"""

import importlib
import inspect
import io
import logging
import os
import re
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from offramp.errors import InputError, fail
from offramp.nn.graph.outputs import WithLogits
from offramp.nn.graph.program_file import Program
from offramp.nn.network import Shape

_TORCH = f"{Path(torch.__file__).parent}{os.sep}"  # not torchvision
_OURS = f"{Path(__file__).parents[2]}{os.sep}"
# Python's own: what imports modules, and what was made of a string.
_OTHERS = (
    _TORCH,
    _OURS,
    str(Path(logging.__file__).parent),
    str(Path(importlib.__file__).parent),
    "<frozen",
    "<string>",
)
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)[^\n]*\n\s*(?P<code>[^\n]*)')


def exported(module: nn.Module, image_shape: Shape, kind: torch.dtype = torch.float32) -> ExportedProgram:
    """The module as a program, for any number of samples; one that is a program already, as it is.

    Raises `InputError` with the line where the module fails on images, or can't be traced.
    """
    if isinstance(module, Program):
        module.check(image_shape, kind)
        return module.program
    images = torch.zeros(2, *image_shape, dtype=kind)
    _try(module, images)
    try:
        return _program(module, images)
    except InputError:
        raise
    except Exception as error:  # whatever the module's own code, or the tracer, ran into
        if "specialized it to be a constant" in str(error):
            problem = f"takes the number of images for a constant{_specialized(module, images)}"
            fail("backbone", problem, "write x.shape[0], not len(x) nor a number")
        problem = f"can't be traced{what_happened(error)}"
        fail("backbone", problem, "let shapes alone decide, never the values of tensors")


def written_down(
    module: nn.Module, image_shape: Shape, kind: torch.dtype = torch.float32
) -> tuple[fx.Graph, dict[str, Tensor], dict[fx.Node, str]]:
    """The operations, the tensors by name, and the nodes that stand for them; raises as `exported` does."""
    program = exported(module, image_shape, kind)
    signature = program.graph_signature
    attributes = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    lifted = signature.inputs_to_lifted_tensor_constants
    graph = program.graph
    names: dict[fx.Node, str] = {}
    tensors: dict[str, Tensor] = {}
    for node in [*graph.nodes]:
        if node.op == "placeholder" and node.name in attributes:
            names[node] = attributes[node.name]
            tensors[names[node]] = program.state_dict.get(names[node], program.constants.get(names[node]))
        elif node.op == "placeholder" and node.name in lifted:
            names[node] = f"constants.{node.name}"
            tensors[names[node]] = program.constants[lifted[node.name]]
        elif "_assert" in operation(node) or "sym_constrain" in operation(node):
            graph.erase_node(node)
    graph.eliminate_dead_code()
    return graph, tensors, names


def where(node: fx.Node) -> str:
    """The operation and the line of the module's code that asked for it."""
    frames = [frame for frame in _FRAME.finditer(node.meta.get("stack_trace") or "") if _TORCH not in frame["file"]]
    line = f" at {frames[-1]['file']}:{frames[-1]['line']} (`{frames[-1]['code']}`)" if frames else ""
    return f"`{operation(node)}`{line}"


def operation(node: fx.Node) -> str:
    """Name of the operation, e.g. `conv2d`."""
    packet = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(packet, "__name__", packet))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tracer from showing all that it has traced when it fails: what is wrong is said in a sentence."""
    logs = [logging.getLogger(name) for name in [*logging.root.manager.loggerDict] if f"{name}.".startswith("torch.")]
    before = [(log, log.handlers, log.propagate) for log in logs]
    for log in logs:  # torch gives some of them handlers of their own
        log.handlers = [handler for handler in log.handlers if not isinstance(handler, logging.StreamHandler)]
        log.propagate = log.propagate and log.name != "torch"
    # Without any handler, warnings are shown all the same.
    logging.getLogger("torch").addHandler(logging.NullHandler())
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        for log, handlers, passed_on in before:
            log.handlers, log.propagate = handlers, passed_on


def _program(module: nn.Module, images: Tensor) -> ExportedProgram:
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # of deprecated parts of torch that its own tracer uses
        batch = {0: torch.export.Dim.DYNAMIC}
        return torch.export.export(WithLogits(module.eval()), (images,), dynamic_shapes=(batch,), strict=False)


def _try(module: nn.Module, images: Tensor) -> None:
    """Refuse a module that doesn't work as it is, before the tracer says so in its own words."""
    _check_arguments(module)
    try:
        with torch.no_grad():
            WithLogits(module.eval())(images)
    except InputError:
        raise
    except Exception as error:  # whatever the module's own code ran into
        kind = str(images.dtype).removeprefix("torch.")
        problem = f"{type(module).__name__} fails on samples {[*images.shape]} of {kind}{what_happened(error)}"
        remedy = "see that it takes normalized samples in batches, [B, ...]"
        if not images.is_floating_point():
            remedy += ", or let them be made floating-point numbers, normalize=data"
        fail("backbone", problem, remedy)


def _check_arguments(module: nn.Module) -> None:
    """Refuse a module that wants more than images."""
    try:
        taken = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return  # compiled, so it can't be asked
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [
        parameter.name
        for parameter in taken
        if parameter.default is parameter.empty and parameter.kind not in open_ended
    ]
    if len(required) > 1:
        code = getattr(inspect.unwrap(module.forward), "__code__", None)
        line = f" at {code.co_filename}:{code.co_firstlineno}" if code else ""
        problem = f"{type(module).__name__} wants more than images: forward({', '.join(required)}){line}"
        fail("backbone", problem, f"give {', '.join(required[1:])} a default, or wrap it in a module that takes images")


def _specialized(module: nn.Module, images: Tensor) -> str:
    """Where the number of images became a constant: the tracer logs it at that moment, but raises only later."""
    places: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "set_replacement" in str(record.msg):
                places.append(_blame(traceback.extract_stack()))

    log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    listener, level, passed_on = Listener(), log.level, log.propagate
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        _program(module, images)
    except Exception:  # as it did before
        return places[0] if places else ""
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
        log.propagate = passed_on
    return ""


def what_happened(error: BaseException) -> str:
    """Where someone else's code went wrong, and how: ` at file:line (`code`): kind: message`, on one line."""
    message = str(error.msg if isinstance(error, SyntaxError) else error).strip().splitlines()
    what = ": ".join([type(error).__name__, *message[:1]])
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {error.filename}:{error.lineno} (`{(error.text or '').strip()}`): {what}"
    return f"{_blame(traceback.extract_tb(error.__traceback__))}: {what}"


def _blame(frames: Sequence[traceback.FrameSummary]) -> str:
    """The deepest line that is neither torch's nor Python's nor ours: where the module's own code was."""
    begin = max((i for i, frame in enumerate(frames) if frame.name == _program.__name__), default=-1)
    foreign = [frame for frame in frames[begin + 1 :] if not frame.filename.startswith(_OTHERS)]
    return f" at {foreign[-1].filename}:{foreign[-1].lineno} (`{foreign[-1].line}`)" if foreign else ""
