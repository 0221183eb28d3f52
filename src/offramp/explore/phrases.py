"""What the page says of plans, as HTML. All that comes from files is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from offramp.core.estimate import EstimatedPlan, Latency
from offramp.explore.charts import plan_names
from offramp.explore.colors import Scheme
from offramp.explore.view import View
from offramp.view.regimes import LegendEntry
from offramp.view.text import percent, seconds


def answer(view: View) -> str:
    """The headline, the plan, and the figures that matter most."""
    solution = view.solution
    kind = "answer" if solution and solution.met else "answer unmet"
    told = [f'<p class="headline">{_lines(view.headline)}</p>']
    if solution:
        told.append(f'<p class="plan" data-plan>{escape(str(solution.plan))}</p>')
        told.append(f'<dl class="facts">{"".join(_facts(solution.estimated))}</dl>')
    told += [f"<p>{escape(sentence)}</p>" for sentence in view.sentences]
    return f'<div class="{kind}" role="status">{"".join(told)}</div>'


def summary(view: View) -> str:
    """The answer in one line, for where there is no place for more."""
    solution = view.solution
    if not solution:
        return "no plan"
    met = "" if solution.met else '<span class="warn">misses</span> '
    figures = f"{percent(solution.estimate.accuracy)} in {seconds(solution.latency_s)}"
    return f"{met}<b>{escape(figures)}</b> <code>{escape(str(solution.plan))}</code>"


def _facts(estimated: EstimatedPlan) -> Iterator[str]:
    predicted = estimated.estimate
    facts = [("accuracy", percent(predicted.accuracy)), ("mean latency", seconds(predicted.latency_s))]
    if has_distribution(estimated):
        facts += [(f"p{q}", seconds(predicted.percentile_s(q))) for q in (50, 95, 99)]
        if len(predicted.exit_rates) > 1:
            facts.append(("exit early", percent(1 - predicted.exit_rates[-1])))
    for name, value in facts:
        yield f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>"


def has_distribution(estimated: EstimatedPlan) -> bool:
    """Whether exit rates are shares: the marginal model's may be negative."""
    return min(estimated.estimate.exit_rates) >= 0


def pins(view: View, scheme: Scheme) -> str:
    """The plan and those pinned beside each other, each beside the plan; a hint where nothing is pinned."""
    if not view.solution or len(view.listed) < 2:
        return '<p class="hint">Click a point of the plot, or a plan of the frontier, to pin it here and compare.</p>'
    shown, latency = view.solution.estimated, view.solution.requirement.latency
    rows = []
    for estimated, name, color in zip(view.listed, plan_names(len(view.listed)), scheme.plans, strict=False):
        text = escape(str(estimated.plan), quote=True)
        pinned = estimated.plan in view.state.pins
        button = _button(text, "Unpin" if pinned else "Pin")
        beside = "" if estimated is shown else escape(difference(estimated, shown, latency))
        rows.append(
            f'<tr><th scope="row"><i class="chip" style="border-color:{color}"></i>{name}</th>'
            f"<td>{percent(estimated.estimate.accuracy)}</td><td>{escape(seconds(estimated.estimate.latency_s))}</td>"
            f"<td>{_p95(estimated)}</td><td class='text'>{beside}</td><td class='text'><code>{text}</code></td>"
            f"<td>{button}</td></tr>"
        )
    head = _head(("", "accuracy", "mean", "p95", "beside the plan", "plan", ""))
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"


def difference(one: EstimatedPlan, other: EstimatedPlan, latency: Latency) -> str:
    """How one plan is beside another, in words: `0.44 points more accurate, 3.1 % slower`."""
    points = 100 * (one.estimate.accuracy - other.estimate.accuracy)
    times = latency.of(one.estimate) / latency.of(other.estimate) - 1
    words = []
    if abs(points) >= 0.005:
        words.append(f"{abs(points):.2f} points {'more' if points > 0 else 'less'} accurate")
    if abs(times) >= 0.0005:
        words.append(f"{100 * abs(times):.1f} % {'slower' if times > 0 else 'faster'}")
    return ", ".join(words) or "as accurate and as fast"


def frontier(members: Sequence[EstimatedPlan], shown: EstimatedPlan, latency: Latency) -> str:
    """A row for each member, with a button that pins it."""
    rows = []
    for member in members:
        text = escape(str(member.plan), quote=True)
        strong = ' class="strong"' if member == shown else ""
        rows.append(
            f"<tr{strong}><td>{escape(seconds(latency.of(member.estimate)))}</td><td>{percent(member.estimate.accuracy)}"
            f"</td><td class='text'><code>{text}</code></td><td>{_button(text, 'Pin')}</td></tr>"
        )
    head = _head(("latency" if latency is Latency.MEAN else f"{latency.name.lower()} latency", "accuracy", "plan", ""))
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"


def legend(entries: Iterable[LegendEntry]) -> str:
    """Color, words and number of cells of each regime."""
    items = "".join(
        f'<li><i class="chip" style="background:{entry.color or "var(--paper)"}"></i><span>{escape(entry.text)}</span>'
        f'<span class="count">{entry.cells}</span></li>'
        for entry in entries
    )
    return f'<ul class="legend">{items}</ul>'


def _p95(estimated: EstimatedPlan) -> str:
    return escape(seconds(estimated.estimate.percentile_s(95))) if has_distribution(estimated) else "-"


def _head(names: Sequence[str]) -> str:
    cells = "".join(f'<th scope="col"{" class=text" if "plan" in name else ""}>{name}</th>' for name in names)
    return f"<thead><tr>{cells}</tr></thead>"


def _button(text: str, label: str) -> str:
    return (
        f'<button type="button" class="small" aria-label="{label} {text}" data-plan-text="{text}" '
        f"onclick=\"emitEvent('pin', this.dataset.planText)\">{label}</button>"
    )


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")
