"""Bundles as others may have left them: read back as written, or refused with every fault; nothing else happens."""

import json
import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.bundle import Manifest, TierManifest, read_bundle, read_model, read_tier, write_bundle
from offramp.bundle.session import PartitionSession
from offramp.core.topology import Link
from offramp.errors import InputError
from offramp.files import read_profile
from tests.runtime.conftest import PLANS
from tests.runtime.tiny import Case, case, line, received
from tests.strategies import json_values

TIERS = ("watch", "phone", "cloud")
FIELDS = [name for name in Manifest.__dataclass_fields__]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return case(tmp_path_factory.mktemp("tiny") / "bundle", line(*TIERS, link=Link(1e9, 0.0002)), PLANS)


@pytest.fixture(scope="module")
def copy(tiny: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests to damage; each mends it."""
    folder = tmp_path_factory.mktemp("copy") / "bundle"
    shutil.copytree(tiny.folder, folder)
    return folder


def places(document: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON document."""
    yield way
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield from places(document[key], (*way, key))


ODD = st.one_of(
    json_values,
    st.sampled_from(
        [0, -1, 1 << 63, 1 << 200, 10**400, 1e308, -0.0, "", "\x00", "../x", "é" * 300, [], {}, True, None]
    ),
    st.sampled_from([float("nan"), float("inf"), [[[]]], "1@watch", "1-4@watch T=2", "9" * 5000]),
).map(deepcopy)  # the next edit may be inside of it


def edited(document: Any, data: st.DataObject) -> str:
    """A document with a few entries replaced, dropped, doubled or moved."""
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from([place for place in places(document) if place]))
        parent = document
        for key in way:
            parent = parent[key]
        action = data.draw(st.sampled_from(["replace", "replace", "drop", "add"]))
        if action == "replace":
            parent[last] = data.draw(ODD)
        elif action == "drop":
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(last, parent[data.draw(st.integers(0, len(parent) - 1))])
        else:
            parent[data.draw(st.text(max_size=8))] = data.draw(ODD)
        if not document:
            break
    return json.dumps(document)


def refused_or_sound(read: Callable[[], Manifest | TierManifest]) -> None:
    refusal: InputError | None = None
    try:
        found = read()
    except InputError as error:
        refusal = error
    if refusal is None:
        assert all(Path(partition.file).name == partition.file for partition in found.partitions)
        return
    assert refusal.faults
    assert all(fault.place and fault.problem and fault.remedy for fault in refusal.faults)
    assert str(refusal).encode()


@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["bundle.json", "tiers/phone/tier.json"])
def test_an_edited_manifest_is_refused_or_sound(copy: Path, name: str, data: st.DataObject) -> None:
    path = copy / name
    whole = path.read_text()
    try:
        path.write_text(edited(json.loads(whole), data))
        refused_or_sound(lambda: read_bundle(copy) if name == "bundle.json" else read_tier(path.parent))
    finally:
        path.write_text(whole)


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["bundle.json", "tiers/phone/tier.json", "tiers/phone/topology.yaml"])
def test_a_damaged_file_is_refused_or_sound(copy: Path, name: str, data: st.DataObject) -> None:
    path = copy / name
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
        refused_or_sound(lambda: read_bundle(copy) if name == "bundle.json" else read_tier(path.parent))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "file",
    ["../phone/tier.json", "/etc/passwd", "..", ".", "", ".hidden", "a/b", "a\\b", "..\\x", "x\x00y", "a" * 300],
)
def test_a_file_is_in_the_tiers_own_folder(copy: Path, file: str) -> None:
    path = copy / "tiers" / "phone" / "tier.json"
    whole = path.read_text()
    document = json.loads(whole)
    document["partitions"][0]["file"] = file
    try:
        path.write_text(json.dumps(document))
        with pytest.raises(InputError) as caught:
            read_model(path.parent, read_tier(path.parent).partitions[0])
        assert any("file" in fault.place for fault in caught.value.faults)
    finally:
        path.write_text(whole)


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_model_is_refused(tiny: Case, copy: Path, data: st.DataObject) -> None:
    folder = copy / "tiers" / "phone"
    partition = read_tier(folder).partitions[0]
    path = folder / partition.file
    whole = path.read_bytes()
    damaged = bytearray(whole)
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    cut = data.draw(st.booleans())
    try:
        path.write_bytes(damaged[:at] if cut else damaged)
        with pytest.raises(InputError, match=r"has \d+ bytes, not" if cut else "another checksum"):
            read_model(folder, partition)
    finally:
        path.write_bytes(whole)
    assert read_model(folder, partition) == whole


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_bytes_that_are_no_model_are_refused_by_the_engine(noise: bytes) -> None:
    with pytest.raises(InputError, match="can't be loaded"):
        PartitionSession(noise)


