"""Networks and data of others, all the way: trained by their owner, given exits, profiled, planned, built, validated.

Each case is a network of another kind with data that it is for. Its last exit is held against the owner's own module,
and a few plans are run. Data are given as options; a case without its data, or without its library, is skipped and
says so. Results are printed as a table, and written after each case with --out.

    python benchmarks/own_cases.py --catdog photos/ --texts texts.csv.gz --encoder encoder.whl --series series.whl
"""

import argparse
import json
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import own_networks as networks
import torch
from own_files import cuts_in
from own_given import CASES, Case, SkippedError
from rich.console import Console
from rich.table import Table

import offramp
from offramp.view.text import percent, seconds

WIDTH = 190


@dataclass(slots=True)
class Row:
    """What became of a case.

    step: where it ended; `done` where all of it ran.
    difference: the largest, of the last exit's logits from the owner's module.
    """

    case: str
    step: str = "making"
    problem: str = ""
    trace: str = ""
    samples: str = ""
    blocks: int = 0
    train_minutes: float | None = None
    all_minutes: float | None = None
    accuracy: tuple[float, ...] = ()
    difference: float | None = None
    plan: str = ""
    validation: list[dict[str, Any]] = field(default_factory=list)


def difference(run: Any, case: Case) -> float:
    """The largest of the last exit from the owner's network, over validation and test."""
    worst = 0.0
    for split in (case.data.validation, case.data.test):
        with torch.inference_mode():
            few = torch.tensor(split.images).split(networks.BATCH)
            ours = torch.cat([run.network(some)[-1] for some in few])
        worst = max(worst, float((ours - case.answers(split)).abs().max()))
    return worst


def gone_through(row: Row, case: Case, options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Every step of a case, told before it is done."""
    began = time.perf_counter()
    yield "train"
    run = offramp.train(case.backbone, case.data, out=folder / "run", progress=options.verbose, **case.asked)
    row.train_minutes = (time.perf_counter() - began) / 60
    row.blocks, row.accuracy = len(run.accuracy), run.accuracy
    yield "difference"
    row.difference = difference(run, case)
    yield "profile"
    profile = offramp.profile(run, out=folder / "profile.json", repeats=options.repeats, progress=False)
    yield "solve"
    solution = offramp.solve(profile, "mobile", codec="any", progress=False)
    row.plan = str(solution.plan)
    yield "build"
    offramp.build(run, solution, out=folder / "bundle", progress=False)
    yield "validate"
    validation = offramp.validate(
        run,
        profile,
        "mobile",
        plans=options.plans,
        count=options.count,
        progress=False,
    )
    row.validation = [
        {"plan": str(plan.plan), "predicted": asdict(plan.predicted), "measured": asdict(plan.measured)}
        for plan in validation.plans
    ]
    row.all_minutes = (time.perf_counter() - began) / 60
    yield "done"


def ran(name: str, options: argparse.Namespace, folder: Path) -> Row:
    """What became of the case called so."""
    row, began = Row(name), time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        case = CASES[name](options, folder)
        row.samples = repr(case.data)
        for step in gone_through(row, case, options, folder):
            row.step = step
            print(f"{time.perf_counter() - began:6.1f} s  {name}: {step}", flush=True)
    except SkippedError as error:
        row.step, row.problem = "skipped", str(error)
    except Exception as error:  # whatever it is, the other cases are to run
        row.problem = str(error) or type(error).__name__
        if not isinstance(error, offramp.OfframpError):
            row.trace = traceback.format_exc()
    return row


def shown(row: Row) -> tuple[str, ...]:
    """A row of the table."""
    accuracy = row.accuracy and (row.accuracy[0], row.accuracy[(len(row.accuracy) - 1) // 2], row.accuracy[-1])
    plans = row.validation
    mean = {
        (side, key): float(np.mean([plan[side][key] for plan in plans]))
        for side in ("predicted", "measured")
        for key in ("latency_s", "accuracy")
        if plans
    }
    return (
        row.case,
        str(row.blocks or "-"),
        "-" if row.train_minutes is None else f"{row.train_minutes:.2f}",
        " ".join(map(percent, accuracy)),
        "-" if row.difference is None else f"{row.difference:.2g}",
        row.plan,
        f"{seconds(mean['predicted', 'latency_s'])} {seconds(mean['measured', 'latency_s'])}" if plans else "-",
        f"{percent(mean['predicted', 'accuracy'])} {percent(mean['measured', 'accuracy'])}" if plans else "-",
        {"done": "yes", "skipped": "skipped"}.get(row.step, f"no: {row.step}"),
    )


def main() -> None:
    """Run the cases, print the table, and write JSON after each where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catdog", type=Path, help="a folder of pictures, with one per class in it")
    parser.add_argument("--pictures", type=int, default=2000, help="how many of them to take")
    parser.add_argument("--epochs", type=int, default=3, help="of the networks that learn from pictures")
    parser.add_argument("--texts", type=Path, help="a CSV, gzipped, with columns label and text")
    parser.add_argument("--encoder", type=Path, help="a wheel with an encoder of transformers in a folder `model`")
    parser.add_argument("--series", type=Path, help="a wheel with aeon's series")
    parser.add_argument("--voice", type=Path, help="a wheel with ONNX files, such as silero-vad's")
    parser.add_argument("--magika", type=Path, help="a wheel with ONNX files, such as magika's")
    parser.add_argument("--only", action="append", choices=[*CASES], help="a case to run; can be given again")
    parser.add_argument("--folder", type=Path, help="where to keep runs; a temporary one otherwise")
    parser.add_argument("--plans", type=int, default=4)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--out", type=Path, help="a JSON file for all that was found")
    options = parser.parse_args()
    rows, cuts = [], []
    with tempfile.TemporaryDirectory() as temporary:
        for number, name in enumerate(options.only or CASES):
            rows.append(ran(name, options, (options.folder or Path(temporary)) / f"case-{number}"))
            if options.out is not None:
                options.out.write_text(json.dumps({"cases": [asdict(row) for row in rows]}, indent=2))
        for wheel in (options.voice, options.magika):
            if wheel is not None:
                cuts += cuts_in(wheel, Path(temporary))
    if options.out is not None:
        found = {"cases": [asdict(row) for row in rows], "files": [asdict(cut) for cut in cuts]}
        options.out.write_text(json.dumps(found, indent=2))
    print_table(rows)
    for cut in cuts:
        print(f"{cut.file}, {cut.takes}: {', '.join(cut.blocks) or cut.refused}")


def print_table(rows: list[Row]) -> None:
    """A row for each case, and what went wrong."""
    table = Table(
        *("case", "blocks", "train min", "first, middle, last exit", "last exit off by", "plan"),
        *("latency predicted, measured", "accuracy predicted, measured", "all of it ran"),
    )
    for row in rows:
        table.add_row(*shown(row))
    Console(width=WIDTH).print(table)
    for row in rows:
        if row.problem:
            print(f"{row.case}, {row.step}: {row.problem}")


if __name__ == "__main__":
    main()
