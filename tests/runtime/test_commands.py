"""`offramp infer` and `offramp switch` against a deployment: what they print and how they end."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from offramp.runtime.local import LocalDeployment
from tests.runtime.conftest import PLANS
from tests.runtime.places import free_port
from tests.runtime.tiny import Case


def offramp(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "offramp", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def samples(tiny: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All samples, and as labels what the first plan answers."""
    path = tmp_path_factory.mktemp("samples") / "samples.npz"
    every_expected = [tiny.expected(PLANS[0], number) for number in range(len(tiny.samples))]
    labels = np.array([expected.probabilities[expected.exit].argmax() for expected in every_expected])
    np.savez(path, images=np.array(tiny.samples), labels=labels)
    return path


def test_infer_says_what_the_plan_answers(
    tiny: Case, deployment: LocalDeployment, samples: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.csv"
    source = deployment.places()[0]
    done = offramp("infer", tiny.folder, samples, "--source", source, "--out", out, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert {key: document[key] for key in ("answered", "degraded", "failed", "accuracy")} == {
        "answered": len(tiny.samples),
        "degraded": 0,
        "failed": 0,
        "accuracy": 1.0,
    }
    assert 0 < document["p50_s"] <= document["p95_s"] <= document["p99_s"] < 10
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(document["answers"]) == len(tiny.samples)
    names = tiny.manifest.class_names
    for number, (answer, row) in enumerate(zip(document["answers"], rows, strict=True)):
        expected = tiny.expected(PLANS[0], number)
        shares = expected.probabilities[expected.exit]
        assert (answer["sample"], answer["exit"], answer["class"]) == (
            str(number),
            expected.exit,
            names[shares.argmax()],
        )
        assert answer["probability"] == pytest.approx(shares.max(), abs=1e-4)
        assert (answer["degraded"], answer["error"]) == (False, None)
        assert {key: "" if value is None else str(value) for key, value in answer.items()} == row


def test_infer_speaks_to_people_too(tiny: Case, deployment: LocalDeployment, samples: Path) -> None:
    done = offramp("infer", tiny.folder, samples, "--source", deployment.places()[0], "--count", 5)
    assert done.returncode == 0
    assert "5 samples: 5 answered, 0 degraded, 0 failed" in done.stdout
    assert "accuracy 100.00 %" in done.stdout


def test_infer_ends_with_1_where_samples_have_no_answer(tiny: Case, deployment: LocalDeployment, samples: Path) -> None:
    source, link = deployment.places()[0], deployment.links[0]
    assert offramp("switch", tiny.folder, "--source", source, "--plan", PLANS[1]).returncode == 0
    link.cut()
    try:
        done = offramp("infer", tiny.folder, samples, "--source", source, "--deadline", "3s", "--json")
        assert done.returncode == 1
        document = json.loads(done.stdout)
        assert (document["answered"], document["failed"]) == (0, len(tiny.samples))
        assert all("the input can't be passed on to phone" in answer["error"] for answer in document["answers"])
        assert all(answer["class"] is None for answer in document["answers"])
    finally:
        link.restore()
        offramp("switch", tiny.folder, "--source", source, "--plan", PLANS[0])


def test_switch_says_from_what_to_what(tiny: Case, deployment: LocalDeployment) -> None:
    source = deployment.places()[0]
    done = offramp("switch", tiny.folder, "--source", source, "--plan", PLANS[2])
    assert (done.returncode, done.stdout) == (0, f"{PLANS[0]}  ->  {PLANS[2]}\n")
    with deployment.client() as client:
        assert str(client.current_plan()) == PLANS[2]
    done = offramp("switch", tiny.folder, "--source", source, "--plan", PLANS[0])
    assert (done.returncode, done.stdout) == (0, f"{PLANS[2]}  ->  {PLANS[0]}\n")


def test_what_can_not_be_done_ends_with_2_and_the_remedy(
    tiny: Case, deployment: LocalDeployment, samples: Path
) -> None:
    source, nobody = deployment.places()[0], f"127.0.0.1:{free_port()}"
    for arguments, message in (
        (
            ["switch", tiny.folder, "--source", source, "--plan", "1-3@watch 4@cloud T=0.5"],
            "was not built for the plan",
        ),
        (["switch", tiny.folder, "--source", source, "--plan", "1@watch 2-x"], "'2-x' is not a partition"),
        (["switch", tiny.folder, "--source", nobody, "--plan", PLANS[0]], "start the tier's worker"),
        (["infer", tiny.folder, samples, "--source", nobody], "start the tier's worker"),
        (["infer", samples.parent, samples, "--source", source], "there is no file 'bundle.json'"),
        (["infer", tiny.folder, tiny.folder / "bundle.json", "--source", source], "is not an npz"),
    ):
        done = offramp(*arguments)
        assert done.returncode == 2, done.stderr
        assert message in " ".join(done.stderr.split()), done.stderr
        assert "Traceback" not in done.stderr
