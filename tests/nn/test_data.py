import contextlib
import importlib.util
import io
import os
import shutil
import sys
import zipfile
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from offramp.errors import InputError, MissingExtraError
from offramp.files import maps
from offramp.files.images import opened
from offramp.files.samples import read_samples
from offramp.nn import data, datasets
from offramp.nn.datasets import read_data
from offramp.nn.datasets.pictures import stacked


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return read_data("digits", seed=0)


def test_the_splits_are_disjoint_and_complete(digits):
    members = np.concatenate([part.members for part in (digits.train, digits.validation, digits.test)])
    assert sorted(members) == list(range(1797))


def test_the_splits_have_their_shares_of_every_class(digits):
    for part, share in ((digits.train, 0.60), (digits.validation, 0.25), (digits.test, 0.15)):
        assert len(part) == pytest.approx(share * 1797, abs=2)
        counts = np.bincount(part.labels, minlength=10)
        assert counts == pytest.approx(share * 179.7, rel=0.1)


def test_the_splits_follow_from_the_seed(digits):
    again, other = read_data("digits", seed=0), read_data("digits", seed=1)
    assert np.array_equal(digits.validation.images, again.validation.images)
    assert np.array_equal(digits.train.members, again.train.members)
    assert not np.array_equal(digits.train.members, other.train.members)


def test_a_sample_is_as_large_as_a_cifar_image(digits):
    assert digits.image_shape == (3, 32, 32)
    assert digits.validation.images[0].nbytes * 8 == 24_576
    assert digits.classes == 10


def test_enlarging_keeps_the_picture(digits):
    from sklearn.datasets import load_digits

    small = load_digits().images[digits.test.members] * 255 / 16
    back = digits.test.images[:, 0].reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4))
    assert np.corrcoef(small.ravel(), back.ravel())[0, 1] > 0.97


