"""Nothing is half-written, and no bytes make a reader raise anything but `InputError`."""

import contextlib
import copy
import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.errors import InputError
from offramp.files import read_plan, read_profile, read_topology, write_profile, write_topology
from tests import strategies as own
from tests.files.test_faults import PLAN, TABLE, TOPOLOGY, npz
from tests.files.test_round_trips import SMALL_PROFILE

READERS = (read_topology, read_profile, read_plan)
WHOLE = {read_topology: TOPOLOGY, read_profile: json.loads(SMALL_PROFILE), read_plan: PLAN}

fuzzing = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_all(path: Path) -> None:
    for read in READERS:
        with contextlib.suppress(InputError):
            read(path)


@fuzzing
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    read_all(path)


@fuzzing
@given(text=st.text(st.sampled_from("{}[]:,-&*!|>'\"#%@?~.<=0123456789eEnN \n\tab_"), max_size=60))
def test_any_yaml_or_json_like_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    read_all(path)
    with contextlib.suppress(InputError):
        read_plan(text)


odd = st.sampled_from(
    [None, True, "", "x", "1-2@a", "\ud800", "1e400", -1, 0, 1, 1.5, 10**400, 1e308, float("nan"), float("inf"), [], {}]
)


@fuzzing
@given(data=st.data())
def test_any_change_of_a_good_document(tmp_path: Path, data: st.DataObject) -> None:
    """Entries replaced, removed, added, at any depth."""
    path = tmp_path / "x"
    for read, whole in WHOLE.items():
        document = json.loads(json.dumps(whole))
        for _ in range(data.draw(st.integers(1, 3))):
            change(document, data)
        path.write_text(json.dumps(document))
        with contextlib.suppress(InputError):
            read(path)


def change(node: dict | list, data: st.DataObject) -> None:
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    key = data.draw(st.sampled_from(keys)) if keys else None
    inner = None if key is None else node[key]
    if isinstance(inner, dict | list) and data.draw(st.integers(0, 3)):
        return change(inner, data)
    # A copy: what is drawn may be the strategy's own, and the next change may be inside of it.
    value = copy.deepcopy(data.draw(odd | own.json_values))
    match data.draw(st.integers(0, 3)):
        case 0 if key is not None:
            del node[key]
        case 1 if isinstance(node, dict):
            node[data.draw(st.text(max_size=3))] = value
        case 2 if isinstance(node, list):
            node.append(value)
        case _ if key is not None:
            node[key] = value
    return None


@fuzzing
@given(at=st.integers(0, 2**20), byte=st.integers(0, 255), cut=st.booleans())
def test_any_damage_to_an_exit_table(tmp_path: Path, at: int, byte: int, cut: bool) -> None:
    content = bytearray(npz(**TABLE))
    at %= len(content)
    content[at] = byte
    (tmp_path / "x.npz").write_bytes(content[:at] if cut else content)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(json.loads(SMALL_PROFILE) | {"exit_table": "x.npz"}))
    with contextlib.suppress(InputError):
        read_profile(path)


def test_a_pickle_in_an_exit_table_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    buffer = io.BytesIO()
    np.savez(buffer, **TABLE | {"label": np.array([Trap()] * 3, dtype=object)})
    (tmp_path / "x.npz").write_bytes(buffer.getvalue())
    path = tmp_path / "p.json"
    path.write_text(json.dumps(json.loads(SMALL_PROFILE) | {"exit_table": "x.npz"}))
    with pytest.raises(InputError, match="object"):
        read_profile(path)
    assert not (tmp_path / "sprung").exists()


def test_a_yaml_that_would_unfold_without_end(tmp_path: Path) -> None:
    layers = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))
    path = tmp_path / "bomb.yaml"
    path.write_text(f"a0: &a0 [lol]\n{layers}")
    with pytest.raises(InputError, match="alias"):
        read_topology(path)


def test_a_file_that_is_wrong_everywhere_is_told_soon(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({f"key{i}": 1 for i in range(100_000)}))
    with pytest.raises(InputError) as caught:
        read_profile(path)
    assert 1000 <= len(caught.value.faults) <= 2010


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_files_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(json.loads(SMALL_PROFILE) | {"exit_table": "p.npz"}))
    (tmp_path / "p.npz").write_bytes(npz(**TABLE))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    profile = read_profile(path)
    monkeypatch.setattr(os, failing, full_disk)
    with pytest.raises(InputError, match="No space left") as caught:
        write_profile(profile, path)
    assert caught.value.source in {str(path), str(path.with_suffix(".npz"))}
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_file_is_replaced_only_when_both_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up with the second file: the first, written by then, must not be put in place either."""
    path = tmp_path / "p.json"
    path.write_text(json.dumps(json.loads(SMALL_PROFILE) | {"exit_table": "p.npz"}))
    (tmp_path / "p.npz").write_bytes(npz(**TABLE))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    profile = read_profile(path)
    calls = iter([lambda _: None, full_disk])
    monkeypatch.setattr(os, "fsync", lambda file: next(calls)(file))
    with pytest.raises(InputError, match="No space left"):
        write_profile(profile, path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_writing_where_one_cannot(tmp_path: Path) -> None:
    topology = read_topology("mobile")
    (tmp_path / "file").touch()
    for path in (tmp_path / "no" / "t.yaml", tmp_path / "file" / "t.yaml", tmp_path):
        with pytest.raises(InputError, match="can't be written"):
            write_topology(topology, path)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_provenance_that_json_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(SMALL_PROFILE)
    profile = read_profile(path)
    for value in (float("nan"), {1, 2}):
        profile.provenance["odd"] = value
        with pytest.raises(InputError, match="provenance"):
            write_profile(profile, path)
    assert path.read_text() == SMALL_PROFILE


def test_the_safe_loader_is_all_that_is_needed(tmp_path: Path) -> None:
    """What YAML's own safe loader makes of a written file is what the schema describes."""
    write_topology(read_topology("mobile"), tmp_path / "t.yaml")
    document = yaml.safe_load((tmp_path / "t.yaml").read_text())
    assert document["tiers"][2] == {"name": "base-station", "slowdown": 2.5}
    assert document["links"][0] == {"bandwidth": "500 kb/s", "latency": "6 ms"}


def test_reading_files_imports_nothing_heavy() -> None:
    code = "import sys, offramp.files; print(*(sys.modules.keys() & {'torch', 'matplotlib', 'numba', 'rich', 'typer'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
