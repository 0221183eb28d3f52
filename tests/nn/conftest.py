from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.nn import data, runs
from offramp.nn.backbones.resnet import resnet
from offramp.nn.data import Dataset
from offramp.nn.network import MultiExitNetwork, build
from offramp.nn.train import Recipe

TINY_BLOCKS = 4


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> Dataset:
    """80 samples of 8x8 pixels in 4 classes: a bright quarter on noise. No two images are equal."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 4
    images = rng.integers(0, 100, (80, 3, 8, 8)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[:, row : row + 4, column : column + 4] += 120
    return data.split("tiny", images, labels, seed=0)


@pytest.fixture
def network(tiny: Dataset) -> MultiExitNetwork:
    """ResNet-8 with a branch after each of its four blocks; the normalization layers know something."""
    network = build(resnet(8), tiny, seed=1)
    with torch.no_grad():
        network.train()(torch.tensor(tiny.train.images))
    return network.eval()


@pytest.fixture(scope="session")
def setup() -> runs.Setup:
    recipe = Recipe(epochs=1, batch_size=128)
    return runs.Setup(backbone="resnet8", dataset="digits", seed=3, bf16=False, joint=recipe, separate=recipe)


@pytest.fixture(scope="session")
def run(setup: runs.Setup, tmp_path_factory: pytest.TempPathFactory) -> runs.Run:
    """A real run, trained to the end; tests only read it."""
    folder: Path = tmp_path_factory.mktemp("run")
    for _ in runs.train(folder, setup):
        pass
    return runs.read(folder)
