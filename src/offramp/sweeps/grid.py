"""Topologies made from one by varying some of its numbers."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Literal

import numpy as np

from offramp.core.topology import Topology
from offramp.errors import Fault, InputError, fail
from offramp.files.quantities import RATE, TIME, Dimension

_EXAMPLE = "write a range like 100kb/s..10Mb/s or a list like 1,10,100"


@dataclass(frozen=True, slots=True)
class VariedTopology:
    """A topology, and what sets it apart from others of the same name.

    values: by parameter, named with its unit, its value here: `links[0].bandwidth_bits_per_s`, 1e6.
    """

    topology: Topology
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of a topology that can be varied.

    path: where it stands in the topology's document: `links[0].bandwidth`.
    part, index, attribute: where it stands in the core's `Topology`.
    dimension: of what kind it is; None for a plain number.
    """

    path: str
    part: Literal["tiers", "links"]
    index: int
    attribute: str
    dimension: Dimension | None

    @property
    def name(self) -> str:
        """The path with the unit of the values: `links[0].bandwidth_bits_per_s`."""
        return f"{self.part}[{self.index}].{self.attribute}"

    def at(self, topology: Topology, value: float) -> Topology:
        """The topology with that value. Raises `InputError` where the value is none for it."""
        if self.part == "links":
            links = list(topology.links)
            links[self.index] = replace(links[self.index], **{self.attribute: value})
            return replace(topology, links=tuple(links))
        tiers = list(topology.tiers)
        tiers[self.index] = replace(tiers[self.index], slowdown=value)
        return replace(topology, tiers=tuple(tiers))

    def number(self, text: str) -> float:
        """The value that `text` states, with its unit. Raises `InputError`."""
        if self.dimension is not None:
            return self.dimension.parse(text.strip())
        try:
            return float(text)
        except ValueError:
            fail("", f"{text!r} is not a number", "write a number, e.g. 10")


@dataclass(frozen=True, slots=True)
class Grid:
    """Every combination of the values of some parameters of a topology; the last parameter changes fastest.

    Iterating gives a `VariedTopology` for each, `len` says how many.
    axes: each parameter with the values it takes, in SI units.
    """

    topology: Topology
    axes: tuple[tuple[Parameter, tuple[float, ...]], ...]

    def __len__(self) -> int:
        return math.prod(len(values) for _, values in self.axes)

    def __iter__(self) -> Iterator[VariedTopology]:
        for values in itertools.product(*(values for _, values in self.axes)):
            topology, varied = self.topology, {}
            for (parameter, _), value in zip(self.axes, values, strict=True):
                topology = parameter.at(topology, value)
                varied[parameter.name] = value
            yield VariedTopology(topology, varied)


def parameters(topology: Topology) -> dict[str, Parameter]:
    """What can be varied in a topology, by path: links' bandwidths and latencies, slowdowns of tiers that have one."""
    known = []
    for j in range(len(topology.links)):
        known += [
            Parameter(f"links[{j}].bandwidth", "links", j, "bandwidth_bits_per_s", RATE),
            Parameter(f"links[{j}].latency", "links", j, "latency_s", TIME),
        ]
    for j, tier in enumerate(topology.tiers):
        if tier.slowdown is not None:
            known.append(Parameter(f"tiers[{j}].slowdown", "tiers", j, "slowdown", None))
    return {parameter.path: parameter for parameter in known}


def grid(topology: Topology, *, vary: Mapping[str, str | Sequence[float | str]], steps: int = 24) -> Grid:
    """Every topology that the values in `vary` give.

    vary: by path in the topology's document (`links[0].bandwidth`), the values: numbers in SI units; or text, a range
        `100kb/s..10Mb/s` of `steps` values, each the same factor above the one before, or a list `1Mb/s,10Mb/s`. In a
        list of values, each may be a number or a text.
    Raises `InputError` with every path and value that is wrong, and with what can be varied.
    """
    known = parameters(topology)
    faults: list[Fault] = []
    axes: list[tuple[Parameter, tuple[float, ...]]] = []
    for path, wanted in vary.items():
        if path not in known:
            remedy = f"vary some of {', '.join(known)}" if known else "give tiers a slowdown, or add links"
            faults.append(Fault(path, f"is nothing that topology {topology.name} can vary", remedy))
            continue
        parameter = known[path]
        try:
            axes.append((parameter, _values(parameter, wanted, steps)))
            for value in axes[-1][1]:
                parameter.at(topology, value)
        except InputError as error:
            faults += [replace(fault, place=path) for fault in error.faults]
    if not vary:
        faults.append(Fault("vary", "names nothing to vary", f"vary some of {', '.join(known)}"))
    if faults:
        raise InputError(faults)
    return Grid(topology, tuple(axes))


def _values(parameter: Parameter, wanted: str | Sequence[float | str], steps: int) -> tuple[float, ...]:
    if not isinstance(wanted, str):
        found = tuple(_value(parameter, value) for value in wanted)
    elif ".." in wanted:
        found = _range(*(parameter.number(text) for text in wanted.split("..", 1)), steps=steps)
    else:
        found = tuple(parameter.number(text) for text in wanted.split(","))
    if not found or len(set(found)) < len(found):
        fail("", "has no values" if not found else "has a value twice", _EXAMPLE)
    return found


def _value(parameter: Parameter, value: object) -> float:
    if isinstance(value, str):
        return parameter.number(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        fail("", f"{value!r} is not a value", _EXAMPLE)
    return float(value)


def _range(start: float, stop: float, *, steps: int) -> tuple[float, ...]:
    if steps < 2:
        fail("", f"has {steps} steps", "give at least 2")
    if not 0 < start < stop < math.inf:
        fail("", f"{start:g}..{stop:g} does not go up from above zero", "swap the two, or write a list of values")
    return tuple(np.geomspace(start, stop, steps).tolist())