@pytest.fixture
def little_disk(monkeypatch):
    """No more than 10 MB are free."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))


def test_digits_are_not_made_larger_than_the_disk(little_disk):
    with pytest.raises(
        InputError, match=r"digits: needs 28\.75 GB on disk, in .* 0\.01 GB are free; make room, set TMP"
    ):
        read_data("digits", seed=0, size=4000)


def test_one_picture_is_not_made_larger_than_memory():
    with pytest.raises(InputError, match="size: 16385 is too large; give the pixels of a side, up to 16384"):
        read_data("digits", seed=0, size=16_385)


def test_images_cannot_be_changed(digits):
    with pytest.raises(ValueError, match="read-only"):
        digits.train.images[0] = 0


def test_a_pass_shows_every_sample_once(tiny):
    images, labels = torch.tensor(tiny.train.images), torch.tensor(tiny.train.labels)
    seen = list(
        data.batches(
            images, labels, batch_size=7, augmentation=data.Augmentation(0, flip=False), rng=np.random.default_rng(0)
        )
    )
    assert {len(y) for _, y in seen[:-1]} == {7}
    shown = {(x.numpy().tobytes(), int(y)) for batch in seen for x, y in zip(*batch, strict=True)}
    assert shown == {(x.numpy().tobytes(), int(y)) for x, y in zip(images, labels, strict=True)}


def test_a_shifted_image_is_a_window_of_the_image_on_black(tiny):
    images = torch.tensor(tiny.train.images)
    places = torch.arange(len(images))
    seen = data.batches(
        images, places, batch_size=16, augmentation=data.Augmentation(2, flip=False), rng=np.random.default_rng(0)
    )
    offsets = []
    for x, y in seen:
        for image, place in zip(x, y, strict=True):
            padded = np.pad(images[place].numpy(), ((0, 0), (2, 2), (2, 2)))
            offsets += [
                (down, right)
                for down in range(5)
                for right in range(5)
                if np.array_equal(padded[:, down : down + 8, right : right + 8], image)
            ]
    assert len(offsets) == len(images)
    assert len(set(offsets)) > 10


def test_a_mirrored_image_is_the_image_or_its_mirror_image(tiny):
    images = torch.tensor(tiny.train.images)
    augmentation = data.Augmentation(0, flip=True)
    seen = data.batches(
        images, torch.arange(len(images)), batch_size=16, augmentation=augmentation, rng=np.random.default_rng(0)
    )
    mirrored = [
        torch.equal(image, images[place].flip(2))
        for x, y in seen
        for image, place in zip(x, y, strict=True)
        if torch.equal(image, images[place].flip(2)) or torch.equal(image, images[place])
    ]
    assert len(mirrored) == len(images)
    assert 0.25 < np.mean(mirrored) < 0.75


def test_augmentation_follows_from_the_seed(tiny):
    images, labels = torch.tensor(tiny.train.images), torch.tensor(tiny.train.labels)

    def seen(seed: int, *, flip: bool = True) -> torch.Tensor:
        augmentation, rng = data.Augmentation(2, flip=flip), np.random.default_rng(seed)
        batches = data.batches(images, labels, batch_size=16, augmentation=augmentation, rng=rng)
        return torch.cat([x for x, _ in batches])

    assert torch.equal(seen(1), seen(1))
    assert not torch.equal(seen(1), seen(2))
    # Mirroring changes neither the order nor the shifts.
    same = [torch.equal(a, b) or torch.equal(a, b.flip(2)) for a, b in zip(seen(1), seen(1, flip=False), strict=True)]
    assert sum(same) > 5


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(48, 16, [16, 16, 16]), (48, 23, [23, 23, 2]), (47, 23, [23, 24]), (48, 100, [48]), (1, 16, [1])],
)
def test_no_sample_is_left_alone(tiny, count, batch_size, sizes):
    seen = data.batches(
        torch.tensor(tiny.train.images[:count]),
        torch.arange(count),
        batch_size=batch_size,
        augmentation=data.Augmentation(0, flip=False),
        rng=np.random.default_rng(0),
    )
    places = [places for _, places in seen]
    assert [len(each) for each in places] == sizes
    assert sorted(torch.cat(places).tolist()) == [*range(count)]


def test_the_statistics_are_those_of_the_pixels(tiny):
    assert tiny.mean == pytest.approx(tiny.train.images.mean(axis=(0, 2, 3)))
    assert tiny.deviation == pytest.approx(tiny.train.images.std(axis=(0, 2, 3)))


def test_a_channel_that_is_the_same_everywhere_can_be_divided_by_its_deviation():
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 7)).astype(np.uint8)
    images[:, 2] = 77
    found = data.split("no blue", images, np.arange(40) % 2, seed=0)
    assert found.mean[2] == 77
    assert found.deviation == pytest.approx([*found.train.images[:, :2].std(axis=(0, 2, 3)), 1])


# Splits.


def blank(count: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((count, 1, 1, 1), np.uint8), np.arange(count) % classes


def test_at_most_5000_samples_are_drawn_for_validation():
    drawn = data.split("blank", *blank(30_000), seed=0)
    assert [len(part) for part in (drawn.train, drawn.validation, drawn.test)] == [20_500, 5000, 4500]


def test_what_was_published_as_a_split_stays_one():
    found = data.split("blank", *blank(100), seed=0, validation=10, test=20)
    assert found.test.members.tolist() == [*range(80, 100)]
    assert found.validation.members.tolist() == [*range(70, 80)]
    assert found.train.members.tolist() == [*range(70)]
    found = data.split("blank", *blank(100), seed=0, test=20)
    assert found.test.members.tolist() == [*range(80, 100)]
    assert len(found.validation) == 20
    assert sorted([*found.train.members, *found.validation.members]) == [*range(80)]


def test_every_class_is_in_every_split_however_few_there_are():
    found = data.split("blank", *blank(80, classes=20), seed=0)
    assert {len(np.unique(part.labels)) for part in (found.train, found.validation, found.test)} == {20}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "has 0 classes"),
        ([0] * 9, "has 1 classes"),
        ([-1] + [0, 1] * 9, "class -1, of 2; label every sample"),
        ([0] * 9 + [1] * 3, "has 3 samples of class 1 .*at least 4"),
        ([0] * 9 + [2] * 9, "has 0 samples of class 1"),
        ([0] * 9 + [1 << 40] * 9, "has 18 samples and one of class 1099511627776; count the classes from 0"),
        ([1] * 9 + [2] * 9, "has labels from 1 to 2: labels begin at 1, and classes at 0; subtract one from each"),
    ],
)
def test_labels_that_cannot_be_split_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        data.split("blank", np.zeros((len(labels), 1, 1, 1), np.uint8), np.array(labels, np.int64), seed=0)


@pytest.mark.parametrize("seed", [-1, 1 << 32, 5_000_000_000])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(InputError, match=rf"seed: {seed} is out of range; give one from 0 to 4294967295"):
        data.split("blank", *blank(100), seed=seed)


def test_the_largest_seed_draws():
    assert len(data.split("blank", *blank(100), seed=(1 << 32) - 1).test) == 15


# CIFAR-10.


def write_batches(folder: Path, *, per_batch: int = 20) -> np.ndarray:
    """Small batches in the official form. Returns the pixels as they are meant, [S, row, column, red green blue]."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    pictures = rng.integers(0, 256, (len(names) * per_batch, 32, 32, 3)).astype(np.uint8)
    for i, name in enumerate(names):
        with (folder / f"{name}.bin").open("wb") as file:
            for j, picture in enumerate(pictures[i * per_batch : (i + 1) * per_batch]):
                file.write(bytes([j % 10]))
                for color in range(3):
                    file.write(picture[:, :, color].tobytes())
    return pictures


