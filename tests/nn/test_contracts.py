"""The contracts that ship, held by the backbones and the data sets that ship; and what they refuse."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Dataset
from offramp.nn.datasets import read_data
from offramp.nn.network import Line, Spec, build
from offramp.testing.backbone import BackboneContract
from offramp.testing.dataset import DatasetContract
from tests.nn.test_data import write_batches


class TestResnet(BackboneContract):
    @classmethod
    def spec(cls) -> Spec:
        return backbone_spec("resnet8")


@pytest.mark.nightly
class TestMobilenet(BackboneContract):
    @classmethod
    def spec(cls) -> Spec:
        return backbone_spec("mobilenetv2")


class TestVit(BackboneContract):
    @classmethod
    def spec(cls) -> Spec:
        return backbone_spec("vit-tiny")


class Perceptron(nn.Sequential):
    def __init__(self, num_classes: int = 4) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(3 * 8 * 8, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, num_classes)
        )


class TestModuleInHand(BackboneContract):
    image_shape = (3, 8, 8)
    module = Perceptron()

    @classmethod
    def spec(cls) -> Spec:
        return backbone_spec(cls.module)


class TestFactory(BackboneContract):
    image_shape = (3, 8, 8)

    @classmethod
    def spec(cls) -> Spec:
        return backbone_spec(f"{__name__}:Perceptron@work=5%")


class WithOneMore(BackboneContract):
    """The same perceptron, written down as a `Spec`, with a layer more."""

    layer: nn.Module

    @classmethod
    def spec(cls) -> Spec:
        return Spec("one-more", cls.make)

    @classmethod
    def make(cls, image_shape: tuple[int, ...], classes: int) -> Line:
        layers = [*Perceptron()]
        first, second = nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:5], cls.layer)
        return Line({"first": first, "second": second}, lambda shape: nn.Linear(shape[0], classes))


class Noisy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Batchy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(dim=0)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (Noisy(), "test_evaluation_is_deterministic"),
        (Batchy(), "test_an_answer_does_not_depend_on_the_batch"),
    ],
)
def test_a_backbone_that_breaks_the_contract_fails(layer, name, tiny):
    contract = type("Broken", (WithOneMore,), {"layer": layer})()
    network = build(contract.spec(), tiny, seed=0).eval()
    images = torch.tensor(tiny.validation.images[:3])
    with pytest.raises(AssertionError):
        getattr(contract, name)(network, images)


class TestDigits(DatasetContract):
    @classmethod
    def read(cls, seed: int) -> Dataset:
        return read_data("digits", seed=seed, size=8)


def noise(count: int = 40, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, 3, 6, 5)).astype(np.uint8), np.arange(count) % classes


class TestArrays(DatasetContract):
    @classmethod
    def read(cls, seed: int) -> Dataset:
        return read_data(noise(), seed=seed, name="noise")


class TestTorchDataset(DatasetContract):
    @classmethod
    def read(cls, seed: int) -> Dataset:
        return read_data(TensorDataset(*map(torch.tensor, noise())), seed=seed)


class TestPublishedSplits(DatasetContract):
    @classmethod
    def read(cls, seed: int) -> Dataset:
        images, labels = noise(60)
        parts = {"train": slice(0, 40), "val": slice(40, 48), "test": slice(48, 60)}
        arrays = {f"{name}_images": images[places] for name, places in parts.items()}
        return read_data(arrays | {f"{name}_labels": labels[places] for name, places in parts.items()}, seed=seed)


class Written(DatasetContract):
    """A data set whose files are written first."""

    folder: Path

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _files(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.folder = tmp_path_factory.mktemp("data")
        cls.write(cls.folder)

    @classmethod
    def write(cls, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def read(cls, seed: int) -> Dataset:
        return read_data(cls.folder, seed=seed)


class TestArchive(Written):
    @classmethod
    def write(cls, folder: Path) -> None:
        images, labels = noise()
        np.savez(folder / "some.npz", images=images, labels=labels)

    @classmethod
    def read(cls, seed: int) -> Dataset:
        return read_data(cls.folder / "some.npz", seed=seed, size=9)


class TestFolder(Written):
    @classmethod
    def write(cls, folder: Path) -> None:
        for place, (image, label) in enumerate(zip(*noise(), strict=True)):
            (folder / f"class-{label}").mkdir(exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"class-{label}" / f"{place:02}.png")


class TestCifar10(Written):
    @classmethod
    def write(cls, folder: Path) -> None:
        write_batches(folder)
