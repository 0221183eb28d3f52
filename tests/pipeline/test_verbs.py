"""The verbs as a notebook calls them: what they give, how it shows itself, and what they refuse."""

import inspect
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
from offramp.cli import building, comparing, planning, reporting, running, sweeping, training, validating
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
        for codec in (*document["codecs"].values(), *document["inputs"].values()):
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
    "solve: topology": (lambda: offramp.solve(SHIPPED, "moon"), "shipped topologies: iot, lte, mobile, sensor"),
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
    "train: epochs": (
        lambda: offramp.train("resnet8", "digits", out="x", epochs=0),
        "epochs: 0 is too small; give 1 or more",
    ),
    "train: precision": (lambda: offramp.train("resnet8", "digits", out="x", precision="fp8"), "auto, fp32 or bf16"),
    "train: seed": (
        lambda: offramp.train("resnet8", "digits", out="x", seed=-1),
        "seed: -1 is too small; give 0 or more",
    ),
    "train: workers": (lambda: offramp.train("resnet8", "digits", out="x", workers=0), "give 1 or more"),
    "profile: run": (lambda: offramp.profile("x"), "offramp train --out"),
    "profile: type of run": (lambda: offramp.profile(None), "run: is NoneType; give a Run"),
    "profile: repeats": (lambda: offramp.profile("x", repeats=1), "repeats: 1 is too small; give 4 or more"),
    "profile: partitions": (lambda: offramp.profile("x", partitions=0), "use auto, all, or a share"),
    "profile: out": (lambda: offramp.profile("x", out="y/profile.json"), "there is no folder y"),
    "build: no profile": (lambda: offramp.build("x", "1-3@smartwatch", out="b"), "profile: is missing"),
    "build: run": (
        lambda: offramp.build("x", "1-3@smartwatch", out="b", profile=SHIPPED),
        "offramp train --out",
    ),
    "build: epochs": (
        lambda: offramp.build("x", "1-3@smartwatch", out="b", profile=SHIPPED, epochs=-1),
        "epochs: -1 is too small",
    ),
    "run: bundle": (lambda: offramp.run("x"), "offramp build"),
    "run: deadline": (lambda: offramp.run("x", deadline="soon"), "deadline"),
    "run: window": (lambda: offramp.run("x", window=0), "give 1 to 256"),
    "run: count": (lambda: offramp.run("x", count=0), "count: 0 is too small; give 1 or more"),
    "validate: run": (lambda: offramp.validate("x", SHIPPED), "offramp train --out"),
    "validate: plans": (lambda: offramp.validate("x", SHIPPED, plans=0), "plans: 0 is too small; give 1 or more"),
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
    "solve: thresholds in a text": (lambda: offramp.solve(SHIPPED, thresholds="0.1"), "thresholds: has 0 axes; give a"),
    "solve: one threshold": (lambda: offramp.solve(SHIPPED, thresholds=0.5), "thresholds: has 0 axes; give a list"),
    "solve: a set of thresholds": (lambda: offramp.solve(SHIPPED, thresholds={0.1}), "thresholds: is not a list"),
    "solve: list of models": (lambda: offramp.solve(SHIPPED, exit_model=["replay"]), "exit_model: .'replay'. is unk"),
    "solve: seed": (lambda: offramp.solve(SHIPPED, seed=1.5), "seed: 1.5 is not a whole number; give 0 or more"),
    "solve: empty": (lambda: offramp.solve(""), "profile: is empty; give a Profile, or the name"),
    "solve: yes for a floor": (lambda: offramp.solve(SHIPPED, min_accuracy=True), "min_accuracy: true is no answer"),
    "solve: yes for blocks": (lambda: offramp.solve(SHIPPED, min_accuracy=0.9, keep=True), "keep: true is no answer"),
    "solve: progress": (lambda: offramp.solve(SHIPPED, progress="x"), "progress: is str; give a function"),
    "solve: no frontier to draw": (
        lambda: offramp.solve(SHIPPED, min_accuracy=0.9, frontier=False).plot(),
        "frontier: is empty: .*; solve with frontier=True",
    ),
    "solution: no axis": (lambda: offramp.solve(SHIPPED).plot("x"), "ax: is str; give an axis of matplotlib"),
    "solution: no path": (lambda: offramp.solve(SHIPPED).write(None), "path: is NoneType, no path"),
    "estimate: NaN": (lambda: offramp.estimate(SHIPPED, "mobile", "1-10@cloud T=nan"), "nan is outside"),
    "sweep: no path": (
        lambda: offramp.sweep(SHIPPED, vary={"links[0].latency": [1]}, min_accuracy=0.5).write(None),
        "path: is NoneType, no path",
    ),
    "sweep: time": (
        lambda: offramp.sweep(SHIPPED, vary={"links[0].latency": [1]}, min_accuracy=0.5, time_limit="1 s"),
        "time_limit: a sweep brings every search to its end",
    ),
    "sweep: steps": (
        lambda: offramp.sweep(SHIPPED, vary={"links[0].latency": "1s..2s"}, min_accuracy=0.5, steps=1),
        "steps: 1 is too small; give 2 or more",
    ),
    "sweep: no value": (
        lambda: offramp.sweep(SHIPPED, vary={"links[0].latency": [None]}, min_accuracy=0.5),
        r"links\[0\].latency: None is not a value",
    ),
    "sweep: value without a unit": (
        lambda: offramp.sweep(SHIPPED, vary={"links[0].latency": ["1"]}, min_accuracy=0.5),
        r"links\[0\].latency: '1' has no unit",
    ),
    "sweep: wrong on every topology": (
        lambda: offramp.sweep(SHIPPED, vary={"links[0].latency": [1]}, min_accuracy=0.5, forbid=["moon"]),
        "forbid: topology mobile has no tier 'moon'",
    ),
    "compare: certify": (lambda: offramp.compare(SHIPPED, min_accuracy=0.5, certify=True), "certify: a comparison"),
    "train: nothing of that name": (lambda: offramp.train("resnet8", "digits", out="x", train="heads"), "use exits or"),
    "train: no weights of ours": (
        lambda: offramp.train("resnet8", "digits", out="x", weights="net.pt"),
        "weights: are for a network of yours",
    ),
    "train: empty data": (lambda: offramp.train("resnet8", "", out="x"), "data: is empty; use digits"),
    "train: type of ray": (lambda: offramp.train("resnet8", "digits", out="x", ray=3), "ray: is int; give HOST:PORT"),
    "train: progress": (lambda: offramp.train("resnet8", "digits", out="x", progress=3), "progress: is int"),
    "train: image size": (lambda: offramp.train("resnet8", "digits", out="x", image_size=0), "image_size: 0 is too"),
    "profile: share in a text": (lambda: offramp.profile("x", partitions="120%"), "partitions: '120%' is no share"),
    "profile: no repeats": (lambda: offramp.profile("x", repeats=None), "repeats: None is not a whole"),
    "profile: yes": (lambda: offramp.profile("x", partitions=True), "partitions: True is no share"),
    "build: type of alternatives": (
        lambda: offramp.build("x", "1-3@smartwatch", out="b", profile=SHIPPED, alternatives=3),
        "alternatives: is int; give plans",
    ),
    "build: no epochs": (
        lambda: offramp.build("x", "1-3@smartwatch", out="b", profile=SHIPPED, epochs=None),
        "epochs: None is not a whole",
    ),
    "run: no window": (lambda: offramp.run("x", window=None), "window: None is not a whole number; give 1 to 256"),
    "validate: no topology": (lambda: offramp.validate("x", SHIPPED, topology=None), "topology: is NoneType"),
    "validate: seed": (lambda: offramp.validate("x", SHIPPED, seed="a"), "seed: 'a' is not a whole"),
    "validate: time": (lambda: offramp.validate("x", SHIPPED, time_limit="1 s"), "time_limit: a validation brings"),
    "report: out": (lambda: offramp.report(SHIPPED, out=None), "out: is NoneType; give the file to write"),
    "report: plans": (lambda: offramp.report(SHIPPED, out="r.html", plans=3), "plans: is int; give plans"),
    "report: one of the plans": (
        lambda: offramp.report(SHIPPED, out="r.html", plans=[None]),
        r"plans\[0\]: is NoneType",
    ),
    "report: results": (lambda: offramp.report(SHIPPED, out="r.html", results=3), "results: is int; give what run"),
    "report: seed": (lambda: offramp.report(SHIPPED, out="r.html", seed=-1), "seed: -1 is too small"),
    "report: format": (lambda: offramp.report(SHIPPED, out="r.html", format="doc"), "format: 'doc' is unknown; use"),
    "report: topology beside a solution": (
        lambda: offramp.report(offramp.solve(SHIPPED), "mobile", out="r.html"),
        "solution: is given beside arguments that say how to solve",
    ),
    "read_data: empty": (lambda: offramp.read_data(""), "data: is empty"),
    "read_data: size": (lambda: offramp.read_data("digits", size=0), "size: 0 is too small"),
    "read_profile: type": (lambda: offramp.read_profile(3), "file: is int, no path"),
    "read_topology: type": (lambda: offramp.read_topology(None), "file: is NoneType, no path"),
    "read_plan: type": (lambda: offramp.read_plan(3), "is int, no path"),
    "read_result: type": (lambda: offramp.read_result(3), "file: is int, no path"),
    "read_requirements: type": (lambda: offramp.read_requirements(3), "file: is int, no path"),
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