def test_cifar_batches_are_read_as_they_are_meant(tmp_path):
    pictures = write_batches(tmp_path / "cifar-10-batches-bin")
    found = read_data(str(tmp_path), seed=0)
    assert (found.name, found.classes, found.image_shape) == ("cifar10", 10, (3, 32, 32))
    assert found.test.members.tolist() == [*range(100, 120)]
    for part in (found.train, found.validation, found.test):
        assert np.array_equal(part.images.transpose(0, 2, 3, 1), pictures[part.members])
        assert np.array_equal(part.labels, part.members % 20 % 10)
    assert found.augmentation == data.Augmentation(4, flip=True)
    within = read_data(str(tmp_path / "cifar-10-batches-bin"), seed=0)
    assert np.array_equal(within.validation.members, found.validation.members)


def test_cifar_images_can_be_resized(tmp_path):
    write_batches(tmp_path)
    found = read_data(str(tmp_path), seed=0, size=16)
    plain = read_data(str(tmp_path), seed=0)
    assert found.image_shape == (3, 16, 16)
    assert found.augmentation.shift == 2
    halved = plain.test.images.reshape(-1, 3, 16, 2, 16, 2).mean(axis=(3, 5))
    assert np.corrcoef(found.test.images.ravel(), halved.ravel())[0, 1] > 0.9


def test_damaged_cifar_batches_are_refused(tmp_path):
    write_batches(tmp_path)
    batch = tmp_path / "data_batch_2.bin"
    whole = batch.read_bytes()
    batch.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=r"data_batch_2\.bin: has 61459 bytes, not records of 3073; unpack"):
        read_data(str(tmp_path), seed=0)
    batch.write_bytes(b"\x0a" + whole[1:])
    with pytest.raises(InputError, match="a sample of class 10, of 10"):
        read_data(str(tmp_path), seed=0)
    batch.unlink()
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(InputError, match=r"(?s)data_batch_2\.bin: is missing.*test_batch\.bin: is missing"):
        read_data(str(tmp_path), seed=0)


