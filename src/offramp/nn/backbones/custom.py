"""Backbones that someone else wrote: any function that makes an `nn.Module`, as a line of blocks."""

import copy
import functools
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from offramp.errors import OfframpError, fail
from offramp.files.parts import Parts
from offramp.nn.graph.operations import exported, what_happened
from offramp.nn.graph.program_file import Program, read_program, write_program
from offramp.nn.graph.several_inputs import INSIDE, Unpacked
from offramp.nn.graph.split import MIN_WORK, cut, operations_alone
from offramp.nn.network import Line, Shape, Spec
from offramp.nn.normalization import said_by
from offramp.nn.weights import load_weights

IN_HAND = "nn.Module:"
"""What the name of a backbone begins with that is a module in hand, and nothing that can be imported."""
KEPT = "backbone.pt2"
"""The file in which a run keeps a backbone as it was traced, to be read where what made it is not at hand."""

_NAME = re.compile(r"(?P<module>\w+(\.\w+)*):(?P<factory>\w+)")
_SHARES = re.compile(r"(@(work|size)=\d+(\.\d+)?%)*$")


def named(name: str, *, weights: Path | None = None) -> Spec:
    """The backbone `package.module:factory`, e.g. `torchvision.models:resnet18`, and how finely it is cut.

    The factory is called as `factory(num_classes=..., image_shape=(C, H, W))`, with those of the two that it takes.
    It returns an `nn.Module` that makes logits [B, classes] of normalized samples, images as [B, C, H, W] float32; how
    it may return them is said in `graph.outputs.logits_of`. Modules are looked for in the working directory, too.

    `package.module:factory@work=2%` asks for blocks of at least 2 % of the arithmetic, `@size=5%` for 5 % of the
    weights; both may be given. They are part of the name, so that a run is cut the same way when it is read again.

    weights: a file of weights for what the factory makes, as `load_weights` takes it; None for those it comes with.
    Raises `InputError` for what isn't such a name; for what isn't there, when the backbone is made.
    """
    match = _NAME.fullmatch(without_shares(name))
    if match is None:
        fail("backbone", f"{name!r} is no package.module:factory", "write it like my_models:resnet18@work=2%")
    return custom(name, functools.partial(_make, match["module"], match["factory"], weights))


def without_shares(name: str) -> str:
    """The name of a backbone without what it says of how finely it is cut."""
    return _SHARES.sub("", name)


def shares(name: str) -> tuple[float, float]:
    """The least share of the arithmetic, and of the weights, that the name of a backbone asks of its blocks."""
    found = _SHARES.search(name)
    given = {key: float(share) / 100 for key, share in re.findall(r"@(\w+)=([\d.]+)%", found[0] if found else "")}
    return given.get("work", MIN_WORK), given.get("size", 0.0)


def custom(name: str, make: Callable[[Shape, int], nn.Module], *, trained: bool = False) -> Spec:
    """The backbone that `make` makes for samples of a shape and a number of classes, cut as its name asks for.

    trained: whether it comes with its weights.
    """
    make_for = functools.partial(_for, make, *shares(name))
    return Spec(
        name,
        make_for(torch.float32, ()),
        make_for=make_for,
        foreign=True,
        trained=trained,
        keep=functools.partial(_keep, make),
    )


def program(path: Path) -> Spec:
    """The network that a `torch.export` program in a file is, with its weights: `net.pt2`, `net.pt2@work=2%`.

    Raises `InputError` where it is made, for a file that is none or may run code.
    """
    file = path.with_name(without_shares(path.name))
    return custom(path.name, functools.partial(_read, file.resolve()), trained=True)


def kept_program(name: str, folder: Path) -> Spec | None:
    """The backbone of that name as `Spec.keep` kept it in a folder; None where it did not."""
    file = (folder / KEPT).resolve()
    return custom(name, functools.partial(_read, file)) if file.is_file() else None


def in_hand(module: nn.Module, *, weights: Path | None = None) -> Spec:
    """The backbone that a module is, with its weights: every network that is built gets a copy of it.

    It takes and returns what the networks do that functions make, see `named`.
    weights: a file of other weights for it, as `load_weights` takes it.
    """
    make = functools.partial(_copy, module, weights)
    return replace(custom(f"{IN_HAND}{type(module).__name__}", make), portable=False)


