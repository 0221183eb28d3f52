"""The page: what is asked on one side, what that comes to on the other."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from html import escape
from typing import Any

import numpy as np
from nicegui import background_tasks, events, ui

from offramp.core.checks import BoolArray
from offramp.errors import InputError
from offramp.explore import charts, command, phrases, regions, tradeoff
from offramp.explore.cloud import Cloud
from offramp.explore.colors import DARK, LIGHT, Scheme
from offramp.explore.diagram import diagram
from offramp.explore.layout import Actions, Layout, draw
from offramp.explore.state import State
from offramp.explore.view import Explorer, Surroundings, View, frontier_picture
from offramp.view.exits import ExitsPicture
from offramp.view.latency import DistributionPicture, TermsPicture
from offramp.view.placement import Placement
from offramp.view.regimes import legend

# Plans of the cloud: enough to see its shape, few enough to be sent at every move.
_CLOUD = 500
# Seconds: a search is ended after the first, the plot waits for the surroundings for the second, a page that can't be
# seen is not waited for longer than the third, and a hand rests after the last.
_LONGEST, _SOON, _PATIENCE, _PAUSE = 8.0, 0.02, 0.5, 0.3
# What a chart shows where there is no plan.
_NOTHING: charts.Options = {"series": []}
# Comes back when what was sent before is on the screen.
_PAINTED = "return new Promise(done => requestAnimationFrame(() => setTimeout(done)))"


class Page:
    """One browser's page: the state it is in, and what is on it."""

    def __init__(self, explorer: Explorer, state: State, refused: tuple[str, ...]) -> None:
        self._explorer = explorer
        self._state = state
        self._scheme: Scheme = LIGHT
        self._view: View | None = None
        self._around: Surroundings | None = None
        # Set to true, from whichever thread, it ends the searches at work.
        self._stop: BoolArray = np.zeros(1, np.bool_)
        self._changed = asyncio.Event()
        self._clouds: dict[tuple[int, bool], Cloud] = {}
        self._cloud_sent: tuple[int, bool] | None = None
        self._later: asyncio.Task[None] | None = None
        self._client = ui.context.client
        self._on = Layout(
            explorer,
            state,
            refused,
            Actions(
                enter=self.enter,
                toggle=self._toggle,
                clicked=self._clicked,
                axes=self._choose_axes,
                painted=self._paint,
                copy=self._copy,
                download=self._download,
                reset=lambda: self._take(explorer.base),
            ),
        )
        self._client.on_delete(self._close)
        background_tasks.create(self._work(), name="explorer")

    def enter(self, key: str, text: str) -> None:
        """Take over an entry as a person wrote it. Raises `InputError`."""
        self._take(self._explorer.entered(self._state, key, text))

    def _take(self, state: State) -> None:
        if state != self._state:
            self._state = state
            self._stop[0] = True
            self._changed.set()

    def _close(self) -> None:
        self._stop[0] = True
        self._changed.set()

    async def _work(self) -> None:
        """Answer the state whenever it changes, as long as the page is open."""
        await self._client.connected()
        while not self._client.is_deleted:
            self._changed.clear()
            state, self._stop = self._state, np.zeros(1, np.bool_)
            watch = asyncio.get_running_loop().call_later(_LONGEST, self._stop.fill, True)
            changing = asyncio.create_task(self._changed.wait())
            if self._later:
                self._later.cancel()
            try:
                await self._answer_to(state, changing)
                self._later = asyncio.create_task(self._settle(self._stop))
            except Exception as error:  # what is not foreseen must not end the page: the next move has another chance
                logging.exception("the explorer could not answer")
                self._tell(f"This could not be answered: {error}")
            await changing
            watch.cancel()

    async def _answer_to(self, state: State, changing: asyncio.Task[Any]) -> None:
        """Show the answer to a state, without its surroundings at first where those take long; less once it changes."""
        view = await asyncio.to_thread(self._explorer.view, state, self._stop)
        cloud = await self._cloud(state)
        stages: list[Surroundings] = []
        around = asyncio.create_task(self._surround(view, self._stop, stages))
        await asyncio.wait({around, changing}, timeout=_SOON, return_when=asyncio.FIRST_COMPLETED)
        whole = around.done()
        self._view, self._around = view, stages[-1] if stages else None
        self._show_plan(view)
        self._show_plot(view, cloud)
        # What people look at is there before the rest is drawn, and no browser is sent more than it can draw.
        with suppress(TimeoutError):
            await self._client.run_javascript(_PAINTED, timeout=_PATIENCE)
        if not changing.done():
            self._show_rest(view)
        if not whole:
            await asyncio.wait({around, changing}, return_when=asyncio.FIRST_COMPLETED)
            if around.done() and not changing.done():
                self._around = stages[-1]
                self._show_plot(view, cloud)
        self._show_frontier(view)

    async def _surround(self, view: View, stop: BoolArray, stages: list[Surroundings]) -> None:
        """Find what there is around a plan: at the first stage the frontier, then with the published systems."""
        stages.append(await asyncio.to_thread(Surroundings.of, view, stop))
        if not stop[0]:
            stages.append(await asyncio.to_thread(stages[-1].with_systems, view))

    async def _cloud(self, state: State) -> Cloud:
        constraints = state.requirement.constraints
        key = constraints.exits_per_tier, constraints.threshold_per_exit
        if key not in self._clouds:
            planner = self._explorer.planners[0]
            self._clouds[key] = await asyncio.to_thread(Cloud.drawn, planner, constraints, plans=_CLOUD)
        if self._cloud_sent != key:
            self._cloud_sent = key
            texts = json.dumps(tradeoff.cloud_texts(self._clouds[key]))
            self._client.run_javascript(f"window.offrampPlans = {texts}")
        return self._clouds[key]

    def _show_plan(self, view: View) -> None:
        state = view.state
        # A hand may be further by now: nothing is moved back under it.
        self._on.controls.show(self._state)
        self._on.threshold.show(self._state.threshold)
        self._on.short.set_content(phrases.summary(view))
        self._on.answer.set_content(phrases.answer(view))
        text = command.command(self._explorer, state)
        self._on.command.set_content(f'<pre class="command" data-command>{escape(text)}</pre>')
        for axis, path in zip(self._on.axes, self._state.axes, strict=False):
            axis.set_value(path)
        drawn = ("", "")
        if view.solution:
            placement, blocks = Placement.of(state.topology, view.solution.estimated), self._explorer.blocks
            drawn = diagram(placement, blocks=blocks, upright=False), diagram(placement, blocks=blocks, upright=True)
        self._on.across.set_content(drawn[0])
        self._on.down.set_content(drawn[1])

    def _show_rest(self, view: View) -> None:
        self._on.pins.set_content(phrases.pins(view, self._scheme))
        ends = view.solution.plan.ends if view.solution else ()
        exits = ExitsPicture.of(view.planner, view.state.threshold, ends)
        draw(self._on.exits, charts.exit_chart(exits, self._scheme))
        named = list(zip(charts.plan_names(len(view.listed)), view.listed, strict=True))
        terms = TermsPicture.of([(name, plan.estimate) for name, plan in named])
        draw(self._on.terms, charts.breakdown(terms, self._scheme) if named else _NOTHING)
        curves = [
            DistributionPicture.predicted(name, plan.estimate) for name, plan in named if phrases.has_distribution(plan)
        ]
        spread = DistributionPicture(tuple(curves))
        draw(self._on.spread, charts.distribution(spread, self._scheme) if curves else _NOTHING)

    def _show_plot(self, view: View, cloud: Cloud) -> None:
        around = self._around
        picture = frontier_picture(view, around or Surroundings())
        if view.solution and picture:
            cloud_s = cloud.latency_s(view.planners[0].costs, view.solution.requirement.latency)
            draw(self._on.plot, tradeoff.tradeoff(picture, cloud, cloud_s, self._scheme))
        else:
            draw(self._on.plot, _NOTHING)
        constraints = view.state.requirement.constraints
        count = sum(planner.plan_count(constraints) for planner in view.planners)
        told = f"{len(cloud.texts):,} of {count:,} plans as points"
        told += ", those that the constraints rule out among them." if constraints.stated else "."
        if around is None:
            told += " The frontier is being found."
        elif around.gap is not None:
            told += " The search for the frontier was ended early: these are the best so far."
        self._on.caption.set_text(told)

    def _show_frontier(self, view: View) -> None:
        around, solution = self._around, view.solution
        if around and solution:
            latency = solution.requirement.latency
            self._on.frontier.set_content(phrases.frontier(around.members, solution.estimated, latency))

    async def _settle(self, stop: BoolArray) -> None:
        """What can wait until the hand rests: the address, and the map, coarse and then finer."""
        await asyncio.sleep(_PAUSE)
        view = self._view
        assert view is not None
        query = view.state.query(self._explorer.base)
        path = json.dumps(f"?{query}" if query else "?")
        self._client.run_javascript(f"history.replaceState(history.state, '', {path})")
        if view.solution is None or not all(view.state.axes):
            return
        requirement = view.solution.requirement
        for steps in regions.STEPS:
            picture = await asyncio.to_thread(
                regions.regime_map, self._explorer, view.state, requirement, steps=steps, stop=stop
            )
            if picture is None or stop[0]:
                return
            draw(self._on.map, regions.map_chart(picture, self._scheme))
            self._on.legend.set_content(phrases.legend(legend(picture)))

    def _paint(self, dark: bool) -> None:
        scheme = DARK if dark else LIGHT
        if scheme is not self._scheme:
            self._scheme = scheme
            self._stop[0] = True
            self._changed.set()

    def _clicked(self, event: events.EChartPointClickEventArguments) -> None:
        """Series put the plan's text last; of the cloud the page has a list."""
        cloud = self._clouds.get(self._cloud_sent) if self._cloud_sent else None
        if isinstance(event.value, list) and len(event.value) > 2:
            self._toggle(str(event.value[-1]))
        elif cloud is not None and event.series_index < len(cloud.rows):
            self._toggle(tradeoff.cloud_texts(cloud)[event.series_index][event.data_index])

    def _toggle(self, text: str) -> None:
        pinned = next((plan for plan in self._state.pins if str(plan) == text), None)
        if pinned is not None:
            self._take(self._state.pinned(pinned))
            return
        try:
            self.enter("pin", text)
        except InputError:
            self._tell("This is no plan of Offramp's, so there is nothing to pin.")

    def _choose_axes(self, x: str, y: str) -> None:
        if x == y:
            self._tell("A map needs two different parameters.")
        else:
            self.enter("map", f"{x},{y}")

    def _copy(self) -> None:
        ui.clipboard.write(command.command(self._explorer, self._state))
        self._tell("Copied.")

    def _tell(self, words: str) -> None:
        with self._client:
            ui.notify(words, position="bottom")

    def _download(self, file: str) -> None:
        view, around = self._view, self._around
        picture = frontier_picture(view, around) if view and around else None
        if view is None or view.solution is None or around is None or picture is None:
            self._tell("There is nothing to take along yet.")
            return
        blocks, topology, estimated = self._explorer.blocks, view.state.topology, view.solution.estimated
        placement, members = Placement.of(topology, estimated), around.members
        makers: dict[str, Callable[[], bytes]] = {
            "plan.json": lambda: command.plan_file(estimated),
            "frontier.csv": lambda: command.frontier_table(members),
            "frontier.png": lambda: command.frontier_figure(picture, "png"),
            "frontier.svg": lambda: command.frontier_figure(picture, "svg"),
            "drawing.svg": lambda: diagram(placement, blocks=blocks, upright=False, alone=True).encode(),
            "topology.yaml": lambda: command.topology_file(topology),
        }
        ui.download.content(makers[file](), file)
