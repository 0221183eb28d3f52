"""Networks of several inputs: packed as one, and cut although every layer looks at one of them."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from offramp.errors import InputError
from offramp.nn.backbones.custom import custom
from offramp.nn.catalog import backbone_spec
from offramp.nn.datasets import read_data
from offramp.nn.export import cut as partition
from offramp.nn.export import export
from offramp.nn.graph.split import cut
from offramp.nn.network import as_given, build
from offramp.nn.parity import parity

TOKENS, WIDTH = 6, 12


class Layer(nn.Module):
    """Attention among the tokens that the mask leaves, and a product."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2) + mask
        return x + self.out(scores.softmax(-1) @ self.value(x))


class Masked(nn.Module):
    """Three layers of tokens, of which those behind the last real one are masked."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(3))
        self.classify = nn.Linear(WIDTH, 4)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        # Of a constant, as transformers' masks are: what may look at what, whatever the texts.
        shown = mask[:, torch.arange(TOKENS)].bool()[:, None, :]
        added = torch.where(shown, 0.0, -1e4)
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, added)
        weights = mask[:, :, None].float()
        return self.classify((x * weights).sum(1) / weights.sum(1))


@pytest.fixture(scope="module")
def texts():
    """60 samples of six token ids, and which of them are real."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, TOKENS + 1, 60)
    mask = (np.arange(TOKENS) < lengths[:, None]).astype(np.int32)
    ids = rng.integers(1, 9, (60, TOKENS)).astype(np.int32) * mask
    return read_data({"inputs_ids": ids, "inputs_mask": mask, "labels": np.arange(60) % 4})


def test_a_mask_is_carried_from_cut_to_cut(texts):
    torch.manual_seed(0)
    module = Masked().eval()
    network = build(custom("masked", lambda shape, classes: module), texts, seed=0).eval()
    assert [*network.names] == ["layers.0", "layers.1", "layers.2"]
    samples = torch.tensor(texts.train.images)
    ids, mask = samples.split(TOKENS, dim=1)
    with torch.inference_mode():
        assert torch.equal(network(samples)[-1], module(ids.int(), mask.int()))
    whole = export(network, texts.image_shape, samples.dtype)
    assert parity(network, {end: partition(whole, end, end) for end in (1, 2, 3)}, texts.train.images[:8]) < 1e-5


def test_a_program_of_several_inputs_is_that_module(texts, tmp_path):
    torch.manual_seed(0)
    module = Masked().eval()
    samples = torch.tensor(texts.train.images)
    ids, mask = (each.int() for each in samples.split(TOKENS, dim=1))
    batch = torch.export.Dim("batch", min=1, max=512)
    shapes = {"ids": {0: batch}, "mask": {0: batch}}
    torch.export.save(torch.export.export(module, (ids[:4], mask[:4]), dynamic_shapes=shapes), tmp_path / "texts.pt2")
    network = build(backbone_spec(str(tmp_path / "texts.pt2")), texts, seed=0).eval()
    assert len(network.names) == 3
    with torch.inference_mode():
        assert torch.equal(network(samples)[-1], module(ids, mask))
    whole = export(network, texts.image_shape, samples.dtype)
    assert parity(network, {end: partition(whole, end, end) for end in (1, 2, 3)}, texts.train.images[:8]) < 1e-5


def test_a_program_that_takes_other_inputs_says_which(texts, tmp_path):
    batch = torch.export.Dim("batch", min=1, max=512)
    given = (torch.zeros(4, TOKENS, dtype=torch.int32), torch.ones(4, TOKENS, dtype=torch.int32))

    class Renamed(Masked):
        def forward(self, tokens: Tensor, shown: Tensor) -> Tensor:
            return super().forward(tokens, shown)

    shapes = {"tokens": {0: batch}, "shown": {0: batch}}
    torch.export.save(torch.export.export(Renamed().eval(), given, dynamic_shapes=shapes), tmp_path / "texts.pt2")
    with pytest.raises(InputError, match="takes tokens, shown, and samples have ids, mask"):
        build(backbone_spec(str(tmp_path / "texts.pt2")), texts, seed=0)


def test_a_classifier_of_texts_in_a_folder(texts, tmp_path, monkeypatch):
    t = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    config = t.BertConfig(**sizes, vocab_size=9, max_position_embeddings=8, num_labels=4)
    model = t.BertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "model")
    arrays = {
        f"inputs_{name}": texts.train.images[:, columns]
        for name, columns in (("input_ids", slice(0, TOKENS)), ("attention_mask", slice(TOKENS, None)))
    }
    data = read_data({**arrays, "labels": texts.train.labels})
    spec = backbone_spec(f"hf:{tmp_path / 'model'}")
    network = as_given(spec, data, seed=0, normalize=None)[0].eval()
    assert len(network.blocks) > 1
    samples = torch.tensor(data.test.images)
    named = {part.name: piece.int() for part, piece in zip(data.parts, samples.split(TOKENS, dim=1), strict=True)}
    with torch.inference_mode():
        torch.testing.assert_close(network(samples)[0], model(**named).logits, rtol=1e-5, atol=1e-5)


class Constants(nn.Module):
    """Adds what is computed of no input, each time by another operation."""

    def forward(self, x: Tensor) -> Tensor:
        for i in range(8):
            x = x + torch.arange(WIDTH).float().pow(i).cos()
        return x


def test_what_is_computed_once_has_the_same_name_each_time_it_is_cut():
    linear = [nn.Linear(WIDTH, WIDTH) for _ in range(3)]
    layers = nn.Sequential(linear[0], Constants(), linear[1], Constants(), linear[2], nn.Linear(WIDTH, 4))
    first, *others = (cut(layers, (WIDTH,)).blocks for _ in range(4))
    for other in others:
        for name, block in first.items():
            state, again = block.state_dict(), other[name].state_dict()
            assert [*state] == [*again]
            assert all(torch.equal(state[key], again[key]) for key in state)
