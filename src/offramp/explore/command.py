"""The command line that gives the plan that is seen, and the files that can be taken along."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

from offramp.core.estimate import Latency
from offramp.core.topology import Topology
from offramp.explore.state import State
from offramp.explore.view import Explorer, Surroundings, View
from offramp.files import plan_document
from offramp.files.quantities import TIME
from offramp.files.results import estimate_document
from offramp.files.topology import topology_text
from offramp.view.frontier import FrontierPicture, save_figure


def command(explorer: Explorer, state: State) -> str:
    """What to paste into a shell for the same plan; a topology that was changed is written to a file first."""
    words = ["offramp", "plan", explorer.profile_source, "--topology"]
    changed = state.topology != explorer.base.topology
    file = f"{safe_name(state.topology.name)}-explored.yaml"
    words += [file if changed else explorer.topology_source, *explorer.flags]
    if state.min_accuracy is not None:
        words += ["--min-accuracy", repr(state.min_accuracy)]
    if state.max_latency_s is not None:
        words += ["--max-latency", TIME.write(state.max_latency_s)]
    if state.requirement is not None and state.latency is not Latency.MEAN:
        words += ["--latency", state.latency.name.lower()]
    if state.exits_per_tier > 1:
        words += ["--exits-per-tier", str(state.exits_per_tier)]
    if state.threshold_per_exit:
        words += ["--threshold-per-exit"]
    line = shlex.join(words)
    return f"cat > {file} <<'END' && {line}\n{topology_text(state.topology)}END" if changed else line


def safe_name(name: str) -> str:
    """A name for a file that every system takes."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-")[:60] or "topology"


def plan_file(view: View) -> bytes:
    """The plan and its estimate as JSON, as `offramp plan --out` writes them."""
    assert view.found is not None
    shown = view.found.shown
    document = {"plan": plan_document(shown.plan), "estimate": estimate_document(shown.estimate)}
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def frontier_table(surroundings: Surroundings) -> bytes:
    """The frontier as CSV, fastest first, in SI units."""
    text = io.StringIO()
    terms = ("latency_s", "compute_s", "propagation_s", "transmission_s", "serialization_s")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["plan", "accuracy", *terms, "p50_s", "p95_s", "p99_s"])
    for each in surroundings.members:
        predicted = each.estimate
        known = min(predicted.exit_rates) >= 0
        percentiles = [predicted.percentile_s(q) if known else "" for q in (50, 95, 99)]
        writer.writerow([each.plan, predicted.accuracy, *(getattr(predicted, term) for term in terms), *percentiles])
    return text.getvalue().encode()


def frontier_figure(view: View, surroundings: Surroundings, ending: str) -> bytes:
    """The frontier drawn as `offramp plan --figure` draws it; `ending` is png or svg."""
    assert view.found is not None
    picture = FrontierPicture.of(view.planner, surroundings.members, view.found.shown, view.found.wanted)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"frontier.{ending}"
        save_figure(picture, path)
        return path.read_bytes()


def topology_file(topology: Topology) -> bytes:
    """The topology as YAML that `read_topology` reads."""
    return topology_text(topology).encode()
