"""`offramp report` as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from offramp.cli.app import app
from offramp.core.result import RunResult
from offramp.core.validation import Validation
from offramp.errors import InputError
from offramp.files import read_profile, write_run_result, write_validation
from tests.reports.conftest import PLAN


def run_report(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "offramp", "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_study_from_files(tmp_path: Path, run: RunResult, validation: Validation) -> None:
    write_run_result(run, tmp_path / "run.json")
    write_validation(validation, tmp_path / "validation.json")
    out = tmp_path / "study.html"
    done = run_report(
        "resnet20-digits", "--min-accuracy", 0.95, "--run", tmp_path / "run.json", "--run",
        tmp_path / "validation.json", "--out", out, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["plans"] == [str(PLAN)]
    assert told["meets"] is True
    assert told["bytes"] == out.stat().st_size < 5e6
    text = out.read_text()
    assert "Predicted against measured: run.json" in text
    assert "Predicted against measured: validation.json" in text
    assert "--min-accuracy 0.95" in text


def test_the_format_is_the_endings_or_the_one_asked_for(tmp_path: Path) -> None:
    done = run_report("resnet20-digits", "--out", tmp_path / "report", "--format", "md", "--certify",
                      "--min-accuracy", 0.9)  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "report").read_text()
    assert text.startswith("# resnet20 on mobile")
    assert "Guaranteed on new samples: accuracy of at least 90.00 %" in text
    assert "samples that had no say in choosing it" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "report.txt"], "'report.txt' is none of html, pdf, png, md"),
        (["--out", "report.html", "--plan", "1-3@moon"], "has no tier 'moon'"),
        (["--out", "report.html", "--run", "nothing.json"], "there is no file 'nothing.json'"),
        (["--out", "nowhere/report.html"], "give a file in a folder that exists"),
    ],
)
def test_bad_input_names_the_place_and_the_remedy(tmp_path: Path, arguments: list[str], message: str) -> None:
    words = (word.replace("nowhere", str(tmp_path / "none")) for word in arguments)
    done = CliRunner().invoke(app, ["report", "resnet20-digits", *words])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_what_is_right_class_by_class_stands_in_the_report(tmp_path: Path) -> None:
    plan = "1-3@smartwatch 4-10@smartphone T=0.40"
    done = CliRunner().invoke(
        app, ["report", "resnet20-digits", "--out", str(tmp_path / "r.md"), "--plan", plan, "--min-accuracy", "0.8"]
    )
    assert done.exit_code == 0, done.stdout
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in (tmp_path / "r.md").read_text().splitlines()
    ]
    table = read_profile("resnet20-digits").exit_table
    # Counted by hand: who leaves at block 3, and what the two exits have right of each class.
    early = table.scores[2] <= np.float32(0.4)
    right = np.where(early, table.correct[2], table.correct[9])
    recalls = [right[table.label == each].mean() for each in range(10)]
    assert ["the plan", f"{100 * right.mean():.2f} %", f"{100 * np.mean(recalls):.2f} %"] in [row[:3] for row in rows]
    worst = int(np.argmin(recalls))
    assert [str(worst), str((table.label == worst).sum()), f"{100 * recalls[worst]:.2f} %"] in rows
    assert sum(row[0].startswith("exit ") and "alone" in row[0] for row in rows) == 10
