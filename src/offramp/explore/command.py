"""The command line that gives the plan that is seen, and the files that can be taken along."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from offramp.core.codec import Codec, InputCodec
from offramp.core.estimate import EstimatedPlan, Latency
from offramp.core.requirement import Requirement
from offramp.core.topology import Topology
from offramp.explore.state import State
from offramp.explore.view import Explorer
from offramp.files import plan_document
from offramp.files.quantities import ENERGY, TIME, write_size
from offramp.files.results import estimate_document
from offramp.files.topology import topology_text
from offramp.view.drawing import save_figure
from offramp.view.frontier import FrontierPicture


def command(explorer: Explorer, state: State) -> str:
    """What to paste into a shell for the same plan; a topology that was changed is written to a file first."""
    words = ["offramp", "plan", explorer.profile_source, "--topology"]
    changed = state.topology != explorer.base.topology
    file = f"{safe_name(state.topology.name)}-explored.yaml"
    words += [file if changed else explorer.topology_source, *explorer.flags]
    line = shlex.join([*words, *_requirement_words(state.asked)])
    return f"cat > {file} <<'END' && {line}\n{topology_text(state.topology)}END" if changed else line


def _requirement_words(asked: Requirement) -> Iterator[str]:
    """The options that ask for it."""
    constraints = asked.constraints
    if asked.min_accuracy is not None:
        yield from ("--min-accuracy", repr(asked.min_accuracy))
    if asked.max_latency_s is not None:
        yield from ("--max-latency", TIME.write(asked.max_latency_s))
    if asked.latency is not Latency.MEAN:
        yield from ("--latency", asked.latency.name.lower())
    if asked.codecs != (Codec.FP32,):
        yield from ("--codec", asked.codecs[0].value if len(asked.codecs) == 1 else "any")
    if asked.input_codecs != (InputCodec.RAW,):
        yield from ("--input-codec", asked.input_codecs[0].value if len(asked.input_codecs) == 1 else "any")
    if constraints.exits_per_tier > 1:
        yield from ("--exits-per-tier", str(constraints.exits_per_tier))
    if constraints.threshold_per_exit:
        yield "--threshold-per-exit"
    if asked.certify is not None:
        yield "--certify" if asked.certify else "--no-certify"
    if asked.confidence is not None:
        yield from ("--confidence", repr(asked.confidence))
    if constraints.keep_blocks is not None:
        yield from ("--keep", str(constraints.keep_blocks))
    for tier, size in constraints.memory_bits.items():
        yield from ("--memory", f"{tier}={write_size(size)}")
    for tier in sorted(constraints.forbidden):
        yield from ("--forbid", tier)
    for tier in sorted(constraints.required):
        yield from ("--require", tier)
    if constraints.min_balanced_accuracy is not None:
        yield from ("--min-balanced-accuracy", repr(constraints.min_balanced_accuracy))
    if constraints.min_class_recall is not None:
        yield from ("--min-class-recall", repr(constraints.min_class_recall))
    if constraints.max_upload_bits is not None:
        yield from ("--max-upload", write_size(constraints.max_upload_bits))
    for tier, energy in constraints.max_energy_j.items():
        yield from ("--max-energy", f"{tier}={ENERGY.write(energy)}")
    if constraints.max_total_energy_j is not None:
        yield from ("--max-energy", ENERGY.write(constraints.max_total_energy_j))
    if constraints.prices is not None:
        for tier, price in constraints.prices.tier_s.items():
            yield from ("--price", f"{tier}={price!r}")
        yield from ("--price-bit", repr(constraints.prices.bit), "--budget", repr(constraints.budget))


def safe_name(name: str) -> str:
    """A name for a file that every system takes."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-")[:60] or "topology"


def plan_file(estimated: EstimatedPlan) -> bytes:
    """The plan and its estimate as JSON, as `offramp plan --out` writes them."""
    document = {"plan": plan_document(estimated.plan), "estimate": estimate_document(estimated.estimate)}
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def frontier_table(members: Sequence[EstimatedPlan]) -> bytes:
    """The frontier as CSV, fastest first, in SI units."""
    text = io.StringIO()
    terms = ("latency_s", "compute_s", "propagation_s", "transmission_s", "serialization_s")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["plan", "accuracy", *terms, "p50_s", "p95_s", "p99_s"])
    for member in members:
        predicted = member.estimate
        known = min(predicted.exit_rates) >= 0
        percentiles = [predicted.percentile_s(q) if known else "" for q in (50, 95, 99)]
        writer.writerow([member.plan, predicted.accuracy, *(getattr(predicted, term) for term in terms), *percentiles])
    return text.getvalue().encode()


def frontier_figure(picture: FrontierPicture, ending: str) -> bytes:
    """The frontier drawn as `offramp plan --figure` draws it, with what is beside it; `ending` is png or svg."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"frontier.{ending}"
        save_figure(picture, path)
        return path.read_bytes()


def topology_file(topology: Topology) -> bytes:
    """The topology as YAML that `read_topology` reads."""
    return topology_text(topology).encode()