def test_pickled_cifar_batches_are_refused(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(b"")
    with pytest.raises(InputError, match="take the binary version"):
        read_data(str(tmp_path), seed=0)


@pytest.fixture(scope="module")
def unpack():
    """The script beside the project that has the real images."""
    path = Path(__file__).parents[3] / "shared" / "data" / "unpack.py"
    if not path.exists():
        pytest.skip("the real images are not beside the project, at ../shared/data")
    spec = importlib.util.spec_from_file_location("unpack", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_real_cifar(unpack, tmp_path):
    unpack.cifar10(tmp_path)
    found = read_data(str(tmp_path), seed=0)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [45_000, 5000, 10_000]
    for part, each in ((found.train, 4500), (found.validation, 500), (found.test, 1000)):
        assert np.bincount(part.labels).tolist() == [each] * 10
    # The mean of the 50,000 training images as everybody normalizes with it: 0.4914 0.4822 0.4465.
    mean = 0.9 * found.mean + 0.1 * found.validation.images.mean(axis=(0, 2, 3))
    assert mean / 255 == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
    assert [found.class_names[label] for label in found.test.labels[:4]] == ["cat", "ship", "ship", "airplane"]
    assert (tmp_path / "cifar-10-batches-bin" / "batches.meta.txt").read_text().split() == [*found.class_names]


def test_the_real_cats_and_dogs(unpack, tmp_path):
    images, labels, names = unpack.load("catdog64-test")
    kept = np.flatnonzero(np.arange(len(labels)) % 20 == 0)
    for place in kept:
        folder = tmp_path / names[labels[place]].lower()
        folder.mkdir(exist_ok=True)
        Image.fromarray(images[place]).save(folder / f"{place:05}.png")
    found = read_data(str(tmp_path), seed=0)
    assert (found.classes, found.image_shape) == (2, (3, 64, 64))
    # Members count through the classes in their order, and in each through the pictures by name.
    order = [place for name in ("cat", "dog") for place in kept if names[labels[place]].lower() == name]
    for part in (found.train, found.validation, found.test):
        assert np.array_equal(part.images.transpose(0, 2, 3, 1), images[np.array(order)[part.members]])
        assert np.array_equal(part.labels, [names[labels[order[member]]].lower() == "dog" for member in part.members])


def test_cifar_images_are_not_made_larger_than_the_disk(tmp_path, little_disk):
    write_batches(tmp_path)
    with pytest.raises(InputError, match=r"pictures: needs 5\.76 GB on disk, in .* 0\.01 GB are free; make room"):
        read_data(str(tmp_path), seed=0, size=4000)


def test_cifar_batches_larger_than_memory_are_not_read(tmp_path):
    write_batches(tmp_path)
    # A file with a hole, which takes no room on the disk.
    os.truncate(tmp_path / "data_batch_2.bin", 3073 << 21)
    with pytest.raises(InputError, match=r"holds batches of 6\.4 GB, more than 4 GB; unpack"):
        read_data(str(tmp_path), seed=0)


# A folder per class.


def write_pictures(folder: Path, classes: dict[str, int], *, size=(6, 4), mode: str = "RGB", suffix: str = "png"):
    """So many pictures of each class, of one color each: class and number tell it."""
    for place, (name, count) in enumerate(sorted(classes.items())):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", size, (100 * place, 3 * number, 7)).convert(mode).save(
                folder / name / f"{number:03}.{suffix}"
            )


def colors(part: data.Split) -> list[tuple[int, int]]:
    """The class and the number that the color of each picture tells."""
    return [(image[0, 0, 0] // 100, image[1, 0, 0] // 3) for image in part.images]


def test_a_folder_per_class(tmp_path):
    write_pictures(tmp_path / "pets", {"dog": 20, "cat": 30, "ant": 10})
    found = read_data(str(tmp_path / "pets"), seed=0)
    assert (found.name, found.classes, found.image_shape) == ("pets", 3, (3, 4, 6))
    assert found.class_names == ("ant", "cat", "dog")
    (tmp_path / "pets" / "emu").mkdir()
    with pytest.raises(InputError, match=r"has 0 samples of class emu .*give at least 4"):
        read_data(str(tmp_path / "pets"), seed=0)
    assert found.augmentation.flip
    told = [colors(part) for part in (found.train, found.validation, found.test)]
    assert [[label for label, _ in part] for part in told] == [
        part.labels.tolist() for part in (found.train, found.validation, found.test)
    ]
    everything = [(0, n) for n in range(10)] + [(1, n) for n in range(30)] + [(2, n) for n in range(20)]
    assert sorted(chain.from_iterable(told)) == everything
    assert [len(part) for part in told] == [36, 15, 9]


def test_the_splits_that_a_folder_has_are_kept(tmp_path):
    write_pictures(tmp_path / "train", {"a": 20, "b": 20})
    write_pictures(tmp_path / "test", {"a": 5, "b": 6})
    found = read_data(str(tmp_path), seed=0)
    assert colors(found.test) == [(0, n) for n in range(5)] + [(1, n) for n in range(6)]
    assert [len(found.train), len(found.validation)] == [30, 10]
    write_pictures(tmp_path / "val", {"a": 2, "b": 1})
    found = read_data(str(tmp_path), seed=0)
    assert colors(found.validation) == [(0, 0), (0, 1), (1, 0)]
    assert len(found.train) == 40
    write_pictures(tmp_path / "val", {"c": 1})
    with pytest.raises(InputError, match="has the class 'c', train has not"):
        read_data(str(tmp_path), seed=0)


@pytest.mark.parametrize(
    "names",
    [
        ("Train", "Val", "Test"),
        ("TRAINING", "VALIDATION", "TESTING"),
        ("training", "valid", "testing"),
    ],
)
def test_splits_are_known_by_their_other_names(tmp_path, names):
    for name, count in zip(names, (8, 3, 2), strict=True):
        write_pictures(tmp_path / name, {"a": count, "b": count})
    found = read_data(str(tmp_path), seed=0)
    assert found.class_names == ("a", "b")
    assert [len(part) for part in (found.train, found.validation, found.test)] == [16, 6, 4]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "training"), "has train and training, which are the same split; leave one of them"),
        (("train", "Val", "valid"), "has Val and valid, which are the same split"),
        (("train", "test", "testing"), "has test and testing, which are the same split"),
    ],
)
def test_two_folders_of_one_split_are_refused(tmp_path, names, message):
    for name in names:
        write_pictures(tmp_path / name, {"a": 8, "b": 8})
    with pytest.raises(InputError, match=message):
        read_data(str(tmp_path), seed=0)


