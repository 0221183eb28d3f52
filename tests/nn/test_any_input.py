"""Samples that are no pictures: signals, tables, tokens, from memory and from files."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

from offramp.errors import InputError
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Augmentation, Dataset, batches
from offramp.nn.datasets import read_data
from offramp.nn.export import cut, export
from offramp.nn.network import build
from offramp.nn.parity import parity

RNG = np.random.default_rng(0)
LABELS = np.arange(60) % 3
SAMPLES = {
    "signal": RNG.normal(size=(60, 2, 24)).astype(np.float32),
    "half": RNG.normal(size=(60, 2, 24)).astype(np.float16),
    "table": RNG.normal(size=(60, 7)).astype(np.float32),
    "audio": RNG.integers(-3000, 3000, (60, 1, 40)).astype(np.int16),
    "bytes": RNG.integers(0, 256, (60, 1, 40)).astype(np.uint8),
    "tokens": RNG.integers(0, 30, (60, 9)),
    "images": RNG.normal(size=(60, 4, 8, 8)).astype(np.float32),
}


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30, 8)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.classify = nn.Linear(8, 3)

    def forward(self, ids):
        x = torch.relu(self.second(torch.relu(self.first(self.words(ids)))))
        return self.classify(x.mean(dim=1))


def module_for(kind: str) -> nn.Module:
    shape = SAMPLES[kind].shape[1:]
    if kind == "tokens":
        return Tokens()
    if len(shape) == 1:
        return nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))
    convolution, pool = (nn.Conv1d, nn.AdaptiveAvgPool1d) if len(shape) == 2 else (nn.Conv2d, nn.AdaptiveAvgPool2d)
    layers = [convolution(shape[0], 8, 3), nn.ReLU(), convolution(8, 8, 3), nn.ReLU(), pool(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(8, 3))


@pytest.mark.parametrize("kind", SAMPLES)
def test_partitions_take_what_the_sensor_gives(kind):
    dataset = read_data({"inputs": SAMPLES[kind], "labels": LABELS})
    assert dataset.train.images.dtype == SAMPLES[kind].dtype
    network = build(backbone_spec(module_for(kind)), dataset, seed=0).eval()
    whole = export(network, dataset.image_shape, dataset.input_type)
    last = len(network.blocks)
    pieces = {1: cut(whole, 1, 1), last: cut(whole, 2, last)}
    assert parity(network, pieces, dataset.test.images[:3]) < 1e-5


@pytest.mark.parametrize("kind", ["signal", "audio", "table"])
def test_block_one_standardizes_by_the_first_axis(kind):
    dataset = read_data({"inputs": SAMPLES[kind], "labels": LABELS})
    network = build(backbone_spec(module_for(kind)), dataset, seed=0)
    normalized = network.blocks[0][0](torch.tensor(dataset.train.images)).double()
    axes = (0, *range(2, normalized.ndim))
    assert torch.allclose(normalized.mean(dim=axes), torch.zeros(1, dtype=torch.double), atol=1e-5)
    assert torch.allclose(normalized.std(dim=axes, correction=0), torch.ones(1, dtype=torch.double), atol=1e-5)


def test_tokens_stay_whole_numbers():
    dataset = read_data({"inputs": SAMPLES["tokens"], "labels": LABELS})
    network = build(backbone_spec(Tokens()), dataset, seed=0)
    assert isinstance(network.blocks[0][0], nn.Identity)


def test_whole_numbers_for_a_network_that_wants_others_say_what_to_do():
    dataset = read_data({"inputs": SAMPLES["table"].astype(np.int64), "labels": LABELS})
    with pytest.raises(InputError, match="normalize=data"):
        build(backbone_spec(module_for("table")), dataset, seed=0)
    assert build(backbone_spec(module_for("table")), dataset, seed=0, normalize="data")


def test_a_network_of_ours_takes_images_alone():
    dataset = read_data({"inputs": SAMPLES["table"], "labels": LABELS})
    with pytest.raises(InputError, match=r"resnet8 takes images \(C, H, W\), and samples are \(7,\) of float32"):
        build(backbone_spec("resnet8"), dataset, seed=0)


FORMS = {
    "arrays": lambda x: (x, LABELS),
    "tensors": lambda x: (torch.tensor(x), torch.tensor(LABELS)),
    "mapping": lambda x: {"inputs": x, "labels": LABELS},
    "torch": lambda x: TensorDataset(torch.tensor(x), torch.tensor(LABELS)),
    "split": lambda x: {
        "train_inputs": x[:40],
        "train_labels": LABELS[:40],
        "test_inputs": x[40:],
        "test_labels": LABELS[40:],
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_samples_stay_as_they_are(form):
    x = SAMPLES["signal"]
    dataset = read_data(FORMS[form](x))
    assert np.array_equal(_all(dataset), x)
    if form == "split":
        assert np.array_equal(dataset.test.images, x[40:])


def _all(dataset: Dataset) -> np.ndarray:
    parts = (dataset.train, dataset.validation, dataset.test)
    samples, members = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "members"))
    return samples[np.argsort(members)]


REFUSED = {
    "not finite": (np.where(np.arange(120).reshape(60, 2) == 7, np.nan, 1.0), "sample 3 has numbers that are missing"),
    "too large": (np.where(np.arange(120).reshape(60, 2) == 9, 1e300, 1.0), "sample 4 has numbers"),
    "text": (np.full((60, 2), "a"), "is of <U1"),
    "one axis": (np.zeros(60), r"has shape \(60,\)"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("form", REFUSED)
def test_refused(form):
    values, message = REFUSED[form]
    with pytest.raises(InputError, match=message):
        read_data({"inputs": values, "labels": LABELS})


def test_other_samples_are_neither_moved_nor_mirrored():
    x, y = torch.arange(12.0).reshape(6, 2), torch.arange(6)
    seen = [*batches(x, y, batch_size=4, augmentation=Augmentation(0, flip=False), rng=np.random.default_rng(0))]
    assert sorted(torch.cat([few[:, 0] for few, _ in seen]).tolist()) == [0, 2, 4, 6, 8, 10]
    assert all(torch.equal(few[:, 0] / 2, labels.float()) for few, labels in seen)


def written(path: Path, rows: list[list[object]]) -> Path:
    text = "\n".join(",".join(map(str, row)) for row in rows) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


ROWS = [["width", "label", "height"], *([i, ["ant", "bee"][i % 2], i / 2] for i in range(40))]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_table_is_read(name, tmp_path):
    dataset = read_data(written(tmp_path / name, ROWS))
    assert dataset.class_names == ("ant", "bee")
    assert dataset.train.images.dtype == np.float32
    assert np.array_equal(_all(dataset), [[i, i / 2] for i in range(40)])
    assert np.array_equal(dataset.train.labels, dataset.train.members % 2)


def test_a_parquet_table_is_read(tmp_path):
    pandas = pytest.importorskip("pandas")
    pandas.DataFrame(ROWS[1:], columns=ROWS[0]).to_parquet(tmp_path / "t.parquet")
    csv_read = read_data(written(tmp_path / "t.csv", ROWS))
    assert np.array_equal(_all(read_data(tmp_path / "t.parquet")), _all(csv_read))


def test_a_table_of_paths_is_read(tmp_path):
    for i in range(12):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    rows = [["file", "y", "note"], *([f"{i}.png", 1 + i % 2, "x"] for i in range(12))]
    dataset = read_data(written(tmp_path / "t.csv", rows))
    assert dataset.class_names == ("1", "2")  # labels need not begin at zero here: they are names
    assert _all(dataset)[:, 0, 0, 0].tolist() == [*range(12)]


def test_a_table_says_which_rows_are_held_out(tmp_path):
    rows = [["a", "y", "split"], *([i, i % 2, "test" if i < 8 else "train"] for i in range(40))]
    dataset = read_data(written(tmp_path / "t.csv", rows))
    assert sorted(dataset.test.images[:, 0].tolist()) == [*range(8)]


BAD_TABLES = {
    "no class": ("", [["a", "b"], [1, 2]], r"none of its columns may hold the class; name it, t.csv\?label=NAME"),
    "two classes": ("", [["y", "label"], [1, 2]], "y and label of its columns may hold the class"),
    "unknown": ("?label=z", [["a", "b"], [1, 2]], "label: there is no column 'z'; choose of b, a"),
    "text": ("", [["a", "y"], ["u", 1], ["v", 0]], r"a: holds 'u', which is no number; .*\?drop=a"),
    "missing": ("", [["a", "y"], [1, 1], ["", 0]], "a: row 3 has no finite number"),
    "short row": ("", [["a", "y"], [1, 1], [1]], "row 3: has 1 values, there are 2 columns"),
    "fractions": ("", [["a", "y"], [1, 1.5], [1, 2.5]], "y: holds numbers with fractions"),
    "no rows": ("", [["a", "y"]], "has 1 rows"),
}


@pytest.mark.parametrize("form", BAD_TABLES)
def test_bad_tables_are_refused(form, tmp_path):
    query, rows, message = BAD_TABLES[form]
    path = written(tmp_path / "t.csv", rows)
    with pytest.raises(InputError, match=message):
        read_data(f"{path}{query}")


def test_what_a_spreadsheet_writes_is_read(tmp_path):
    with (tmp_path / "t.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["größe, cm", "label"], *([i, "a,b" if i % 2 else "c"] for i in range(30))])
    assert read_data(tmp_path / "t.csv").class_names == ("a,b", "c")
