"""Data sets that are in files, since they are larger than what is read into memory: with a bound that tests reach."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset

from offramp.core.codec import Codec
from offramp.errors import InputError
from offramp.files import maps
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Augmentation, Dataset
from offramp.nn.datasets import read_data
from offramp.nn.network import build
from offramp.nn.profiling.exit_tables import encoded_exit_table, exit_table
from offramp.nn.training.fit import Recipe, fit
from offramp.nn.training.run import Run, begin_run, read_run
from offramp.nn.training.setup import Setup, fingerprints

BOUND = 2000
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.05, shift=1, flip=True)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """[80, 8, 8, 3] noise with a bright quarter, which tells the class."""
    rng = np.random.default_rng(0)
    found = rng.integers(0, 100, (80, 8, 8, 3)).astype(np.uint8)
    for place in range(80):
        row, column = divmod(place % 4, 2)
        found[place, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 120
    return found


LABELS = np.arange(80) % 4


class Pairs(TorchDataset):
    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int):
        return torch.tensor(self.images[place]), int(LABELS[place])


class Stream(IterableDataset):
    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __iter__(self):
        return zip(self.images, LABELS.tolist(), strict=False)


def pictures(folder: Path, images: np.ndarray) -> Path:
    for place, image in enumerate(images):
        path = folder / f"class-{LABELS[place]}" / f"{place:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


def parts(images: np.ndarray) -> dict[str, np.ndarray]:
    ends = {"train_": (0, 48), "val_": (48, 68), "test_": (68, 80)}
    return {
        f"{part}{name}": values[begin:end]
        for part, (begin, end) in ends.items()
        for name, values in (("images", images), ("labels", LABELS))
    }


def source(kind: str, folder: Path, images: np.ndarray):
    """A data set of that kind, as `read_data` takes it."""
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    inputs = channels_first.astype(np.float64) / 7
    match kind:
        case "folder":
            return pictures(folder, images)
        case "table":
            pictures(folder, images)
            rows = [f"class-{LABELS[i]}/{i:02}.png,{LABELS[i]},{'test' if i % 5 else 'train'}" for i in range(80)]
            (folder / "t.csv").write_text("path,label,split\n" + "\n".join(rows))
            return folder / "t.csv"
        case "stored" | "compressed" | "split" | "inputs" | "several" | "gray":
            arrays = {
                "split": parts(images),
                "inputs": {"inputs": inputs, "labels": LABELS},
                "several": {"inputs_a": inputs, "inputs_b": channels_first[:, 0], "labels": LABELS},
                "gray": {"images": images[..., 0], "labels": LABELS},
            }.get(kind, {"images": images, "labels": LABELS})
            (np.savez_compressed if kind in ("compressed", "gray") else np.savez)(folder / "some.npz", **arrays)
            return folder / "some.npz"
        case "fortran":
            np.savez_compressed(folder / "some.npz", inputs=np.asfortranarray(inputs), labels=LABELS)
            return folder / "some.npz"
        case "npy":
            for name, values in parts(images).items():
                np.save(folder / f"{name}.npy", values)
            return folder
        case "arrays":
            np.save(folder / "images.npy", images)
            return np.load(folder / "images.npy", mmap_mode="r"), LABELS
        case "torch":
            return Pairs(channels_first)
        case "floats":
            return Pairs(inputs)
        case "stream":
            return Stream(images)
        case _:
            return kind


KINDS = (
    "folder",
    "table",
    "stored",
    "compressed",
    "split",
    "inputs",
    "several",
    "gray",
    "fortran",
    "npy",
    "arrays",
    "torch",
    "floats",
    "stream",
)


@pytest.mark.parametrize("size", [None, 6])
@pytest.mark.parametrize("kind", [*KINDS, "digits"])
def test_a_data_set_in_files_is_the_one_in_memory(kind, size, images, tmp_path, monkeypatch):
    if size is not None and kind in ("inputs", "several", "fortran", "floats"):
        pytest.skip("no pictures")
    given = source(kind, tmp_path, images)
    whole = read_data(given, seed=1, size=size)
    assert kind == "arrays" or not maps.is_mapped(whole.train.images)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", BOUND)
    mapped = read_data(given, seed=1, size=size)
    assert (mapped.name, mapped.classes, mapped.class_names) == (whole.name, whole.classes, whole.class_names)
    for found, wanted in zip(
        (mapped.train, mapped.validation, mapped.test), (whole.train, whole.validation, whole.test), strict=True
    ):
        assert isinstance(found.images, np.memmap)
        assert not found.images.flags.writeable
        assert found.images.dtype == wanted.images.dtype
        assert np.array_equal(found.images, wanted.images)
        assert np.array_equal(found.labels, wanted.labels)
        assert np.array_equal(found.members, wanted.members)
    assert np.array_equal(mapped.mean, whole.mean)
    assert np.array_equal(mapped.deviation, whole.deviation)


@pytest.mark.parametrize("kind", ["split", "npy"])
def test_splits_that_are_in_files_of_ones_own_stay_there(kind, images, tmp_path, monkeypatch):
    given = source(kind, tmp_path, images)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", BOUND)
    monkeypatch.setattr(maps, "empty", None)
    found = read_data(given)
    for part in (found.train, found.validation, found.test):
        assert tmp_path in Path(part.images.filename).parents


def forged(claimed: int, held: int) -> bytes:
    buffer = io.BytesIO()
    shape = (claimed, 3, 8, 8)
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(held)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_npz_that_claims_more_than_it_holds_is_refused(compression, tmp_path, monkeypatch):
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", BOUND)
    with zipfile.ZipFile(tmp_path / "some.npz", "w", compression) as archive:
        archive.writestr("images.npy", forged(1 << 30, 80 * 192))
    with pytest.raises(InputError, match="claims 206158430208 bytes and holds 15360; write the archive again"):
        read_data(tmp_path / "some.npz")


def test_an_npz_whose_directory_lies_with_the_header_is_refused(tmp_path, monkeypatch):
    """Both claim 400 samples, of which there are 80."""
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", BOUND)
    content = forged(400, 80 * 192)
    size, claimed = len(content), len(forged(400, 400 * 192))
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            archive.writestr("images.npy", content)
        directory = buffer.getvalue().replace(size.to_bytes(4, "little"), claimed.to_bytes(4, "little"))
        (tmp_path / "some.npz").write_bytes(directory)
        with pytest.raises(InputError, match=r"is damaged|claims 76800 bytes and holds"):
            read_data(tmp_path / "some.npz")


def test_an_npy_that_claims_more_than_it_holds_is_refused(tmp_path):
    np.save(tmp_path / "labels.npy", LABELS)
    (tmp_path / "images.npy").write_bytes(forged(1 << 30, 80 * 192))
    with pytest.raises(InputError, match=r"images\.npy: is not an npy, or is damaged"):
        read_data(tmp_path)


def test_labels_are_read_into_memory_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 600)
    np.savez(tmp_path / "some.npz", images=np.zeros((80, 4, 4), np.uint8), labels=LABELS)
    with pytest.raises(InputError, match=r"some\.npz: labels: takes 0\.00 GB; give at most 0\.00 GB"):
        read_data(tmp_path / "some.npz")


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans(), packed=st.booleans())
def test_a_damaged_npz_is_read_or_refused(tmp_path_factory, place, value, cut, packed):
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    samples = rng.integers(0, 256, (80, 3, 5, 7)).astype(np.uint8)
    (np.savez_compressed if packed else np.savez)(buffer, images=samples, labels=LABELS)
    content = bytearray(buffer.getvalue())
    at = int(place * len(content))
    content[at] = value
    path = tmp_path_factory.mktemp("damaged") / "some.npz"
    path.write_bytes(content[:at] if cut else content)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(maps, "MOST_IN_MEMORY", BOUND)
        try:
            found = read_data(path)
        except InputError:
            return
        assert all(np.array_equal(part.images, samples[part.members]) for part in (found.train, found.test))


@pytest.fixture
def both(images, tmp_path, monkeypatch) -> tuple[Dataset, Dataset]:
    """The same data set in memory and in a file, with channels last, as networks' sums depend on that."""
    given = source("stored", tmp_path, images)
    whole = read_data(given)
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", BOUND)
    return whole, read_data(given)


