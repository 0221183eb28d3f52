import json
from dataclasses import fields

import pytest
import typer
from typer.testing import CliRunner

from offramp.cli import training
from offramp.errors import InputError, MissingExtraError
from offramp.files import read_profile
from offramp.nn.training.fit import Recipe
from offramp.pipeline import arguments, train


def call(*words: object):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(training.train)
    app.command()(training.profile)
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


OPTIONS = ("--backbone", "resnet8", "--epochs", 1, "--separate-epochs", 1, "--batch-size", 128, "--seed", 3)


def test_train_and_profile_from_end_to_end(run, tmp_path):
    # The run is finished, so that this checks the commands and not the training again.
    trained = call("train", *OPTIONS, "--precision", "fp32", "--out", run.folder, "--json")
    answer = json.loads(trained.stdout)
    assert [row["block"] for row in answer["branches"]] == ["stem", "stage1-1", "stage2-1", "stage3-1"]
    assert tuple(row["separate_accuracy"] for row in answer["branches"]) == run.separate_accuracy

    path = tmp_path / "profile.json"
    profiled = call("profile", run.folder, "--out", path, "--device", "box", "--repeats", 4, "--json")
    assert json.loads(profiled.stdout)["devices"] == ["box", "box-torch", "box-torch-1thread"]
    assert read_profile(path).backbone.name == "resnet8"

    half = ("--partitions", "50%", "--repeats", 4)
    shown = call("profile", run.folder, "--times-only", "--into", path, "--device", "pi", *half).stdout
    # So few are all timed, whatever the share; nothing is told of others.
    *warned, told = shown.splitlines()
    assert told == f"resnet8 on pi: {path}. Next: offramp plan {path} --topology mobile"
    # Of so few repeats some may be spoiled, and then that is said.
    assert all(line.startswith("Warning: on ") and "something else ran meanwhile" in line for line in warned)
    assert sorted(read_profile(path).timings) == sorted(
        f"{name}{way}" for name in ("box", "pi") for way in ("", "-torch", "-torch-1thread")
    )

    text = path.read_text()
    assert text.count('"resnet8"') == 1
    path.write_text(text.replace('"resnet8"', '"resnet14"'))
    with pytest.raises(InputError, match="is of resnet14 on digits, the run is of resnet8 on digits"):
        call("profile", run.folder, "--times-only", "--into", path, "--device", "pi", "--repeats", 4)


def test_train_shows_a_table(run):
    shown = call("train", *OPTIONS, "--out", run.folder).stdout
    assert "4 stage3-1" in shown
    assert "offramp profile" in shown


def test_the_precision_of_a_run_stays(run):
    with pytest.raises(InputError, match="began in another than bf16; leave it out"):
        call("train", *OPTIONS, "--precision", "bf16", "--out", run.folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--out", "x", "--backbone", "resnet21"), "resnet20"),
        (("train", "--out", "x", "--data", "mnist"), "use digits"),
        (("train", "--out", "x", "--seed", "-1"), "seed: -1 is too small; give 0 or more"),
        (("train", "--out", "x", "--epochs", "0"), "epochs: 0 is too small; give 1 or more"),
        (("profile", "x"), "offramp train --out"),
        (("profile", "x", "--times-only"), "give both"),
        (("profile", "x", "--into", "profile.json"), "give both"),
        (("profile", "x", "--repeats", "1"), "repeats: 1 is too small; give 4 or more"),
        (("profile", "x", "--partitions", "half"), "'half' is no share of them; use auto, all, or a share"),
        (("profile", "x", "--partitions", "0%"), "'0%' is no share of them"),
        (("profile", "x", "--partitions", "1.5"), "'1.5' is no share of them"),
        (("profile", "x", "--out", "y/profile.json"), "there is no folder y"),
        (("profile", "x", "--out", "."), "is a folder; name a file"),
    ],
)
def test_bad_options_are_refused_with_a_remedy_and_leave_nothing(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        call(*words)
    assert not [*tmp_path.iterdir()]


def test_an_unknown_precision_is_refused_with_those_there_are(tmp_path):
    refused = call("train", "--out", tmp_path / "x", "--precision", "fp8")
    assert refused.exit_code == 2
    assert "'fp8' is not one of 'auto'" in refused.output
    assert not (tmp_path / "x").exists()


def test_without_torch_the_commands_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(arguments, "find_spec", lambda package: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'offramp\[train\]'"):
        call("train", "--out", tmp_path)


def test_the_defaults_are_those_of_the_recipe():
    recipe = {each.name: each.default for each in fields(Recipe)}
    assert recipe["batch_size"] == train.NEW.batch_size
    assert recipe["learning_rate"] == train.NEW.learning_rate
    assert recipe["given_share"] == train.NEW.given_share
