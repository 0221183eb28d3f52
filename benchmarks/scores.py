"""Scores beside each other on samples that had no say: what entropy, margin and others cost in accuracy.

A network is trained with an exit after every block. For each score, the most accurate plan within a limit on latency is
found on the validation split, with a threshold of its own for each exit, and what it has right is counted on the test
split. Limits are shares of the latency of the most accurate plan without one.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

import offramp
from offramp.core.exits import Replay
from offramp.core.score import ScoreName, quantiles
from offramp.nn.inference import predict
from offramp.nn.profiling.exit_tables import exit_table
from offramp.nn.scores import fitted

SHARES = (0.4, 0.5, 0.6, 0.7, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet20")
    parser.add_argument("--data", default="digits", help="a data set's name, or its path")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--run", type=Path, default=Path("runs/scores"), help="the run's folder: trained once")
    parser.add_argument("--topology", default="mobile")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    given = parser.parse_args()
    run = offramp.train(given.backbone, given.data, out=given.run, epochs=given.epochs, separate=False)
    profile = offramp.profile(run, repeats=50)
    whole_s = max(
        plan.estimate.latency_s for plan in offramp.solve(profile, given.topology, min_accuracy=0.0, keep=1).frontier
    )
    logits, validation = predict(run.network, run.dataset.validation), run.dataset.validation
    rows = []
    for name in ScoreName:
        score = fitted(name, logits, validation.labels)
        table = exit_table(run.network, validation, score)
        own = replace(profile, score=score, exit_table=table, exits=None, codecs={})
        thresholds = quantiles(table.scores[:-1])
        held_out = exit_table(run.network, run.dataset.test, score)
        row: dict[str, object] = {"score": name.value}
        for share in SHARES:
            found = offramp.solve(
                own,
                given.topology,
                max_latency=f"{share * whole_s} s",
                keep=1,
                threshold_per_exit=True,
                thresholds=thresholds.tolist(),
                frontier=False,
            )
            counted = Replay(held_out, thresholds).rates(found.plan.ends, found.plan.thresholds)
            row[f"{share:.0%}"] = {"validation": found.estimate.accuracy, "test": counted.accuracy}
        rows.append(row)
    figures = {"backbone": given.backbone, "data": given.data, "epochs": given.epochs, "rows": rows}
    if given.out:
        given.out.write_text(json.dumps(figures, indent=2) + "\n")
    table = Table(
        "score", *(f"{share:.0%} of the latency" for share in SHARES), title="Accuracy on held-out samples, %"
    )
    for row in rows:
        cells = [row[f"{share:.0%}"] for share in SHARES]
        table.add_row(str(row["score"]), *(f"{100 * cell['test']:.2f}" for cell in cells))  # type: ignore[index]
    Console().print(table)


if __name__ == "__main__":
    main()
