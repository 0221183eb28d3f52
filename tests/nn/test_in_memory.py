"""Data sets that are in memory: arrays, tensors, and PyTorch's own data sets."""

import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, Subset, TensorDataset

from offramp.errors import InputError
from offramp.files import maps
from offramp.nn import data
from offramp.nn.data import Dataset, Source
from offramp.nn.datasets import read_data
from offramp.nn.datasets.archive import archive, write_archive


def arrays(count: int = 40, shape: tuple[int, ...] = (3, 5, 7), seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape)).astype(np.uint8), np.arange(count) % 4


class Pairs(TorchDataset):
    """A map-style data set of the samples given, as torchvision's are: asked beyond its end it says nothing."""

    def __init__(self, samples: list[tuple[Any, Any]], classes: Any = None) -> None:
        self.samples = samples
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        return self.samples[place % len(self.samples)]


class Stream(IterableDataset):
    def __init__(self, samples: list[tuple[Any, Any]]) -> None:
        self.samples = samples

    def __iter__(self):
        return iter(self.samples)


def same(one: Dataset, other: Dataset) -> bool:
    return (one.classes, one.class_names) == (other.classes, other.class_names) and all(
        np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)
        for a, b in zip((one.train, one.validation, one.test), (other.train, other.validation, other.test), strict=True)
    )


@pytest.fixture(scope="module")
def whole() -> Dataset:
    return read_data(arrays(), seed=2)


def test_arrays_are_split_as_an_archive_of_them(whole, tmp_path):
    images, labels = arrays()
    np.savez(tmp_path / "some.npz", images=images, labels=labels)
    read = read_data(tmp_path / "some.npz", seed=2)
    assert same(read, whole)
    assert (whole.name, whole.source) == ("data", None)
    assert (read.name, read.source) == ("some", Source(str(tmp_path / "some.npz"), 2, None))


def test_where_data_can_be_read_again_is_known(tmp_path, monkeypatch):
    assert read_data("digits", seed=5, size=8).source == Source("digits", 5, 8)
    images, labels = arrays()
    np.savez(tmp_path / "some.npz", images=images, labels=labels)
    monkeypatch.chdir(tmp_path)
    assert read_data("some.npz").source == Source(str(tmp_path / "some.npz"), 0, None)


def test_a_data_set_stays_as_it_is(whole):
    assert read_data(whole, seed=9) is whole


def test_a_data_set_says_what_it_is_in_a_line():
    digits = read_data("digits")
    assert repr(digits) == "Dataset(digits: 1077 train, 450 validation, 270 test; 10 classes; 3x32x32)"
    assert repr(digits.test) == "Split(270 samples; 3x32x32)"


def test_a_split_can_be_sliced(whole):
    few = whole.train[2:9:3]
    assert isinstance(few, data.Split)
    assert np.array_equal(few.images, whole.train.images[[2, 5, 8]])
    assert np.array_equal(few.labels, whole.train.labels[[2, 5, 8]])
    assert np.array_equal(few.members, whole.train.members[[2, 5, 8]])
    assert len(whole.train[:1000]) == len(whole.train)


def test_statistics_are_computed_once(whole, monkeypatch):
    whole.mean  # noqa: B018 - to compute it
    monkeypatch.setattr(data, "_pixel_counts", None)
    assert whole.mean is whole.mean
    assert whole.deviation is whole.deviation
    with pytest.raises(ValueError, match="read-only"):
        whole.mean[0] = 0


