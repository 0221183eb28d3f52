"""From a trained run to a bundle that runs, through the commands, on real processes and sockets."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from offramp.bundle import read_bundle, read_model
from offramp.bundle.session import PartitionSession
from offramp.cli import running, validating
from offramp.cli.building import build
from offramp.core.plan import Plan
from offramp.errors import InputError
from offramp.files import read_result, write_profile
from offramp.nn.profiling import profiler
from offramp.nn.training import finetune, jobs
from offramp.nn.training.run import Run, read_run
from offramp.pipeline import partitions
from offramp.pipeline.reference import run_locally

# Links that are fast, and tiers that are hardly slower than this machine: the test is not to take long.
TOPOLOGY = """
name: desk
source: board
destination: board
tiers:
  - {name: board, slowdown: 20}
  - {name: hub, slowdown: 4}
  - {name: server, slowdown: 1}
links:
  - {bandwidth: 50 Mb/s, latency: 5 ms}
  - {bandwidth: 200 Mb/s, latency: 10 ms}
"""
PLAN = "1@board 2-3@hub 4@server T=0.97,0.9"


def call(command, *words: object):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def run(run, tmp_path_factory) -> Run:
    """A copy: what is tuned is kept in the run's folder, and others only read theirs."""
    folder = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(run.folder, folder)
    return read_run(folder)


@pytest.fixture(scope="module")
def desk(run, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "desk.yaml").write_text(TOPOLOGY)
    measured = profiler.profile_network(
        run.network,
        run.dataset,
        backbone=run.setup.backbone,
        seed=run.setup.seed,
        separate_accuracy=run.separate_accuracy,
        training=run.training_record(),
        device="here",
        repeats=12,
        partition_repeats=6,
    )
    write_profile(measured, folder / "profile.json")
    return {"folder": folder, "topology": folder / "desk.yaml", "profile": folder / "profile.json"}


@pytest.fixture(scope="module")
def built(run, desk) -> tuple[Path, dict]:
    out = desk["folder"] / "bundle"
    words = ("--plan", PLAN, "--profile", desk["profile"], "-t", desk["topology"], "--out", out, "--epochs", 1)
    return out, json.loads(call(build, run.folder, *words, "--json").stdout)


def test_what_was_built_is_what_was_planned(built):
    out, said = built
    bundle = read_bundle(out)
    assert bundle.plans == (Plan.parse(PLAN),)
    assert [(each.first, each.last) for each in bundle.partitions] == [(1, 1), (2, 3), (4, 4)]
    assert said["deviation"] <= 1e-5 < said["tolerance"]
    assert said["estimate"]["accuracy"] == bundle.estimate.accuracy
    for tier, files in (("board", {"blocks-1-1.onnx"}), ("hub", {"blocks-2-3.onnx"}), ("server", {"blocks-4-4.onnx"})):
        assert {path.name for path in (out / "tiers" / tier).iterdir()} == files | {"tier.json", "topology.yaml"}
    assert (out / "deploy" / "compose.yaml").is_file()
    assert "offramp worker tiers/board --next hub:7447" in (out / "README.md").read_text()


def test_the_estimate_as_built_is_that_of_the_network_that_was_built(run, built):
    """Looked up in PyTorch with the weights that were kept, one sample after the other."""
    out, said = built
    bundle = read_bundle(out)
    tuned = finetune.tuned(run, bundle.plans[0], epochs=1)
    assert said["tuned"] == {
        "epochs": 1,
        "before": tuned.accuracy_before,
        "after": tuned.accuracy_after,
        "kept": tuned.kept,
    }
    split, left, right = run.dataset.validation, [0, 0, 0], 0
    with torch.inference_mode():
        logits = [branch.double() for branch in tuned.network(torch.tensor(split.images))]
    for s, label in enumerate(split.labels):
        for k, threshold in enumerate((*bundle.plans[0].thresholds, 1.0)):
            p = torch.softmax(logits[k][s], dim=0)
            if k == 2 or -(p * p.log()).sum() / np.log(10) <= threshold:
                left[k] += 1
                right += int(p.argmax()) == label
                break
    assert bundle.estimate.exit_rates == pytest.approx([n / len(split) for n in left], abs=1.5 / len(split))
    assert bundle.estimate.accuracy == pytest.approx(right / len(split), abs=1.5 / len(split))


def test_tuning_never_makes_a_plan_worse(run, built):
    plan = Plan.parse(PLAN)
    found = finetune.tuned(run, plan, epochs=1)
    best = max(found.accuracy_before, found.accuracy_after)
    assert finetune.plan_accuracy(found.network, plan, run.dataset.validation) == best
    assert found.network.ends == plan.ends


