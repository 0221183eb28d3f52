"""Every fault class is reported with its place, and all faults of a document at once."""

import copy
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from offramp.errors import InputError
from offramp.files import plan_document, read_plan, read_profile, read_topology, write_plan, write_profile
from offramp.files.sources import shipped
from tests.files.test_round_trips import SMALL_PROFILE

Change = Callable[[Any], object]

TOPOLOGY = {
    "name": "two",
    "source": "phone",
    "destination": "phone",
    "tiers": [{"name": "phone", "slowdown": 10}, {"name": "cloud", "device": "xeon"}],
    "links": [{"bandwidth": "10 Mb/s", "latency": "40 ms"}],
    "transfer": "pipelined",
    "mtu": "9000 B",
}
PLAN = {"plan": {"text": "1-3@a 4@b T=0.40", "ends": [3, 4], "placement": ["a", "b"], "thresholds": [0.4]}}


def changed(document: dict[str, Any], *changes: Change) -> dict[str, Any]:
    document = copy.deepcopy(document)
    for change in changes:
        change(document)
    return document


def faults(read: Callable[[Path], object], path: Path) -> dict[str, str]:
    """Place -> problem and remedy of each fault."""
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.source == str(path)
    assert all(fault.place and fault.problem and fault.remedy for fault in caught.value.faults)
    return {fault.place: f"{fault.problem}; {fault.remedy}" for fault in caught.value.faults}


def put(*steps: Any) -> Change:
    """The change that puts the last of `steps` at the place the others lead to."""

    def change(document: Any) -> None:
        *way, key, value = steps
        for step in way:
            document = document[step]
        document[key] = value

    return change


def without(*steps: Any) -> Change:
    def change(document: Any) -> None:
        *way, key = steps
        for step in way:
            document = document[step]
        del document[key]

    return change


TOPOLOGY_FAULTS = [
    (put("links", 0, "bandwidth", "500 kg"), "links[0].bandwidth", "unit is 'g'"),
    (put("links", 0, "bandwidth", "500"), "links[0].bandwidth", "no unit; write a number and a unit, e.g. 10 Mb/s"),
    (put("links", 0, "bandwidth", "fast"), "links[0].bandwidth", "not a rate"),
    (put("links", 0, "bandwidth", "0 b/s"), "links[0].bandwidth", "not above zero"),
    (put("links", 0, "bandwidth", "inf b/s"), "links[0].bandwidth", "not a rate"),
    (put("links", 0, "bandwidth", ["10 Mb/s"]), "links[0].bandwidth", "not a rate"),
    (put("links", 0, "send", "438 nJ"), "links[0].send", "not a cost of a bit in energy: its unit is 'J'"),
    (put("links", 0, "radio", "-1 W"), "links[0].radio", "not zero or more"),
    (put("links", 0, "tail", "2 s"), "links[0].tail", "a radio without power"),
    (put("tiers", 0, "power", "2.1"), "tiers[0].power", "no unit; write a number and a unit, e.g. 2.1 W"),
    (put("tiers", 0, "idle", "-1 mW"), "tiers[0].idle", "not zero or more"),
    (put("links", 0, "latency", "-1 ms"), "links[0].latency", "not zero or more"),
    (put("links", 0, "latency", "40 m"), "links[0].latency", "no unit"),
    (put("links", 0, "latency", "1 min"), "links[0].latency", "unit is 'in'"),
    (without("links", 0, "latency"), "links[0].latency", "is missing; give the one-way propagation time, e.g. 40 ms"),
    (put("links", 0, "latncy", "1 ms"), "links[0].latncy", "did you mean latency?"),
    (put("links", []), "links", "0 links for 2 tiers"),
    (put("links", "none"), "links", "not a list"),
    (put("tiers", []), "tiers", "is empty"),
    (without("tiers"), "tiers", "is missing"),
    (put("tiers", 0, "phone"), "tiers[0]", "not a mapping"),
    (put("tiers", 1, "name", "my cloud"), "tiers[1].name", "without spaces"),
    (put("tiers", 1, "name", "phone"), "tiers", "2 tiers are named 'phone'"),
    (put("tiers", 0, "slowdown", "ten"), "tiers[0].slowdown", "not a number"),
    (put("tiers", 0, "slowdown", ".nan"), "tiers[0].slowdown", "not"),
    (put("tiers", 0, "slowdown", -1), "tiers[0].slowdown", "not above zero"),
    (put("tiers", 0, "device", "pi"), "tiers[0].slowdown", "both slowdown and device"),
    (without("tiers", 0, "slowdown"), "tiers[0].slowdown", "neither slowdown nor device"),
    (put("source", "watch"), "source", "'watch' is not a tier; use one of phone, cloud"),
    (put("destination", "watch"), "destination", "'watch' is not a tier"),
    (put("transfer", "pipes"), "transfer", "'store-and-forward' or 'pipelined'"),
    (put("transfer", "store-and-forward"), "mtu", "no meaning"),
    (without("mtu"), "mtu", "is missing"),
    (put("mtu", "9000"), "mtu", "no unit"),
    (put("mtu", "9 s"), "mtu", "not a size"),
    (put("mtu", "0 B"), "mtu", "not above zero"),
    (put("colour", "red"), "colour", "not a known key"),
]


