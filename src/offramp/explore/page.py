"""The page: what is asked on one side, what that comes to on the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from nicegui import background_tasks, events, run, ui

from offramp.core.planner import Budget
from offramp.errors import InputError
from offramp.explore import charts, command, phrases, regions, tradeoff
from offramp.explore.cloud import Cloud
from offramp.explore.colors import DARK, LIGHT, Scheme
from offramp.explore.controls import Controls, Dial, Scale
from offramp.explore.diagram import diagram
from offramp.explore.state import State
from offramp.explore.view import Explorer, Surroundings, View, exit_rows
from offramp.grid import parameters

_STYLE = (Path(__file__).with_name("page.css")).read_text()
_COLORS = f":root {{ {LIGHT.css()} }} body.body--dark {{ {DARK.css()} }}"
# Tells the server whether the page is dark, now and whenever that changes.
_WATCH = """
  const tell = () => emitEvent('scheme', document.body.classList.contains('body--dark'));
  new MutationObserver(tell).observe(document.body, {attributes: true, attributeFilter: ['class']});
  setTimeout(tell, 0);
"""
# Plans of the cloud: enough to see its shape, few enough to be sent at every move.
_CLOUD = 1500
# Seconds: a search is ended after the first, charts wait for surroundings for the second, the third is a pause.
_LONGEST, _SOON, _PAUSE = 8.0, 0.06, 0.3
_FILES = ("plan.json", "frontier.csv", "frontier.png", "frontier.svg", "drawing.svg", "topology.yaml")


class Page:
    """One browser's page: the state it is in, and what is on it."""

    def __init__(self, explorer: Explorer, state: State, refused: tuple[str, ...]) -> None:
        self._explorer = explorer
        self._state = state
        self._shown: State | None = None
        self._scheme: Scheme = LIGHT
        self._view: View | None = None
        self._around: Surroundings | None = None
        self._limits = Budget()
        self._changed = asyncio.Event()
        self._clouds: dict[tuple[int, bool], Cloud] = {}
        self._later: asyncio.Task[None] | None = None
        self._client = ui.context.client
        self._build(refused)
        self._client.on_delete(self._limits_off)
        background_tasks.create(self._work(), name="explorer")

    def enter(self, key: str, text: str) -> None:
        """Take over an entry as a person wrote it. Raises `InputError`."""
        self._go(self._explorer.entered(self._state, key, text))

    def _go(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._limits.stop[0] = True
            self._changed.set()

    def _limits_off(self) -> None:
        self._limits.stop[0] = True

    def _build(self, refused: tuple[str, ...]) -> None:
        explorer = self._explorer
        ui.add_css(_COLORS + _STYLE)
        ui.add_body_html(f"<script>addEventListener('load', () => {{{_WATCH}}})</script>")
        ui.on("scheme", self._paint)
        ui.on("pin", self._pin)
        ui.on("unpin", self._pin)
        self._dark = ui.dark_mode(None)
        backbone, topology = explorer.profile.backbone, self._state.topology
        with ui.element("header").classes("bar"):
            name = escape(f"{backbone.name}, {backbone.dataset}, on {topology.name}")
            ui.html(f"<h1>Offramp explorer<small>{name}</small></h1>", sanitize=False)
            self._short = ui.html("", sanitize=False).classes("short")
            with ui.button(icon="download").props('flat dense aria-label="Take along"'), ui.menu():
                for file in _FILES:
                    ui.menu_item(file, on_click=lambda _, file=file: self._download(file))
            ui.button(icon="restart_alt", on_click=lambda: self._go(explorer.base)).props(
                'flat dense aria-label="Begin anew"'
            )
            ui.button(icon="contrast", on_click=self._turn).props('flat dense aria-label="Light or dark"')
        with ui.element("main").classes("body"):
            with ui.element("div").classes("side"):
                self._controls = Controls(self._state, self.enter, replays=explorer.replays)
            with ui.element("div").classes("main"):
                self._build_main(refused)

    def _build_main(self, refused: tuple[str, ...]) -> None:
        state = self._state
        with _panel("", "wide first"):
            for sentence in refused:
                ui.label(f"The address of this page has something that can't be used. {sentence}").classes("warn")
            self._answer = ui.html("", sanitize=False)
            self._across = ui.html("", sanitize=False).classes("scroll across")
            self._down = ui.html("", sanitize=False).classes("down")
        with _panel("Accuracy and latency", "wide"):
            self._plot = ui.echart({}, on_point_click=self._clicked).classes("chart tall")
            self._caption = ui.label().classes("hint")
            self._pins = ui.html("", sanitize=False).classes("scroll")
        with _panel("What the mean latency is made of"):
            self._terms = ui.echart({}).classes("chart")
        with _panel("How latency is spread over samples"):
            self._spread = ui.echart({}).classes("chart")
        with _panel("The exits, as the threshold moves"):
            with ui.element("div").classes("row"):
                ui.label("threshold").classes("what")
                self._threshold = Dial("threshold", "threshold", Scale(0, 1, False), "{:g}".format, self.enter)
            self._exits = ui.echart({}).classes("chart")
        with _panel("Which plan wins where"):
            known = list(parameters(state.topology))
            with ui.element("div").classes("pair"):
                self._axes = [
                    ui.select(known, label=label, on_change=self._turned).props("dense outlined options-dense")
                    for label in ("along", "up")
                ]
            self._map = ui.echart({}).classes("chart")
            self._legend = ui.html("", sanitize=False)
        with _panel("The same in a terminal", "wide"):
            self._command = ui.html("", sanitize=False)
            ui.button("Copy", on_click=self._copy).props("outline dense no-caps")
        with _panel("The frontier", "wide"):
            self._frontier = ui.html("", sanitize=False).classes("scroll")

    async def _work(self) -> None:
        """Answer the state whenever it changes, as long as the page is open."""
        await self._client.connected()
        while not self._client.is_deleted:
            self._changed.clear()
            state, self._limits = self._state, Budget()
            if self._later:
                self._later.cancel()
            watch = asyncio.get_running_loop().call_later(_LONGEST, self._limits.stop.fill, True)
            view = await run.io_bound(self._explorer.view, state, self._limits)
            cloud = await self._cloud(state)
            around = asyncio.create_task(run.io_bound(Surroundings.of, self._explorer, view, self._limits))
            changing = asyncio.create_task(self._changed.wait())
            await asyncio.wait({around, changing}, timeout=_SOON, return_when=asyncio.FIRST_COMPLETED)
            self._view, self._around = view, around.result() if around.done() else None
            self._show_plan(view)
            self._show_plot(view, cloud)
            if not around.done():
                await asyncio.wait({around, changing}, return_when=asyncio.FIRST_COMPLETED)
                if around.done() and not self._changed.is_set():
                    self._around = around.result()
                    self._show_plot(view, cloud)
            self._later = asyncio.create_task(self._settle(view, self._limits))
            await changing
            watch.cancel()

    async def _cloud(self, state: State) -> Cloud:
        key = state.exits_per_tier, state.threshold_per_exit
        if key not in self._clouds:
            explorer = self._explorer
            self._clouds[key] = await run.io_bound(
                Cloud.drawn,
                explorer.planner.exits,
                explorer.base.topology,
                state.options,
                blocks=explorer.blocks,
                plans=_CLOUD,
            )
        return self._clouds[key]

    def _show_plan(self, view: View) -> None:
        state = view.state
        self._controls.show(state)
        self._short.set_content(phrases.summary(view))
        self._answer.set_content(phrases.answer(view))
        self._pins.set_content(phrases.pins(view, self._scheme))
        text = command.command(self._explorer, state)
        self._command.set_content(f'<pre class="command" data-command>{escape(text)}</pre>')
        self._threshold.show(state.threshold)
        for axis, path in zip(self._axes, state.axes, strict=True):
            axis.set_value(path or None)
        found = view.found
        for element, upright in ((self._across, False), (self._down, True)):
            drawn = diagram(state.topology, found.shown, blocks=self._explorer.blocks, upright=upright) if found else ""
            element.set_content(drawn)
        ends = found.shown.plan.ends if found else ()
        rows = exit_rows(view.planner, state.threshold, ends)
        _draw(self._exits, charts.exit_chart(rows, self._scheme))
        spread = [each for each in view.listed if phrases.has_distribution(each)]
        _draw(self._terms, charts.breakdown(view.listed, self._scheme) if view.listed else {"series": []})
        _draw(self._spread, charts.distribution(spread, self._scheme) if spread else {"series": []})

    def _show_plot(self, view: View, cloud: Cloud) -> None:
        around = self._around
        _draw(self._plot, tradeoff.tradeoff(view, around, cloud, self._scheme))
        told = f"{len(cloud.texts):,} of {view.planner.plans:,} plans as points."
        if around is None:
            told += " The frontier is being found."
        elif around.gap is not None:
            told += " The search for the frontier was ended early: these are the best so far."
        self._caption.set_text(told)
        if around and view.found:
            latency = view.found.wanted.latency
            self._frontier.set_content(phrases.frontier(around.members, view.found.shown, latency))

    async def _settle(self, view: View, limits: Budget) -> None:
        """What can wait until the hand rests: the address, and the map, coarse and then finer."""
        await asyncio.sleep(_PAUSE)
        query = view.state.query(self._explorer.base)
        path = json.dumps(f"?{query}" if query else "?")
        self._client.run_javascript(f"history.replaceState(history.state, '', {path})")
        if view.found is None or not all(view.state.axes):
            return
        for steps in regions.STEPS:
            picture = await run.io_bound(
                regions.regime_map, self._explorer, view.state, view.found.wanted, steps=steps, limits=limits
            )
            if picture is None or limits.stop[0]:
                return
            _draw(self._map, regions.map_chart(picture, self._scheme))
            self._legend.set_content(phrases.legend(regions.map_legend(picture)))

    def _paint(self, event: events.GenericEventArguments) -> None:
        scheme = DARK if event.args else LIGHT
        if scheme is not self._scheme:
            self._scheme = scheme
            self._limits.stop[0] = True
            self._changed.set()

    def _turn(self) -> None:
        """Light, dark, or as the system has it."""
        self._dark.value = {None: True, True: False, False: None}[self._dark.value]

    def _pin(self, event: events.GenericEventArguments) -> None:
        self._toggle(str(event.args))

    def _clicked(self, event: events.EChartPointClickEventArguments) -> None:
        """Series put the plan's text last."""
        if isinstance(event.value, list) and len(event.value) > 2:
            self._toggle(str(event.value[-1]))

    def _toggle(self, text: str) -> None:
        pinned = next((plan for plan in self._state.pins if str(plan) == text), None)
        if pinned is not None:
            self._go(self._state.pinned(pinned))
            return
        try:
            self.enter("pin", text)
        except InputError:
            self._tell("This is no plan of Offramp's, so there is nothing to pin.")

    def _turned(self) -> None:
        axes = [str(axis.value) for axis in self._axes]
        if axes[0] != axes[1] and "None" not in axes:
            self.enter("map", ",".join(axes))
        elif axes[0] == axes[1]:
            self._tell("A map needs two different parameters.")

    def _copy(self) -> None:
        ui.clipboard.write(command.command(self._explorer, self._state))
        self._tell("Copied.")

    def _tell(self, words: str) -> None:
        with self._client:
            ui.notify(words, position="bottom")

    def _download(self, file: str) -> None:
        view, around = self._view, self._around
        if view is None or view.found is None or around is None:
            self._tell("There is nothing to take along yet.")
            return
        blocks, topology, shown = self._explorer.blocks, view.state.topology, view.found.shown
        makers: dict[str, Callable[[], bytes]] = {
            "plan.json": lambda: command.plan_file(view),
            "frontier.csv": lambda: command.frontier_table(around),
            "frontier.png": lambda: command.frontier_figure(view, around, "png"),
            "frontier.svg": lambda: command.frontier_figure(view, around, "svg"),
            "drawing.svg": lambda: diagram(topology, shown, blocks=blocks, upright=False, alone=True).encode(),
            "topology.yaml": lambda: command.topology_file(topology),
        }
        ui.download.content(makers[file](), file)


def _panel(title: str, more: str = "") -> ui.element:
    panel = ui.element("section").classes(f"panel {more}")
    if title:
        with panel:
            ui.html(f"<h2>{escape(title)}</h2>", sanitize=False)
    return panel


def _draw(chart: ui.echart, options: dict[str, Any]) -> None:
    chart.options.clear()
    chart.options.update(options)
    chart.update()
