"""Progress shows by itself in a terminal and in a notebook, and goes to a callback instead where one is given."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from offramp.pipeline.progress import Progress, counted, reporting

SCRIPT = """
from offramp.pipeline.progress import Progress, reporting
with reporting({progress}) as tell:
    for done in (0.25, 0.5, 1.0):
        tell(Progress("learning", done, "loss 0.5"))
    tell(Progress("waiting", None))
print("over")
"""


def in_terminal(progress: str) -> str:
    """What a script's standard error says in a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SCRIPT.format(progress=progress)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    ) as run:
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 4096)
            except OSError:  # that is how Linux says that nobody holds the other end any more
                break
        assert run.wait(60) == 0
    os.close(ours)
    return said.decode()


def in_pipe(progress: str) -> str:
    command = [sys.executable, "-c", SCRIPT.format(progress=progress)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr


def test_a_terminal_shows_it_and_what_is_done_stays_as_a_line() -> None:
    assert "learning: loss 0.5" in in_terminal("None")
    assert "learning" not in in_terminal("False")
    assert "learning" not in in_terminal("lambda progress: None")


def test_a_pipe_is_told_only_when_that_is_asked_for() -> None:
    assert in_pipe("None") == ""
    assert "learning: loss 0.5" in in_pipe("True")


def test_a_notebook_shows_progress_and_values(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(SCRIPT.format(progress="None")),
            nbformat.v4.new_code_cell("import offramp\nofframp.solve('resnet20-digits', min_accuracy=0.9)"),
        ]
    )
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown, solved = (cell.outputs for cell in notebook.cells)
    (bars,) = (output.data["text/html"] for output in shown if output.output_type == "display_data")
    assert '<progress value="1.0000">' in bars
    assert "learning" in bars
    assert "loss 0.5" in bars
    (value,) = (output.data for output in solved if output.output_type == "execute_result")
    assert value["text/plain"].startswith("Solution(met: ")
    assert value["text/html"].count("<svg") == 2


def test_a_callback_takes_it() -> None:
    told: list[Progress] = []
    with reporting(told.append) as tell:
        assert list(counted("abcd", "letters", total=4, tell=tell)) == list("abcd")
    assert told == [Progress("letters", count / 4, f"{count} of 4") for count in range(1, 5)]


def test_an_error_on_the_way_ends_the_display() -> None:
    def broken() -> None:
        with reporting(True) as tell:
            tell(Progress("learning", 0.5))
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken()