@pytest.mark.parametrize(("change", "place", "words"), TOPOLOGY_FAULTS)
def test_one_fault_of_a_topology(tmp_path: Path, change: Change, place: str, words: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(changed(TOPOLOGY, change)))
    found = faults(read_topology, path)
    assert list(found) == [place]
    assert words in found[place]


def test_every_fault_of_a_topology_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        """
        name: two
        source: watch
        destination: phone
        colour: red
        tiers:
          - {name: phone, slowdown: fast, name: phone}
          - {name: my cloud, slowdwon: 1}
        links:
          - {bandwidth: 500 kg, latency: -6 ms}
          - {bandwidth: -5 Mb/s, latency: 40, extra: 1}
        mtu: 9000 B
        """
    )
    assert set(faults(read_topology, path)) == {
        "source",
        "colour",
        "tiers[0].name",
        "tiers[0].slowdown",
        "tiers[1].name",
        "tiers[1].slowdown",
        "tiers[1].slowdwon",
        "links",
        "links[0].bandwidth",
        "links[0].latency",
        "links[1].bandwidth",
        "links[1].latency",
        "links[1].extra",
        "mtu",
    }


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("name: a: b", "line 1, column 8", "not YAML"),
        ("name: mobile\nlinks: [", "line 3, column 1", "not YAML"),
        ("a: &x [1]\nb: *x", "line 2, column 4", "alias"),
        ("name: !!python/object/apply:os.getcwd []", "line 1, column 7", "tag"),
        ("name: !!float x", "line 1, column 7", "tag"),
        ("[" * 70, "line 1, column 65", "nested too deep"),
        ("a: 1\n---\nb: 2", "line 2, column 1", "not YAML"),
        ("", "document", "null is not a mapping"),
        ("- phone", "document", "a list is not a mapping"),
        ("a: \x01", "document", "not YAML"),
        ("? [name]\n: two\n" + yaml.safe_dump(TOPOLOGY), "line 1", "a key is a list or a mapping"),
    ],
)
def test_what_is_no_topology_at_all(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    found = faults(read_topology, path)
    assert list(found) == [place]
    assert words in found[place]


def test_names_stay_names(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(
        "{name: no, source: 1e3, destination: on, tiers: [{name: 1e3, slowdown: 1}, {name: on, device: 007}],"
        " links: [{bandwidth: 1 b/s, latency: 0 s}]}"
    )
    topology = read_topology(path)
    assert [topology.name, *(tier.name for tier in topology.tiers), topology.tiers[1].device] == [
        "no",
        "1e3",
        "on",
        "007",
    ]


RUNS = {"partition_s": [[1, 1, 0.1], [1, 2, 0.3], [2, 2, 0.2]]}
PROFILE_FAULTS = [
    (put("offramp", "profile/2"), "offramp", "is not 'profile/1'"),
    (without("backbone", "name"), "backbone.name", "is missing"),
    (put("backbone", "input_bits", 0), "backbone.input_bits", "not above zero"),
    (put("backbone", "input_bits", 1.5), "backbone.input_bits", "not a whole number"),
    (put("backbone", "input_bits", 10**400), "backbone.input_bits", "too large"),
    (put("backbone", "blocks", 1, "output_bits", -5), "backbone.blocks[1].output_bits", "-5 is not above zero"),
    (put("backbone", "blocks", 1, "name", 5), "backbone.blocks[1].name", "not text"),
    (put("timings", {}), "timings", "at least 1"),
    (put("timings", "pi4", "block_s", 1, "x"), "timings.pi4.block_s[1]", "'x' is not a number"),
    (put("timings", "pi4", "block_s", 1, True), "timings.pi4.block_s[1]", "true is not a number"),
    (put("timings", "pi4", "block_s", 1, -1), "timings.pi4.block_s[1]", "not a time"),
    (put("timings", "pi4", "block_s", 1, float("nan")), "timings.pi4.block_s[1]", "nan is not a finite number"),
    (put("timings", "pi4", "block_s", 1, float("inf")), "timings.pi4.block_s[1]", "inf is not a finite number"),
    (put("timings", "pi4", "branch_s", [1]), "timings.pi4.branch_s", "has 1 entries; give 2"),
    (without("timings", "pi4", "branch_s"), "timings.pi4.branch_s", "give block_s and branch_s together"),
    (put("timings", "pi4", {}), "timings.pi4.block_s", "neither block_s nor partition_s"),
    (put("timings", "pi4", "serialize_s", [1] * 5), "timings.pi4.serialize_s", "has 5 entries"),
    (put("timings", "pi4", "blok_s", []), "timings.pi4.blok_s", "did you mean block_s?"),
    (
        put("timings", "pi4", RUNS | {"partition_s": RUNS["partition_s"][:2]}),
        "timings.pi4.partition_s",
        "has no [2, 2]",
    ),
    (put("timings", "pi4", {"partition_s": [*RUNS["partition_s"], [1, 2, 9]]}), "timings.pi4.partition_s[3]", "twice"),
    (put("timings", "pi4", {"partition_s": [*RUNS["partition_s"], [2, 1, 9]]}), "timings.pi4.partition_s[3]", "a run"),
    (put("timings", "pi4", {"partition_s": [*RUNS["partition_s"], [1, 2]]}), "timings.pi4.partition_s[3]", "has 2 ent"),
    (
        put("timings", "pi4", {"partition_s": [[2, 2, -0.2], *RUNS["partition_s"][:2]]}),
        "timings.pi4.partition_s[0][2]",
        "-0.2 is not zero or more",
    ),
    (
        put("timings", "pi4", {"partition_s": [["x", 1, 0.1], *RUNS["partition_s"]]}),
        "timings.pi4.partition_s[0][0]",
        "'x' is not a number",
    ),
    (put("timings", "pi4", {"block_s": [1], "branch_s": [1]}), "timings.pi4", "has 1 entries; give 2"),
    (put("reference_device", "pi5"), "reference_device", "'pi5' has no timings; use one of pi4"),
    (without("exits"), "exits", "neither exits nor an exit_table"),
    (put("exits", "thresholds", [0.4, 0.2]), "exits.thresholds[1]", "values must go up"),
    (put("exits", "thresholds", 1, 1.5), "exits.thresholds[1]", "not a share"),
    (put("exits", "meaning", "joint"), "exits.meaning", "'first-exit' or 'marginal'"),
    (put("exits", "exit_rate", [[0.5, 0.5]]), "exits.exit_rate", "has 1 entries; give 2"),
    (put("exits", "exit_rate", 0, [1]), "exits.exit_rate[0]", "has 1 entries; give 2"),
    (put("exits", "exit_rate", 1, [0.4, 0.7]), "exits.exit_rate[1]", "sums to 1.1"),
    (put("exits", "exit_rate", 1, [0.2, 0.8]), "exits.exit_rate[1][0]", "fewer samples"),
    (put("exits", "accuracy", 0, 91), "exits.accuracy[0]", "not a share"),
    (put("exits", "samples", 0), "exits.samples", "0 samples"),
    (put("exit_table", "none.npz"), "exit_table", "no file 'none.npz'"),
    (put("exit_table", "../x.npz"), "exit_table", "leads out"),
    (put("exit_table", "/etc/passwd"), "exit_table", "leads out"),
    (put("exit_table", "p.json"), "exit_table", "not an npz archive"),
    (put("provenance", {"a": [{"b": float("nan")}]}), "provenance.a[0].b", "not a finite number"),
    (put("provenance", {"a": "\ud800"}), "provenance.a", "not Unicode"),
    (put("exit", {}), "exit", "did you mean exits?"),
]


@pytest.mark.parametrize(("change", "place", "words"), PROFILE_FAULTS)
def test_one_fault_of_a_profile(tmp_path: Path, change: Change, place: str, words: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(changed(json.loads(SMALL_PROFILE), change)))
    found = faults(read_profile, path)
    assert list(found) == [place]
    assert words in found[place]


def test_every_fault_of_a_profile_at_once(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    document = changed(
        json.loads(SMALL_PROFILE),
        put("backbone", "blocks", 0, "output_bits", "big"),
        put("backbone", "blocks", 1, "output_bits", -1),
        put("backbone", "input_bits", -1),
        put("timings", "pi4", "block_s", [0.1, "x", -1]),
        put("timings", "pi4", "blok_s", []),
        put("timings", "xeon", {"block_s": [1, 2, 3], "branch_s": [1, 2, 3]}),
        put("reference_device", "pi5"),
        put(
            "exits",
            {
                "thresholds": [0.5, 0.5],
                "meaning": "marginal",
                "exit_rate": [[1.5, 1], [1]],
                "accuracy": [0.5, 0.5],
                "samples": 5,
                "joint_accuracy": [2],
            },
        ),
        put("exit_table", "none.npz"),
        put("profile", 1),
    )
    path.write_text(json.dumps(document))
    assert set(faults(read_profile, path)) == {
        "backbone.blocks[0].output_bits",
        "backbone.blocks[1].output_bits",
        "backbone.input_bits",
        "timings.pi4.block_s[1]",
        "timings.pi4.block_s[2]",
        "timings.pi4.blok_s",
        "timings.pi4.branch_s",
        "timings.pi4",
        "timings.xeon",
        "reference_device",
        "exits.thresholds[1]",
        "exits.exit_rate[0][0]",
        "exits.exit_rate[1]",
        "exits.joint_accuracy[0]",
        "exits.joint_accuracy",
        "exit_table",
        "profile",
    }


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('{\n  "offramp" 1}', "line 2, column 13", "not JSON"),
        ("", "line 1, column 1", "not JSON"),
        ("[" * 100_000, "document", "nested too deep"),
        ("[" * 70 + "]" * 70, "[0]" * 64, "nested too deep"),
        ("9" * 5000, "document", "thousands of digits"),
        ("[]", "document", "a list is not a mapping"),
    ],
)
def test_what_is_no_profile_at_all(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    found = faults(read_profile, path)
    assert list(found) == [place]
    assert words in found[place]


def test_a_json_key_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(SMALL_PROFILE.replace('"samples": 5000', '"samples": 0, "samples": 5000'))
    assert list(faults(read_profile, path)) == ["exits.samples"]


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (put("plan", "text", "1-3@a 4@c T=0.40"), "plan.text", "the lists say"),
        (put("plan", "text", "3@a"), "plan.text", "start it at block 1"),
        (put("plan", "ends", [3, 4.5]), "plan.ends[1]", "not a whole number"),
        (put("plan", "ends", [4, 4]), "plan.ends[1]", "must go up"),
        (put("plan", "thresholds", [1.5]), "plan.thresholds[0]", "outside [0, 1]"),
        (put("plan", "thresholds", []), "plan.thresholds", "has 0 entries"),
        (without("plan", "placement"), "plan.placement", "is missing"),
        (put("plan", {"text": "1@a", "codec": "int8"}), "plan.codec", "is int8, the text says fp32"),
        (put("plan", {}), "plan", "says nothing"),
        (without("plan"), "plan", "is missing"),
        (put("frontir", []), "frontir", "did you mean frontier?"),
    ],
)
def test_one_fault_of_a_plan(tmp_path: Path, change: Change, place: str, words: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(changed(PLAN, change)))
    found = faults(read_plan, path)
    assert list(found) == [place]
    assert words in found[place]


