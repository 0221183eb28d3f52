"""Files that are there and can't be read."""

import os
from pathlib import Path

import pytest

from offramp.errors import InputError
from offramp.files.sources import locate, read_bytes


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a regular file"):
        locate(tmp_path / "pipe")


def test_what_the_system_does_not_let_us_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read: Is a directory"):
        read_bytes(tmp_path, most=1)
