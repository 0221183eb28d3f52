"""The sliders and fields. Each tells the page what was entered, as text; the page tells all of them what holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log
from typing import Any

from nicegui import events, ui

from offramp.core.estimate import Latency
from offramp.errors import InputError
from offramp.explore.state import MOST_EXITS_PER_TIER, State, number, write
from offramp.files.quantities import TIME
from offramp.sweeps.grid import Parameter, parameters
from offramp.view.text import percent

Enter = Callable[[str, str], None]

_STEPS = 400


@dataclass(frozen=True, slots=True)
class Scale:
    """From the position of a slider, 0 to `_STEPS`, to a value and back; `log` where ratios are what counts."""

    low: float
    high: float
    log: bool

    def value(self, position: float) -> float:
        """With three digits, which is what a hand can set."""
        part = position / _STEPS
        if not self.log:
            return round(self.low + part * (self.high - self.low), 6)
        return float(f"{self.low * exp(part * log(self.high / self.low)):.3g}")

    def position(self, value: float) -> float:
        """Where the value is, or the end that is nearest to it."""
        inside = min(max(value, self.low), self.high)
        part = (
            log(inside / self.low) / log(self.high / self.low)
            if self.log
            else (inside - self.low) / (self.high - self.low)
        )
        return round(_STEPS * part)


SCALES = {
    "bandwidth_bits_per_s": Scale(1e4, 1e10, True),
    "latency_s": Scale(1e-4, 1.0, True),
    "slowdown": Scale(0.1, 1e4, True),
}
# A floor is set to a tenth of a percent; a lower one can be typed.
_FLOOR, _LIMIT = Scale(0.6, 1.0, False), Scale(1e-3, 1e1, True)


class _Slider(ui.slider):
    """A slider that follows the hand at once, and not only when the server has heard of it."""

    LOOPBACK = False


@dataclass(slots=True)
class Dial:
    """A slider and a field for the same number.

    label: what it is, for those who can't see where it stands.
    said: value to text, as a person would write it.
    moved: whether it is the page that moves the slider, and no hand.
    shown: what the page last wrote into the field.
    """

    key: str
    label: str
    scale: Scale
    said: Callable[[float], str]
    enter: Enter
    slider: ui.slider = field(init=False)
    text: ui.input = field(init=False)
    moved: bool = field(init=False, default=False)
    shown: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.slider = _Slider(min=0, max=_STEPS, step=1, on_change=self._slid).classes("dial")
        self.slider.props(f'aria-label="{_quoted(self.label)}"')
        self.text = ui.input().props("dense outlined hide-bottom-space").classes("number")
        self.text.props(f'input-aria-label="{_quoted(self.label)}" aria-label="{_quoted(self.label)}" debounce=0')
        self.text.on("keydown.enter", self._typed)
        self.text.on("blur", self._typed)

    def show(self, value: float | None) -> None:
        """Move to a value; None turns the dial off."""
        self.slider.set_enabled(value is not None)
        self.text.set_enabled(value is not None)
        if value is None:
            return
        said, position = self.said(value), self.scale.position(value)
        if self.slider.value != position:
            self.moved = True
            self.slider.set_value(position)
            self.moved = False
        if self.slider.props.get("aria-valuetext") != said:
            self.slider.props["aria-valuetext"] = said
            self.slider.update()
        # What someone is writing is not written over, unless the number has changed.
        if said != self.shown:
            self.shown = said
            self.text.set_value(said)
            self._complain("")

    def _slid(self, event: events.ValueChangeEventArguments[float | None]) -> None:
        if not self.moved and event.value is not None:
            self._tell(self.said(self.scale.value(event.value)))

    def _typed(self) -> None:
        self._tell(str(self.text.value or ""))

    def _tell(self, text: str) -> None:
        try:
            self.enter(self.key, text)
            self._complain("")
        except InputError as error:
            fault = error.faults[0]
            self._complain(f"{fault.problem}; {fault.remedy}")

    def _complain(self, words: str) -> None:
        if self.text.props.get("error-message", "") != words:
            self.text.props["error"] = bool(words)
            self.text.props["error-message"] = words
            self.text.update()


class Controls:
    """All of them, in the order of what people ask: the requirement, the links, the tiers, what is allowed."""

    def __init__(self, state: State, enter: Enter, *, replays: bool) -> None:
        self._enter = enter
        self._dials: dict[str, Dial] = {}
        self._switches: dict[str, ui.switch] = {}
        self._choices: dict[str, ui.select] = {}
        self._parameters = parameters(state.topology)
        # What a switch turns on again.
        self._last = {"min-accuracy": "90 %", "max-latency": "300 ms"}
        with ui.element("section").classes("panel"):
            ui.html("<h2>What is asked</h2>", sanitize=False)
            self._requirement("min-accuracy", "Accuracy of at least", _FLOOR, _exact_percent)
            self._requirement("max-latency", "Latency of at most", _LIMIT, TIME.write)
            if replays:
                self._choice("latency", "Which latency", [latency.name.lower() for latency in Latency])
        if state.topology.links:
            with ui.element("section").classes("panel"):
                ui.html("<h2>Links</h2>", sanitize=False)
                for j in range(len(state.topology.links)):
                    names = f"{state.topology.tiers[j].name} to {state.topology.tiers[j + 1].name}"
                    ui.label(names).classes("sub")
                    self._parameter(f"links[{j}].bandwidth", "bandwidth", names)
                    self._parameter(f"links[{j}].latency", "latency", names)
        with ui.element("section").classes("panel"):
            ui.html("<h2>Tiers</h2>", sanitize=False)
            if any(tier.slowdown is not None for tier in state.topology.tiers):
                ui.label("Compute time, as a multiple of the reference device's").classes("sub")
            for j, tier in enumerate(state.topology.tiers):
                if tier.slowdown is not None:
                    self._parameter(f"tiers[{j}].slowdown", tier.name, f"slowdown of {tier.name}")
            tiers = [tier.name for tier in state.topology.tiers]
            self._choice("source", "Source of samples", tiers)
            self._choice("destination", "Destination of answers", tiers)
        with ui.element("section").classes("panel"):
            ui.html("<h2>Which plans</h2>", sanitize=False)
            self._choice("exits-per-tier", "Exits per tier", [str(n) for n in range(1, MOST_EXITS_PER_TIER + 1)])
            if replays:
                self._switch("threshold-per-exit", "A threshold for each exit")

    def show(self, state: State) -> None:
        """What holds, everywhere."""
        for path, parameter in self._parameters.items():
            self._dials[path].show(number(parameter, state.topology))
        requirement = state.requirement
        for key, value in (("min-accuracy", requirement.min_accuracy), ("max-latency", requirement.max_latency_s)):
            self._dials[key].show(value)
            self._switches[key].set_value(value is not None)
            if value is not None:
                self._last[key] = self._dials[key].said(value)
        chosen = {
            "latency": requirement.latency.name.lower(),
            "source": state.topology.source,
            "destination": state.topology.destination,
            "exits-per-tier": str(requirement.constraints.exits_per_tier),
        }
        for key, choice in self._choices.items():
            choice.set_value(chosen[key])
        if "threshold-per-exit" in self._switches:
            self._switches["threshold-per-exit"].set_value(requirement.constraints.threshold_per_exit)

    def _requirement(self, key: str, label: str, scale: Scale, said: Callable[[float], str]) -> None:
        switch = ui.switch(label).classes("ask")
        switch.on("update:model-value", lambda event: self._enter(key, self._last[key] if event.args else "none"))
        self._switches[key] = switch
        with ui.element("div").classes("setting two"):
            self._dials[key] = Dial(key, label, scale, said, self._enter)

    def _parameter(self, path: str, label: str, whole: str) -> None:
        parameter: Parameter = self._parameters[path]

        def said(value: float) -> str:
            return write(parameter, value)

        with ui.element("div").classes("setting"):
            ui.label(label).classes("what").props(f'title="{_quoted(label)}"')
            scale = SCALES[parameter.attribute]
            self._dials[path] = Dial(path, f"{label}, {whole}", scale, said, self._enter)

    def _choice(self, key: str, label: str, options: list[str]) -> None:
        choice = ui.select(options, label=label).props("dense outlined options-dense").classes("choice")
        choice.on("update:model-value", lambda: self._enter(key, str(choice.value)))
        self._choices[key] = choice

    def _switch(self, key: str, label: str) -> None:
        switch = ui.switch(label)
        switch.on("update:model-value", lambda event: self._enter(key, "yes" if event.args else "no"))
        self._switches[key] = switch


def _exact_percent(value: float) -> str:
    """In percent, with as many digits as it takes."""
    short = percent(value)
    return short if abs(float(short[:-2]) / 100 - value) < 1e-12 else f"{100 * value:.12g} %"


def _quoted(text: Any) -> str:
    return str(text).replace('"', "'").replace("\\", "/")