def test_a_plan_needs_its_text_or_its_lists_only(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"plan": {"text": PLAN["plan"]["text"]}}))
    spoken = read_plan(path)
    path.write_text(json.dumps(changed(PLAN, without("plan", "text"))))
    assert read_plan(path) == spoken
    assert plan_document(spoken) == PLAN["plan"]


def test_a_plan_that_would_not_read_back_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_plan(changed(PLAN, put("plan", "ends", [1])), tmp_path / "plan.json")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["1-3@a 5@b T=0.4", "1@", "@", "1-3@a T=x", "1@a 2@b", f"1-{'9' * 5000}@a", "1-9e9@a"])
def test_a_text_that_is_no_plan(text: str) -> None:
    with pytest.raises(InputError) as caught:
        read_plan(text)
    assert caught.value.source == text


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


TABLE = {
    "entropy": np.array([[0.1, 0.2, 0.3], [0, 0.5, 1]], np.float32),
    "correct": np.ones((2, 3), np.bool_),
    "label": np.arange(3),
}


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (npz(**{k: TABLE[k] for k in ("entropy", "correct")}), "exit_table.label", "is missing; give int [S]"),
        (npz(**{k: TABLE[k] for k in ("correct", "label")}), "exit_table.entropy", "is missing; give float32 [N, S]"),
        (
            npz(**TABLE, gate=TABLE["entropy"]),
            "exit_table.scores",
            "are entropy and gate: a plan's thresholds are of one",
        ),
        (
            npz(**{"margin" if k == "entropy" else k: values for k, values in TABLE.items()}),
            "exit_table",
            "holds margin, and the profile's score is entropy; name the score that the table holds",
        ),
        (npz(**TABLE, extra=np.zeros(3)), "exit_table.arrays", "'extra.npy' is not known"),
        (
            npz(**TABLE | {"entropy": TABLE["entropy"].astype(float)}),
            "exit_table.entropy",
            "of type float64; give float32",
        ),
        (npz(**TABLE | {"correct": np.ones((2, 3))}), "exit_table.correct", "of type float64; give bool [N, S]"),
        (npz(**TABLE | {"label": np.array(["a"] * 3, dtype=object)}), "exit_table.label", "of type object"),
        (npz(**TABLE | {"label": np.zeros((3, 1), int)}), "exit_table.label", "has 2 axes"),
        (npz(**TABLE | {"label": np.arange(4)}), "exit_table.label", "has 4 entries"),
        (npz(**TABLE | {"correct": np.ones((2, 4), np.bool_)}), "exit_table.correct", "has shape (2, 4)"),
        (npz(**TABLE | {"entropy": 2 * TABLE["entropy"]}), "exit_table.entropy", "outside [0, 1]"),
        (npz(**TABLE)[:-30], "exit_table", "not an npz archive, or is damaged"),
        (npz(**TABLE).replace(b"float", b"fload").replace(b"<f4", b"<q4"), "exit_table", "damaged"),
    ],
)
def test_one_fault_of_an_exit_table(tmp_path: Path, content: bytes, place: str, words: str) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(changed(json.loads(SMALL_PROFILE), put("exit_table", "x.npz"))))
    found = faults(read_profile, path)
    assert list(found) == [place]
    assert words in found[place]