def _for(
    make: Callable[[Shape, int], nn.Module], min_work: float, min_size: float, kind: torch.dtype, parts: Parts
) -> Callable[[Shape, int], Line]:
    return functools.partial(_line, make, min_work, min_size, kind, parts)


def _line(
    make: Callable[[Shape, int], nn.Module],
    min_work: float,
    min_size: float,
    kind: torch.dtype,
    parts: Parts,
    image_shape: Shape,
    classes: int,
) -> Line:
    module = make(image_shape, classes)
    taking = _taking(module, parts)
    line = cut(taking, image_shape, kind, classes=classes, min_work=min_work, min_size=min_size)
    blocks = {name.removeprefix(f"{INSIDE}."): block for name, block in line.blocks.items()} if parts else line.blocks
    return replace(line, blocks=blocks, normalize=said_by(module))


def _taking(module: nn.Module, parts: Parts) -> nn.Module:
    """The module as one that takes several inputs packed; a program with one input takes them packed already."""
    if isinstance(module, Program):
        if parts and len(module.inputs) > 1:
            if {*module.inputs} != {part.name for part in parts}:
                taken, had = ", ".join(module.inputs), ", ".join(part.name for part in parts)
                fail("backbone", f"the program takes {taken}, and samples have {had}", "name the samples' inputs so")
            return Unpacked(module.as_module(), parts)
        return module
    return Unpacked(module, parts) if parts else module


def _keep(
    make: Callable[[Shape, int], nn.Module],
    folder: Path,
    image_shape: Shape,
    classes: int,
    kind: torch.dtype,
    parts: Parts,
) -> None:
    with operations_alone():
        write_program(exported(_taking(make(image_shape, classes), parts), image_shape, kind), folder / KEPT)


def _read(file: Path, image_shape: Shape, classes: int) -> nn.Module:
    return read_program(file)


def _copy(module: nn.Module, weights: Path | None, image_shape: Shape, classes: int) -> nn.Module:
    copied = copy.deepcopy(module).cpu()
    if weights is not None:
        load_weights(copied, weights)
    return copied


def _make(module_name: str, factory_name: str, weights: Path | None, image_shape: Shape, classes: int) -> nn.Module:
    name = f"{factory_name} of {module_name}"
    with _working_directory():
        factory = _factory(module_name, factory_name)
        arguments = _arguments(name, factory, {"num_classes": classes, "image_shape": image_shape})
        try:
            module = factory(**arguments)
        except OfframpError:
            raise
        except Exception as error:  # whatever the user's code ran into
            fail("backbone", f"{name} makes no network{what_happened(error)}", _in_python(module_name, factory_name))
    if not isinstance(module, nn.Module):
        fail("backbone", f"{factory_name} made {type(module).__name__}, no nn.Module", "return the network itself")
    if weights is not None:
        load_weights(module, weights)
    return module


def _arguments(name: str, factory: Callable[..., object], offered: Mapping[str, object]) -> dict[str, object]:
    """Those of the arguments offered that the factory takes; an open-ended one is given the number of classes only."""
    try:
        taken = dict(inspect.signature(factory).parameters)
    except (TypeError, ValueError):  # it is written in C
        taken = {}
    open_ended = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in taken.values())
    if "num_classes" not in taken and not open_ended:
        fail("backbone", f"{name} takes no num_classes", "give it such a parameter")
    return {key: value for key, value in offered.items() if key in taken or (open_ended and key == "num_classes")}


def _factory(module_name: str, factory_name: str) -> Callable[..., object]:
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever the user's code ran into
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and (module_name + ".").startswith(missing + "."):
            fail("backbone", f"there is no module {module_name}", "install it, or start where its file is")
        # It is there, and can't be imported: something else may be missing that it imports.
        problem = f"{module_name} can't be imported{what_happened(error)}"
        fail("backbone", problem, _in_python(module_name, factory_name))
    factory: Callable[..., object] | None = getattr(module, factory_name, None)
    if not callable(factory):
        fail("backbone", f"{module_name} has no function {factory_name}", "name the one that makes the network")
    return factory


def _in_python(module_name: str, factory_name: str) -> str:
    return f"mend it; to see all of the error, start python and call {factory_name} of {module_name}"


@contextmanager
def _working_directory() -> Iterator[None]:
    """Installed commands don't look for modules where they are started; `python` does."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
