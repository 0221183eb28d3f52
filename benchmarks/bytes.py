"""Pictures sent, or cut networks: bytes, accuracy and latency of both over links of 0.1 to 10 Mb/s, each really run.

A network with an exit after every block stands on a camera, slower than a server by a factor, and on the server. Either
the camera sends its picture, in one codec, and the server runs everything; or the picture stays there, the network is
cut where it is best, and activations travel in whatever codec is best. For each way and bandwidth the fastest plan is
found whose accuracy is within a point of the best exit's on pictures as they are. All plans are then built and run here
over emulated links, and what was predicted of the samples that are sent is held against what is measured.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import offramp
from offramp.core.topology import Link, Tier, Topology
from offramp.pipeline.measure_run import run_result
from offramp.pipeline.reference import run_locally
from offramp.runtime.local import LocalDeployment
from offramp.runtime.tier.serve import load_sessions

BANDWIDTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""In Mb/s."""

SENT = {"codec": "fp32", "forbid": ["camera"]}
WAYS: dict[str, dict[str, Any]] = {
    "picture, raw": {**SENT, "input_codec": "raw"},
    "picture, PNG": {**SENT, "input_codec": "png"},
    "picture, WebP": {**SENT, "input_codec": "webp"},
    "picture, JPEG 90": {**SENT, "input_codec": "jpeg90"},
    "picture, JPEG 75": {**SENT, "input_codec": "jpeg75"},
    "best cut": {"codec": "any", "keep": 1},
    "best of all": {"codec": "any", "input_codec": "any"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="a data set of pictures: a name, or a path")
    parser.add_argument("--backbone", default="resnet14")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--run", type=Path, default=Path("runs/bytes"), help="the run's folder: trained once")
    parser.add_argument("--slowdown", type=float, default=20.0, help="of the camera")
    parser.add_argument("--count", type=int, default=30, help="samples to send by each plan")
    parser.add_argument("--bandwidths", type=float, nargs="+", default=BANDWIDTHS, help="of the link, in Mb/s")
    parser.add_argument("--repeats", type=int, default=50, help="for the profile")
    parser.add_argument("--profile", type=Path, help="a profile of the run that was measured before")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    run = offramp.train(given.backbone, given.data, out=given.run, epochs=given.epochs, separate=False)
    profile = given.profile or offramp.profile(run, out=given.run / "profile.json", repeats=given.repeats)
    rows = []
    for row in compared(run, profile, given):
        rows.append(row)
        print(row["bandwidth_mb_per_s"], row["way"], row["measured_s"], flush=True)
        if given.out is not None:
            given.out.write_text(json.dumps(rows, indent=1))
    show(rows)


def compared(run: Any, profile: Any, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    profile = offramp.read_profile(profile) if isinstance(profile, Path) else profile
    floor = float(profile.exit_table.accuracy.max()) - 0.01
    # What a bundle says of itself is not looked at here, so few samples will do for it.
    run = replace(run, dataset=replace(run.dataset, validation=run.dataset.validation[:100]))
    for rate in given.bandwidths:
        topology = Topology(
            name="camera",
            source="camera",
            destination="camera",
            tiers=(Tier("camera", given.slowdown), Tier("server", 1.0)),
            links=(Link(rate * 1e6, 0.01),),
        )
        solutions = {
            name: offramp.solve(profile, topology, min_accuracy=floor, frontier=False, **words)
            for name, words in WAYS.items()
        }
        achieved = measured(run, profile, topology, [solution.plan for solution in solutions.values()], given.count)
        for name, solution in solutions.items():
            predicted_s, measured_s, right = achieved[solution.plan]
            yield {
                "way": name,
                "bandwidth_mb_per_s": rate,
                "bytes": sent_bytes(solution, profile),
                "accuracy": solution.estimate.accuracy,
                "floor_met": solution.met,
                "latency_s": solution.estimate.latency_s,
                "predicted_s": predicted_s,
                "measured_s": measured_s,
                "measured_accuracy": right,
                "plan": str(solution.plan),
            }


def sent_bytes(solution: Any, profile: Any) -> float:
    """What the camera sends of a sample in the mean, without headers."""
    plan, estimate = solution.plan, solution.estimate
    bits = profile.encoded(plan.codec, plan.input_codec).backbone.object_bits
    if plan.placement[0] != "camera":
        return float(bits[0]) / 8
    sent = zip(plan.ends, plan.placement, plan.placement[1:], estimate.stay_rates, strict=False)
    return sum(stay * bits[end] / 8 for end, tier, after, stay in sent if tier == "camera" != after)


def measured(run: Any, profile: Any, topology: Topology, plans: list[Any], count: int) -> dict[Any, tuple[float, ...]]:
    """By plan: predicted of the samples that are sent, and measured, mean latency in seconds; measured accuracy."""
    first, *others = dict.fromkeys(plans)
    samples = run.dataset.test[:count]
    achieved = {}
    with tempfile.TemporaryDirectory() as folder:
        bundle = offramp.build(
            run, first, out=Path(folder) / "bundle", profile=profile, topology=topology, alternatives=others, epochs=0
        )
        sessions = load_sessions(bundle.folder, bundle.manifest)
        with (
            LocalDeployment(bundle.folder, emulate=bundle.folder / "profile.json") as deployment,
            deployment.client() as client,
        ):
            for plan in (first, *others):
                predicted = run_locally(sessions, plan, samples.images, samples.labels).estimate(
                    profile=profile, topology=topology
                )
                answers = list(client.ask_all(samples.images, deadline_s=120, plan=plan))
                result = run_result(
                    answers, samples.labels, plan=plan, topology="camera", predicted=predicted, replayed=predicted
                )
                assert result.measured is not None
                assert not result.outcomes.failed
                assert not result.outcomes.degraded
                achieved[plan] = predicted.latency_s, result.measured.latency_s, result.measured.accuracy or 0.0
    return achieved


def show(rows: list[dict[str, Any]]) -> None:
    table = Table("Mb/s", "way", "bytes", "accuracy", "latency", "measured, off by", "plan")
    for row in rows:
        off = row["measured_s"] / row["predicted_s"] - 1
        table.add_row(
            f"{row['bandwidth_mb_per_s']:g}",
            row["way"],
            f"{row['bytes']:,.0f}",
            f"{row['accuracy']:.2%}" + ("" if row["floor_met"] else ", below the floor"),
            f"{1e3 * row['latency_s']:.1f} ms",
            f"{1e3 * row['measured_s']:.1f} ms, {off:+.2%}",
            row["plan"],
        )
    Console(width=150).print(table)
    worst = max(abs(row["measured_s"] / row["predicted_s"] - 1) for row in rows)
    print(f"Predicted and measured differ by {worst:.2%} at most.")


if __name__ == "__main__":
    main()
