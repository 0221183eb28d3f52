"""What is on the page, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from nicegui import events, ui

from offramp.explore.colors import DARK, LIGHT
from offramp.explore.controls import Controls, Dial, Scale
from offramp.explore.state import State
from offramp.explore.view import Explorer
from offramp.sweeps.grid import parameters

_SELECT = "dense outlined options-dense"
FILES = ("plan.json", "frontier.csv", "frontier.png", "frontier.svg", "drawing.svg", "topology.yaml")

_STYLE = (Path(__file__).with_name("page.css")).read_text()
_COLORS = f":root {{ {LIGHT.css()} }} body.body--dark {{ {DARK.css()} }}"
# Tells the server whether the page is dark, now and whenever that changes.
_WATCH = """
  const tell = () => emitEvent('scheme', document.body.classList.contains('body--dark'));
  new MutationObserver(tell).observe(document.body, {attributes: true, attributeFilter: ['class']});
  setTimeout(tell, 0);
"""


@dataclass(frozen=True, slots=True)
class Actions:
    """What people can do.

    enter: one entry of the state, by its key, as text. Raises `InputError`.
    toggle: pin a plan, as text, or no longer.
    clicked: a point of the plot.
    axes: the parameters of the map, after they were chosen.
    painted: the page is dark, or light.
    """

    enter: Callable[[str, str], None]
    toggle: Callable[[str], None]
    clicked: Callable[[events.EChartPointClickEventArguments], None]
    axes: Callable[[str, str], None]
    painted: Callable[[bool], None]
    copy: Callable[[], None]
    download: Callable[[str], None]
    reset: Callable[[], None]


class Layout:
    """The elements that change, by what they show."""

    def __init__(self, explorer: Explorer, state: State, refused: tuple[str, ...], actions: Actions) -> None:
        ui.add_css(_COLORS + _STYLE)
        ui.add_body_html(f"<script>addEventListener('load', () => {{{_WATCH}}})</script>")
        ui.on("scheme", lambda event: actions.painted(bool(event.args)))
        ui.on("pin", lambda event: actions.toggle(str(event.args)))
        self._dark = ui.dark_mode(None)
        with ui.element("header").classes("bar"):
            self._bar(explorer, actions)
        with ui.element("main").classes("both"):
            with ui.element("div").classes("side"):
                self.controls = Controls(state, actions.enter, replays=explorer.replays)
            with ui.element("div").classes("main"):
                self._main(state, refused, actions)

    def _bar(self, explorer: Explorer, actions: Actions) -> None:
        backbone, topology = explorer.profile.backbone, explorer.base.topology
        name = escape(f"{backbone.name}, {backbone.dataset}, on {topology.name}")
        ui.html(f"<h1>Offramp explorer<small>{name}</small></h1>", sanitize=False)
        self.short = ui.html("", sanitize=False).classes("short")
        with _icon("download", "Take along"), ui.menu():
            for file in FILES:
                ui.menu_item(file, on_click=lambda _, file=file: actions.download(file))
        _icon("restart_alt", "Begin anew").on_click(actions.reset)
        _icon("contrast", "Light or dark").on_click(self._turn)

    def _main(self, state: State, refused: tuple[str, ...], actions: Actions) -> None:
        with _panel("", "wide first"):
            for sentence in refused:
                ui.label(f"The address of this page has something that can't be used. {sentence}").classes("warn")
            self.answer = ui.html("", sanitize=False)
            self.across = ui.html("", sanitize=False).classes("sideways across").props("tabindex=0")
            self.down = ui.html("", sanitize=False).classes("down")
        with _panel("Accuracy and latency", "wide"):
            self.plot = ui.echart({}, on_point_click=actions.clicked).classes("chart tall")
            self.caption = ui.label().classes("hint")
            self.pins = ui.html("", sanitize=False).classes("sideways")
        with _panel("What the mean latency is made of"):
            self.terms = ui.echart({}).classes("chart")
        with _panel("How latency is spread over samples"):
            self.spread = ui.echart({}).classes("chart")
        with _panel("The exits, as the threshold moves"):
            with ui.element("div").classes("setting"):
                ui.label("threshold").classes("what")
                self.threshold = Dial("threshold", "threshold", Scale(0, 1, False), "{:g}".format, actions.enter)
            self.exits = ui.echart({}).classes("chart")
            ui.label(
                "Bars: exit rates where every exit is in place. Lines: the rate of this exit were it the only one "
                "before the last, its accuracy on the samples that then exit, and on all samples."
            ).classes("hint")
        self.axes: list[ui.select] = []
        if all(state.axes):
            self._map(state, actions)
        with _panel("The same in a terminal", "wide"):
            self.command = ui.html("", sanitize=False)
            ui.button("Copy", on_click=actions.copy).props("outline dense no-caps padding='2px 14px'")
        with _panel("The frontier", "wide"):
            self.frontier = ui.html("", sanitize=False).classes("sideways")

    def _map(self, state: State, actions: Actions) -> None:
        with _panel("Which plan wins where"):
            known = list(parameters(state.topology))
            with ui.element("div").classes("pair"):
                self.axes = [ui.select(known, label=label).props(_SELECT) for label in ("along", "up")]
            for axis in self.axes:
                axis.on("update:model-value", lambda: actions.axes(*(str(chosen.value) for chosen in self.axes)))
            self.map = ui.echart({}).classes("chart")
            self.legend = ui.html("", sanitize=False)

    def _turn(self) -> None:
        """Light, dark, or as the system has it."""
        self._dark.value = {None: True, True: False, False: None}[self._dark.value]


def draw(chart: ui.echart, options: dict[str, Any]) -> None:
    """Show other options in a chart, if they are others."""
    if chart.options == options:
        return
    chart.options.clear()
    chart.options.update(options)
    chart.update()


def _icon(name: str, words: str) -> ui.button:
    return ui.button(icon=name).props(f'flat dense aria-label="{words}" title="{words}"')


def _panel(title: str, more: str = "") -> ui.element:
    panel = ui.element("section").classes(f"panel {more}")
    if title:
        with panel:
            ui.html(f"<h2>{escape(title)}</h2>", sanitize=False)
    return panel
