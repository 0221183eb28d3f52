"""A bundle at work whose samples get no answer, and what can't be run at all, on a network made by hand."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import offramp
from offramp.cli.running import run
from offramp.core.backbone import Backbone, Block
from offramp.core.exit_table import ExitTable
from offramp.core.profile import Profile
from offramp.core.timing import Timing
from offramp.core.topology import Link
from offramp.errors import InputError
from offramp.files import read_result, write_profile
from offramp.pipeline.run import deadline_of
from tests.runtime.tiny import BLOCKS, Case, case, line

APP = typer.Typer()
APP.command()(run)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Four blocks on the far side of a slow link, and a profile of them."""
    topology = line("watch", "cloud", link=Link(1e8, 0.2))
    made = case(tmp_path_factory.mktemp("tiny") / "bundle", topology, ["1-4@cloud"])
    sample, *activations, result = made.manifest.object_bits
    write_profile(
        Profile(
            Backbone(
                "tiny", "made-up", sample, result, tuple(Block(f"b{i}", bits) for i, bits in enumerate(activations))
            ),
            {
                "here": Timing(
                    np.full(BLOCKS, 1e-4), np.full(BLOCKS, 1e-5), None, np.zeros(BLOCKS + 2), np.zeros(BLOCKS + 2)
                )
            },
            "here",
            exit_table=ExitTable(np.zeros((BLOCKS, 2)), np.ones((BLOCKS, 2), bool), np.zeros(2, int)),
        ),
        made.folder / "profile.json",
    )
    return made


def test_without_any_answer_the_first_error_is_told_and_the_command_fails(tiny: Case, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", images=np.array(tiny.samples[:4]))
    samples, out = str(tmp_path / "samples.npz"), str(tmp_path / "result.json")
    words = [str(tiny.folder), "--samples", samples, "--deadline", "50 ms", "--out", out]
    done = CliRunner().invoke(APP, words, env={"COLUMNS": "200"})
    assert done.exit_code == 1, done.output
    lines = done.stdout.splitlines()
    assert lines[:2] == ["1-4@cloud", "4 samples: 0 answered, 0 degraded, 4 failed"]
    assert lines[2].startswith("No answer at all. The first error: the input can't be passed on to cloud")
    result = read_result(out)
    assert result.measured is None
    # Nobody knows what the samples are, so nothing is predicted of them in particular.
    assert result.replayed is None
    assert result.predicted.latency_s == pytest.approx(0.4, rel=0.01)


def test_a_bundle_of_no_data_set_needs_samples(tiny: Case) -> None:
    with pytest.raises(InputError, match="does not say which data set it is for; give samples"):
        offramp.run(tiny.folder)


@pytest.mark.parametrize("text", ["0 s", "-1 s", "86401 s"])
def test_a_deadline_is_more_than_nothing_and_at_most_a_day(text: str) -> None:
    with pytest.raises(InputError, match=f"deadline: {text} is no time to wait"):
        deadline_of(text)
    assert deadline_of("86400 s") == 86400