def test_one_stands_for_a_list_of_one(tmp_path: Path) -> None:
    """A text is no list of letters; what brings a plan along is as good as the plan."""
    plan = "1-3@smartwatch 4-10@smartphone T=0.40"
    for number, plans in enumerate((plan, [plan], offramp.estimate(SHIPPED, "mobile", plan))):
        assert offramp.report(SHIPPED, out=tmp_path / f"{number}.md", plans=plans).plans == (plan,)
    solution = offramp.solve(SHIPPED, min_accuracy=0.9, frontier=False)
    assert offramp.estimate(SHIPPED, "mobile", solution).estimate == solution.estimate
    assert solution.columns()["plan"].dtype.kind == "U"


def test_values_may_be_written_as_in_a_file() -> None:
    numbers, texts = (
        offramp.sweep(SHIPPED, vary={"links[0].bandwidth": values}, min_accuracy=0.9)
        for values in ([1e6, 2e6], ["1 Mb/s", "2Mb/s"])
    )
    assert [row.record() for row in numbers.rows] == [row.record() for row in texts.rows]


PAIRS = {
    "train": (training.train, offramp.train),
    "profile": (training.profile, offramp.profile),
    "solve": (planning.plan, offramp.solve),
    "estimate": (planning.estimate, offramp.estimate),
    "build": (building.build, offramp.build),
    "run": (running.run, offramp.run),
    "compare": (comparing.compare, offramp.compare),
    "sweep": (sweeping.sweep, offramp.sweep),
    "validate": (validating.validate, offramp.validate),
    "report": (reporting.report, offramp.report),
}
# What a command must name, or names for its user, and a verb does without: files, and the topology of a plan in hand.
OF_COMMANDS = {
    ("build", "topology"),
    ("report", "topology"),
    ("validate", "topology"),
    ("profile", "out"),
    ("validate", "out"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_commands_and_verbs_have_the_same_defaults(name: str) -> None:
    command, verb = (inspect.signature(function).parameters for function in PAIRS[name])
    empty = inspect.Parameter.empty
    shared = {
        parameter: (command[parameter].default, verb[parameter].default)
        for parameter in command.keys() & verb.keys()
        if (name, parameter) not in OF_COMMANDS and empty not in (command[parameter].default, verb[parameter].default)
    }
    assert shared
    different = {parameter: defaults for parameter, defaults in shared.items() if str(defaults[0]) != str(defaults[1])}
    assert not different
