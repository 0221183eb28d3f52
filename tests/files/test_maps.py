"""Arrays that may be larger than memory."""

import gc
import io
import pickle
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from offramp.errors import InputError
from offramp.files import maps


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where temporary files are; arrays of more than 100 bytes are in files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 100)
    return tmp_path


class ByPath(pickle.Pickler):
    def reducer_override(self, value: object):
        return maps.by_path(value)


def sent(array: np.ndarray) -> tuple[np.ndarray, int]:
    """The array as another process gets it, and how many bytes it is sent in."""
    buffer = io.BytesIO()
    ByPath(buffer, pickle.HIGHEST_PROTOCOL).dump(array)
    return pickle.loads(buffer.getvalue()), len(buffer.getvalue())


def test_a_large_array_is_in_a_file_while_it_or_a_view_is_there(folder):
    assert not maps.is_mapped(maps.empty("x", (100,), np.uint8))
    array = maps.empty("x", (3, 101), np.uint8)
    assert maps.is_mapped(array)
    view, file = np.asarray(array[1:]), Path(array.filename)
    del array
    gc.collect()
    view[:] = 7
    assert file.read_bytes() == bytes(101) + bytes([7]) * 202
    del view
    gc.collect()
    assert not file.exists()
    assert not [*folder.iterdir()]


def test_a_process_that_is_killed_leaves_no_file(folder):
    if not Path("/proc/self/fd").exists():
        pytest.skip("the system names files by their descriptors elsewhere")
    kept = maps.empty("x", (101,), np.uint8)
    assert maps.is_mapped(kept)
    assert not [*folder.iterdir()]


def test_what_the_disk_has_no_room_for_is_refused(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    with pytest.raises(InputError, match=r"x: needs 0\.02 GB on disk, in .* 0\.01 GB are free; make room, set TMPDIR"):
        maps.empty("x", (20_000_000,), np.uint8)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 62))
    with pytest.raises(InputError, match=r"x: needs .*; make room"):
        maps.empty("x", (1 << 60,), np.uint8)
    assert not [*folder.iterdir()]


@pytest.mark.parametrize("count", [None, 700])
def test_samples_are_put_down_one_after_the_other(folder, count):
    samples = np.arange(2100, dtype=np.int32).reshape(700, 3)
    found = maps.filled("x", iter(samples), count=count)
    assert maps.is_mapped(found)
    assert np.array_equal(found, samples)
    assert maps.filled("x", []) is None


@pytest.mark.parametrize("layout", ["first", "last", "gray"])
def test_samples_are_chosen_from_files_as_from_memory(folder, layout):
    """Values and layout: networks' sums depend on it to the last bit."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, {"first": (50, 3, 4, 5), "last": (50, 4, 5, 3), "gray": (50, 1, 4, 5)}[layout])
    np.save(folder / "whole.npy", whole.astype(np.uint8))
    in_file, in_memory = (np.load(folder / "whole.npy", mmap_mode=mode) for mode in ("r", None))
    if layout == "last":
        in_file, in_memory = in_file.transpose(0, 3, 1, 2), in_memory.transpose(0, 3, 1, 2)
    in_file, in_memory = (np.broadcast_to(array, (50, 3, 4, 5), subok=True) for array in (in_file, in_memory))
    for places in (np.array([1, 4, 20, 49]), np.arange(10, 30), np.array([3])):
        found = maps.chosen("x", [in_file[:15], in_file[15:]], places)
        wanted = in_memory[places]
        assert maps.is_mapped(found)
        assert np.array_equal(found, wanted)
        assert np.array(found, order="K").strides == wanted.strides
    run = maps.chosen("x", [in_file], np.arange(10, 30))
    assert np.shares_memory(run, in_file)
    back, size = sent(run)
    assert np.array_equal(back, run)
    assert back.strides == run.strides
    assert size < 1000
    assert not back.flags.writeable


def test_samples_of_several_types_get_one(folder):
    parts = [np.ones((4, 2), np.uint8), np.full((90, 2), 0.5, np.float32)]
    found = maps.chosen("x", parts, np.array([0, 3]))
    assert found.dtype == np.float32
    assert maps.is_mapped(found)


def test_what_is_in_memory_is_sent_as_it_is():
    back, size = sent(np.arange(1000))
    assert np.array_equal(back, np.arange(1000))
    assert size > 8000
