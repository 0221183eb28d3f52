"""How much memory it takes to train exits on, and to profile, a data set of twice the memory that is allowed.

A folder of npy's is written, of random pictures. Another process trains exits for a small network on it and profiles
them. Its private memory is bound (`RLIMIT_DATA`) to what it has when everything is imported and a small data set is
trained on, and the allowed memory beside: a copy of the data in memory would end it. What is mapped from files is not
bound, as the system takes it back where memory is short.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import offramp
from offramp.files import maps

MB = 1_000_000
SIDE = 128
CLASSES = 4


class Small(nn.Module):
    """Three convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, 4, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 8, 3, 2, padding=1), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(8, 8, 3, 2, padding=1), nn.ReLU())
        self.classify = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] -> [B, classes]."""
        logits: torch.Tensor = self.classify(self.third(self.second(self.first(x))).mean(dim=(2, 3)))
        return logits


def status() -> dict[str, int]:
    """Bytes of this process's memory, by the names that the system has for it."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {line[0].rstrip(":"): 1024 * int(line[1]) for line in lines if line[-1] == "kB"}


class Peak:
    """The most private memory that this process has while it lasts: bytes that are in use, files' left out."""

    def __enter__(self) -> "Peak":
        self.bytes, self._end = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.005):
            self.bytes = max(self.bytes, status()["RssAnon"])


def written(folder: Path, size: int) -> int:
    """Write pictures of so many bytes and their classes; how many they are."""
    count = size // (3 * SIDE * SIDE)
    folder.mkdir()
    rng = np.random.default_rng(0)
    labels = np.arange(count) % CLASSES
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, 3, SIDE, SIDE))
    for piece in maps.pieces(images):
        noise = rng.integers(0, 150, images[piece].shape, np.uint8)
        images[piece] = noise + (25 * labels[piece]).astype(np.uint8)[:, None, None, None]
    np.save(folder / "labels.npy", labels)
    return count


def trained(data: Path, out: Path) -> Any:
    """Exits for a network of random weights, and their profile."""
    torch.manual_seed(0)
    run = offramp.train(Small(), str(data), out=out, train="exits", normalize="unit", epochs=1, progress=False)
    return offramp.profile(run, repeats=4, progress=False)


def bound(folder: Path, allowed: int, most_in_memory: int) -> dict[str, Any]:
    """Train and profile in this process, with so much memory allowed beside what it has before."""
    maps.MOST_IN_MEMORY = most_in_memory
    trained(folder / "few", folder / "run-few")
    before = status()
    limit = before["VmData"] + allowed
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with Peak() as peak:
        profile = trained(folder / "many", folder / "run-many")
    maps.MOST_IN_MEMORY = 1 << 40
    try:
        offramp.read_data(str(folder / "many"))
        fits = True
    except MemoryError:
        fits = False
    return {
        "fits_in_memory": fits,
        "before": before["RssAnon"],
        "peak": peak.bytes,
        "peak_with_files": status()["VmHWM"],
        "samples_profiled": profile.exits.samples,
    }


def measured(size: int = 600 * MB, allowed: int = 300 * MB, most_in_memory: int = 100 * MB) -> dict[str, Any]:
    """A process of its own, with data of that size."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        written(folder / "few", 4 * MB)
        count = written(folder / "many", size)
        command = [sys.executable, __file__, "--bound", made, "--allowed", str(allowed), "--keep", str(most_in_memory)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            why = next(iter(ran.stderr.splitlines()[-1:]), f"code {ran.returncode}")
            return {"samples": count, "size": size, "allowed": allowed, "ended": why}
        return {"samples": count, "size": size, "allowed": allowed, **json.loads(ran.stdout.splitlines()[-1])}


def show(result: dict[str, Any]) -> None:
    """Print what was measured."""
    print(f"{result['samples']} pictures of {SIDE}x{SIDE}: {result['size'] / MB:.0f} MB")
    print(f"memory allowed beside what the program has with hardly any data: {result['allowed'] / MB:.0f} MB")
    if "ended" in result:
        print(f"data in files: ended, {result['ended']}")
        return
    used = (result["peak"] - result["before"]) / MB
    print(f"data in files: trained and profiled, with {used:.0f} MB at most beside it")
    print(f"  {result['peak'] / MB:.0f} MB in all, {result['peak_with_files'] / MB:.0f} MB with mapped files")
    print("data in memory: " + ("there was room for them" if result["fits_in_memory"] else "no room for them"))


def main() -> None:
    """Print what was measured, or be the process that is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=600 * MB, help="bytes of pictures")
    parser.add_argument("--allowed", type=int, default=300 * MB, help="bytes")
    parser.add_argument("--keep", type=int, default=100 * MB, help="bytes of an array that is in memory at most")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bound", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bound is not None:
        print(json.dumps(bound(options.bound, options.allowed, options.keep)))
        return
    result = measured(options.size, options.allowed, options.keep)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
