"""The whole study on a few images: interrupted in the middle, and gone on with."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SUBJECT = "resnet20-cifar10"


@dataclass(frozen=True)
class Done:
    """A study that was done, in two goes.

    work, out: its folders. first_go: checkpoints that were finished when it was killed, with their time of change.
    """

    cifar10: Path
    work: Path
    out: Path
    first_go: dict[Path, int]

    @property
    def words(self) -> list[str]:
        places = ["--cifar10", str(self.cifar10), "--work", str(self.work), "--out", str(self.out)]
        return [*places, "--without-inception", "--repeats", "4"]

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "studies.edgesys22", *self.words]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Done:
    root = tmp_path_factory.mktemp("study")
    study = Done(_few_images(root), root / "work", root / "out", {})
    log = root / "log"
    with log.open("w") as lines:
        process = subprocess.Popen([*study.command, "--budget", "1e-4"], cwd=ROOT, stderr=lines, stdout=lines)
        while process.poll() is None and "separate-3" not in log.read_text():
            time.sleep(0.05)
    assert process.poll() is None, log.read_text()
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = [path for name in ("joint", "separate-3") for path in study.work.rglob(f"{name}.safetensors")]
    study.first_go.update({path: path.stat().st_mtime_ns for path in finished})
    done = run(study.command)
    assert done.returncode == 0, done.stderr
    return study


def _few_images(root: Path) -> Path:
    """300 images in CIFAR-10's batches: noise with a bright patch whose place tells the class."""
    rng = np.random.default_rng(0)
    folder = root / "cifar-10-batches-bin"
    folder.mkdir()
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        labels = np.arange(50) % 10
        images = rng.integers(0, 100, (50, 3, 32, 32), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[label % 3, 3 * label : 3 * label + 5] += 120
        records = np.concatenate([labels[:, None].astype(np.uint8), images.reshape(50, -1)], axis=1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder
