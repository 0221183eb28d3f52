"""What the README shows is what the commands print, and its code runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()
TRANSCRIPTS = re.findall(r"^    \$ offramp (\w+ resnet20-digits .*)\n((?:    .*\n|\n(?=    ))*)", README, re.MULTILINE)


def plain(text: str) -> list[str]:
    """Lines without how long the search took, and without the spaces that fill a table."""
    text = re.sub(r"in [\d.]+ [mu]?s\.", "in no time.", text)
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(("command", "shown"), TRANSCRIPTS, ids=[command for command, _ in TRANSCRIPTS])
def test_a_command_prints_what_the_readme_shows(command: str, shown: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "offramp", *command.split()],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "100"},
        timeout=120,
    )
    assert plain(done.stdout) == plain(shown)


def test_both_worked_examples_are_there() -> None:
    assert [command.split()[0] for command, _ in TRANSCRIPTS] == ["plan", "compare"]


def test_the_python_example_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    plan, result = capsys.readouterr().out.splitlines()
    assert plan.startswith("1")
    assert "100 samples: 100 answered, 0 degraded, 0 failed" in result
    assert names["solution"].met
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "runs"]


def test_links_and_pictures_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