@pytest.mark.parametrize("name", ["bundle.json", "topology.yaml", "tiers/cloud/tier.json", "tiers/cloud/topology.yaml"])
def test_a_file_that_is_missing_is_named(copy: Path, name: str) -> None:
    path = copy / name
    whole = path.read_bytes()
    path.unlink()
    try:
        read = read_tier if path.parent.name == "cloud" else read_bundle
        with pytest.raises(InputError, match="there is no file") as caught:
            read(path.parent)
        assert caught.value.source == str(path)
    finally:
        path.write_bytes(whole)


def test_what_is_written_is_read(tiny: Case) -> None:
    found = read_bundle(tiny.folder)
    assert {name: getattr(found, name) for name in FIELDS} == {name: getattr(tiny.manifest, name) for name in FIELDS}
    for name in TIERS:
        tier = read_tier(tiny.folder / "tiers" / name)
        assert tier == tiny.manifest.tier(name)
        wanted = {
            blocks
            for plan in tiny.manifest.plans
            for blocks, where in zip(plan.blocks, plan.placement, strict=True)
            if where == name
        }
        assert {each.blocks for each in tier.partitions} == wanted
        there = {path.name for path in (tiny.folder / "tiers" / name).glob("*.onnx")}
        assert there == {each.file for each in tier.partitions}, "a folder holds what its tier needs and no more"
        for partition in tier.partitions:
            assert read_model(tiny.folder / "tiers" / name, partition) == tiny.network.model(*partition.blocks)


def test_a_bundle_is_one_line_with_what_matters(tiny: Case) -> None:
    bundle = tiny.manifest
    assert repr(bundle) == (
        f"Manifest({bundle.deployment}: {bundle.backbone} on {bundle.dataset}, {len(PLANS)} plans for "
        f"{bundle.topology.name}, {len(bundle.partitions)} partitions)"
    )


def test_a_bundle_replaces_a_bundle_and_nothing_else(tiny: Case, tmp_path: Path) -> None:
    models = {each.blocks: tiny.network.model(*each.blocks) for each in tiny.manifest.partitions}
    profile = read_profile("resnet20-digits")
    folder = tmp_path / "bundle"
    for _ in range(2):
        write_bundle(tiny.manifest, models, profile, folder, extra={"deploy/a.txt": "a"})
        assert read_bundle(folder).deployment == tiny.manifest.deployment
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"], "nothing half-written is left"
    other = tmp_path / "photos"
    other.mkdir()
    (other / "dear.txt").write_text("mine")
    with pytest.raises(InputError, match="is no bundle"):
        write_bundle(tiny.manifest, models, profile, other)
    assert (other / "dear.txt").read_text() == "mine"


def test_partitions_in_a_row_are_the_whole_network(tiny: Case) -> None:
    """The models by hand and numpy agree, so that one can be the other's judge."""
    for plan in tiny.manifest.plans:
        for sample in tiny.samples[:5]:
            expected, x = tiny.network.expected(plan, sample)[0], received(sample, plan.input_codec)[None]
            for k, blocks in enumerate(plan.blocks):
                x, probabilities, entropy = PartitionSession(tiny.network.model(*blocks)).run(x)
                np.testing.assert_allclose(probabilities[0], expected.probabilities[k], atol=0.02)
                shares = expected.probabilities[k]
                assert entropy[0] == pytest.approx(-(shares * np.log(shares)).sum() / np.log(len(shares)), abs=0.02)