def test_what_was_tuned_is_not_tuned_again(run, built):
    events = [*finetune.tune(run, Plan.parse(PLAN), epochs=1)]
    assert not any(isinstance(event, jobs.Step) for event in events)


def test_degraded_answers_have_the_accuracy_of_the_samples_that_continue(run, built):
    out, _ = built
    bundle = read_bundle(out)
    plan, split = bundle.plans[0], run.dataset.validation
    sessions = {
        each.blocks: PartitionSession(read_model(out / "tiers" / tier, each))
        for each, tier in zip(bundle.partitions, plan.placement, strict=True)
    }
    outputs = run_locally(sessions, plan, split.images, split.labels)
    stays = outputs.scores[0] > np.float32(plan.thresholds[0])
    assert outputs.staying_accuracy()[0] == pytest.approx(outputs.correct[0][stays].mean())
    assert [each.staying_accuracy for each in bundle.partitions] == outputs.staying_accuracy()
    assert bundle.estimate.exit_rates == outputs.rates().exit_rates


def test_a_bundle_runs_as_was_predicted(built, tmp_path):
    out, _ = built
    shown = call(running.run, out, "--count", 30, "--out", tmp_path / "result.json").stdout
    assert "30 answered, 0 degraded, 0 failed" in shown
    result = read_result(tmp_path / "result.json")
    measured, replayed = result.measured, result.replayed
    assert measured.accuracy == replayed.accuracy
    assert measured.exit_rates == replayed.exit_rates
    # How near they are is what `offramp validate` measures, on a machine that does nothing else.
    assert replayed.latency_s <= measured.latency_s < 3 * replayed.latency_s


def test_many_plans_run_on_one_deployment(run, desk, tmp_path):
    words = ("--profile", desk["profile"], "-t", desk["topology"], "--plans", 6, "--count", 5, "--out", tmp_path / "v")
    shown = call(validating.validate, run.folder, *words).stdout
    assert "6 plans: latency slope" in shown
    found = read_result(tmp_path / "v" / "validation.json")
    assert len({each.plan for each in found.plans}) == 6
    assert found.accuracy_worst_points == found.exit_rate_worst_points == 0
    assert all(each.samples == 5 and each.measured.latency_s >= each.predicted.latency_s for each in found.plans)
    assert (tmp_path / "v" / "validation.png").stat().st_size > 10_000


def test_a_validation_for_machines_is_what_it_leaves_in_its_folder(run, desk, tmp_path):
    words = ("--profile", desk["profile"], "-t", desk["topology"], "--plans", 1, "--count", 2, "--out", tmp_path)
    told = json.loads(call(validating.validate, run.folder, *words, "--json").stdout)
    assert told == json.loads((tmp_path / "validation.json").read_text())
    assert [plan["samples"] for plan in told["plans"]] == [2]


def test_samples_of_ones_own_are_sent_as_well(built, run, tmp_path):
    out, _ = built
    split = run.dataset.test
    np.savez(tmp_path / "own.npz", images=split.images[:4], labels=split.labels[:4])
    words = [sys.executable, "-m", "offramp", "run", out, "--samples", tmp_path / "own.npz", "--full-speed", "--json"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout)["measured"]["accuracy"] is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--plan": "1-9@board"}, "block 9 of a backbone with 4"),
        ({"--plan": "1-4@phone"}, "phone"),
        ({"--profile": "resnet20-digits"}, "the profile is of resnet20 on digits, the run is of resnet8 on digits"),
        ({"--out": "/dev/null"}, "can't be made"),
    ],
)
def test_what_does_not_fit_is_refused(run, desk, tmp_path, change, message):
    words = {"--plan": PLAN, "--profile": desk["profile"], "-t": desk["topology"], "--out": tmp_path / "b"} | change
    with pytest.raises(InputError, match=message):
        call(build, run.folder, *(word for pair in words.items() for word in pair))
    assert not (tmp_path / "b").exists()


def test_a_folder_that_is_no_bundle_is_not_replaced(run, desk, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    words = ("--plan", PLAN, "--profile", desk["profile"], "-t", desk["topology"], "--out", tmp_path)
    with pytest.raises(InputError, match="exists and is no bundle"):
        call(build, run.folder, *words)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_partitions_that_differ_from_pytorch_are_not_built(run, desk, monkeypatch):
    monkeypatch.setattr(partitions, "TOLERANCE", 0.0)
    words = ("--plan", PLAN, "--profile", desk["profile"], "-t", desk["topology"], "--epochs", 0)
    with pytest.raises(InputError, match="differs from PyTorch by"):
        call(build, run.folder, *words, "--out", desk["folder"] / "never")
