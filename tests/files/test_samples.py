"""Samples to send: read as they were written, or refused with what is wrong."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from offramp.errors import InputError
from offramp.files.samples import read_samples

SHAPE = (3, 2, 4)
IMAGES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), np.uint8)


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_an_archive_reads_back(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", images=IMAGES, labels=np.array([0, 1, 2, 1, 0], np.int8))
    names, images, labels = read_samples(path, shape=SHAPE, classes=3)
    assert names == ["0", "1", "2", "3", "4"]
    np.testing.assert_array_equal(images, IMAGES)
    assert labels is not None
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 1, 2, 1, 0]


def test_an_archive_may_have_no_labels_and_be_cut_short(tmp_path: Path) -> None:
    names, images, labels = read_samples(npz(tmp_path / "x.npz", images=IMAGES), shape=SHAPE, classes=3, most=2)
    assert (names, labels) == (["0", "1"], None)
    np.testing.assert_array_equal(images, IMAGES[:2])


@pytest.mark.parametrize("laid_out", [IMAGES[:, 0], IMAGES[:, :1], IMAGES[:, :1].transpose(0, 2, 3, 1)])
def test_gray_images_for_a_network_of_one_channel(tmp_path: Path, laid_out: np.ndarray) -> None:
    _, images, _ = read_samples(npz(tmp_path / "x.npz", images=laid_out), shape=(1, 2, 4), classes=3)
    np.testing.assert_array_equal(images, IMAGES[:, :1])


@pytest.mark.parametrize("laid_out", [IMAGES[:, 0], IMAGES[:, :1], IMAGES[:, :1].transpose(0, 2, 3, 1)])
def test_gray_images_are_sent_as_they_were_trained_on(tmp_path: Path, laid_out: np.ndarray) -> None:
    _, images, _ = read_samples(npz(tmp_path / "x.npz", images=laid_out), shape=SHAPE, classes=3)
    np.testing.assert_array_equal(images, np.repeat(IMAGES[:, :1], 3, axis=1))


@pytest.mark.parametrize(
    ("arrays", "place", "words"),
    [
        ({"images": IMAGES.astype(float)}, "images", "holds float64"),
        ({"images": IMAGES[:, :2]}, "images", "neither its second axis nor its last are 1 or 3 channels"),
        ({"images": IMAGES[:, :, :1]}, "images", "give uint8 of shape (S, 3, 2, 4)"),
        ({"images": IMAGES[:0]}, "images", "of shape (0, 3, 2, 4)"),
        ({"images": IMAGES, "labels": np.zeros(4, int)}, "labels", "give 5 whole numbers"),
        ({"images": IMAGES, "labels": np.zeros(5)}, "labels", "are float64"),
        ({"images": IMAGES, "labels": np.array([0, 1, 2, 3, 0])}, "labels", "go from 0 to 3; give 0 to 2"),
        ({"images": IMAGES, "labels": np.array([0, -1, 2, 0, 0])}, "labels", "go from -1 to 2"),
    ],
)
def test_arrays_that_are_no_samples(tmp_path: Path, arrays: dict[str, np.ndarray], place: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        read_samples(npz(tmp_path / "x.npz", **arrays), shape=SHAPE, classes=3)
    assert [fault.place for fault in caught.value.faults] == [place]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and so on", b"no archive"])
def test_a_file_that_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not an npz with images"):
        read_samples(path, shape=SHAPE, classes=3)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", images=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="is not an npz with images"):
        read_samples(path, shape=SHAPE, classes=3)


def test_an_archive_larger_than_memory_should_be(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with path.open("wb") as file:
        file.truncate((1 << 32) + 1)  # takes no room on the disk
    with pytest.raises(InputError, match="larger than 4 GB"):
        read_samples(path, shape=SHAPE, classes=3)


def test_an_archive_that_claims_more_than_memory_should_hold(tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", images=IMAGES, labels=np.zeros(5, int))
    content, at = bytearray(path.read_bytes()), 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:  # the headers of the central directory
        content[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
        at += 4
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert sum(member.file_size for member in archive.infolist()) > 1 << 32
    with pytest.raises(InputError, match="claims 8589934560 bytes"):
        read_samples(path, shape=SHAPE, classes=3)


def test_images_of_a_folder_come_by_name_resized(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    Image.fromarray(IMAGES[0].transpose(1, 2, 0)).save(tmp_path / "b" / "one.PNG")
    Image.new("RGB", (40, 20), (10, 20, 30)).save(tmp_path / "a.bmp")
    Image.new("L", (4, 2), 7).save(tmp_path / "c.png")
    (tmp_path / "notes.txt").touch()
    names, images, labels = read_samples(tmp_path, shape=SHAPE, classes=3)
    assert (names, labels) == (["a.bmp", str(Path("b", "one.PNG")), "c.png"], None)
    assert (images[0] == np.array([10, 20, 30])[:, None, None]).all()
    np.testing.assert_array_equal(images[1], IMAGES[0])
    assert (images[2] == 7).all()
    assert read_samples(tmp_path, shape=SHAPE, classes=3, most=1)[0] == ["a.bmp"]


def test_gray_of_16_bits_is_scaled_to_8(tmp_path: Path) -> None:
    values = np.array([[0, 257, 514, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    _, images, _ = read_samples(tmp_path, shape=(1, 1, 4), classes=3)
    assert images[0, 0, 0].tolist() == [0, 1, 2, 255]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[0.5, 1]], np.float32), "floating-point"),
        (np.array([[-1, 1]], np.int32), "gray values from -1 to 1"),
        (np.array([[0, 1 << 16]], np.int32), "gray values from 0 to 65536"),
    ],
)
def test_gray_of_which_nobody_knows_what_is_white(tmp_path: Path, values: np.ndarray, words: str) -> None:
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(InputError, match=words):
        read_samples(tmp_path, shape=(1, 1, 2), classes=3)


@pytest.mark.parametrize(
    ("channels", "words"), [(2, "the network takes 2 channels"), (3, "holds no images; give files that end with .png")]
)
def test_a_folder_that_is_no_samples(tmp_path: Path, channels: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_samples(tmp_path, shape=(channels, 2, 2), classes=3)


def test_an_image_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match="can't be read") as caught:
        read_samples(tmp_path, shape=SHAPE, classes=3)
    assert caught.value.faults[0].place == str(tmp_path / "x.png")
