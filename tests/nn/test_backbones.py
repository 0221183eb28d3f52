"""The backbones that ship: counts of blocks and weights as published, and each trains and exports."""

import warnings

import numpy as np
import onnxruntime
import pytest
import torch

from offramp.errors import InputError
from offramp.nn import data
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Dataset
from offramp.nn.network import Partition, build, output_of
from offramp.nn.training.fit import Recipe, Step, fit

BUILT_IN = ("resnet20", "alexnet", "inceptionv3", "mobilenetv2", "vit-tiny")


@pytest.fixture(scope="module")
def small() -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 3, 32, 32)).astype(np.uint8)
    return data.split("noise", images, np.arange(40) % 4, seed=0)


# ImageNet's images and classes. Sources of the weights: Krizhevsky's two-GPU network has 60,965,224 (60 million in
# the paper), MobileNetV2 3.5 million (3.4 in the paper), Inception V3 23.8 million without the auxiliary classifier,
# DeiT-Ti 5.7 million; to the digit, those of the authors' releases.
@pytest.mark.parametrize(
    ("name", "side", "blocks", "weights"),
    [
        ("alexnet", 227, 7, 60_965_224),
        ("inceptionv3", 299, 16, 23_834_568),
        ("mobilenetv2", 224, 19, 3_504_872),
        ("vit-tiny", 224, 13, 5_717_416),
    ],
)
def test_blocks_and_weights_are_as_published(name, side, blocks, weights):
    with torch.device("meta"):
        line = backbone_spec(name).make((3, side, side), 1000)
        x = torch.zeros(1, 3, side, side)
        for block in line.blocks.values():
            x = output_of(block, x)
        branch = line.make_branch(tuple(x.shape[1:]))
    assert len(line.blocks) == blocks
    counted = [weight for module in (*line.blocks.values(), branch) for weight in module.parameters()]
    assert sum(weight.numel() for weight in counted) == weights
    assert output_of(branch, x).shape == (1, 1000)


@pytest.mark.parametrize(
    ("name", "side", "shape"),
    [
        # Inception: 8x8 of 2048 channels, MobileNetV2: 7x7 of 1280, at the end of the tables in the papers.
        ("inceptionv3", 299, (2048, 8, 8)),
        ("mobilenetv2", 224, (1280, 7, 7)),
        ("vit-tiny", 224, (197, 192)),
        # 32x32 pixels leave something to look at for the deepest blocks.
        ("inceptionv3", 32, (2048, 3, 3)),
        ("mobilenetv2", 32, (1280, 4, 4)),
        ("vit-tiny", 32, (65, 192)),
        ("resnet20", 32, (64, 8, 8)),
        ("alexnet", 32, (4096,)),
    ],
)
def test_the_last_block_puts_out_the_published_shape(name, side, shape):
    with torch.device("meta"):
        x = torch.zeros(1, 3, side, side)
        for block in backbone_spec(name).make((3, side, side), 10).blocks.values():
            x = output_of(block, x)
    assert x.shape[1:] == shape


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_backbone_learns_a_step_that_reaches_all_its_weights(name, small):
    network = build(backbone_spec(name), small, seed=0)
    before = {key: weight.detach().clone() for key, weight in network.named_parameters()}
    events = fit(network, small.train, Recipe(epochs=1, batch_size=8, learning_rate=0.01), seed=0)
    step = next(events)
    assert isinstance(step, Step)
    assert np.isfinite(step.loss)
    assert not [key for key, weight in network.named_parameters() if torch.equal(weight, before[key])]


# Every kind of layer, at a fraction of the time: the first blocks, and the widest of the modules of Inception.
@pytest.mark.parametrize(
    ("name", "first", "last"), [("alexnet", 1, 2), ("inceptionv3", 15, 15), ("mobilenetv2", 1, 3), ("vit-tiny", 1, 2)]
)
def test_blocks_export_and_say_the_same(name, first, last, small):
    network = build(backbone_spec(name), small, seed=0).eval()
    x = torch.tensor(small.validation.images[:3])
    for block in network.blocks[: first - 1]:
        x = output_of(block, x)
    partition = Partition(network, first, last).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            partition,
            (x[:2],),
            dynamo=True,
            verbose=False,
            input_names=["x"],
            dynamic_shapes={"x": {0: torch.export.Dim("batch", min=1)}},
        )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        for found, expected in zip(session.run(None, {"x": x.numpy()}), partition(x), strict=True):
            torch.testing.assert_close(torch.tensor(found), expected, rtol=1e-3, atol=1e-4)


def test_images_that_patches_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"30x30 into 8x8 patches.*multiple of 8"):
        backbone_spec("vit-tiny").make((3, 30, 30), 10)


# The least that the stem for ImageNet leaves something of, and one less; and Tiny ImageNet's 64.
@pytest.mark.parametrize(
    ("name", "side"),
    [("alexnet", 64), ("alexnet", 66), ("alexnet", 67), ("inceptionv3", 64), ("inceptionv3", 74), ("inceptionv3", 75)],
)
def test_images_of_any_size_leave_something_for_the_last_block(name, side):
    with torch.device("meta"):
        x = torch.zeros(1, 3, side, side)
        for block in backbone_spec(name).make((3, side, side), 10).blocks.values():
            x = output_of(block, x)
    assert x.numel() > 0


def test_images_too_small_for_a_backbone_are_refused():
    images = np.zeros((40, 3, 8, 8), np.uint8)
    tiny = data.split("tiny", images, np.arange(40) % 4, seed=0)
    with pytest.raises(InputError, match=r"backbone: alexnet can't take images of 8x8: .*; give larger ones"):
        build(backbone_spec("alexnet"), tiny, seed=0)


@pytest.mark.parametrize("name", BUILT_IN)
def test_gray_images_work(name):
    with torch.device("meta"):
        x = torch.zeros(1, 1, 32, 32)
        for block in backbone_spec(name).make((1, 32, 32), 10).blocks.values():
            x = output_of(block, x)
