"""`offramp worker` and `offramp infer`: the two ends of a deployment on real hosts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli.options import JsonOption
from offramp.cli.output import print_json
from offramp.cli.running import DeadlineOption, WindowOption

if TYPE_CHECKING:
    import threading

    import numpy as np
    from numpy.typing import NDArray

    from offramp.runtime.client import Answer

CertsOption = Annotated[
    Path | None, typer.Option(help="The folder with one's certificates from `offramp certs`. [default: no TLS]")
]


def worker(
    tier: Annotated[Path, typer.Argument(help="The tier's folder in a bundle: bundle/tiers/NAME.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen.")] = 7447,
    host: Annotated[str | None, typer.Option(help="The address to listen at. [default: all of this machine]")] = None,
    toward_cloud: Annotated[
        str | None, typer.Option("--next", metavar="HOST:PORT", help="The next tier toward the cloud, if there is one.")
    ] = None,
    certs: CertsOption = None,
    emulate: Annotated[
        Path | None, typer.Option(help="A profile: take as long as it says that this tier takes, no less.")
    ] = None,
    queue: Annotated[int, typer.Option(min=1, max=65536, help="Tasks that may wait for their turn.")] = 32,
    window: Annotated[int, typer.Option(min=1, max=256, help="Samples being handed to other tiers at once.")] = 4,
    attached: Annotated[bool, typer.Option("--attached", help="End when standard input does.")] = False,
) -> None:
    """Run one tier of a bundle on this machine, until interrupted.

    Start the tiers in any order: they find each other, also again after one was away.

    Example: offramp worker bundle/tiers/smartphone --next base-station.local:7447
    """
    from offramp.pipeline.arguments import require_runtime

    require_runtime()
    import logging
    import signal
    import threading

    from offramp.files import read_profile
    from offramp.runtime.tier.serve import Place, at_work
    from offramp.runtime.tier.worker import Limits

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    place = Place(port=port, host=host, toward_cloud=toward_cloud, certificates=certs)
    profile = None if emulate is None else read_profile(emulate)
    with at_work(tier, place, emulate=profile, limits=Limits(queue=queue, window=window)):
        print(f"{tier.name} listens on port {port}", file=sys.stderr)
        if attached:
            threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
        stop.wait()
        # A stalled link holds Zenoh up for longer than anybody waits for a process to end.
        watchdog = threading.Timer(4.0, os._exit, [0])
        watchdog.daemon = True
        watchdog.start()


def _stop_at_end_of_input(stop: threading.Event) -> None:
    # Not through sys.stdin: the interpreter can't shut down while a thread holds its lock.
    while os.read(0, 4096):
        pass
    stop.set()


def infer(
    bundle: Annotated[Path, typer.Argument(help="The bundle that the deployment runs.")],
    samples: Annotated[Path, typer.Argument(help="A folder of images, or an npz of images and perhaps labels.")],
    source: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the source tier listens.")],
    destination: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where the destination listens. [default: as the source]")
    ] = None,
    certs: CertsOption = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many samples to send at most. [default: all]")] = None,
    window: WindowOption = 4,
    deadline: DeadlineOption = "10s",
    out: Annotated[Path | None, typer.Option(help="Write the answers to this CSV file.")] = None,
    json: JsonOption = False,
) -> None:
    """Send samples to a running deployment, print its answers, and measure.

    A latency is the difference of two clocks, those of the source and of the destination: where they are two
    machines, keep these in step. Exit code 1 says that some samples got no answer.

    Example: offramp infer bundle photos/ --source watch.local:7447
    """
    from offramp.pipeline.arguments import require_runtime
    from offramp.pipeline.profile import writable
    from offramp.pipeline.progress import counted, reporting
    from offramp.pipeline.run import deadline_of

    require_runtime()
    from offramp.bundle import read_bundle
    from offramp.files.samples import read_samples
    from offramp.runtime.client import Client
    from offramp.runtime.transport.tls import tls_config

    deadline_s = deadline_of(deadline)
    if out is not None:
        writable("out", out)
    manifest = read_bundle(bundle)
    names, images, labels = read_samples(
        samples,
        shape=manifest.input_shape,
        kind=manifest.input_type,
        classes=len(manifest.class_names),
        most=count,
    )
    security = None if certs is None else tls_config(certs, [manifest.topology.source, manifest.topology.destination])
    with (
        reporting(None) as tell,
        Client(manifest, source=source, destination=destination or source, security=security) as client,
    ):
        asked = client.ask_all(images, deadline_s=deadline_s, window=window)
        answers = list(counted(asked, "samples", total=len(images), tell=tell))
    rows = [answer_document(answer, names[answer.number], labels, manifest.class_names) for answer in answers]
    summary = _summary(answers, labels)
    if json:
        print_json({"answers": rows, **summary})
    else:
        _print_answers(rows, summary)
    if out:
        _write_csv(rows, out)
    if summary["failed"]:
        raise typer.Exit(1)


def switch(
    bundle: Annotated[Path, typer.Argument(help="The bundle that the deployment runs.")],
    plan: Annotated[str, typer.Option(help="One of the bundle's plans, in one line; its thresholds are free.")],
    source: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the source tier listens.")],
    certs: CertsOption = None,
) -> None:
    """Have the samples that arise from now on go by another plan; those in flight end by theirs.

    Example: offramp switch bundle --source watch.local:7447 --plan "1-3@watch 4-10@phone T=0.30"
    """
    from offramp.pipeline.arguments import require_runtime

    require_runtime()
    from offramp.bundle import read_bundle
    from offramp.files import read_plan
    from offramp.runtime.client import Client
    from offramp.runtime.transport.tls import tls_config

    manifest = read_bundle(bundle)
    security = None if certs is None else tls_config(certs, [manifest.topology.source])
    with Client(manifest, source=source, destination=source, security=security) as client:
        before = client.current_plan()
        client.switch(read_plan(plan))
        print(f"{before}  ->  {client.current_plan()}")


def answer_document(
    answer: Answer, name: str, labels: NDArray[np.int64] | None, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """One answer for machines."""
    return {
        "sample": name,
        "class": None if answer.label is None else class_names[answer.label],
        "label": None if labels is None else class_names[labels[answer.number]],
        "probability": None if answer.label is None else float(answer.probabilities.max()),
        "exit": answer.exit,
        "degraded": answer.degraded,
        "known_accuracy": answer.accuracy if answer.label is not None else None,
        "latency_s": answer.latency_s,
        "error": answer.error or None,
    }


def _summary(answers: list[Answer], labels: NDArray[np.int64] | None) -> dict[str, Any]:
    import numpy as np

    from offramp.core.percentile import percentile

    answered = [answer for answer in answers if answer.label is not None]
    times = np.array([answer.latency_s for answer in answered])
    right = [answer.label == labels[answer.number] for answer in answered] if labels is not None else []
    return {
        "answered": len(answered),
        "degraded": sum(answer.degraded for answer in answered),
        "failed": len(answers) - len(answered),
        "accuracy": float(np.mean(right)) if right else None,
        "latency_s": float(times.mean()) if len(times) else None,
        **{f"p{q}_s": float(percentile(times, q)) if len(times) else None for q in (50, 95, 99)},
    }


def _print_answers(rows: list[dict[str, Any]], summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from offramp.view.text import percent, seconds

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading, justify in (("sample", "left"), ("class", "right"), ("sure", "right"), ("left at", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    table.add_column("latency", justify="right")
    table.add_column("")
    for row in rows:
        if row["error"]:
            error = f"[red]{escape(row['error'])}[/]"
            table.add_row(escape(row["sample"]), "-", "-", "-", seconds(row["latency_s"]), error)
            continue
        known = f"degraded: such answers are right in {percent(row['known_accuracy'])}" if row["degraded"] else ""
        left_at = f"partition {row['exit'] + 1}"
        sure = percent(row["probability"])
        table.add_row(escape(row["sample"]), escape(row["class"]), sure, left_at, seconds(row["latency_s"]), known)
    console.print(table)
    counts = ", ".join(f"{summary[key]} {key}" for key in ("answered", "degraded", "failed"))
    console.print(f"{len(rows)} samples: {counts}", highlight=False)
    if summary["accuracy"] is not None:
        console.print(f"accuracy {percent(summary['accuracy'])}", highlight=False)
    if summary["latency_s"] is not None:
        tail = "   ".join(f"p{q} {seconds(summary[f'p{q}_s'])}" for q in (50, 95, 99))
        console.print(f"latency {seconds(summary['latency_s'])} on average   {tail}", highlight=False)


def _write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    import csv
    import io

    from offramp.files.writing import replace_files

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*rows[0]])
    writer.writeheader()
    writer.writerows(rows)
    replace_files({path: text.getvalue().encode()})
