"""Bundles that can't be built or written: refused with what is wrong, and nothing half-written is left."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from offramp.bundle import Manifest, read_bundle, schema, write_bundle
from offramp.core.plan import Plan
from offramp.core.topology import Link, Tier
from offramp.errors import InputError
from offramp.files import read_profile
from offramp.files.topology import topology_text
from tests.files.test_schema import described, fits
from tests.runtime.conftest import PLANS
from tests.runtime.tiny import Case, case, line


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Case:
    topology = line("watch", "phone", "cloud", link=Link(1e9, 0.0002))
    return case(tmp_path_factory.mktemp("tiny") / "bundle", topology, PLANS)


def write(tiny: Case, folder: Path, **options: object) -> None:
    models = {partition.blocks: tiny.network.model(*partition.blocks) for partition in tiny.manifest.partitions}
    manifest = replace(tiny.manifest, **options.pop("manifest", {}))
    write_bundle(manifest, models, read_profile("resnet20-digits"), folder, **options)


def renamed(manifest: Manifest, name: str) -> Manifest:
    """With another name for the tier `cloud`."""
    tiers = tuple(Tier(name, 1.0) if tier.name == "cloud" else tier for tier in manifest.topology.tiers)
    plans = tuple(
        replace(plan, placement=tuple(name if tier == "cloud" else tier for tier in plan.placement))
        for plan in manifest.plans
    )
    return replace(manifest, topology=replace(manifest.topology, tiers=tiers), plans=plans)


LONG = "x" * 2048
PROBLEMS: list[tuple[Callable[[Manifest], object], str]] = [
    (lambda bundle: replace(bundle, plans=()), "plans: is empty"),
    (lambda bundle: replace(bundle, object_bits=(8, 8)), "object_bits: are not sizes in whole bytes"),
    (lambda bundle: replace(bundle, object_bits=(9, *bundle.object_bits[1:])), "not sizes in whole bytes"),
    (lambda bundle: renamed(bundle, LONG), r"plans\[0\]: is too long to go with every message"),
    (lambda bundle: replace(bundle, plans=(Plan((1,), ("moon",), ()),)), r"plans\[0\].placement: .*'moon'"),
    (lambda bundle: replace(bundle, partitions=bundle.partitions[1:]), "partitions: blocks 1-.* are missing"),
    (lambda bundle: replace(bundle, partitions=bundle.partitions * 2), "two are of the same blocks or file"),
    (lambda bundle: replace(bundle, input_shape=(1, 1, 1)), "input_shape: means 8 bits"),
    (lambda bundle: replace(bundle, class_names=("a",)), "class_names: means 32 bits"),
    (lambda bundle: replace(bundle, plans=(Plan.parse("1-4@watch"),)), "estimate.exit_rates: has|missing"),
    (lambda bundle: replace(bundle.tier("watch"), tier="moon"), "tier: 'moon' is not in the topology"),
]


@pytest.mark.parametrize(("build", "problem"), PROBLEMS)
def test_a_manifest_that_is_wrong_is_refused(tiny: Case, build: Callable[[Manifest], object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        build(tiny.manifest)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"first": 3, "last": 2}, "first: blocks 3 to 2 are no partition"),
        ({"file": "../x"}, "file: '../x' is not a file name"),
        ({"sha256": "abc"}, "sha256: 'abc' is not a checksum"),
        ({"size_bytes": 0}, "size_bytes: 0 is not above zero"),
        ({"accuracy": 1.5}, "accuracy: 1.5 is outside"),
        ({"staying_accuracy": -1}, "staying_accuracy: -1 is outside"),
        ({"input_shape": ()}, r"input_shape: \(\) is not a shape"),
        ({"output_shape": (0,)}, r"output_shape: \(0,\) is not a shape"),
    ],
)
def test_a_partition_that_is_wrong_is_refused(tiny: Case, change: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        replace(tiny.manifest.partitions[0], **change)


@pytest.mark.parametrize("name", ["a/b", "a\\b", ".hidden"])
def test_a_tier_whose_name_is_no_folder_is_refused(tiny: Case, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="can't be the name of a folder"):
        write_bundle(renamed(tiny.manifest, name), {}, read_profile("resnet20-digits"), tmp_path / "bundle")
    assert not any(tmp_path.iterdir())


def test_a_bundle_is_written_nowhere_else_than_in_a_folder(tiny: Case, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path / "file", tmp_path / "link", tmp_path / "none" / "bundle"):
        with pytest.raises(InputError, match="can't be made"):
            write(tiny, path)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "link"}


def test_a_file_that_can_not_be_written_leaves_nothing(tiny: Case, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be written"):
        write(tiny, tmp_path / "bundle", extra={"x" * 300: ""})
    assert not any(tmp_path.iterdir())


def test_the_old_bundle_comes_back_where_the_new_one_can_not_take_its_place(
    tiny: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    write(tiny, folder)
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".part":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="Input/output error"):
        write(tiny, folder, manifest={"dataset": "another"})
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert read_bundle(folder).dataset == tiny.manifest.dataset


@pytest.mark.parametrize("kind", ["bundle", "tier"])
def test_the_schemas_stand_on_their_own_and_describe_what_is_written(tiny: Case, kind: str) -> None:
    made = schema(kind)
    assert described(made)
    assert all(fits(example, made, made) for example in made["examples"])
    written = tiny.folder / ("bundle.json" if kind == "bundle" else "tiers/watch/tier.json")
    assert fits(json.loads(written.read_text()), made, made)


def test_the_example_of_the_schema_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(topology_text(line("smartwatch", "cloud", link=Link(1e6, 0.01))))
    [example] = schema("bundle")["examples"]
    (tmp_path / "bundle.json").write_text(json.dumps(example | {"class_names": list("0123456789")}))
    assert read_bundle(tmp_path).partitions[0].file == example["partitions"][0]["file"]
