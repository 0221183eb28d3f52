"""The plot of accuracy over latency, after figures 4 and 5 of EdgeSys'22."""

from __future__ import annotations

from math import floor, isfinite, log10

from offramp.core.estimate import EstimatedPlan, Latency
from offramp.explore.charts import LETTERS, Options, axis, base, short
from offramp.explore.cloud import Cloud
from offramp.explore.colors import Scheme
from offramp.explore.view import Surroundings, View
from offramp.view.text import latency_name, percent


def tradeoff(view: View, surroundings: Surroundings | None, cloud: Cloud, scheme: Scheme) -> Options:
    """Accuracy over latency: the cloud of plans, the frontier, the requirement, published systems, plan and pins.

    surroundings: None while they are still being found.
    """
    found = view.found
    series: list[Options] = []
    known: list[float] = []
    if found is None:
        return {**base(scheme), "series": []}
    wanted = found.wanted
    latency = wanted.latency
    times = (1000 * cloud.latency_s(view.planner.costs, latency)).tolist()
    for parts, rows in enumerate(cloud.rows, start=1):
        series.append(
            {
                "name": f"{parts} partition{'s' if parts > 1 else ''}",
                "type": "scatter",
                # Their texts are sent once, by `cloud_texts`.
                "data": [[short(times[i]), short(100 * cloud.accuracy[i])] for i in rows if isfinite(times[i])],
                "large": True,
                "largeThreshold": 1,
                "symbolSize": 4.5,
                "color": _part_color(scheme, parts),
                "itemStyle": {"opacity": 0.6},
                "z": 2,
            }
        )
    members = surroundings.members if surroundings else ()
    lines: list[Options] = []
    if wanted.min_accuracy is not None:
        lines.append({"yAxis": short(100 * wanted.min_accuracy), "name": "floor"})
    if wanted.max_latency_s is not None:
        lines.append({"xAxis": short(1000 * wanted.max_latency_s), "name": "limit"})
        known.append(1000 * wanted.max_latency_s)
    series.append(
        {
            "name": "frontier",
            "type": "line",
            "step": "end",
            "data": [_point(each, latency) | {"itemStyle": _dot(scheme, each)} for each in members],
            "symbol": "circle",
            "symbolSize": 9,
            "showAllSymbol": True,
            "lineStyle": {"color": scheme.ink, "width": 1.6},
            "itemStyle": {"color": scheme.ink},
            "z": 4,
            "markLine": {
                "silent": True,
                "symbol": "none",
                "animation": False,
                "lineStyle": {"type": "dashed", "color": scheme.ink, "width": 1.4},
                "label": {"formatter": "{b}", "color": scheme.ink, "position": "insideEndTop", "fontSize": 12},
                "data": lines,
            },
        }
    )
    systems = _systems(surroundings)
    known += [x for x, _, _, _ in systems] + [1000 * latency.of(each.estimate) for each in (*members, *view.listed)]
    series.append(
        {
            "name": "published systems",
            "type": "scatter",
            "symbol": "diamond",
            "symbolSize": 13,
            "color": scheme.ink,
            "itemStyle": {"color": scheme.card, "borderColor": scheme.ink, "borderWidth": 1.8},
            "data": [
                {
                    "value": [short(x), short(y), tip],
                    "label": {
                        "show": True,
                        "formatter": label,
                        "position": "top",
                        "rotate": 38,
                        "align": "left",
                        **_legible(scheme.ink, scheme),
                    },
                }
                for x, y, label, tip in systems
            ],
            "labelLayout": {"hideOverlap": True},
            "z": 5,
        }
    )
    series.append(_marked(view, scheme))
    low, high = _axis_ends(max(1e-6, min(known)), max(1e-6, *known))
    ticks = _ticks(min(cloud.accuracy.min(), *(each.estimate.accuracy for each in (*members, *view.listed))))
    options = base(scheme)
    return {
        **options,
        "legend": {
            **options["legend"],
            "data": [
                {"name": each["name"], "itemStyle": {"opacity": 1}}
                for each in series
                if each["name"] != "plan and pins"
            ],
            "type": "scroll",
        },
        "grid": {"left": 54, "right": 18, "top": 40, "bottom": 46},
        "tooltip": {**options["tooltip"], "trigger": "item"},
        "xAxis": {
            **axis(scheme, f"{latency_name(wanted)} (ms)", gap=28),
            "type": "log",
            "min": low,
            "max": high,
            "axisLabel": {"color": scheme.faint, "customValues": _round_values(low, high)},
            "axisTick": {"customValues": _round_values(low, high)},
            "splitLine": {"show": False},
        },
        "yAxis": {
            **axis(scheme, "accuracy (%)", gap=38),
            "type": "value",
            "min": ticks[0],
            # Above the best plans there is room for names.
            "max": 100 + 0.16 * (100 - ticks[0]),
            "axisLabel": {"color": scheme.faint, "customValues": ticks},
            "axisTick": {"customValues": ticks},
            "splitLine": {"show": False},
        },
        "series": series,
    }