@pytest.mark.parametrize("shape", [(2, 10**15), (10**9, 10**9), (2, 5)])
def test_an_exit_table_that_claims_more_than_it_holds_is_not_allocated(tmp_path: Path, shape: tuple[int, int]) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("entropy.npy", header.getvalue() + bytes(24))
        for name in ("correct", "label"):
            buffer = io.BytesIO()
            np.save(buffer, TABLE[name])
            archive.writestr(f"{name}.npy", buffer.getvalue())
    path = tmp_path / "p.json"
    path.write_text(json.dumps(changed(json.loads(SMALL_PROFILE), put("exit_table", "x.npz"))))
    assert list(faults(read_profile, path)) == ["exit_table.entropy"]


def test_a_run_that_claims_a_huge_network_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    change = put("timings", "pi4", {"partition_s": [[1, 10**9, 0.1], [1, 1e300, 0.1]]})
    path.write_text(json.dumps(changed(json.loads(SMALL_PROFILE), change)))
    assert set(faults(read_profile, path)) >= {"timings.pi4.partition_s[0]", "timings.pi4.partition_s[1]"}


def test_absent_files_suggest_near_names(tmp_path: Path) -> None:
    (tmp_path / "office.yaml").touch()
    assert "did you mean" in faults(read_topology, tmp_path / "ofice.yaml")["file"]
    assert "office.yaml" in faults(read_topology, tmp_path / "ofice.yaml")["file"]
    assert "is a folder" in faults(read_topology, tmp_path)["file"]
    assert "there is no folder" in faults(read_profile, tmp_path / "no" / "x.json")["file"]
    with pytest.raises(InputError, match="did you mean mobile"):
        read_topology("mobil")
    with pytest.raises(InputError, match=", ".join(shipped("topologies"))):
        read_topology("nothing-like-it")
    for odd in ("x" * 5000, "a\0b", ""):
        with pytest.raises(InputError):
            read_topology(odd)


