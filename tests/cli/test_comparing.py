"""`offramp compare`, whole."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from offramp.cli.comparing import compare

APP = typer.Typer()
APP.command()(compare)


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three blocks, four samples: half of them are easy, and the last branch alone knows all."""
    document = {
        "offramp": "profile/1",
        "backbone": {
            "name": "tiny",
            "dataset": "none",
            "input_bits": 24_576,
            "result_bits": 320,
            "blocks": [{"name": f"b{i}", "output_bits": 65_536} for i in (1, 2, 3)],
        },
        "timings": {"here": {"block_s": [1e-3] * 3, "branch_s": [1e-4] * 3}},
        "reference_device": "here",
        "exit_table": "tiny.npz",
    }
    folder = tmp_path_factory.mktemp("profile")
    np.savez(
        folder / "tiny.npz",
        entropy=np.array([[0.1, 0.2, 0.9, 0.9], [0.0, 0.1, 0.5, 0.9], [0.0, 0.0, 0.1, 0.2]], np.float32),
        correct=np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]], np.bool_),
        label=np.zeros(4, np.int64),
    )
    path = folder / "tiny.json"
    path.write_text(json.dumps(document))
    return path


def test_json_has_a_row_per_system_and_offramp_last(profile: Path) -> None:
    result = CliRunner().invoke(APP, [str(profile), "-t", "mobile", "--min-accuracy", "1", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["requirement"] == {"min_accuracy": 1.0, "max_latency_s": None}
    assert document["exit_model"] == "replay"
    rows = {row["system"]: row for row in document["rows"]}
    assert list(rows)[-1] == "Offramp"
    assert rows["device-only"]["plan"] == "1-3@smartwatch"
    assert rows["device-only"]["accuracy"] == 1.0
    assert rows["device-only"]["latency_s"] == pytest.approx(500 * 3.1e-3)
    ours = rows["Offramp"]["latency_s"]
    assert rows["device-only"]["gain"] == pytest.approx(1 - ours / rows["device-only"]["latency_s"])


def test_the_table_says_who_misses_the_requirement(profile: Path) -> None:
    result = CliRunner().invoke(APP, [str(profile), "--max-latency", "1.3s"], env={"COLUMNS": "160"})
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert "latency of at most 1.3 s" in result.stdout
    assert "1.55 s" in lines["device-only"]
    assert " no " in lines["device-only"]
    assert " yes " in lines["Offramp"]
    assert "% faster" in lines["device-only"]
