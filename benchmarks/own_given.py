"""Cases of networks and data of others: what each gives to `offramp.train`, and what its owner's network says."""

import argparse
import csv
import functools
import gzip
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import own_networks as networks
import torch
from torch import Tensor

from offramp.nn.data import Dataset, Split
from offramp.nn.datasets import read_data

ENCODER_TOKENS = 32
SERIES = ("ItalyPowerDemand/ItalyPowerDemand", "JapaneseVowels/JapaneseVowels_eq")
PICTURES = ("torchvision:mobilenet_v3_small", "timm:efficientnet_b0", "torchvision:densenet121")


class SkippedError(Exception):
    """A case whose data or library is not here."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What is given to `offramp.train`, and what its owner's network says.

    answers: from a split to the owner's logits [S, classes], by the owner's module on its own.
    asked: further arguments of `train`.
    """

    backbone: Any
    data: Dataset
    answers: Callable[[Split], Tensor]
    asked: Mapping[str, Any] = field(default_factory=dict)


def one_logit(options: argparse.Namespace, folder: Path) -> Case:
    """A table, and a perceptron that answers with one number."""
    from sklearn.datasets import load_breast_cancer

    given = load_breast_cancer()
    with (folder / "cells.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*given.feature_names, "diagnosis"])
        writer.writerows([*row, given.target_names[label]] for row, label in zip(given.data, given.target, strict=True))
    data = read_data(f"{folder / 'cells.csv'}?label=diagnosis")
    module = networks.one_logit(2, data.image_shape)
    networks.taught(module, data.train.images, data.train.labels, epochs=30)
    return Case(
        "own_networks:one_logit",
        data,
        lambda split: networks.said(module, torch.tensor(split.images)),
        {"weights": saved(module, folder), "normalize": "raw"},
    )


def checkpoint(options: argparse.Namespace, folder: Path) -> Case:
    """A file as trainers write it, of a network with a normalization of its own."""
    data = read_data("digits")
    module = networks.pictures(data.classes)
    prepared = networks.normalizing([0.4], [0.3])
    networks.taught(module, data.train.images, data.train.labels, epochs=8, prepared=prepared)
    state = {f"module.{name}": weight for name, weight in module.state_dict().items()}
    torch.save({"epoch": 8, "state_dict": state}, folder / "checkpoint.pth")
    return Case(
        "own_networks:pictures",
        data,
        lambda split: networks.said(module, torch.tensor(split.images), prepared=prepared),
        {"weights": folder / "checkpoint.pth"},
    )


def onnx_of_unknown_origin(options: argparse.Namespace, folder: Path) -> Case:
    """A file alone: nothing is left of the module that it was exported from, nor of how images were normalized."""
    from onnxruntime import InferenceSession

    data = read_data("digits")
    module, prepared = networks.residual(3, data.classes, axes=2), networks.normalizing([0.5], [0.5])
    networks.taught(module, data.train.images, data.train.labels, epochs=8, prepared=prepared)
    file = folder / "x.onnx"
    samples = prepared(torch.tensor(data.train.images[:2]))
    torch.onnx.export(module, (samples,), file, dynamic_shapes=({0: torch.export.Dim("n")},), verbose=False)
    del module
    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def answers(split: Split) -> Tensor:
        few = prepared(torch.tensor(split.images)).split(networks.BATCH)
        return torch.cat([torch.tensor(session.run(None, {name: some.numpy()})[0]) for some in few])

    return Case(str(file), data, answers)


def series(options: argparse.Namespace, folder: Path, *, name: str) -> Case:
    """Numbers in time, [C, L], and convolutions along them."""
    inputs, labels = series_in(given(options.series, "--series"), name)
    data = read_data({"inputs": inputs, "labels": labels}, name=name.rpartition("/")[2])
    module = networks.residual(inputs.shape[1], data.classes, axes=1)
    networks.taught(module, data.train.images, data.train.labels, epochs=30, size=32)
    return Case(
        module,
        data,
        lambda split: networks.said(module, torch.tensor(split.images)),
        {"train": "exits", "normalize": "raw"},
    )


def series_in(wheel: Path, name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """[S, C, L] float32 and [S] of both parts of a set of series in a wheel.

    A line of its files is a series: channels with colons between them, then the class; in each, numbers with commas.
    """
    rows, said = [], []
    with zipfile.ZipFile(wheel) as archive:
        for part in ("TRAIN", "TEST"):
            [member] = [path for path in archive.namelist() if path.endswith(f"/{name}_{part}.ts")]
            for line in archive.read(member).decode().splitlines():
                if line and line[0] not in "#@":
                    *channels, label = line.split(":")
                    rows.append([[float(number) for number in channel.split(",")] for channel in channels])
                    said.append(label.strip())
    return np.array(rows, np.float32), np.unique(said, return_inverse=True)[1]


def texts(options: argparse.Namespace, folder: Path) -> Case:
    """An encoder of sentences with a linear layer: ids and mask in, an exit after each of its layers."""
    wheel, table = given(options.encoder, "--encoder"), given(options.texts, "--texts")
    transformers = library("transformers")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "wheel")
    [config] = (folder / "wheel").glob("*/model/config.json")
    with gzip.open(table, "rt", encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    tokens = transformers.AutoTokenizer.from_pretrained(config.parent, local_files_only=True)(
        [row["text"] for row in rows],
        padding="max_length",
        truncation=True,
        max_length=ENCODER_TOKENS,
        return_tensors="np",
    )
    ids, mask = (tokens[name].astype(np.int32) for name in ("input_ids", "attention_mask"))
    names, labels = np.unique([row["label"] for row in rows], return_inverse=True)
    file = folder / "texts.npz"
    np.savez(file, inputs_input_ids=ids, inputs_attention_mask=mask, labels=labels, class_names=names)
    data = read_data(file)
    module = networks.Encoder(config.parent, data.classes).eval()
    networks.classified(module, *(torch.tensor(given[data.train.members]) for given in (ids, mask)), data.train.labels)

    def answers(split: Split) -> Tensor:
        return networks.said(module, torch.tensor(ids[split.members]), torch.tensor(mask[split.members]))

    return Case(module, data, answers, {"weights": saved(module, folder), "train": "exits"})


def pictures(options: argparse.Namespace, folder: Path, *, name: str, learned: bool) -> Case:
    """A network by its name in a library, with weights as they are made, or trained on the pictures."""
    source = given(options.catdog, "--catdog")
    library(name.partition(":")[0])
    data = some_pictures(source, options.pictures)
    torch.manual_seed(0)
    module = networks.by_name(name, data.classes)
    prepared = networks.normalizing(*networks.IMAGENET)
    if learned:
        images, labels = data.train.images, data.train.labels
        networks.taught(module, images, labels, epochs=options.epochs, prepared=prepared, rate=1e-3, size=32)
    # These take long to learn their statistics, and there may be few steps.
    networks.seen(module, data.train.images, prepared=prepared)
    return Case(
        name,
        data,
        lambda split: networks.said(module, torch.tensor(split.images), prepared=prepared),
        {"weights": saved(module, folder), "normalize": "imagenet"},
    )


@functools.cache
def some_pictures(source: Path, count: int) -> Dataset:
    """So many pictures of a folder per class, of all its parts, drawn at random."""
    whole = read_data(source)
    splits = (whole.train, whole.validation, whole.test)
    images, labels = (np.concatenate([getattr(split, name) for split in splits]) for name in ("images", "labels"))
    drawn = np.sort(np.random.default_rng(0).permutation(len(labels))[:count])
    return read_data({"images": images[drawn], "labels": labels[drawn]}, name=source.name)


def given(path: Path | None, option: str) -> Path:
    """The path that an option gave."""
    if path is None or not path.exists():
        raise SkippedError(f"give {option}" if path is None else f"there is no {path}")
    return path


def library(name: str) -> Any:
    """A library, imported."""
    try:
        return __import__(name)
    except Exception as error:  # it may not fit the torch that is here
        raise SkippedError(f"{name} can't be imported: {error}") from error


def saved(module: torch.nn.Module, folder: Path) -> Path:
    """The weights of a module, in a file."""
    torch.save(module.state_dict(), folder / "net.pt")
    return folder / "net.pt"


CASES: Mapping[str, Callable[[argparse.Namespace, Path], Case]] = {
    "one logit, table": one_logit,
    "checkpoint, digits": checkpoint,
    "onnx, digits": onnx_of_unknown_origin,
    **{f"1-D, {name.rpartition('/')[2]}": functools.partial(series, name=name) for name in SERIES},
    "encoder, texts": texts,
    **{
        f"{name.rpartition(':')[2]}, {kind}": functools.partial(pictures, name=name, learned=learned)
        for name in PICTURES
        for kind, learned in (("frozen random", False), ("trained", True))
    },
}
