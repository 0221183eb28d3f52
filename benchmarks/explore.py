"""How long the explorer takes from a key on a slider to the picture: a real browser on the real page.

Each press of an arrow key moves the bandwidth of the first link by one step. The clock is the browser's: from the key
event to the frame that shows the new plan, and to the end of drawing the new plot. For the shipped profile and for a
made-up one of 55 blocks, by published exit rates and by replay.
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from instances import problem
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from offramp.core.percentile import percentile
from offramp.files import write_profile, write_topology

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Milliseconds from the key to the frame after the answer changed, and to the end of drawing the plot.
MEASURE = """([label, key]) => new Promise((done) => {
  const slider = document.querySelector(`.q-slider[aria-label="${label}"] [tabindex]`);
  const answer = document.querySelector('.answer').parentElement;
  const plot = getElement(document.querySelector('.chart.tall').id.slice(1)).chart;
  const seen = {};
  const end = () => { if (seen.plan && seen.plot) { plot.off('rendered', drawn); done([seen.plan, seen.plot]); } };
  const drawn = () => { seen.plot ??= performance.now() - began; end(); };
  const watch = new MutationObserver(() => {
    watch.disconnect();
    plot.on('rendered', drawn);
    requestAnimationFrame(() => setTimeout(() => { seen.plan = performance.now() - began; end(); }));
  });
  watch.observe(answer, {childList: true, subtree: true, characterData: true});
  slider.focus();
  const began = performance.now();
  slider.dispatchEvent(new KeyboardEvent('keydown', {key, keyCode: key === 'ArrowRight' ? 39 : 37, bubbles: true}));
})"""


@contextmanager
def explorer(*arguments: str) -> Iterator[str]:
    """The explorer as a process of its own; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "offramp", "explore", *arguments, "--port", str(port), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()


def measure(page: Page, address: str, label: str, *, repeats: int) -> list[list[float]]:
    """[repeats] of milliseconds to the plan and to the plot."""
    page.goto(address)
    page.wait_for_selector("[data-plan]", timeout=60_000)
    page.wait_for_timeout(3000)
    times = []
    for i in range(repeats + 3):
        times.append(page.evaluate(MEASURE, [label, "ArrowRight" if i % 2 else "ArrowLeft"]))
        page.wait_for_timeout(250)
    return times[3:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    busy = f"{os.cpu_count()} cores, {os.getloadavg()[0]:.1f} processes wanting them"
    table = Table(title=f"Milliseconds from a key to the picture, median and 95th percentile; {busy}")
    for heading in ("profile", "plans on the frontier", "plan", "plan p95", "plot", "plot p95"):
        table.add_column(heading, justify="right")
    with TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        cases = {"resnet20-digits": (["resnet20-digits"], "bandwidth, smartwatch to smartphone")}
        for samples in (0, 1000):
            profile, topology = problem(blocks=55, tiers=4, thresholds=20, samples=samples)
            file = folder / f"made-up-{samples}.json"
            write_profile(profile, file)
            write_topology(topology, folder / "line.yaml")
            words = f"55 blocks, {f'replay of {samples} samples' if samples else 'published'}"
            cases[words] = ([str(file), "--topology", str(folder / "line.yaml")], "bandwidth, tier1 to tier2")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for words, (arguments, label) in cases.items():
            with explorer(*arguments) as address:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                plan, plot = np.array(measure(page, address, label, repeats=repeats)).T
                members = page.locator(".main section:last-child tbody tr").count()
                page.close()
            figures = [f"{float(percentile(each, q)):.0f}" for each in (plan, plot) for q in (50, 95)]
            table.add_row(words, str(members), *figures)
        browser.close()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
