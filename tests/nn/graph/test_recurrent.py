"""Recurrent networks: cut between layers, exported, the same numbers throughout."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.errors import InputError
from offramp.nn import data, export
from offramp.nn.backbones.custom import custom
from offramp.nn.graph.split import cut
from offramp.nn.network import build
from offramp.nn.parity import parity

IMAGE = (3, 6, 8)


class Rows(nn.Module):
    """Reads an image row by row."""

    def __init__(self, kind: type[nn.RNNBase], *, state: bool = False, classes: int = 4, **options: object) -> None:
        super().__init__()
        self.layers = kind(24, 10, **options)
        self.state = state
        self.head = nn.Linear(20 if self.layers.bidirectional else 10, classes)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 1, 3).flatten(2)
        first = self.layers.batch_first
        output, states = self.layers(rows if first else rows.transpose(0, 1))
        if not self.state:
            return self.head(output[:, -1] if first else output[-1])
        last = states[0] if isinstance(states, tuple) else states
        if self.layers.bidirectional:
            return self.head(torch.cat([last[-2], last[-1]], dim=1))
        return self.head(last[-1])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.GRU, {"batch_first": True, "num_layers": 2}),
        (nn.LSTM, {"batch_first": True, "num_layers": 3, "dropout": 0.5, "state": True}),
        (nn.GRU, {"num_layers": 2, "bidirectional": True, "state": True}),
        (nn.LSTM, {"num_layers": 2, "bias": False}),
        (nn.RNN, {"batch_first": True, "num_layers": 2, "state": True}),
    ],
)
def test_layers_are_cut_apart_and_compute_the_same(kind, options):
    torch.manual_seed(0)
    model = Rows(kind, **options)
    line = cut(model, IMAGE)
    assert len(line.blocks) == options["num_layers"]
    parts = nn.Sequential(*line.blocks.values())
    x = torch.randn(5, *IMAGE)
    shape = tuple(parts.eval()(x).shape[1:])
    whole = nn.Sequential(parts, line.make_branch(shape)).eval()
    torch.testing.assert_close(whole(x), model.eval()(x), rtol=1e-6, atol=1e-6)
    whole.train()
    whole(x).sum().backward()
    assert all(weight.grad is not None for weight in parts.parameters())
    # Between layers, dropout is at work again.
    assert torch.equal(whole(x), whole(x)) == ("dropout" not in options)


def test_one_layer_alone_cannot_be_cut():
    with pytest.raises(InputError, match=r"all of its work .* is in `gru` at .*, which can't be cut; give it a second"):
        cut(Rows(nn.GRU, batch_first=True), IMAGE)


class Convolved(nn.Module):
    """An LSTM of one layer, which reads what a convolution makes, and a last layer before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layer = nn.Conv2d(3, 3, 3, padding=1), nn.LSTM(24, 10, batch_first=True)
        self.head = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.layer(self.stem(x).relu().permute(0, 2, 1, 3).flatten(2))
        return self.head(output.mean(dim=1))


@pytest.mark.parametrize("make", [lambda: Rows(nn.GRU, batch_first=True, num_layers=2), Convolved])
def test_partitions_say_what_the_network_says(make):
    rng = np.random.default_rng(0)
    dataset = data.split("noise", rng.integers(0, 256, (40, *IMAGE)).astype(np.uint8), np.arange(40) % 4, seed=0)
    network = build(custom("rows", lambda shape, classes: make()), dataset, seed=0)
    assert len(network.blocks) == 2
    whole = export.export(network, IMAGE)
    images = dataset.validation.images[:3]
    for ends in ((2,), (1, 2)):
        pieces = {last: export.cut(whole, first + 1, last) for first, last in zip((0, *ends), ends, strict=False)}
        assert parity(network, pieces, images) < 1e-5
    # Wherever the number of images matters, it is that of what comes in.
    sent = np.ones((3, *network.blocks[0](torch.tensor(images)).shape[1:]), np.float32)
    assert len(export.load(export.cut_block(whole, 2)).run(sent)[0]) == 3