def test_of_a_moving_picture_the_first_is_taken(tmp_path):
    path = tmp_path / "moving.gif"
    first, second = (Image.new("RGB", (6, 4), color) for color in ((200, 0, 0), (0, 0, 200)))
    first.save(path, save_all=True, append_images=[second])
    found = stacked(opened([("moving.gif", str(path))]), count=1, size=None)
    assert found[0, :, 0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("L", "png"),
        ("RGBA", "png"),
        ("P", "png"),
        ("1", "bmp"),
        ("RGB", "jpg"),
        ("RGB", "TIF"),
        ("CMYK", "tiff"),
        ("P", "gif"),
    ],
)
def test_pictures_of_any_kind_become_red_green_blue(tmp_path, mode, suffix):
    write_pictures(tmp_path, {"a": 8, "b": 8}, mode=mode, suffix=suffix)
    assert read_data(str(tmp_path), seed=0).image_shape == (3, 4, 6)


@pytest.mark.parametrize(("dtype", "suffix"), [("<u2", "png"), (">u2", "tiff"), ("<i4", "tiff")])
def test_gray_of_16_bits_is_scaled_to_8(tmp_path, dtype, suffix):
    ramp = np.arange(0, 65_536, 257).reshape(16, 16)
    pictures = [(str(number), tmp_path / f"{number}.{suffix}") for number in range(2)]
    for _, path in pictures:
        Image.fromarray(ramp.astype(dtype)).save(path)
    found = stacked(opened((name, str(path)) for name, path in pictures), count=2, size=None)
    assert np.array_equal(found, np.broadcast_to(np.arange(256).reshape(16, 16), (2, 3, 16, 16)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 65_536]], np.int32), r"dark\.tiff: has gray values from 0 to 65536; save it with 8 or 16 bits"),
        (np.array([[-1, 0]], np.int32), r"dark\.tiff: has gray values from -1 to 0"),
        (np.array([[0, 0.5]], np.float32), r"dark\.tiff: has gray values that are floating-point numbers; save it"),
    ],
)
def test_gray_of_more_bits_is_refused(tmp_path, values, message):
    Image.fromarray(values).save(tmp_path / "dark.tiff")
    with pytest.raises(InputError, match=message):
        stacked(opened([("dark.tiff", str(tmp_path / "dark.tiff"))]), count=1, size=None)