def cloud_texts(cloud: Cloud) -> list[list[str]]:
    """By series of the plot and point, the plan as text."""
    return [[cloud.texts[i] for i in rows] for rows in cloud.rows]


def _systems(surroundings: Surroundings | None) -> list[tuple[float, float, str, str]]:
    """Latency in ms, accuracy in percent, label and words of each point; systems that choose alike share one."""
    points: dict[tuple[float, float], list[str]] = {}
    plans: dict[tuple[float, float], str] = {}
    for row in surroundings.systems if surroundings else ():
        at = 1000 * row.latency_s, 100 * row.estimate.accuracy
        points.setdefault(at, []).append(row.system)
        plans.setdefault(at, row.plan)
    return [
        (x, y, names[0] if len(names) == 1 else f"{names[0]} +{len(names) - 1}", f"{', '.join(names)}: {plans[x, y]}")
        for (x, y), names in points.items()
    ]


def _marked(view: View, scheme: Scheme) -> Options:
    """The plan and the pinned ones, each with its letter."""
    assert view.found is not None
    latency = view.found.wanted.latency
    data = []
    for each, letter, color in zip(view.listed, LETTERS, scheme.plans, strict=False):
        data.append(
            _point(each, latency)
            | {
                "itemStyle": {"color": "transparent", "borderColor": color, "borderWidth": 3},
                "label": {
                    "show": True,
                    "formatter": "plan" if letter == "P" else letter,
                    "position": "left" if letter == "P" else "bottom",
                    "distance": 4,
                    "fontWeight": "bold",
                    "fontSize": 13,
                    **_legible(color, scheme),
                },
            }
        )
    return {"name": "plan and pins", "type": "scatter", "symbolSize": 19, "data": data, "z": 6}


def _legible(color: str, scheme: Scheme) -> Options:
    """Text in that color, on top of points."""
    return {"color": color, "textBorderColor": scheme.card, "textBorderWidth": 3}


def _point(estimated: EstimatedPlan, latency: Latency) -> Options:
    time, accuracy, text = 1000 * latency.of(estimated.estimate), estimated.estimate.accuracy, str(estimated.plan)
    return {"value": [short(time), short(100 * accuracy), f"{percent(accuracy)} in {time:.4g} ms: {text}", text]}


def _dot(scheme: Scheme, estimated: EstimatedPlan) -> Options:
    return {"color": _part_color(scheme, len(estimated.plan.ends)), "borderColor": scheme.ink, "borderWidth": 1}


def _part_color(scheme: Scheme, parts: int) -> str:
    return scheme.parts[(parts - 1) % len(scheme.parts)]


def _ticks(least: float) -> list[int]:
    """Percent at which an axis of accuracies has a number, from below the least one to 100."""
    step = 10 if least >= 0.5 else 20
    bottom = min(80, floor(100 * least / step) * step)
    return list(range(bottom, 101, step))


def _axis_ends(low: float, high: float) -> tuple[float, float]:
    """Where a logarithmic axis begins and ends, at round numbers, so that it stands still while plans move a little."""
    ends = _round_values(low / 4, high * 8)
    return max(each for each in ends if each <= 0.97 * low), min(each for each in ends if each >= 1.4 * high)


def _round_values(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 and so on, from `low` to `high`."""
    values = [
        float(f"{digit}e{power}") for power in range(floor(log10(low)), floor(log10(high)) + 1) for digit in (1, 2, 5)
    ]
    return [value for value in values if low <= value <= high]