@pytest.mark.parametrize(
    "form",
    [
        lambda images, labels: (torch.tensor(images), torch.tensor(labels)),
        lambda images, labels: [images, labels.tolist()],
        lambda images, labels: (images.transpose(0, 2, 3, 1), labels[:, None]),
        lambda images, labels: {"images": images, "labels": torch.tensor(labels)},
        lambda images, labels: TensorDataset(torch.tensor(images), torch.tensor(labels)),
        lambda images, labels: Pairs([*zip(images, labels.tolist(), strict=True)]),
        lambda images, labels: Pairs(
            [(image.transpose(1, 2, 0), label) for image, label in zip(images, labels, strict=True)]
        ),
        lambda images, labels: Pairs(
            [
                (Image.fromarray(image.transpose(1, 2, 0)), int(label))
                for image, label in zip(images, labels, strict=True)
            ]
        ),
        lambda images, labels: Pairs(
            [(torch.tensor(image).float().div(255), label) for image, label in zip(images, labels, strict=True)]
        ),
        lambda images, labels: Pairs(
            [(torch.tensor(image).float().mul(1 / 255), label) for image, label in zip(images, labels, strict=True)]
        ),
        lambda images, labels: Stream([*zip(images, labels.tolist(), strict=True)]),
        lambda images, labels: Subset(Pairs([*zip(images, labels, strict=True)] * 2), range(40)),
    ],
    ids=[
        "tensors",
        "lists",
        "channels last",
        "mapping",
        "TensorDataset",
        "arrays",
        "arrays, channels last",
        "PIL",
        "divided by 255",
        "times 1/255",
        "iterable",
        "subset",
    ],
)
def test_whatever_the_form_the_data_set_is_the_same(form, whole):
    assert same(read_data(form(*arrays()), seed=2), whole)


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (5, 7, 1)])
def test_gray_images_get_three_channels(shape):
    images, labels = arrays(shape=shape)
    expected = read_data((images, labels))
    assert expected.image_shape == (3, 5, 7)
    assert same(read_data(Pairs([*zip(images, labels, strict=True)])), expected)


def test_images_are_resized(whole):
    assert read_data(arrays(), size=4).image_shape == (3, 4, 4)
    mixed = Pairs(
        [(image, label) for shape in ((3, 5, 7), (3, 9, 8)) for image, label in zip(*arrays(shape=shape), strict=True)]
    )
    assert read_data(mixed, size=6).image_shape == (3, 6, 6)
    with pytest.raises(InputError, match=r"data: train\[40\]: is 8x9, the first picture is 7x5"):
        read_data(mixed)


def test_published_splits_are_kept():
    train, test, val = arrays(40), arrays(12, seed=1), arrays(8, seed=2)
    pair = read_data(tuple(Pairs([*zip(*part, strict=True)]) for part in (train, test)))
    assert np.array_equal(pair.test.images, test[0])
    assert [len(pair.train), len(pair.validation)] == [30, 10]
    parts = {"train": train, "validation": val, "test": test}
    three = read_data({role: Pairs([*zip(*part, strict=True)]) for role, part in parts.items()})
    for found, part in ((three.train, train), (three.validation, val), (three.test, test)):
        assert np.array_equal(found.images, part[0])
        assert np.array_equal(found.labels, part[1])
    named = {
        f"{role}_{name}": values
        for role, part in (("train", train), ("val", val), ("test", test))
        for name, values in zip(("images", "labels"), part, strict=True)
    }
    assert same(read_data(named), three)


def test_names_are_taken_from_where_they_are_known():
    pairs = [*zip(*arrays(), strict=True)]
    found = read_data(Subset(Pairs(pairs, classes=["ant", "bee", "cat", "dog"]), range(40)), name="pets")
    assert (found.name, found.class_names) == ("pets", ("ant", "bee", "cat", "dog"))
    assert read_data(Pairs(pairs, classes=4)).class_names == ("0", "1", "2", "3")
    assert read_data(Pairs(pairs)).name == "Pairs"
    images, labels = arrays()
    found = read_data({"images": images, "labels": labels, "class_names": np.array([*"abcd"]), "name": np.array("x")})
    assert (found.name, found.class_names) == ("x", (*"abcd",))


def test_classes_that_are_rare_in_training_are_read_back(tmp_path):
    """Two of a class are left in training where splits were drawn from four."""
    images, labels = arrays(40)
    labels[:] = np.arange(40) >= 36
    drawn = read_data((images, labels), name="rare")
    assert np.bincount(drawn.train.labels)[1] < 4
    write_archive(drawn, tmp_path / "data.npz")
    back = archive(tmp_path / "data.npz", seed=77)
    assert same(back, drawn)
    assert back.name == "rare"


