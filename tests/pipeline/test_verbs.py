"""The verbs as a notebook calls them: what they give, how it shows itself, and what they refuse."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import load_file

import offramp
from offramp.errors import InputError
from offramp.files import read_plan, read_profile, read_result
from offramp.pipeline.build import bundle_of

from .conftest import Way

SHIPPED = "resnet20-digits"


def offramp_command(*words: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "offramp", *map(str, words)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr


def test_each_verb_takes_what_the_one_before_gave(way: Way) -> None:
    assert way.profile.backbone.name == "resnet8"
    assert way.profile.overhead_bits > 0
    assert way.solution.met
    assert way.solution.plan == way.solution.frontier[0].plan  # with no floor to speak of, the fastest
    assert way.bundle.plan == way.solution.plan
    assert way.bundle.manifest.topology == way.solution.topology
    assert way.result.result.outcomes.answered == 6
    assert way.result.result.replayed is not None
    measured = way.result.result.measured
    assert measured is not None
    assert measured.accuracy == way.result.result.replayed.accuracy


def test_what_was_written_reads_back(way: Way, tmp_path: Path) -> None:
    assert read_profile(way.bundle.folder.parent / "profile.json").backbone == way.profile.backbone
    way.solution.write(tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == way.solution.plan
    way.result.write(tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == way.result.result
    assert bundle_of(way.bundle.folder).manifest.deployment == way.bundle.manifest.deployment
    read_again = offramp.read_run(way.run.folder)
    assert read_again.accuracy == way.run.accuracy
    assert offramp.estimate(way.profile, "iot", way.solution.plan).estimate == way.solution.estimate


def test_the_command_and_python_write_the_same_files(way: Way, tmp_path: Path) -> None:
    # In a process of its own as the command is: weights depend on the number of threads, and tests train on one.
    options = "epochs=1, separate=False, batch_size=128, seed=3, progress=False"
    script = f"import offramp\nofframp.train('resnet8', 'digits', out={str(tmp_path / 'python')!r}, {options})\n"
    subprocess.run([sys.executable, "-c", script], timeout=600, check=True)
    words = ("--backbone", "resnet8", "--epochs", 1, "--no-separate", "--batch-size", 128, "--seed", 3)
    offramp_command("train", *words, "--out", tmp_path / "command")
    folders = [tmp_path / "python", tmp_path / "command"]
    assert len({(folder / "run.json").read_bytes() for folder in folders}) == 1
    by_python, by_command = (load_file(folder / "joint.safetensors") for folder in folders)
    assert by_python.keys() == by_command.keys()
    assert all(torch.equal(by_python[name], by_command[name]) for name in by_python)

    profile = way.bundle.folder.parent / "profile.json"
    solution = offramp.solve(profile, "iot", min_accuracy=0.0, keep=1, codec="any")
    solution.write(tmp_path / "python.json")
    asked = ("--min-accuracy", 0, "--keep", 1, "--codec", "any")
    offramp_command("plan", profile, "-t", "iot", *asked, "--out", tmp_path / "command.json")
    plans = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("python", "command")]
    for plan in plans:
        plan["search"].pop("seconds")
    assert plans[0] == plans[1]

    offramp.build(way.run, solution, out=tmp_path / "by-python", epochs=1, progress=False)
    offramp_command(
        "build", way.run.folder, "--plan", tmp_path / "command.json", "--profile", profile, "-t", "iot",
        "--epochs", 1, "--out", tmp_path / "by-command",
    )  # fmt: skip
    files = [
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in (tmp_path / "by-python", tmp_path / "by-command")
    ]
    assert len(files[0]) > 10
    assert files[0] == files[1]


def test_a_profile_measures_the_same_but_for_its_times(way: Way, tmp_path: Path) -> None:
    offramp_command("profile", way.run.folder, "--repeats", 4, "--out", tmp_path / "profile.json")
    documents = [
        json.loads(path.read_text()) for path in (way.bundle.folder.parent / "profile.json", tmp_path / "profile.json")
    ]
    for document in documents:
        document["provenance"].pop("date")
        document["provenance"].pop("threads")
        for codec in document["codecs"].values():
            codec.pop("serialize_s")
            codec.pop("deserialize_s")
        devices = document.pop("timings")
        document["devices"] = {device: sorted(times) for device, times in devices.items()}
        for partitions in document["provenance"]["partitions"].values():
            partitions.pop("held_out")
    assert documents[0] == documents[1]


def test_progress_is_told_to_whoever_wants_it(way: Way) -> None:
    for verb, told in way.progress.items():
        assert told, verb
        assert all(progress.done is None or 0 <= progress.done <= 1 for progress in told)
    assert way.progress["run"][-1] == offramp.Progress("samples", 1.0, "6 of 6")
    assert {progress.stage for progress in way.progress["build"]} == {f"tuned-{way.bundle.plan.ends[0]}-1-epochs"} or (
        len(way.bundle.plan.ends) > 1
    )


def test_values_show_themselves_in_a_line_and_in_a_notebook(way: Way) -> None:
    comparison = offramp.compare(way.profile, "iot", min_accuracy=0.05)
    swept = offramp.sweep(SHIPPED, vary={"links[0].bandwidth": [1e5, 1e7]}, min_accuracy=0.9, progress=False)
    prediction = offramp.estimate(SHIPPED, "mobile", "1-3@smartwatch 4-10@smartphone T=0.40")
    unmet = offramp.solve(SHIPPED, min_accuracy=0.999, max_latency="1 ms", progress=False)
    values = [
        way.run, way.profile, way.solution, way.bundle, way.result, comparison, swept, prediction, unmet,
        way.run.dataset, way.run.dataset.test, way.solution.planner, way.solution.requirement,
    ]  # fmt: skip
    for value in values:
        assert len(repr(value)) < 250, type(value)
        assert "\n" not in repr(value), type(value)
    for value in values[:9]:
        page = value._repr_html_()
        assert page.count("<table>") >= 1, type(value)
    for value in (way.solution, comparison, swept, prediction):
        assert "<svg" in value._repr_html_()


def test_values_have_columns_for_other_libraries(way: Way) -> None:
    comparison = offramp.compare(way.profile, "iot", min_accuracy=0.05)
    swept = offramp.sweep(SHIPPED, vary={"links[0].bandwidth": "100kb/s..10Mb/s"}, steps=3, max_latency="1 s")
    for columns, rows in (
        (way.solution.columns(), len(way.solution.frontier)),
        (comparison.columns(), len(comparison.systems)),
        (swept.columns(), 3),
        (way.result.result.columns(), 6),
    ):
        assert {len(column) for column in columns.values()} == {rows}
        assert all(isinstance(column, np.ndarray) and column.dtype.kind in "fiubU" for column in columns.values())
    assert way.solution.columns()["latency_s"].tolist() == [each.estimate.latency_s for each in way.solution.frontier]
    assert swept.columns()["links[0].bandwidth_bits_per_s"].tolist() == pytest.approx([1e5, 1e6, 1e7])


def test_columns_become_a_data_frame(way: Way) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(way.solution.columns())
    assert frame["plan"].tolist() == [str(member.plan) for member in way.solution.frontier]
    assert pandas.DataFrame(way.result.columns())["latency_s"].notna().all()


def test_a_report_tells_of_what_the_verbs_gave(way: Way, tmp_path: Path) -> None:
    written = offramp.report(way.solution, out=tmp_path / "report.md", results=[way.result])
    text = (tmp_path / "report.md").read_text()
    assert written.plans == (str(way.solution.plan),)
    assert "6 samples" in text or "run 1" in text
    assert str(way.solution.plan) in text


def test_plots_take_an_axis(way: Way) -> None:
    comparison = offramp.compare(way.profile, "iot", min_accuracy=0.05)
    swept = offramp.sweep(SHIPPED, vary={"links[0].bandwidth": [1e5, 1e7]}, min_accuracy=0.9)
    prediction = offramp.estimate(SHIPPED, "mobile", "1-3@smartwatch 4-10@smartphone T=0.40")
    for value in (way.solution, way.result, comparison, swept, prediction):
        ax = Figure().subplots()
        assert value.plot(ax) is ax
        assert ax.has_data()
        assert value.plot().has_data()


def test_an_unmet_requirement_is_a_solution_that_says_so() -> None:
    solution = offramp.solve(SHIPPED, min_accuracy=0.95, max_latency="30 ms", forbid=["smartphone"])
    assert not solution.met
    assert "NOT MET" in repr(solution)
    assert solution.headline.startswith("No plan has accuracy of at least 95.00 %")
    assert solution.plan.ends
    assert {relaxation.given_up for relaxation in solution.relaxations} == {("max_latency",)}
    assert "Give up max latency" in solution._repr_html_()
    nowhere = offramp.solve(SHIPPED, min_accuracy=0.5, forbid=["smartwatch"], keep=1)
    assert not nowhere.met
    assert nowhere.relaxations


def test_the_codec_of_the_requirement_is_that_of_the_plan() -> None:
    asked = {"max_latency": "300 ms", "keep": 1}
    by_codec = {codec: offramp.solve(SHIPPED, **asked, codec=codec) for codec in ("fp32", "fp16", "int8", "any")}
    best = max(by_codec[codec].estimate.accuracy for codec in ("fp32", "fp16", "int8"))
    assert by_codec["any"].estimate.accuracy == best
    for codec in ("fp32", "fp16", "int8"):
        assert by_codec[codec].plan.codec.value == codec
    swept = offramp.sweep(SHIPPED, vary={"links[0].bandwidth": [5e5]}, **asked, codec="any")
    assert swept.rows[0].estimated == by_codec["any"].estimated


BAD = {
    "solve: profile": (lambda: offramp.solve("nothing"), "there is no file 'nothing'"),
    "solve: type of profile": (lambda: offramp.solve(3), "profile: is int; give a Profile"),
    "solve: topology": (lambda: offramp.solve(SHIPPED, "moon"), "shipped topologies: iot, mobile"),
    "solve: type of topology": (lambda: offramp.solve(SHIPPED, None), "topology: is NoneType"),
    "solve: words": (lambda: offramp.solve(SHIPPED, min_acuracy=0.9), "did you mean min_accuracy"),
    "solve: number without a unit": (lambda: offramp.solve(SHIPPED, max_latency=0.3), "has no unit"),
    "solve: floor": (lambda: offramp.solve(SHIPPED, min_accuracy=92), r"outside \[0, 1\]"),
    "solve: codec": (lambda: offramp.solve(SHIPPED, codec="fp8"), "codec"),
    "solve: exit model": (lambda: offramp.solve(SHIPPED, exit_model="guess"), "published, marginal, replay"),
    "solve: compute": (lambda: offramp.solve(SHIPPED, compute="layers"), "blocks, partitions"),
    "solve: thresholds": (lambda: offramp.solve(SHIPPED, thresholds=[0.4, 0.2]), "comes after 0.4"),
    "solve: twice": (
        lambda: offramp.solve(SHIPPED, "mobile", offramp.Requirement(min_accuracy=0.9), keep=1),
        "is given beside a Requirement: keep",
    ),
    "solve: type of requirement": (lambda: offramp.solve(SHIPPED, "mobile", 0.9), "requirement: is float"),
    "estimate: plan": (lambda: offramp.estimate(SHIPPED, "mobile", "1-3@watch"), "has no tier|unknown|watch"),
    "estimate: type of plan": (lambda: offramp.estimate(SHIPPED, "mobile", 7), "plan: is int"),
    "sweep: nothing asked": (lambda: offramp.sweep(SHIPPED, vary={"links[0].latency": [1]}), "requirement: is missing"),
    "sweep: nothing varied": (lambda: offramp.sweep(SHIPPED, vary={}, min_accuracy=0.5), "vary one or two"),
    "sweep: certified": (
        lambda: offramp.sweep(SHIPPED, vary={"links[0].latency": [1]}, min_accuracy=0.5, confidence=0.9),
        "certifies nothing",
    ),
    "compare: certified": (lambda: offramp.compare(SHIPPED, min_accuracy=0.5, confidence=0.9), "certifies nothing"),
    "train: backbone": (lambda: offramp.train("resnet21", "digits", out="x"), "resnet20"),
    "train: data": (lambda: offramp.train("resnet8", "mnist", out="x"), "use digits"),
    "train: type of data": (lambda: offramp.train("resnet8", 5, out="x"), "data: is int"),
    "train: epochs": (lambda: offramp.train("resnet8", "digits", out="x", epochs=0), "at least one epoch"),
    "train: precision": (lambda: offramp.train("resnet8", "digits", out="x", precision="fp8"), "auto, fp32 or bf16"),
    "train: seed": (lambda: offramp.train("resnet8", "digits", out="x", seed=-1), "zero or more"),
    "train: workers": (lambda: offramp.train("resnet8", "digits", out="x", workers=0), "give 1 or more"),
    "profile: run": (lambda: offramp.profile("x"), "offramp train --out"),
    "profile: type of run": (lambda: offramp.profile(None), "run: is NoneType; give a Run"),
    "profile: repeats": (lambda: offramp.profile("x", repeats=1), "at least 4"),
    "profile: partitions": (lambda: offramp.profile("x", partitions=0), "give a number above 0"),
    "profile: out": (lambda: offramp.profile("x", out="y/profile.json"), "there is no folder y"),
    "build: no profile": (lambda: offramp.build("x", "1-3@smartwatch", out="b"), "profile: is missing"),
    "build: run": (
        lambda: offramp.build("x", "1-3@smartwatch", out="b", profile=SHIPPED),
        "offramp train --out",
    ),
    "build: epochs": (
        lambda: offramp.build("x", "1-3@smartwatch", out="b", profile=SHIPPED, epochs=-1),
        "zero or more",
    ),
    "run: bundle": (lambda: offramp.run("x"), "offramp build"),
    "run: deadline": (lambda: offramp.run("x", deadline="soon"), "deadline"),
    "run: window": (lambda: offramp.run("x", window=0), "give 1 to 256"),
    "run: count": (lambda: offramp.run("x", count=0), "send at least one"),
    "validate: run": (lambda: offramp.validate("x", SHIPPED), "offramp train --out"),
    "validate: plans": (lambda: offramp.validate("x", SHIPPED, plans=0), "at least one plan"),
    "train: type of backbone": (lambda: offramp.train(None, "digits", out="x"), "backbone: is NoneType"),
    "train: type of out": (lambda: offramp.train("resnet8", "digits", out=None), "out: is NoneType"),
    "train: type of seed": (lambda: offramp.train("resnet8", "digits", out="x", seed="a"), "seed: 'a' is not a whole"),
    "train: part of an epoch": (lambda: offramp.train("resnet8", "digits", out="x", epochs=1.5), "epochs: 1.5 is not"),
    "train: type of rate": (
        lambda: offramp.train("resnet8", "digits", out="x", learning_rate="a"),
        "learning_rate: 'a' is not a number",
    ),
    "profile: type of repeats": (lambda: offramp.profile("x", repeats="many"), "repeats: 'many' is not a whole"),
    "run: type of bundle": (lambda: offramp.run(3), "bundle: is int; give a Bundle"),
    "run: type of count": (lambda: offramp.run("x", count="a"), "count: 'a' is not a whole"),
    "validate: type of plans": (lambda: offramp.validate("x", SHIPPED, plans="a"), "plans: 'a' is not a whole"),
    "read_run: type": (lambda: offramp.read_run(None), "folder: is NoneType"),
    "sweep: one value": (
        lambda: offramp.sweep(SHIPPED, vary={"links[0].bandwidth": 3}, min_accuracy=0.5),
        r"links\[0\].bandwidth: 3 is one value",
    ),
    "sweep: type of vary": (lambda: offramp.sweep(SHIPPED, vary=["a"], min_accuracy=0.5), "vary: is list"),
    "read_data: nothing": (lambda: offramp.read_data("nothing"), "use digits"),
    "read_run: nothing": (lambda: offramp.read_run("nothing"), "offramp train --out"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_the_argument_and_the_remedy(case: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, told = BAD[case]
    with pytest.raises(InputError, match=told):
        call()
    assert not [*tmp_path.iterdir()]


def test_a_solution_brings_its_own_profile(way: Way, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="topology: is given beside a solution"):
        offramp.build(way.run, way.solution, out=tmp_path / "b", topology="mobile")
    with pytest.raises(InputError, match="the profile is of resnet20 on digits, the run is of resnet8 on digits"):
        offramp.build(way.run, offramp.solve(SHIPPED), out=tmp_path / "b")


def test_samples_of_another_shape_are_refused(way: Way) -> None:
    with pytest.raises(InputError, match=r"images: holds uint8 of shape \(2, 3, 8, 8\)"):
        offramp.run(way.bundle, np.zeros((2, 3, 8, 8), np.uint8))
    with pytest.raises(InputError, match="samples: are list"):
        offramp.run(way.bundle, [1, 2])