def test_what_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"name: \xff\n")
    for read in (read_topology, read_profile, read_plan):
        assert "byte 6 is 0xff; save it as UTF-8" in faults(read, path)["file"]
    path.write_bytes(b"\xef\xbb\xbf" + SMALL_PROFILE.encode())
    assert read_profile(path).backbone.name == "tiny"


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes(b"#" * (1 << 20) + b"#")
    assert "larger than 1 MiB" in faults(read_topology, path)["file"]


def test_half_a_character_is_told_and_can_be_printed(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(changed(PLAN, put("plan", "placement", ["\ud800", []]))))
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert {fault.place for fault in caught.value.faults} >= {"plan.placement[0]", "plan.placement[1]"}
    assert str(caught.value).encode()


def test_a_codec_with_other_devices_to_and_fro_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(npz(**TABLE))
    path = tmp_path / "p.json"
    codecs = {"fp16": {"exit_table": "x.npz", "serialize_s": {"pi4": [1]}}, "int8": {"exit_table": "y.npz"}}
    path.write_text(json.dumps(changed(json.loads(SMALL_PROFILE), put("codecs", codecs))))
    assert list(faults(read_profile, path)) == ["codecs.int8.exit_table"]
    del codecs["int8"]
    path.write_text(json.dumps(changed(json.loads(SMALL_PROFILE), put("codecs", codecs))))
    assert "other devices" in faults(read_profile, path)["codecs.fp16.serialize_s"]


def test_a_profile_is_not_written_over_its_own_exit_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"end it with \.json"):
        write_profile(read_profile("resnet20-digits"), tmp_path / "p.npz")
    assert not any(tmp_path.iterdir())