def sample(image: Any = None, label: Any = 0) -> Pairs:
    image = np.zeros((3, 5, 7), np.uint8) if image is None else image
    return Pairs([(image, label)] * 8)


def others(last: Any, first: Any = None) -> Pairs:
    """Eight samples, of which the last is of another kind."""
    return Pairs([*[(sample(first)[0][0], 0)] * 7, (last, 1)])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (others(torch.full((3, 5, 7), 0.3)), r"train\[7\]: has a floating-point image .*, as the first is; give uint8"),
        (others(torch.full((3, 5, 7), -1.0)), "floating-point image"),
        (others(torch.full((3, 5, 7), torch.nan)), "floating-point image"),
        (others(torch.zeros(3, 5, 7, dtype=torch.int64)), "has an image of int64; give uint8 images"),
        (others(np.zeros((2, 5, 7), np.uint8)), r"has an image of shape \(2, 5, 7\); give gray or red-green-blue"),
        (others("cat.png"), "has an image that is str"),
        (others(torch.zeros(5), first=torch.ones(4)), r"shape \(5,\), the first is .* shape \(4,\); give"),
        (others(np.zeros(4), first=np.zeros(4, np.float32)), "float64, .*, the first is ndarray of float32"),
        (others("cat", first=torch.ones(4)), "has a sample that is str; give tensors"),
        (sample(torch.full((3, 5, 7), torch.nan)), "data: sample 0 has numbers that are missing, or not finite"),
        (sample(torch.zeros(4, dtype=torch.complex64)), "data: is of complex64; give numbers"),
        (sample(torch.zeros(0)), r"data: has shape \(8, 0\)"),
        (sample(np.zeros((3, 0, 7), np.uint8)), "has an image of shape"),
        (sample("cat.png"), r"train\[0\]: has a sample that is str"),
        (sample(label="cat"), "has a label that is str; give the number of its class"),
        (sample(label=0.5), "has a label that is float"),
        (sample(label=True), "has a label that is bool"),
        (sample(label=torch.zeros(2)), r"has a label that is Tensor of torch.float32, shape \(2,\)"),
        (Pairs([np.zeros((3, 5, 7), np.uint8)] * 8), "is ndarray of uint8, shape .*; give a data set of pairs"),
        ({"train": sample(), "tests": sample()}, "has the part 'tests'; call the parts train, val, test"),
        ({"test": sample()}, "has the parts test; give train"),
        ({"train": sample(), "val": sample(), "valid": sample()}, "has the parts train, val, valid"),
        (TorchDataset(), "Dataset has no length"),
        (17, "is int; give digits, a folder"),
        ((1, 2, 3), "is tuple"),
        ((np.zeros((8, 3, 5, 7), complex), np.zeros(8, int)), "inputs: is of complex128"),
        ({"images": np.zeros((8, 5, 7), np.uint8)}, "data: labels: is missing"),
        ({"train_images": np.zeros((8, 5, 7), np.uint8), "train_labels": [0, 1] * 4,
          "test_images": np.zeros((8, 5, 8), np.uint8), "test_labels": [0, 1] * 4}, "images of different shapes"),
        ({"images": np.zeros((8, 5, 7), np.uint8), "labels": [0, 1] * 4, "class_names": np.arange(2)}, "names: is"),
        ({"images": np.zeros((8, 5, 7), np.uint8), "labels": [0, 1] * 4, "name": np.arange(2)}, "name: is int64"),
    ],
)  # fmt: skip
def test_what_is_no_data_set_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        read_data(source)


def test_a_name_is_for_data_in_memory():
    with pytest.raises(InputError, match="name: 'x' is for data in memory; leave it out"):
        read_data("digits", name="x")
    with pytest.raises(InputError, match="size: 0 is too small"):
        read_data("digits", size=0)


def test_a_data_set_without_an_end_is_given_up_before_the_disk_is_full(monkeypatch):
    class Endless(IterableDataset):
        def __iter__(self):
            while True:
                yield np.zeros((3, 100, 100), np.uint8), 0

    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50_000_000))
    with pytest.raises(InputError, match=r"pictures: needs 0\.06 GB on disk, in .* 0\.05 GB are free"):
        read_data(Endless())