def test_pictures_of_several_sizes_need_one_to_be_given(tmp_path, little_disk):
    write_pictures(tmp_path, {"a": 8, "b": 8})
    Image.new("RGB", (9, 9), (0, 250, 0)).save(tmp_path / "a" / "large.png")
    with pytest.raises(InputError, match=r"large\.png: is 9x9, the first picture is 6x4; give --image-size"):
        read_data(str(tmp_path), seed=0)
    found = read_data(str(tmp_path), seed=0, size=5)
    assert found.image_shape == (3, 5, 5)
    with pytest.raises(InputError, match=r"pictures: needs 1\.27 GB on disk"):
        read_data(str(tmp_path), seed=0, size=5000)


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    write_pictures(tmp_path, {"a": 8, "b": 8})
    path = tmp_path / "b" / "003.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"b/003\.png: can't be read"):
        read_data(str(tmp_path), seed=0)


def test_a_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="has 1 folders of classes; give a folder per class"):
        read_data(str(tmp_path), seed=0)
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="there are none"):
        read_data(str(tmp_path), seed=0)


# An npz.


def arrays(count: int = 40, shape: tuple[int, ...] = (3, 5, 7)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"images": rng.integers(0, 256, (count, *shape)).astype(np.uint8), "labels": np.arange(count) % 4}


def saved(path: Path, **named: np.ndarray) -> str:
    np.savez_compressed(path, **named)
    return str(path)


def test_an_npz(tmp_path):
    whole = arrays()
    found = read_data(saved(tmp_path / "some.npz", **whole), seed=0)
    assert (found.name, found.classes, found.image_shape) == ("some", 4, (3, 5, 7))
    for part in (found.train, found.validation, found.test):
        assert np.array_equal(part.images, whole["images"][part.members])
        assert np.array_equal(part.labels, whole["labels"][part.members])


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (5, 7, 1), (5, 7, 3)])
def test_the_layouts_of_an_npz(tmp_path, shape):
    whole = arrays(shape=shape)
    found = read_data(saved(tmp_path / "some.npz", **whole), seed=0)
    assert found.image_shape == (3, 5, 7)
    wanted = np.broadcast_to(whole["images"].reshape(40, 5, 7, -1), (40, 5, 7, 3))[found.test.members]
    assert np.array_equal(found.test.images.transpose(0, 2, 3, 1), wanted)


def test_the_splits_that_an_npz_has_are_kept(tmp_path):
    parts = {
        f"{part}_{name}": values[:, None] if name == "labels" else values
        for part, count in (("train", 40), ("val", 8), ("test", 12))
        for name, values in arrays(count).items()
    }
    found = read_data(saved(tmp_path / "mnist.npz", **parts), seed=0)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [40, 8, 12]
    assert np.array_equal(found.validation.images, parts["val_images"])
    assert np.array_equal(found.test.labels, parts["test_labels"][:, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "images: is missing; give `images`, uint8"),
        ({"labels": None}, "labels: is missing"),
        ({"images": np.zeros((40, 3, 5, 7))}, "images: is float64 of shape"),
        (
            {"images": np.zeros((40, 2, 5, 7), np.uint8)},
            "neither its second axis nor its last are 1 or 3",
        ),
        ({"images": np.zeros(40, np.uint8)}, "images: is uint8 of shape"),
        ({"labels": np.zeros(40)}, "labels: is float64"),
        ({"labels": np.zeros(39, int)}, "give 40 whole numbers"),
        ({"labels": np.array([{}] * 40)}, "labels: holds Python objects"),
        ({"images": np.array([{}] * 40)}, "images: holds Python objects"),
    ],
)
def test_other_arrays_are_refused(tmp_path, change, message):
    named = {name: values for name, values in {**arrays(), **change}.items() if values is not None}
    with pytest.raises(InputError, match=message):
        read_data(saved(tmp_path / "some.npz", **named), seed=0)


