import numpy as np
import pytest
import torch

from offramp.nn import data
from offramp.nn.backbones.resnet import resnet
from offramp.nn.data import Dataset
from offramp.nn.network import MultiExitNetwork, build

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
