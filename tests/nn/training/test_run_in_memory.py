"""Runs on data in memory, of modules in hand, and what is read of a run's folder."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from offramp.errors import InputError
from offramp.nn import network as networks
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Dataset
from offramp.nn.datasets import digits, read_data
from offramp.nn.profiling import profiler
from offramp.nn.training import checkpoint, jobs, setup
from offramp.nn.training.fit import Recipe
from offramp.nn.training.run import Run, begin_run, read_run
from offramp.nn.training.setup import Setup, read_setup

RECIPE = Recipe(epochs=1, batch_size=16)


def trained(folder: Path, backbone: str | nn.Module, dataset: Dataset, *, seed: int = 3) -> Run:
    spec = backbone_spec(backbone)
    training = begin_run(
        folder, Setup.of(spec, dataset, seed=seed, bf16=False, joint=RECIPE, separate=RECIPE), dataset, spec
    )
    for _ in training.train():
        pass
    return training.finished()


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    kept, found = one.state_dict(), other.state_dict()
    return kept.keys() == found.keys() and all(torch.equal(kept[name], found[name]) for name in kept)


class Small(nn.Module):
    def __init__(self, classes: int = 4, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.third = nn.Conv2d(width, width, 3, padding=1)
        self.classify = nn.Linear(width, classes)

    def forward(self, x):
        x = torch.relu(self.second(torch.relu(self.first(x))))
        return self.classify(torch.relu(self.third(x)).mean(dim=(2, 3)))


def test_data_in_memory_are_kept_with_the_run(tiny, tmp_path):
    run = trained(tmp_path / "run", "resnet8", tiny)
    assert read_setup(tmp_path / "run").dataset == "data.npz"
    again = read_run(tmp_path / "run")
    for dataset in (run.dataset, again.dataset):
        assert dataset.name == "tiny"
        assert dataset.class_names == tiny.class_names
        assert dataset.source.name == str(tmp_path / "run" / "data.npz")
        for part, kept in (
            (dataset.train, tiny.train),
            (dataset.validation, tiny.validation),
            (dataset.test, tiny.test),
        ):
            assert np.array_equal(part.images, kept.images)
            assert np.array_equal(part.labels, kept.labels)
    assert same_weights(run.network, again.network)
    assert (run.accuracy, run.separate_accuracy) == (again.accuracy, again.separate_accuracy)
    # As `offramp run` finds it with what a bundle says.
    source = again.dataset.source
    assert len(read_data(source.name, seed=source.seed, size=source.size).test) == len(tiny.test)
    # The folder may be moved.
    (tmp_path / "run").rename(tmp_path / "moved")
    assert read_run(tmp_path / "moved").dataset.source.name == str(tmp_path / "moved" / "data.npz")


def test_a_run_on_data_in_memory_goes_on_and_other_data_are_refused(tiny, tmp_path):
    trained(tmp_path, "resnet8", tiny)
    before = (tmp_path / "data.npz").stat().st_mtime_ns
    trained(tmp_path, "resnet8", tiny)
    assert (tmp_path / "data.npz").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="data: is not what it was when this run began"):
        trained(tmp_path, "resnet8", read_data((tiny.train.images, tiny.train.labels)))
    assert (tmp_path / "data.npz").stat().st_mtime_ns == before


def test_images_of_one_channel_are_read_back_with_one(tmp_path):
    gray = Dataset("gray", 2, *(part[:4] for part in _splits()), augmentation=None, class_names=("a", "b"))
    trained(tmp_path, "resnet8", gray)
    back = read_run(tmp_path).dataset
    assert back.image_shape == (1, 8, 8)
    assert np.array_equal(back.test.images, gray.test.images)


def _splits():
    from offramp.nn.data import split

    whole = split("gray", np.zeros((40, 1, 8, 8), np.uint8), np.arange(40) % 2, seed=0)
    return whole.train, whole.validation, whole.test


def test_the_seed_of_the_splits_may_be_another_than_the_runs(tmp_path):
    dataset = read_data("digits", seed=5, size=8)
    run = trained(tmp_path, "resnet8", dataset, seed=3)
    assert (run.setup.seed, run.setup.data_seed, run.setup.image_size) == (3, 5, 8)
    assert np.array_equal(read_run(tmp_path).dataset.test.members, dataset.test.members)


def test_a_module_in_hand_is_trained_and_left_as_it_was(tiny, tmp_path):
    torch.manual_seed(0)
    module = Small()
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    run = trained(tmp_path, module, tiny)
    assert all(torch.equal(weight, before[name]) for name, weight in module.state_dict().items())
    assert run.setup.backbone == "nn.Module:Small"
    assert run.network.names == ("first", "second", "third")
    assert len(run.separate_accuracy) == 3
    for again in (read_run(tmp_path), read_run(tmp_path, backbone=module, dataset=tiny)):
        assert again.dataset.source == run.dataset.source
        assert again.network.names == run.network.names
        assert same_weights(run.network, again.network)
    (tmp_path / "backbone.pt2").unlink()
    with pytest.raises(InputError, match=r"in hand, a Small; hand over a Small .*read_run\(folder, backbone=module\)"):
        read_run(tmp_path)
    with pytest.raises(InputError, match="network: is not what it was"):
        read_run(tmp_path, backbone=Small(width=9))


def test_networks_begin_with_the_weights_of_the_module_in_hand(tiny):
    module = Small()
    network = networks.build(backbone_spec(module), tiny, seed=0)
    kernels = [weight for weight in network.blocks.parameters() if weight.ndim == 4]
    assert torch.equal(kernels[1], module.second.weight)
    last = [weight for weight in network.branches[-1].parameters() if weight.shape == (4, 8)]
    assert torch.equal(last[0], module.classify.weight)


def test_a_module_with_other_outputs_than_classes_is_refused(tiny):
    with pytest.raises(
        InputError, match="makes 1000 logits, so it is made for 1000 classes, and the data have 4; make it for 4"
    ):
        networks.build(backbone_spec(Small(classes=1000)), tiny, seed=0)


def test_other_processes_cannot_train_a_module_in_hand(tiny, tmp_path):
    spec = backbone_spec(Small())
    training = begin_run(tmp_path, Setup.of(spec, tiny, seed=0, bf16=False, joint=RECIPE, separate=None), tiny, spec)
    with pytest.raises(InputError, match="can't make a network from a module in this one; train in turn"):
        training.train(jobs.local_runner(2))


@pytest.fixture
def counts(monkeypatch) -> Counter[str]:
    """How often the data set was loaded, a network built, the training images hashed, each checkpoint opened."""
    counted: Counter[str] = Counter()
    load, build, sha256 = digits.load_digits, networks._built, hashlib.sha256

    class Hash:
        def __init__(self, content: bytes = b"") -> None:
            self.inner = sha256(content)

        def update(self, content: bytes | memoryview) -> None:
            counted["hashed"] += memoryview(content).nbytes == 1024 * 3 * 32 * 32  # the first piece of training images
            self.inner.update(content)

        def hexdigest(self) -> str:
            return self.inner.hexdigest()

    def loading():
        counted["loaded"] += 1
        return load()

    def building(*arguments):
        counted["built"] += 1
        return build(*arguments)

    def opening(path, framework):
        counted[path.name] += 1
        return safe_open(path, framework)

    monkeypatch.setattr(digits, "load_digits", loading)
    monkeypatch.setattr(networks, "_built", building)
    monkeypatch.setattr(checkpoint, "safe_open", opening)
    monkeypatch.setattr(setup.hashlib, "sha256", Hash)
    return counted


CHECKPOINTS = {"joint.safetensors": 1, **{f"separate-{end}.safetensors": 1 for end in range(1, 5)}}


def profiled(run: Run) -> None:
    profiler.profile_network(
        run.network,
        run.dataset,
        backbone=run.setup.backbone,
        seed=run.setup.seed,
        separate_accuracy=run.separate_accuracy,
        training=run.training_record(),
        device="box",
        repeats=2,
        partition_repeats=1,
    )


def test_a_run_is_read_once_to_be_profiled(run, counts):
    profiled(read_run(run.folder))
    assert counts == {"loaded": 1, "built": 1, "hashed": 1, **CHECKPOINTS}


def test_a_run_that_was_trained_is_profiled_without_reading_the_data_again(run, counts):
    dataset, spec = read_data("digits", seed=3), backbone_spec("resnet8")
    training = begin_run(run.folder, run.setup, dataset, spec)
    assert counts == {"loaded": 1, "built": 1, "hashed": 1}
    finished = [event for event in training.train() if isinstance(event, jobs.Finished)]
    assert len(finished) == 5
    counts.clear()
    profiled(training.finished())
    assert counts == CHECKPOINTS
