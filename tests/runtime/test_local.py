"""Deployments on this machine that can't start, and what is said of them."""

import shutil
from pathlib import Path

import pytest

from offramp.errors import InputError
from offramp.runtime import local
from offramp.runtime.local import LocalDeployment
from tests.runtime.tiny import Case


def test_a_tier_that_ends_at_once_is_named_with_its_last_words(tiny: Case, tmp_path: Path) -> None:
    shutil.copytree(tiny.folder, folder := tmp_path / "bundle")
    for model in (folder / "tiers" / "phone").glob("*.onnx"):
        model.write_bytes(b"damaged")
    with (
        pytest.raises(InputError, match=r"tier phone: ended with exit code 2; it said: (?s:.*)\.onnx") as error,
        LocalDeployment(folder) as deployment,
    ):
        pytest.fail(f"it starts: {deployment.places()}")
    assert "fix that" in str(error.value)


def test_a_tier_that_is_never_present_is_named(tiny: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_LONGEST_START_S", -1.0)
    absent = pytest.raises(InputError, match=r"tier \w+: was not present after -1 s; it said: ")
    with absent, LocalDeployment(tiny.folder):
        pytest.fail("it starts")


def test_processes_end_with_the_block(tiny: Case) -> None:
    with LocalDeployment(tiny.folder) as deployment:
        assert all(process.poll() is None for process in deployment.processes)
    assert all(process.returncode == 0 for process in deployment.processes)