def forged(shape: tuple[int, ...]) -> bytes:
    """An array whose header claims that shape, and a few bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(12)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1 << 50, 3, 5, 7), "claims 118219490218475520 bytes and holds 12"),
        ((1 << 20, 3, 5, 7), "claims 110100480 bytes and holds 12"),
        ((-1, 3, 5, 7), "."),
    ],
)
def test_a_forged_header_is_refused_before_anything_is_allocated(tmp_path, shape, message):
    path = tmp_path / "some.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", forged(shape))
    with pytest.raises(InputError, match=message):
        read_data(str(path), seed=0)


def test_the_images_of_an_npz_are_not_made_larger_than_the_disk(tmp_path, little_disk):
    path = saved(tmp_path / "some.npz", **arrays())
    with pytest.raises(InputError, match=r"pictures: needs 1\.92 GB on disk"):
        read_data(path, seed=0, size=4000)


def test_the_parts_of_an_npz_are_not_put_together_larger_than_memory(tmp_path, monkeypatch):
    """Gray ones, which become three times as large: with a limit that an honest test can reach."""
    parts = {f"{part}_{name}": values for part in ("train", "test") for name, values in arrays(shape=(5, 7)).items()}
    path = saved(tmp_path / "some.npz", **parts)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 80 * 5 * 7 * 3)
    assert not isinstance(read_data(path, seed=0).train.images, np.memmap)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 80 * 5 * 7 * 3 - 1)
    assert isinstance(read_data(path, seed=0).train.images, np.memmap)
    assert not isinstance(read_data(path, seed=0, size=4).train.images, np.memmap)


def test_the_arrays_of_an_npz_are_counted_together(tmp_path, monkeypatch):
    held = arrays()
    path = saved(tmp_path / "some.npz", **held)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", sum(array.nbytes for array in held.values()))
    assert not isinstance(read_data(path, seed=0).train.images, np.memmap)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", sum(array.nbytes for array in held.values()) - 1)
    assert isinstance(read_data(path, seed=0).train.images, np.memmap)


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_npz_is_read_or_refused(tmp_path_factory, place, value, cut):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays())
    content = bytearray(buffer.getvalue())
    content[int(place * len(content))] = value
    path = tmp_path_factory.mktemp("damaged") / "some.npz"
    path.write_bytes(content[: int(place * len(content))] if cut else content)
    with contextlib.suppress(InputError):
        assert read_data(str(path), seed=0).image_shape[0] == 3


# By name.


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Hugging Face `datasets`, cut off from the network, with its cache in a folder of the test."""
    hugging = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'offramp[hub]'")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hugging.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hugging.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    hugging.disable_progress_bars()
    return hugging


def write_table(hub, folder: Path, split: str, count: int, *, second: bool = False) -> None:
    """A split as the hub keeps them: a parquet file with pictures of one color each."""
    pictures = [Image.new("RGB", (6, 4), (100 * (n % 2), 3 * n, 7)) for n in range(count)]
    features = {"img": hub.Image(), "label": hub.ClassLabel(names=["cat", "dog"])}
    columns = {"img": pictures, "label": [n % 2 for n in range(count)]}
    if second:
        features["coarse"], columns["coarse"] = (
            hub.ClassLabel(names=["pet", "pest"]),
            [n // 2 % 2 for n in range(count)],
        )
    folder.mkdir(exist_ok=True)
    table = hub.Dataset.from_dict(columns, features=hub.Features(features))
    table.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))


