"""One way through all verbs, with a real network on real data; tests only read what it made."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import offramp
from offramp.nn.training.run import Run


@dataclass(frozen=True)
class Way:
    """What each verb gave, one after the other, and what it told of its progress."""

    run: Run
    profile: offramp.Profile
    solution: offramp.Solution
    bundle: offramp.Bundle
    result: offramp.BundleRun
    progress: dict[str, list[offramp.Progress]]


@pytest.fixture(scope="session")
def way(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Way:
    folder: Path = tmp_path_factory.mktemp("way")
    shutil.copytree(run.folder, folder / "run")  # what is tuned is kept in the run's folder, and others read theirs
    run = offramp.read_run(folder / "run")
    progress: dict[str, list[offramp.Progress]] = {"profile": [], "solve": [], "build": [], "run": []}
    profile = offramp.profile(run, out=folder / "profile.json", repeats=4, progress=progress["profile"].append)
    solution = offramp.solve(profile, "iot", min_accuracy=0.0, keep=1, codec="any", progress=progress["solve"].append)
    bundle = offramp.build(run, solution, out=folder / "bundle", epochs=1, progress=progress["build"].append)
    result = offramp.run(bundle, run.dataset.test[:6], progress=progress["run"].append)
    return Way(run, profile, solution, bundle, result, progress)
