"""Traced networks as files: `torch.export` programs, `.pt2`, read without running any code that may be in them.

`torch.export.load` trusts its files: it unpickles, loads compiled libraries, evaluates the text of sizes and calls any
function by its name. So a file is validated first, as a whole, and what a program of tensors doesn't need is refused.
"""

import io
import json
import logging
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.export.pt2_archive._package import load_pt2

from offramp.errors import Fault, InputError, fail, refuse

EXPORT = "torch.export.save(torch.export.export(module.eval(), (images,), dynamic_shapes=({0: Dim.DYNAMIC},)), FILE)"
_UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError, EOFError)
_RECORD = re.compile(
    r"(archive_format|archive_version|version|byteorder|\.format_version|\.storage_alignment|\.data/\w+"
    r"|models/model\.json|data/sample_inputs/model\.pt|extra/.*"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json))"
)
# Names reach the code that is generated of a graph, and text of sizes is evaluated.
_PLAIN = re.compile(r"[\w.+-]*")
_SYMBOL = re.compile(r"Symbol\('[a-z]+\d+'(, \w+=True)*\)|Float\('[\d.e+-]+', precision=\d+\)")
_SIZE = re.compile(r"([\w\s+*/(),<>=-]|(?<=\d)\.)*")
_SIZE_NAME = re.compile(
    r"[a-z]{1,3}\d+|\d+\w*|true|false|Add|Mul|Pow|Integer|Rational|Max|Min|Mod|PythonMod|Equality|Unequality"
    r"|Relational|(Strict)?(Less|Greater)Than|(Floor|Clean|Ceil|IntTrue|FloatTrue)Div|(Ceil|Floor|Trunc|Round)ToInt|ToFloat"
)
_WORD = re.compile(r"\w+")
_OPERATION = re.compile(r"torch\.ops\.aten\.(?P<name>\w+)\.(?P<overload>\w+)")
_PYTHON = re.compile(
    r"_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|ge|gt|le|lt|and_|or_|not_)"
    r"|math\.(ceil|floor|trunc|sqrt)|torch\.sym_\w+|torch\._check\w*"
)
# Guards on sizes: "L['ids'].size()[0] == L['mask'].size()[0]".
_GUARD = re.compile(r"(L\['\w+'\](\.(size|stride)\(\)\[\d+\])?|\d+|[\s+*<>=!-])*")
# Text that is only shown, or handed to an operation.
_FREE = ("metadata", "as_string", "as_strings")


class Program(nn.Module):
    """A traced network, as it was in evaluation mode: normalized images [B, C, H, W] -> logits [B, classes]."""

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        self.program = program

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what it takes."""
        return tuple(map(str, self.program.graph_signature.user_inputs))

    def as_module(self) -> nn.Module:
        """As a module with weights of its own, which takes the inputs by name."""
        made = self.program.module(check_guards=False)
        return fx.GraphModule(made, made.graph)  # the one that was made refuses eval()

    def check(self, shape: tuple[int, ...], kind: torch.dtype) -> None:
        """Refuse samples of another shape or type than the program was traced for."""
        images = next(
            node for node in self.program.graph.nodes if node.name in self.program.graph_signature.user_inputs
        )
        value = images.meta["val"]
        if tuple(value.shape[1:]) != shape or value.dtype != kind:
            own, other = (
                f"{[*sizes]} of {str(numbers).removeprefix('torch.')}"
                for sizes, numbers in ((value.shape[1:], value.dtype), (shape, kind))
            )
            fail(
                "backbone",
                f"the program takes samples {own}, and these are {other}",
                "resize them, or export it for such samples",
            )

    def forward(self, images: Tensor) -> Tensor:
        """Run the program, operation by operation."""
        tensors = {**self.program.constants, **self.program.state_dict}
        given = [
            images if spec.kind is InputKind.USER_INPUT else tensors[spec.target or ""]
            for spec in self.program.graph_signature.input_specs
        ]
        output = fx.Interpreter(self.program.graph_module).run(*given)
        logits: Tensor = output[0]
        return logits


def write_program(program: ExportedProgram, path: Path) -> None:
    """Write a program as a file. Raises `InputError` for one that can't be written, or not be read again."""
    content = io.BytesIO()
    try:
        torch.export.save(program, content)
    except Exception as error:  # torch has no type for what it can't write
        fault = Fault("backbone", f"can't be written: {_reason(error)}", "keep what makes it")
        raise InputError([fault], source=str(path)) from error
    refuse(_unsafe(content), source=str(path))
    path.write_bytes(content.getbuffer())


