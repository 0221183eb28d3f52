"""Gray images keep one channel where a network takes one."""

import numpy as np
import pytest
from torch import nn

from offramp.errors import InputError
from offramp.nn.backbones.custom import custom
from offramp.nn.backbones.resnet import resnet
from offramp.nn.datasets import read_data
from offramp.nn.training.given import in_its_channels


def taking(channels: int):
    """A network for images of so many channels."""
    layers = nn.Sequential(
        *(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)),
    )
    return custom(f"of {channels}", lambda shape, classes: layers)


@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (3, 3), (7, 3)])
def test_a_network_gets_the_channels_that_it_takes(channels, kept):
    dataset = in_its_channels(taking(channels), read_data("digits", size=8))
    assert dataset.image_shape == (kept, 8, 8)
    assert dataset.source.name == ("digits?channels=1" if kept == 1 else "digits")


def test_networks_that_take_any_number_keep_what_there_is():
    assert in_its_channels(resnet(8), read_data("digits", size=8)).image_shape == (3, 8, 8)


def test_the_name_says_it_when_it_is_read_again(tmp_path, monkeypatch):
    gray, three = read_data("digits?channels=1", size=8), read_data("digits", size=8)
    assert np.array_equal(gray.test.images, three.test.images[:, :1])
    assert np.array_equal(gray.train.members, three.train.members)
    colors = np.random.default_rng(0).integers(0, 255, (40, 3, 4, 4), np.uint8)
    np.savez(tmp_path / "colors.npz", images=colors, labels=np.arange(40) % 2)
    with pytest.raises(InputError, match=r"are no gray images; leave \?channels=1 out"):
        read_data(f"{tmp_path / 'colors.npz'}?channels=1")