def test_a_data_set_of_the_hubs_kind(hub, tmp_path):
    write_table(hub, tmp_path / "pets", "train", 40)
    write_table(hub, tmp_path / "pets", "test", 10)
    found = read_data(f"hf:{tmp_path / 'pets'}", seed=0)
    assert (found.class_names, found.image_shape) == (("cat", "dog"), (3, 4, 6))
    assert colors(found.test) == [(n % 2, n) for n in range(10)]
    assert found.test.labels.tolist() == [n % 2 for n in range(10)]
    assert sorted(n for _, n in colors(found.train) + colors(found.validation)) == [*range(40)]
    assert read_data(f"hf:{tmp_path / 'pets'}", seed=0, size=8).image_shape == (3, 8, 8)


def test_a_data_set_of_the_hub_with_several_labels_needs_one_to_be_chosen(hub, tmp_path):
    write_table(hub, tmp_path / "pets", "train", 40, second=True)
    source = f"hf:{tmp_path / 'pets'}"
    with pytest.raises(InputError, match=r"for the label are label, coarse; choose one, e\.g\. hf:.*\?label=label"):
        read_data(source, seed=0)
    found = read_data(f"{source}?label=coarse", seed=0)
    assert [n // 2 % 2 for _, n in colors(found.test)] == found.test.labels.tolist()
    with pytest.raises(InputError, match="for the image are img"):
        read_data(f"{source}?label=coarse&image=picture", seed=0)


@pytest.mark.parametrize("split", [False, True])
def test_a_folder_that_the_library_saved_with_whole_numbers_as_labels(hub, tmp_path, split):
    pictures = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(60)]
    table = hub.Dataset.from_dict({"image": pictures, "kind": [i % 3 for i in range(60)]})
    table = table.cast_column("image", hub.Image())
    (table.train_test_split(0.2, shuffle=False) if split else table).save_to_disk(tmp_path / "saved")
    found = read_data(f"hf:{tmp_path / 'saved'}")
    assert (found.classes, found.class_names) == (3, ("0", "1", "2"))
    for part in (found.train, found.validation, found.test):
        assert np.array_equal(part.images[:, 0, 0, 0] % 3, part.labels)
    if split:
        assert sorted(found.test.images[:, 0, 0, 0]) == [*range(48, 60)]


def test_without_internet_there_is_a_remedy(hub):
    with pytest.raises(InputError, match=r"hf:nobody/nothing: can't be had: .*that this machine has internet"):
        read_data("hf:nobody/nothing", seed=0)


def test_without_the_package_there_is_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'offramp\[hub\]'"):
        read_data("hf:mnist", seed=0)


def test_an_unknown_data_set_is_refused_with_a_remedy():
    with pytest.raises(InputError, match="use digits, a folder with CIFAR-10's binary batches"):
        read_data("cifar11", seed=0)


def test_a_path_is_settled_and_a_name_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert datasets.settled("pets") == str(tmp_path.resolve() / "pets")
    assert [datasets.settled(name) for name in ("digits", "hf:mnist")] == ["digits", "hf:mnist"]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".gif", ".bmp"])
def test_what_is_sent_to_a_deployment_is_read_as_in_training(tmp_path, suffix):
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(4):
            values = rng.integers(0, 1 << 16, (8, 8)).astype(np.uint16)
            picture = Image.fromarray(values if suffix in (".png", ".tif") else (values >> 8).astype(np.uint8))
            picture.save(tmp_path / label / f"{number}{suffix}")
    found = read_data(str(tmp_path), seed=0)
    names, sent, _ = read_samples(tmp_path, shape=(3, 8, 8), classes=2)
    assert names[0] == f"cat/0{suffix}"
    assert len(np.unique(sent)) > 100
    for part in (found.train, found.validation, found.test):
        assert np.array_equal(part.images, sent[part.members])


def test_floating_point_grays_are_not_sent(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: has gray values that are floating-point numbers; save it"):
        read_samples(tmp_path, shape=(3, 4, 4), classes=2)