def read_program(path: Path) -> Program:
    """The program in a file. Raises `InputError` where it is no such file, or isn't one network for images."""
    try:
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        fault = Fault("backbone", f"can't be read: {error.strerror}", "give the path of a file")
        raise InputError([fault], source=str(path)) from error
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        unsafe = [*_unsafe(content)]
        content.seek(0)
        program = None if unsafe else load_pt2(content).exported_programs["model"]
    except _UNREADABLE as error:
        fault = Fault("backbone", f"is no torch.export program: {_reason(error)}", f"write it by {EXPORT}")
        raise InputError([fault], source=str(path)) from error
    finally:
        log.setLevel(level)
    refuse(unsafe, source=str(path))
    assert program is not None
    refuse(_misfit(program), source=str(path))
    return Program(program)


def _misfit(program: ExportedProgram) -> Iterator[Fault]:
    """What keeps a program from being cut as a classifier of samples."""
    signature = program.graph_signature
    inputs = [node for node in program.graph.nodes if node.name in signature.user_inputs]
    shapes: list[tuple[Any, ...]] = [tuple(getattr(node.meta.get("val"), "shape", ())) for node in inputs]
    if not inputs or any(len(shape) < 2 for shape in shapes):
        problem = f"takes {len(inputs)} inputs, of {', '.join(f'{len(shape)} axes' for shape in shapes) or 'nothing'}"
        yield Fault("backbone", problem, "export a module that takes batches of samples alone")
        return
    if signature.buffers_to_mutate:
        yield Fault("backbone", "was exported in training mode", f"write it by {EXPORT}")
    elif len(signature.user_outputs) != 1:
        problem = f"returns {len(signature.user_outputs)} tensors"
        yield Fault("backbone", problem, "export a module that returns logits [B, classes] alone")
    for name, shape in zip(signature.user_inputs, shapes, strict=True):
        if not isinstance(shape[0], torch.SymInt):
            problem = f"takes {shape[0]} samples at a time, no others, by its input {name}"
            yield Fault("backbone", problem, f"write it by {EXPORT}, every input with a batch of any size")


def _unsafe(content: io.BytesIO) -> Iterator[Fault]:
    """What a program of tensors doesn't need, and that could run code when it is loaded.

    Raises one of `_UNREADABLE` for what is no such file.
    """
    if not zipfile.is_zipfile(content):
        raise ValueError("it is no archive")
    content.seek(0)
    reader = torch._C.PyTorchFileReader(content)
    records = list(reader.get_all_records())
    remedy = "trust no other file; export the network again"
    if others := [name for name in records if not _RECORD.fullmatch(name)]:
        yield Fault("backbone", f"holds {others[0]}, which may run code", remedy)
        return
    if "data/sample_inputs/model.pt" in records:
        try:
            torch.load(io.BytesIO(reader.get_record("data/sample_inputs/model.pt")), weights_only=True)
        except Exception:  # whatever its unpickler says
            yield Fault("backbone", "has inputs that are no tensors, which may run code", remedy)
    for name in records:
        if name.endswith("config.json"):
            payloads = json.loads(reader.get_record(name))["config"]
            if any(payload["use_pickle"] for payload in payloads.values()):
                yield Fault("backbone", f"has pickled tensors in {name}, which may run code", remedy)
    document = json.loads(reader.get_record("models/model.json"))
    if (text := next(_suspicious(document, ""), None)) is not None:
        yield Fault("backbone", f"asks for {text[:80]!r}, which may run code", remedy)


def _suspicious(value: Any, key: str) -> Iterator[str]:
    """Text in a program's description, under `key`, that is neither a name nor an operation on tensors."""
    if isinstance(value, dict):
        for inner, content in value.items():
            if not _PLAIN.fullmatch(inner):
                yield inner
            if inner not in _FREE:
                yield from _suspicious(content, inner)
    elif isinstance(value, list):
        for content in value:
            yield from _suspicious(content, key)
    elif isinstance(value, str) and not _harmless(value, key):
        yield value


def _harmless(text: str, key: str) -> bool:
    match key:
        case "target" | "as_operator" if "." in text:
            return bool(_PYTHON.fullmatch(text)) or _on_tensors(text)
        case "expr_str":
            rest = _SYMBOL.sub("", text)
            return bool(_SIZE.fullmatch(rest)) and all(map(_SIZE_NAME.fullmatch, _WORD.findall(rest)))
        case "guards_code":
            return bool(_GUARD.fullmatch(text))
        case "in_spec" | "out_spec":
            return "enum" not in text and "\\u" not in text
        case _:
            return bool(_PLAIN.fullmatch(text))


def _on_tensors(text: str) -> bool:
    """Whether an operation is one of torch's own on tensors: some map files, or write them."""
    match = _OPERATION.fullmatch(text)
    packet = getattr(torch.ops.aten, match["name"], None) if match else None
    overload = getattr(packet, match["overload"], None) if match else None
    return isinstance(overload, OpOverload) and all("file" not in given.name for given in overload._schema.arguments)


def _reason(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
