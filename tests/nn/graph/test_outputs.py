"""What classifiers return, and what is no classifier's answer."""

from collections import namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.errors import InputError
from offramp.nn import data
from offramp.nn.backbones.custom import custom
from offramp.nn.graph.split import cut
from offramp.nn.network import build

IMAGE = (3, 8, 8)
Named = namedtuple("Named", "auxiliary logits")


class Net(nn.Module):
    """Two convolutions and a classifier; `answer` makes what is returned of its logits and the features."""

    def __init__(self, answer: Callable[[Tensor, Tensor], Any], outputs: int = 5) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, outputs)
        self.answer = answer

    def features(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu()).relu()

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(dim=(2, 3)))

    def forward(self, x: Tensor) -> Any:
        return self.answer(self.logits(x), self.features(x))


def both(model: Net) -> tuple[Tensor, Tensor]:
    """The logits of its blocks, one after the other, and its own."""
    line = cut(model, IMAGE, classes=max(model.head.out_features, 2), min_work=0)
    x = torch.randn(7, *IMAGE)
    with torch.inference_mode():
        y = nn.Sequential(*line.blocks.values()).eval()(x)
        return line.make_branch(tuple(y.shape[1:])).eval()(y), model.logits(x)


@pytest.mark.parametrize(
    "answer",
    [
        lambda z, h: z,
        lambda z, h: (z, h),
        lambda z, h: [z, z],
        lambda z, h: Named(h, z),
        lambda z, h: SimpleNamespace(logits=z, loss=None),
        lambda z, h: {"loss": z.mean(), "logits": z, "pooled": z},
        lambda z, h: {"output": z, "features": h},
        lambda z, h: z.softmax(dim=-1),
        lambda z, h: {"probabilities": z[:, :, None, None].softmax(1).flatten(1)},
    ],
)
def test_logits_are_found(answer):
    cut_apart, own = both(Net(answer))
    assert torch.equal(cut_apart, own)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_what_is_taken_off_is_said(name):
    outputs = 5 if name == "softmax" else 1
    model = Net(lambda z, h: z.softmax(1) if name == "softmax" else z.sigmoid(), outputs)
    assert cut(model, IMAGE).note.startswith(f"its {name} is taken off: ")
    assert not cut(Net(lambda z, h: z, outputs), IMAGE).note


def test_logarithms_of_probabilities_are_logits():
    cut_apart, own = both(Net(lambda z, h: z.log_softmax(1)))
    assert torch.equal(cut_apart, own.log_softmax(1))


@pytest.mark.parametrize(
    "answer",
    [
        lambda z, h: z,
        lambda z, h: z.squeeze(1),
        lambda z, h: z.squeeze(),
        lambda z, h: z.sigmoid(),
        lambda z, h: {"p": torch.sigmoid(z)[:, 0]},
    ],
)
def test_one_output_tells_two_classes_apart(answer):
    cut_apart, own = both(Net(answer, outputs=1))
    assert torch.equal(cut_apart[:, 1:], own)
    torch.testing.assert_close(cut_apart.softmax(1)[:, 1:], own.sigmoid())


def test_a_single_sample_keeps_its_axis():
    line = cut(Net(lambda z, h: z.squeeze(), outputs=1), IMAGE, classes=2, min_work=0)
    y = nn.Sequential(*line.blocks.values()).eval()(torch.randn(1, *IMAGE))
    assert line.make_branch((4, 8, 8)).eval()(y).shape == (1, 2)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z, h: {"a": z, "b": z}, r"mapping of a, b: which are the logits\?; name them `logits`"),
        (lambda z, h: {"a": "no tensor"}, r"mapping of a: which"),
        (lambda z, h: None, r"returns NoneType, not logits"),
        (lambda z, h: h, r"returns a tensor \[2, 4, 8, 8\], an answer for every position, as segmenters do, and exits"),
        (lambda z, h: {"out": h}, "segmenters"),
        (lambda z, h: SimpleNamespace(logits=h.flatten(2)), "taggers"),
        (lambda z, h: [{"boxes": z, "labels": z}], "returns boxes, as detectors do, .* exits need one answer for each"),
        (lambda z, h: {"logits": z, "pred_boxes": h}, "detectors"),
        (lambda z, h: z[:, :, None, None], r"end it with flatten\(1\)"),
        (lambda z, h: z.mean(), r"returns a tensor \[\], not logits"),
        (lambda z, h: z.exp() / z.exp().sum(1, keepdim=True), "sum to one: .*; return what goes into the softmax"),
        (lambda z, h: z.softmax(1)[:, 1], r"part of the probabilities that `softmax` at .*test_outputs.py:\d+"),
        (lambda z, h: z.sigmoid(), "returns sigmoids, .*; return what goes into the sigmoid"),
    ],
)
def test_what_is_no_answer_for_each_sample_is_refused(answer, message):
    with pytest.raises(InputError, match=message):
        cut(Net(answer), IMAGE)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (1, "one number for each sample, which tells two classes apart, and the data have 4"),
        (100, "makes 100 logits, so it is made for 100 classes, and the data have 4; make it for 4"),
    ],
)
def test_outputs_for_other_classes_than_the_data_have_are_refused(outputs, message):
    images = np.random.default_rng(0).integers(0, 256, (40, *IMAGE)).astype(np.uint8)
    dataset = data.split("noise", images, np.arange(40) % 4, seed=0)
    with pytest.raises(InputError, match=message):
        build(custom("net", lambda shape, classes: Net(lambda z, h: z, outputs)), dataset, seed=0)
