"""What is written reads back equal."""

import csv
import dataclasses
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.core.codec import Codec
from offramp.core.plan import Plan
from offramp.core.profile import Profile
from offramp.core.topology import Topology
from offramp.files import (
    plan_document,
    read_plan,
    read_profile,
    read_topology,
    shipped,
    write_plan,
    write_profile,
    write_topology,
)
from offramp.files.quantities import ENERGY, ENERGY_PER_BIT, POWER, RATE, SIZE, TIME, write_size
from tests import strategies as own


def same(a: object, b: object) -> bool:
    """Equal to the last bit, arrays and mappings included, NaN equal to itself."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if dataclasses.is_dataclass(a) and not isinstance(a, Enum):
        return type(a) is type(b) and all(
            same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a)
        )
    return a == b


@settings(deadline=None)
@given(own.topologies())
def test_topologies(topology: Topology) -> None:
    with TemporaryDirectory() as folder:
        write_topology(topology, Path(folder, "t.yaml"))
        assert read_topology(Path(folder, "t.yaml")) == topology


@settings(max_examples=60, deadline=None)
@given(own.profiles())
def test_profiles(profile: Profile) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "p.json")
        write_profile(profile, path)
        assert same(read_profile(path), profile)
        assert {file.name for file in Path(folder).iterdir()} == {
            "p.json",
            *({"p.npz"} if profile.exit_table is not None else ()),
            *(f"p.{codec.plain.value}.npz" for codec in profile.codecs),
            *(f"p.{codec.value}.npz" for codec, sent in profile.inputs.items() if sent.exit_table is not None),
            *({"p.sizes.npz"} if profile.inputs or Codec.INT8_ZSTD in profile.codecs else ()),
        }


@settings(deadline=None)
@given(own.plans())
def test_plans(plan: Plan) -> None:
    assert read_plan(str(plan)) == plan
    with TemporaryDirectory() as folder:
        text, document = Path(folder, "plan.txt"), Path(folder, "plan.json")
        text.write_text(f"{plan}\n", encoding="utf-8")
        assert read_plan(text) == plan
        printed = {"plan": plan_document(plan), "estimate": {"accuracy": 0.9}, "frontier": [], "search": {"plans": 3}}
        write_plan(printed, document)
        assert read_plan(str(document)) == plan


@given(st.floats(0, 1e300))
def test_quantities(value: float) -> None:
    for dimension in (RATE, TIME, SIZE, POWER, ENERGY, ENERGY_PER_BIT):
        assert dimension.parse(dimension.write(value)) == value
    assert SIZE.parse(write_size(value)) == value


@pytest.mark.parametrize(
    ("dimension", "value", "text"),
    [
        (RATE, 5e5, "500 kb/s"),
        (RATE, 1e7, "10 Mb/s"),
        (TIME, 0.006, "6 ms"),
        (TIME, 0, "0.0 s"),
        (TIME, 2, "2 s"),
        (POWER, 0.02322, "23.22 mW"),
        (ENERGY, 5e-3, "5 mJ"),
        (ENERGY_PER_BIT, 438.39e-9, "438.39 nJ/b"),
    ],
)
def test_quantities_are_written_as_people_do(dimension, value: float, text: str) -> None:
    assert dimension.write(value) == text


@pytest.mark.parametrize(
    ("dimension", "text", "value"),
    [
        (RATE, "1 MB/s", 8e6),
        (RATE, "2 Gb/s", 2e9),
        (RATE, "500kb/s", 5e5),
        (TIME, "250 us", 2.5e-4),
        (TIME, "250 µs", 2.5e-4),
        (TIME, "1.5 s", 1.5),
        (SIZE, "9000 B", 72000),
        (SIZE, "9 kB", 72000),
        (SIZE, "100 b", 100),
        (POWER, "300 mW", 0.3),
        (ENERGY, "5mJ", 5e-3),
        (ENERGY_PER_BIT, "438.39 nJ/b", 438.39e-9),
    ],
)
def test_quantities_are_read_in_any_unit(dimension, text: str, value: float) -> None:
    assert dimension.parse(text) == pytest.approx(value, rel=1e-15)


def test_the_shipped_topologies_are_the_papers() -> None:
    assert shipped("topologies") == ("iot", "lte", "mobile", "sensor")
    mobile, iot = read_topology("mobile"), read_topology("iot")
    assert [tier.slowdown for tier in mobile.tiers] == [500, 10, 2.5, 1]
    assert [tier.slowdown for tier in iot.tiers] == [100, 5, 2.5, 1]
    assert [link.bandwidth_bits_per_s for link in mobile.links] == [5e5, 1e7, 5e8]
    assert [link.bandwidth_bits_per_s for link in iot.links] == [1e7, 4e7, 5e8]
    assert [link.latency_s for link in mobile.links] == [0.006, 0.04, 0.05]
    assert [link.latency_s for link in iot.links] == [0.01, 0.01, 0.05]
    for topology in (mobile, iot):
        assert topology.source == topology.destination == topology.tiers[0].name
        assert topology.mtu_bits is None
        assert not topology.has_energy


def test_the_sensor_is_a_board_of_mlperf() -> None:
    measured = Path(__file__).parents[3] / "shared" / "data" / "mlperf-tiny-1.2.csv"
    if not measured.exists():
        pytest.skip("MLPerf's results are not here")
    with measured.open() as file:
        rows = {row["system"]: row for row in csv.DictReader(file) if row["task"] == "ic"}
    board, phone = rows["NUCLEO_U575ZI_Q"], rows["Snapdragon_8_Gen_3_Mobile_Platform_MTP"]
    sensor = read_topology("sensor").tiers[0]
    rate = float(board["inferences_per_s"])
    assert sensor.power_w == pytest.approx(rate * float(board["energy_uj_per_inference"]) * 1e-6, rel=1e-4)
    assert sensor.slowdown == pytest.approx(float(phone["inferences_per_s"]) / rate, rel=1e-4)


def test_the_radios_are_what_their_sources_say() -> None:
    wifi, lte = read_topology("sensor").links[0], read_topology("lte").links[0]
    assert wifi.radio_w == pytest.approx(0.063 * 3.3, rel=1e-4)
    assert wifi.send_j_per_bit == pytest.approx((0.2 - 0.063) * 3.3 / 65e6, rel=1e-4)
    assert lte.tail_s * lte.radio_w == pytest.approx((0.1 + 0.02 + 10) * 1.06, rel=1e-4)
    assert (lte.send_j_per_bit * 1e6, lte.receive_j_per_bit * 1e6) == pytest.approx((438.39e-3, 51.97e-3))


def test_a_path_is_never_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_topology(read_topology("iot"), "mobile")
    assert read_topology("mobile").name == "mobile"
    assert read_topology("./mobile").name == read_topology(Path("mobile")).name == "iot"


def test_what_was_not_measured_at_the_end_counts_as_zero(tmp_path: Path) -> None:
    document = json.loads(SMALL_PROFILE)
    timing = document["timings"]["pi4"]
    for listed, whole in [
        ([], [0] * 4),
        ([1], [1, 0, 0, 0]),
        ([1, 2], [1, 2, 0, 0]),
        ([1, 2, 3], [1, 2, 3, 0]),
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        (None, [0] * 4),
    ]:
        timing.pop("serialize_s", None)
        if listed is not None:
            timing["serialize_s"] = listed
        path = tmp_path / "p.json"
        path.write_text(json.dumps(document))
        assert read_profile(path).timings["pi4"].serialize_s.tolist() == whole


def test_so_it_does_in_a_codec(tmp_path: Path) -> None:
    document = json.loads(SMALL_PROFILE)
    document["codecs"] = {
        "fp16": {"exit_table": "x.npz", "serialize_s": {"pi4": [1]}, "deserialize_s": {"pi4": [1, 2, 3]}}
    }
    table = {"entropy": np.full((2, 3), 0.5, np.float32), "correct": np.ones((2, 3), bool), "label": np.arange(3)}
    np.savez(tmp_path / "x.npz", **table)
    (tmp_path / "p.json").write_text(json.dumps(document))
    encoded = read_profile(tmp_path / "p.json").codecs[Codec.FP16]
    assert encoded.serialize_s["pi4"].tolist() == [1, 0, 0, 0]
    assert encoded.deserialize_s["pi4"].tolist() == [1, 2, 3, 0]


def test_runs_may_come_in_any_order(tmp_path: Path) -> None:
    document = json.loads(SMALL_PROFILE)
    document["timings"]["pi4"] = {"partition_s": [[2, 2, 0.2], [1, 2, 0.3], [1, 1, 0.1]]}
    path = tmp_path / "p.json"
    path.write_text(json.dumps(document))
    assert np.array_equal(read_profile(path).timings["pi4"].partition_s, [[0.1, 0.3], [np.nan, 0.2]], equal_nan=True)


SMALL_PROFILE = """{"offramp": "profile/1",
 "backbone": {"name": "tiny", "dataset": "digits", "input_bits": 24576, "result_bits": 320,
              "blocks": [{"name": "stem", "output_bits": 524288}, {"name": "body", "output_bits": 131072}]},
 "timings": {"pi4": {"block_s": [0.002, 0.003], "branch_s": [0.0004, 0.0004]}},
 "reference_device": "pi4",
 "exits": {"thresholds": [0.2, 0.4], "meaning": "first-exit", "exit_rate": [[0.3, 0.7], [0.5, 0.5]],
           "accuracy": [0.91, 0.95], "samples": 5000}}"""
