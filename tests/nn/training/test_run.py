from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from offramp.errors import InputError
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Dataset
from offramp.nn.datasets import read_data
from offramp.nn.inference import accuracy
from offramp.nn.training import checkpoint
from offramp.nn.training.fit import Recipe
from offramp.nn.training.jobs import Finished, Learned, Started
from offramp.nn.training.run import JOINT, Training, begin_run, read_run
from offramp.nn.training.setup import Setup, fingerprints, read_setup


def begin(folder: Path, setup: Setup, dataset: Dataset | None = None) -> Training:
    dataset = dataset or read_data(setup.dataset, seed=setup.seed)
    return begin_run(folder, setup, dataset, backbone_spec(setup.backbone))


def take(events, stop_in_epoch=None):
    """The events until the first step of that epoch, as if the program had been stopped there."""
    taken = []
    for event in events:
        taken.append(event)
        if isinstance(event, Learned) and event.epoch == stop_in_epoch:
            break
    return taken


def test_a_run_holds_a_joint_network_and_one_for_every_branch(run):
    names = {path.name for path in run.folder.iterdir()}
    networks = ["joint", "separate-1", "separate-2", "separate-3", "separate-4"]
    assert names == {"run.json", *(f"{name}.safetensors" for name in networks)}
    assert len(run.separate_accuracy) == 4


def test_a_finished_checkpoint_is_plain_safetensors_with_the_weights_alone(run):
    tensors = safetensors.torch.load_file(run.checkpoint(JOINT))
    network = run.network
    assert {name.removeprefix("weight:") for name in tensors} == set(network.state_dict())
    kept = checkpoint.read(run.checkpoint(JOINT))
    assert kept.accuracy == checkpoint.finished_accuracy(run.checkpoint(JOINT)) == run.accuracy
    assert kept.accuracy == accuracy(network, run.dataset.validation)


def test_what_is_finished_is_not_trained_again(run, setup):
    before = {path: path.stat().st_mtime_ns for path in run.folder.glob("*.safetensors")}
    events = take(begin(run.folder, setup).train())
    assert not any(isinstance(event, Learned) for event in events)
    assert [event.accuracy for event in events if isinstance(event, Finished)][1:] == [
        (accuracy,) for accuracy in run.separate_accuracy
    ]
    assert before == {path: path.stat().st_mtime_ns for path in run.folder.glob("*.safetensors")}


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(setup, tmp_path):
    longer = replace(setup, joint=Recipe(epochs=2, batch_size=128), separate=None)
    take(begin(tmp_path / "a", longer).train())
    take(begin(tmp_path / "b", longer).train(), stop_in_epoch=2)
    with pytest.raises(InputError, match="not trained to the end"):
        read_run(tmp_path / "b")
    events = take(begin(tmp_path / "b", longer).train())
    assert {event.epoch for event in events if isinstance(event, Learned)} == {2}
    [started] = [event for event in events if isinstance(event, Started)]
    assert (started.seen, started.images) == (1077, 2 * 1077)
    one, other = (read_run(tmp_path / folder).network.state_dict() for folder in "ab")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_separate_networks_may_be_added_later(setup, run, tmp_path):
    short = replace(setup, separate=None)
    begin(tmp_path, short, run.dataset)
    assert begin(tmp_path, setup, run.dataset).setup == setup
    assert begin(tmp_path, short, run.dataset).setup.separate == read_setup(tmp_path).separate == setup.separate
    (tmp_path / "joint.safetensors").write_bytes(run.checkpoint(JOINT).read_bytes())
    assert read_run(tmp_path).separate_accuracy is None


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"backbone": "resnet20"}, {"joint": Recipe(epochs=9)}, {"separate": Recipe(epochs=9)}]
)
def test_a_folder_of_another_setup_is_refused(run, setup, change):
    [(name, value)] = change.items()
    place = rf"{name}\.epochs: was 1, now 9" if isinstance(value, Recipe) else f"{name}: was "
    with pytest.raises(InputError, match=f"{place}.*use the same options, or another folder"):
        begin(run.folder, replace(setup, **change))


def test_other_data_behind_the_same_name_are_refused(setup, tiny, tmp_path):
    def write(labels):
        parts = {"train_": tiny.train, "val_": tiny.validation, "test_": tiny.test}
        arrays = {f"{name}images": part.images for name, part in parts.items()}
        arrays |= {
            f"{name}labels": part.labels if labels is None else labels[: len(part)] for name, part in parts.items()
        }
        np.savez(tmp_path / "data.npz", **arrays)

    write(None)
    small = replace(setup, dataset=str(tmp_path / "data.npz"), joint=Recipe(epochs=1), separate=None)
    take(begin(tmp_path / "run", small).train())
    take(begin(tmp_path / "run", small).train())
    read_run(tmp_path / "run")
    write(np.arange(80) % 4)
    for again in (lambda: begin(tmp_path / "run", small), lambda: read_run(tmp_path / "run")):
        with pytest.raises(InputError, match="data: is not what it was when this run began; train into another folder"):
            again()


def test_another_network_behind_the_same_name_is_refused(setup, run):
    assert fingerprints(run.dataset, run.network) == run.made_of
    smaller = replace(backbone_spec("resnet14"), name="resnet8")
    with pytest.raises(InputError, match="network: is not what it was when this run began"):
        begin_run(run.folder, setup, run.dataset, smaller)


@pytest.mark.parametrize("place", ["run.txt", "run.txt/inside"])
def test_a_folder_that_cannot_be_made_is_refused(setup, tiny, tmp_path, place):
    (tmp_path / "run.txt").touch()
    with pytest.raises(InputError, match=r"can't be written: .*give a folder"):
        begin(tmp_path / place, setup, tiny)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="offramp train --out"):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"offramp": "run/7"}'])
def test_a_damaged_run_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="can't be read"):
        read_run(tmp_path)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    path = tmp_path / "joint.safetensors"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0nonsense")
    with pytest.raises(InputError, match="delete it and train again"):
        checkpoint.read(path)


def test_a_checkpoint_comes_back_as_it_was(tmp_path, network):
    path = tmp_path / "kept.safetensors"
    momentum = {name: torch.randn_like(weight) for name, weight in network.named_parameters()}
    checkpoint.write(path, checkpoint.Checkpoint(7, network.state_dict(), momentum, (0.25, 1 / 3)))
    back = checkpoint.read(path)
    assert (back.epoch, back.accuracy, back.finished) == (7, (0.25, 1 / 3), True)
    for kept, found in ((network.state_dict(), back.weights), (momentum, back.momentum)):
        assert kept.keys() == found.keys()
        assert all(np.array_equal(kept[name], found[name]) for name in kept)
