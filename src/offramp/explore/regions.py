"""The regime map over two parameters, coarse at first and then finer."""

from __future__ import annotations

from offramp.core.checks import BoolArray
from offramp.core.requirement import Requirement
from offramp.errors import InputError
from offramp.explore.charts import Options, axis, base
from offramp.explore.colors import Scheme
from offramp.explore.state import State, number
from offramp.explore.view import Explorer
from offramp.sweeps.grid import grid, parameters
from offramp.sweeps.many import PlannedTopology, best_answer
from offramp.sweeps.regimes import UNMET, Axis, RegimeMap
from offramp.view.regimes import OTHER_COLOR, REGIME_COLORS, UNMET_TEXT, axis_text
from offramp.view.text import requirement_words

# How many values each way, first and at last.
STEPS = (9, 25)
# Of the value that a parameter has, the map shows so much less and more.
_REACH = 30.0


def regime_map(
    explorer: Explorer, state: State, requirement: Requirement, *, steps: int, stop: BoolArray
) -> RegimeMap | None:
    """Which plan wins around the state, `steps` values each way; None where it was ended early.

    stop: as for `Planner.best`.
    Raises `InputError` where the state's axes can't be varied.
    """
    known = parameters(state.topology)
    values = {path: _around(number(known[path], state.topology), steps) for path in state.axes if path in known}
    around = grid(state.topology, vary=values)
    planners = explorer.planners_for(state)
    planned = []
    for varied in around:
        if stop[0]:
            return None
        try:
            answers = [planner.on(varied.topology).best(requirement, stop) for planner in planners]
        except InputError as error:
            planned.append(PlannedTopology(varied, None, meets=False, reason=str(error)))
            continue
        if any(answer.gap for answer in answers):
            return None
        planned.append(best_answer(varied, answers, requirement))
    title = f"Where which partitioning and placement wins: {requirement_words(requirement)}"
    return RegimeMap.of(around, planned, title=title)


def _around(value: float, steps: int) -> tuple[float, ...]:
    """Values from well below to well above, the value itself in the middle; around 10 ms where it is nothing."""
    middle = steps // 2
    center = value or 0.01
    around = (float(f"{center * _REACH ** ((i - middle) / middle):.4g}") for i in range(steps))
    return tuple(center if i == middle else near for i, near in enumerate(around))


def map_chart(picture: RegimeMap, scheme: Scheme) -> Options:
    """The map as a chart, with a ring around the cell in the middle, which is the state of the page."""
    named = len(REGIME_COLORS)
    cells = [
        {"value": [i, j, min(cell, named)], "tip": picture.regimes[cell] if cell != UNMET else UNMET_TEXT}
        for j, row in enumerate(picture.cells)
        for i, cell in enumerate(row)
    ]
    colors = [*REGIME_COLORS, OTHER_COLOR]
    pieces = [{"value": i, "color": color} for i, color in enumerate(colors)]
    middle = len(picture.x.values) // 2
    options = base(scheme)
    options["legend"] = {"show": False}
    return {
        **options,
        "tooltip": {**options["tooltip"], "trigger": "item"},
        "grid": {"left": 84, "right": 18, "top": 12, "bottom": 56},
        "xAxis": _categories(picture.x, scheme, gap=34),
        "yAxis": _categories(picture.y, scheme, gap=62) if picture.y else {"type": "category", "data": [""]},
        "visualMap": {
            "show": False,
            "type": "piecewise",
            "dimension": 2,
            "seriesIndex": 0,
            "pieces": [*pieces, {"value": UNMET, "color": scheme.paper}],
        },
        "series": [
            {"type": "heatmap", "data": cells, "itemStyle": {"borderColor": scheme.card, "borderWidth": 0.5}},
            {
                "type": "scatter",
                "silent": True,
                "symbolSize": 17,
                "data": [[middle, len(picture.cells) // 2]],
                "itemStyle": {"color": "transparent", "borderColor": "#000000", "borderWidth": 2.5},
            },
            {
                "type": "scatter",
                "silent": True,
                "symbolSize": 21,
                "data": [[middle, len(picture.cells) // 2]],
                "itemStyle": {"color": "transparent", "borderColor": "#ffffff", "borderWidth": 2},
            },
        ],
    }


def _categories(of: Axis, scheme: Scheme, *, gap: int) -> Options:
    every = max(1, (len(of.values) - 1) // 4)
    options = axis(scheme, of.label, gap=gap)
    return {
        **options,
        "axisLabel": {**options["axisLabel"], "interval": every - 1},
        "type": "category",
        "data": [axis_text(of, value) for value in of.values],
        "splitLine": {"show": False},
    }
