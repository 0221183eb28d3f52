"""What tests of several rooms share. PyTorch is imported by the tests that ask for it alone."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from offramp.nn.training.run import Run
    from offramp.nn.training.setup import Setup


@pytest.fixture(scope="session")
def setup() -> "Setup":
    from offramp.nn.training.fit import Recipe
    from offramp.nn.training.setup import Setup

    recipe = Recipe(epochs=1, batch_size=128)
    return Setup(backbone="resnet8", dataset="digits", seed=3, bf16=False, joint=recipe, separate=recipe)


@pytest.fixture(scope="session")
def run(setup: "Setup", tmp_path_factory: pytest.TempPathFactory) -> "Run":
    """A real run, trained to the end; tests only read it."""
    from offramp.nn.catalog import backbone_spec
    from offramp.nn.datasets import read_data
    from offramp.nn.training.run import begin_run

    folder: Path = tmp_path_factory.mktemp("run")
    dataset = read_data(setup.dataset, seed=setup.seed)
    training = begin_run(folder, setup, dataset, backbone_spec(setup.backbone))
    for _ in training.train():
        pass
    return training.finished()
