"""What is asked of the explorer: every slider and field, to and from the query of a URL."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from offramp.core.estimate import Latency, check_plan
from offramp.core.plan import Plan
from offramp.core.requirement import NO_REQUIREMENT, Requirement
from offramp.core.topology import Topology
from offramp.errors import InputError, fail
from offramp.files.quantities import TIME
from offramp.sweeps.grid import Parameter, parameters

MOST_PINS = 4
MOST_EXITS_PER_TIER = 4
# What can be asked for, by kind of number, in SI units; wide enough for any machine, and nothing overflows.
_LIMITS = {"bandwidth_bits_per_s": (1e2, 1e13), "latency_s": (0.0, 3600.0), "slowdown": (1e-4, 1e6)}
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class State:
    """What is asked.

    topology: the one to plan on, as the sliders have it.
    requirement: a floor, a limit, which latency, and which plans are allowed.
    threshold: the one that the exits are shown at.
    axes: the paths of the two parameters of the regime map.
    pins: plans to compare with, at most `MOST_PINS`.
    """

    topology: Topology
    requirement: Requirement = NO_REQUIREMENT
    threshold: float = 0.5
    axes: tuple[str, str] = ("", "")
    pins: tuple[Plan, ...] = ()

    @property
    def asked(self) -> Requirement:
        """The requirement to plan with: which latency is meant counts beside a floor or a limit alone."""
        return self.requirement if self.requirement.has_goal else replace(self.requirement, latency=Latency.MEAN)

    def pinned(self, plan: Plan) -> State:
        """With that plan pinned, in place of the oldest where there are too many; unpinned where it was pinned."""
        if plan in self.pins:
            return replace(self, pins=tuple(pin for pin in self.pins if pin != plan))
        return replace(self, pins=(*self.pins, plan)[-MOST_PINS:])

    def query(self, base: State) -> str:
        """The query of the URL that says what sets this state apart from `base`; empty where nothing does."""
        entries = [
            (path, write(parameter, value))
            for path, parameter in parameters(self.topology).items()
            if (value := number(parameter, self.topology)) != number(parameter, base.topology)
        ]
        entries += [(key, text) for key, text in _words(self).items() if text != _words(base)[key]]
        entries += [("pin", str(plan)) for plan in self.pins]
        return urlencode(entries, safe="[]/@,=")

    def with_query(self, query: str, *, blocks: int, replays: bool) -> tuple[State, tuple[str, ...]]:
        """The state that the query of a URL makes of this one, and a sentence for each entry of it that can't be used.

        query: anything at all; what can't be used is left as it is here.
        blocks: how many the backbone has. replays: whether plans may have a threshold for each exit.
        """
        state, refused = self, list[str]()
        for key, text in parse_qsl(query[:20_000], keep_blank_values=True, errors="replace")[:200]:
            try:
                state = state.entered(key, text, blocks=blocks, replays=replays)
            except InputError as error:
                for fault in error.faults[:3]:
                    place, problem = shortened(fault.place or key), shortened(fault.problem, most=4 * _LONGEST)
                    refused.append(str(replace(fault, place=place, problem=problem)))
        return state, tuple(refused)

    def entered(self, key: str, text: str, *, blocks: int, replays: bool) -> State:
        """The state with one of its entries as a person, or the query of a URL, writes it. Raises `InputError`."""
        text = text.strip()
        if key == "pin":
            return self._pinning(text, blocks=blocks, replays=replays)
        known = parameters(self.topology)
        if key in known:
            return replace(self, topology=changed(self.topology, known[key], _number(known[key], text)))
        if key == "source":
            return replace(self, topology=replace(self.topology, source=self._tier(key, text)))
        if key == "destination":
            return replace(self, topology=replace(self.topology, destination=self._tier(key, text)))
        if key == "map":
            return replace(self, axes=_axes(text, known))
        if key == "threshold":
            return replace(self, threshold=_threshold(key, text))
        if key not in _ENTRIES:
            keys = ", ".join([*known, *_ENTRIES, "threshold", "map"])
            fail(key, "is nothing that can be set here", f"use some of {keys}")
        if key in ("threshold-per-exit", "latency") and not replays and text not in ("no", "mean"):
            fail(key, "needs exit rates of each sample", "use a profile with an exit table, by the replay model")
        return replace(self, requirement=_ENTRIES[key](self.requirement, text))

    def _tier(self, key: str, text: str) -> str:
        return _one_of(key, text, [tier.name for tier in self.topology.tiers])

    def _pinning(self, text: str, *, blocks: int, replays: bool) -> State:
        plan = Plan.parse(text[:2000])
        check_plan(plan, blocks=blocks, topology=self.topology)
        if plan.codec not in self.requirement.codecs:
            fail("pin", f"travels as {plan.codec.value}", f"give it codec={self.requirement.codecs[0].value}")
        if plan.input_codec not in self.requirement.input_codecs and plan.placement[0] != self.topology.source:
            fail(
                "pin",
                f"sends inputs as {plan.input_codec.value}",
                f"give it input={self.requirement.input_codecs[0].value}",
            )
        if not replays and len(set(plan.thresholds)) > 1:
            fail("pin", "has several thresholds", "give it one for all exits")
        return self if plan in self.pins else self.pinned(plan)


def number(parameter: Parameter, topology: Topology) -> float:
    """The value of a parameter in a topology, in SI units."""
    return float(getattr(getattr(topology, parameter.part)[parameter.index], parameter.attribute))


def write(parameter: Parameter, value: float) -> str:
    """The value of a parameter as a person writes it, with its unit: `500 kb/s`; it reads back as exactly `value`."""
    if parameter.dimension is not None:
        return parameter.dimension.write(value)
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def changed(topology: Topology, parameter: Parameter, value: float) -> Topology:
    """The topology with that value of a parameter. Raises `InputError` where nothing real has such a value."""
    low, high = _LIMITS[parameter.attribute]
    if not low <= value <= high:
        at_most = f"{write(parameter, low)} to {write(parameter, high)}"
        fail(parameter.path, f"{value:g} is out of range", f"give something from {at_most}")
    return parameter.at(topology, value)


def shortened(text: str, *, most: int = _LONGEST) -> str:
    """Text of anyone's, short enough to be shown, its end kept."""
    return text if len(text) <= most else f"{text[: most - 25]}…{text[-24:]}"