@pytest.mark.parametrize("augmentation", [Augmentation(1, flip=True), Augmentation(0, flip=False)])
def test_a_network_learns_the_same_from_a_file(both, augmentation):
    states, tables = [], []
    recipe = Recipe(epochs=2, batch_size=16, learning_rate=0.05, shift=augmentation.shift, flip=augmentation.flip)
    for dataset in both:
        network = build(backbone_spec("resnet8"), dataset, seed=1)
        for _ in fit(network, dataset.train, recipe, seed=2):
            pass
        states.append({**network.state_dict()})
        tables.append([exit_table(network, dataset.validation), encoded_exit_table(network, dataset.test, Codec.INT8)])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    for one, other in zip(*tables, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.correct, other.correct)


class Given(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, 2, padding=1), nn.ReLU())
        self.classify = nn.Linear(16, 4)

    def forward(self, x):
        return self.classify(self.second(self.first(x)).mean(dim=(2, 3)))


def exits(folder: Path, dataset: Dataset) -> Run:
    torch.manual_seed(3)
    spec = backbone_spec(Given())
    asked = {"train": "exits", "heads": "light", "from_weights": True, "normalize": None}
    setup = Setup.of(spec, dataset, seed=3, bf16=False, joint=RECIPE, separate=None, **asked)
    training = begin_run(folder, setup, dataset, spec)
    for _ in training.train():
        pass
    return training.finished()


def test_exits_learn_the_same_from_a_file(images, tmp_path, monkeypatch):
    """And what PyTorch's data set yields, which has no place on the disk but the run's, is then read from there."""
    one = exits(tmp_path / "one", read_data(Pairs(images)))
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", BOUND)
    other = exits(tmp_path / "other", read_data(Pairs(images)))
    assert maps.is_mapped(other.dataset.train.images)
    assert one.accuracy == other.accuracy
    assert one.setup.normalize == other.setup.normalize
    assert fingerprints(one.dataset, one.network) == fingerprints(other.dataset, other.network)
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    back = read_run(tmp_path / "other", backbone=Given())
    assert Path(back.dataset.train.images.filename) == (tmp_path / "other" / "data.npz").resolve()
    assert np.array_equal(back.dataset.train.images, one.dataset.train.images)
