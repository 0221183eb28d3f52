"""The page's charts as options of Apache ECharts; each is made anew from what it shows."""

from __future__ import annotations

from typing import Any

from offramp.explore.colors import Scheme
from offramp.view.exits import ExitsPicture
from offramp.view.latency import DistributionPicture, TermsPicture
from offramp.view.text import seconds

Options = dict[str, Any]

# Text is put in as text, so that a tier's name is never markup. Of the cloud's plans the page has a list.
_TIP = """p => {
  const listed = (window.offrampPlans?.[p.seriesIndex] || [])[p.dataIndex];
  const tip = p.data?.tip || (Array.isArray(p.value) && p.value.length == 2 ? listed : p.value?.[2]);
  if (!tip) return '';
  const box = document.createElement('div');
  box.textContent = tip;
  return box.outerHTML;
}"""
LETTERS = "PABCD"
_GOLDEN = ("circle", "triangle", "rect", "diamond", "pin", "arrow")


def breakdown(picture: TermsPicture, scheme: Scheme) -> Options:
    """What the mean latency of each plan is made of, as bars end to end."""
    # A number needs that much room.
    room = 0.13 * max(picture.totals)
    series = [
        {
            "name": name,
            "type": "bar",
            "stack": "terms",
            "barMaxWidth": 44,
            "color": color,
            "data": [
                {
                    "value": short(value),
                    "tip": f"{name}: {seconds(value / 1000)}, {100 * value / (total or 1):.0f} %",
                    "label": {
                        "show": value > room,
                        "formatter": f"{value:.3g}",
                        "color": "#000000",
                    },
                }
                for value, total in zip(values, picture.totals, strict=True)
            ],
        }
        for (name, values), color in zip(picture.terms, scheme.terms, strict=True)
    ]
    options = base(scheme)
    return {
        **options,
        "tooltip": {**options["tooltip"], "trigger": "item"},
        "grid": {"left": 46, "right": 22, "top": 36, "bottom": 46},
        "xAxis": {**axis(scheme, "mean latency (ms)", gap=28), "type": "value"},
        "yAxis": {
            **axis(scheme, ""),
            "type": "category",
            "data": list(picture.labels),
            "inverse": True,
            "splitLine": {"show": False},
        },
        "series": series,
    }


def distribution(picture: DistributionPicture, scheme: Scheme) -> Options:
    """Which share of samples is answered within which time, a step for each exit."""
    most = 1.08 * max(curve.latencies[-1] for curve in picture.curves) or 1.0
    series = [
        {
            "name": curve.label,
            "type": "line",
            "step": "end",
            "color": color,
            "lineStyle": {"width": 2.5, "type": "solid" if i == 0 else "dashed"},
            "symbol": _GOLDEN[i],
            "symbolSize": 7,
            "data": [
                [0, 0, ""],
                *(
                    [short(x), short(y), f"{curve.label}: {y:.2f} % of samples are answered within {x:.4g} ms"]
                    for x, y in zip(curve.latencies, curve.shares, strict=True)
                ),
                [short(most), short(curve.shares[-1]), ""],
            ],
        }
        for i, (curve, color) in enumerate(zip(picture.curves, scheme.plans, strict=False))
    ]
    options = base(scheme)
    return {
        **options,
        "tooltip": {**options["tooltip"], "trigger": "item"},
        "grid": {"left": 54, "right": 22, "top": 36, "bottom": 46},
        "xAxis": {**axis(scheme, "latency (ms)", gap=28), "type": "value", "min": 0, "max": float(f"{most:.3g}")},
        "yAxis": {**axis(scheme, "samples answered (%)", gap=38), "type": "value", "min": 0, "max": 100},
        "series": series,
    }


def exit_chart(picture: ExitsPicture, scheme: Scheme) -> Options:
    """Rate and accuracy of each exit at one threshold."""
    options = base(scheme)
    bars = picture.exits

    def line(name: str, values: list[float | None], color: str, **more: Any) -> Options:
        data = [
            {
                "value": None if value is None else short(value),
                "tip": "" if value is None else f"block {bar.block}, {name}: {value:.2f} %",
            }
            for bar, value in zip(bars, values, strict=True)
        ]
        return {"name": name, "data": data, "color": color, **more}

    series = [
        line("exit rate", [bar.exit_rate for bar in bars], scheme.exits, type="bar", barMaxWidth=30),
        line("lone exit rate", [bar.lone_exit_rate for bar in bars], scheme.samples, type="line", symbol="emptyCircle"),
        line("its accuracy", [bar.lone_accuracy for bar in bars], scheme.terms[0], type="line", symbol="triangle"),
        line(
            "accuracy of all",
            [bar.accuracy for bar in bars],
            scheme.faint,
            type="line",
            symbol="none",
            lineStyle={"type": "dashed", "width": 2},
        ),
    ]
    return {
        **options,
        "tooltip": {**options["tooltip"], "trigger": "item"},
        "legend": {**options["legend"], "type": "scroll"},
        "grid": {"left": 54, "right": 18, "top": 40, "bottom": 46},
        "xAxis": {
            **axis(scheme, "exit after block; in brackets: used by the plan", gap=28),
            "type": "category",
            "data": [f"[{bar.block}]" if bar.used else str(bar.block) for bar in bars],
            "splitLine": {"show": False},
        },
        "yAxis": {**axis(scheme, "of samples (%)", gap=38), "type": "value", "min": 0, "max": 100},
        "series": series,
    }


def plan_names(count: int) -> list[str]:
    """What the plan and those pinned are called beside each other, `count` in all."""
    return ["plan" if letter == "P" else letter for letter in LETTERS[:count]]


def base(scheme: Scheme) -> Options:
    """What all charts share."""
    return {
        "animation": False,
        "textStyle": {"fontFamily": "inherit", "color": scheme.ink},
        "legend": {
            "top": 4,
            "left": "center",
            "textStyle": {"color": scheme.ink},
            "pageTextStyle": {"color": scheme.ink},
        },
        "tooltip": {
            "confine": True,
            ":formatter": _TIP,
            "backgroundColor": scheme.card,
            "borderColor": scheme.line,
            "textStyle": {"color": scheme.ink, "fontSize": 13},
            "extraCssText": "white-space: normal; max-width: 320px;",
        },
    }


def axis(scheme: Scheme, name: str, *, gap: int = 0) -> Options:
    """What all axes share; `gap` is from the axis to its name, in pixels."""
    return {
        "name": name,
        "nameLocation": "middle",
        "nameGap": gap,
        "nameTextStyle": {"color": scheme.ink},
        "axisLine": {"lineStyle": {"color": scheme.faint}},
        "axisLabel": {"color": scheme.faint},
        "splitLine": {"lineStyle": {"color": scheme.line, "opacity": 0.6}},
    }


def short(value: float) -> float:
    """With as many digits as a screen can show."""
    return float(f"{value:.5g}")