def _number(parameter: Parameter, text: str) -> float:
    if len(text) > _LONGEST:
        fail(parameter.path, "is too long to be a number", "write a number with its unit")
    return parameter.number(text)


def _words(state: State) -> dict[str, str]:
    """What the entries of a state are, as text, beside parameters of the topology and pins."""
    floor, limit = state.requirement.min_accuracy, state.requirement.max_latency_s
    return {
        "source": state.topology.source,
        "destination": state.topology.destination,
        "min-accuracy": "none" if floor is None else repr(floor),
        "max-latency": "none" if limit is None else TIME.write(limit),
        "latency": state.requirement.latency.name.lower(),
        "exits-per-tier": str(state.requirement.constraints.exits_per_tier),
        "threshold-per-exit": "yes" if state.requirement.constraints.threshold_per_exit else "no",
        "threshold": f"{state.threshold:g}",
        "map": ",".join(state.axes),
    }


def _with_floor(requirement: Requirement, text: str) -> Requirement:
    if text == "none":
        return replace(requirement, min_accuracy=None)
    key, percent = "min-accuracy", text.endswith("%")
    try:
        value = float(text.removesuffix("%")[:_LONGEST])
    except ValueError:
        fail(key, f"{shortened(text)!r} is not a share", "write e.g. 0.92 or 92 %")
    # Said in percent, a share has no more digits than it was said with.
    value = round(value / 100, 12) if percent else value
    if not 0 <= value <= 1:
        fail(key, f"{shortened(text)} is outside 0 % to 100 %", "write e.g. 0.92 or 92 %")
    return replace(requirement, min_accuracy=value)


def _with_limit(requirement: Requirement, text: str) -> Requirement:
    if text == "none":
        return replace(requirement, max_latency_s=None)
    value = TIME.parse(text[:_LONGEST])
    if not 1e-9 <= value <= 1e5:
        fail("max-latency", f"{shortened(text)} is out of range", "write e.g. 300 ms")
    return replace(requirement, max_latency_s=value)


def _with_latency(requirement: Requirement, text: str) -> Requirement:
    name = _one_of("latency", text, [latency.name.lower() for latency in Latency])
    return replace(requirement, latency=Latency[name.upper()])


def _with_exits_per_tier(requirement: Requirement, text: str) -> Requirement:
    count = int(_one_of("exits-per-tier", text, [str(count) for count in range(1, MOST_EXITS_PER_TIER + 1)]))
    return replace(requirement, constraints=replace(requirement.constraints, exits_per_tier=count))


def _with_threshold_per_exit(requirement: Requirement, text: str) -> Requirement:
    per_exit = _one_of("threshold-per-exit", text, ["yes", "no"]) == "yes"
    return replace(requirement, constraints=replace(requirement.constraints, threshold_per_exit=per_exit))


def _threshold(key: str, text: str) -> float:
    try:
        value = float(text[:_LONGEST])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        fail(key, f"{shortened(text)!r} is not a threshold", "write a number from 0 to 1")
    return value


def _one_of(key: str, text: str, known: list[str]) -> str:
    if text not in known:
        fail(key, f"{shortened(text)!r} is unknown", f"use one of {', '.join(known)}")
    return text


def _axes(text: str, known: Iterable[str]) -> tuple[str, str]:
    x, _, y = text.partition(",")
    for path in (x, y):
        _one_of("map", path, list(known))
    if x == y:
        fail("map", "has the same parameter twice", "choose two")
    return x, y


# How each entry of the requirement is taken over.
_ENTRIES: dict[str, Callable[[Requirement, str], Requirement]] = {
    "min-accuracy": _with_floor,
    "max-latency": _with_limit,
    "latency": _with_latency,
    "exits-per-tier": _with_exits_per_tier,
    "threshold-per-exit": _with_threshold_per_exit,
}


def default_axes(topology: Topology) -> tuple[str, str]:
    """Two parameters worth a map: of the first link and the first tier where that is possible, else empty."""
    paths = list(parameters(topology))
    links = [path for path in paths if path.startswith("links")]
    tiers = [path for path in paths if path.startswith("tiers")]
    first, second, *_ = (*links[:1], *tiers[:1], *links[1:], *tiers[1:], "", "")
    return first, second
