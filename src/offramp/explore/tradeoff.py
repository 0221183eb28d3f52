"""The plot of accuracy over latency, after figures 4 and 5 of EdgeSys'22."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, log10

from offramp.core.checks import FloatArray
from offramp.explore.charts import LETTERS, Options, axis, base, short
from offramp.explore.cloud import Cloud
from offramp.explore.colors import Scheme
from offramp.view.frontier import FrontierPicture
from offramp.view.points import PlanPoint, SystemPoint


def tradeoff(picture: FrontierPicture, cloud: Cloud, cloud_s: FloatArray, scheme: Scheme) -> Options:
    """Accuracy over latency: the cloud of plans, the frontier, the requirement, published systems, plan and pins.

    cloud_s: [n] the latency of each plan of the cloud, in seconds.
    """
    series = [
        *_cloud(cloud, cloud_s, scheme),
        _frontier(picture, scheme),
        _systems(picture, scheme),
        _marked(picture, scheme),
    ]
    points = [*picture.frontier, picture.chosen, *picture.pinned]
    times = [point.latency for point in points] + [system.latency for system in picture.systems]
    times += [] if picture.limit is None else [picture.limit]
    low, high = _axis_ends(max(1e-6, min(times)), max(1e-6, *times))
    ticks = _ticks(min(100 * float(cloud.accuracy.min()), *(point.accuracy for point in points)))
    options = base(scheme)
    return {
        **options,
        "legend": {
            **options["legend"],
            "data": [{"name": entry["name"], "itemStyle": {"opacity": 1}} for entry in series[:-1]],
            "type": "scroll",
        },
        "grid": {"left": 54, "right": 18, "top": 40, "bottom": 46},
        "tooltip": {**options["tooltip"], "trigger": "item"},
        "xAxis": {
            **axis(scheme, f"{picture.latency} (ms)", gap=28),
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


def _cloud(cloud: Cloud, cloud_s: FloatArray, scheme: Scheme) -> Iterable[Options]:
    """A series for each number of partitions; the texts of its points are sent once, by `cloud_texts`."""
    for partitions, rows in enumerate(cloud.rows, start=1):
        yield {
            "name": f"{partitions} partition{'s' if partitions > 1 else ''}",
            "type": "scatter",
            "data": [[short(1000 * cloud_s[i]), short(100 * cloud.accuracy[i])] for i in rows],
            "large": True,
            "largeThreshold": 1,
            "symbolSize": 4.5,
            "color": _color(scheme, partitions),
            "itemStyle": {"opacity": 0.6},
            "z": 2,
        }


def _frontier(picture: FrontierPicture, scheme: Scheme) -> Options:
    """The frontier as steps, with the lines of the requirement."""
    lines: list[Options] = []
    if picture.floor is not None:
        lines.append({"yAxis": short(picture.floor), "name": "floor"})
    if picture.limit is not None:
        lines.append({"xAxis": short(picture.limit), "name": "limit"})
    return {
        "name": "frontier",
        "type": "line",
        "step": "end",
        "data": [
            _point(point)
            | {"itemStyle": {"color": _color(scheme, point.partitions), "borderColor": scheme.ink, "borderWidth": 1}}
            for point in picture.frontier
        ],
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


def _systems(picture: FrontierPicture, scheme: Scheme) -> Options:
    """Published systems; those that choose alike share a point."""
    return {
        "name": "published systems",
        "type": "scatter",
        "symbol": "diamond",
        "symbolSize": 13,
        "color": scheme.ink,
        "itemStyle": {"color": scheme.card, "borderColor": scheme.ink, "borderWidth": 1.8},
        "data": [_system(group, scheme) for group in picture.system_groups],
        "labelLayout": {"hideOverlap": True},
        "z": 5,
    }


def _system(group: tuple[SystemPoint, ...], scheme: Scheme) -> Options:
    first, more = group[0], len(group) - 1
    names = ", ".join(system.system for system in group)
    return {
        "value": [short(first.latency), short(first.accuracy), f"{names}: {first.plan}"],
        "label": {
            "show": True,
            "formatter": f"{first.system} +{more}" if more else first.system,
            "position": "top",
            "rotate": 38,
            "align": "left",
            **_legible(scheme.ink, scheme),
        },
    }


def _marked(picture: FrontierPicture, scheme: Scheme) -> Options:
    """The plan and the pinned ones, each with its letter."""
    data = [
        _point(point)
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
        for point, letter, color in zip((picture.chosen, *picture.pinned), LETTERS, scheme.plans, strict=False)
    ]
    return {"name": "plan and pins", "type": "scatter", "symbolSize": 19, "data": data, "z": 6}


def _legible(color: str, scheme: Scheme) -> Options:
    """Text in that color, on top of points."""
    return {"color": color, "textBorderColor": scheme.card, "textBorderWidth": 3}


def _point(point: PlanPoint) -> Options:
    tip = f"{point.accuracy:.2f} % in {point.latency:.4g} ms: {point.plan}"
    return {"value": [short(point.latency), short(point.accuracy), tip, point.plan]}


def _color(scheme: Scheme, partitions: int) -> str:
    return scheme.partitions[(partitions - 1) % len(scheme.partitions)]


def _ticks(least: float) -> list[int]:
    """Percent at which an axis of accuracies has a number, from below the least one to 100."""
    step = 10 if least >= 50 else 20
    bottom = min(80, floor(least / step) * step)
    return list(range(bottom, 101, step))


def _axis_ends(low: float, high: float) -> tuple[float, float]:
    """Where a logarithmic axis begins and ends, at round numbers, so that it stands still while plans move a little."""
    ends = _round_values(low / 4, high * 8)
    return max(end for end in ends if end <= 0.97 * low), min(end for end in ends if end >= 1.4 * high)


def _round_values(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 and so on, from `low` to `high`."""
    values = [
        float(f"{digit}e{power}") for power in range(floor(log10(low)), floor(log10(high)) + 1) for digit in (1, 2, 5)
    ]
    return [value for value in values if low <= value <= high]
