"""Exits for networks that stay as they were given."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from offramp.errors import InputError
from offramp.nn import heads
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Dataset
from offramp.nn.network import Output, Shape
from offramp.nn.normalization import normalization
from offramp.nn.training import features
from offramp.nn.training.exits import FEATURES, ExitsToTrain, train_exits
from offramp.nn.training.fit import Recipe
from offramp.nn.training.fit_head import Samples, fit_head
from offramp.nn.training.given import normalized_by, seems_trained
from offramp.nn.training.jobs import Finished, Learned, Planned
from offramp.nn.training.run import Run, begin_run, read_run
from offramp.nn.training.setup import Setup, read_setup

RECIPE = Recipe(epochs=3, batch_size=16, learning_rate=0.01)
BATCH = 256  # that `predict` takes at once: other batches are summed in another order


class Convolutional(nn.Module):
    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 12, 3, 2, padding=1), nn.BatchNorm2d(12), nn.ReLU())
        self.third = nn.Sequential(nn.Conv2d(12, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.classify = nn.Sequential(nn.Dropout(0.5), nn.Linear(16, classes))

    def forward(self, x):
        return self.classify(self.third(self.second(self.first(x))).mean(dim=(2, 3)))


class Transformer(nn.Module):
    def __init__(self, classes: int = 4, width: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 5, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 32, dropout=0.1, batch_first=True) for _ in range(3)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])


def given(kind: type[nn.Module]) -> nn.Module:
    """With weights, and statistics, of its own; frozen, and in training mode as whoever trained it left it."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        module = kind()
        module(torch.rand(64, 3, 8, 8) * 3)
    return module.requires_grad_(False)


def training_of(folder: Path, module: nn.Module, dataset: Dataset, *, recipe: Recipe = RECIPE, **asked):
    spec = backbone_spec(module)
    asked = {"train": "exits", "heads": "light", "from_weights": True, "normalize": "0.4,0.5,0.6/0.2,0.3,0.25", **asked}
    setup = Setup.of(spec, dataset, seed=3, bf16=False, joint=recipe, separate=None, **asked)
    return begin_run(folder, setup, dataset, spec)


def finished(training) -> Run:
    for _ in training.train():
        pass
    return training.finished()


@pytest.fixture
def _attention_by_operations():
    """Where it needs no gradients, torch computes a layer as one fused operation, which rounds otherwise."""
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(True)


@pytest.mark.usefixtures("_attention_by_operations")
@pytest.mark.parametrize("kind", [Convolutional, Transformer])
@pytest.mark.parametrize("made_of", ["light", "own"])
def test_the_network_stays_as_it_was_given_to_the_bit(tiny, tmp_path, kind, made_of):
    module = given(kind)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    run = finished(training_of(tmp_path, module, tiny, heads=made_of))
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    again = read_run(tmp_path, dataset=tiny, backbone=module)
    normalize = normalization("0.4,0.5,0.6/0.2,0.3,0.25", tiny)
    module.eval()
    for split in (tiny.train, tiny.validation, tiny.test):
        with torch.inference_mode():
            for images in torch.tensor(split.images).split(BATCH):
                expected = module(normalize(images))
                assert torch.equal(run.network(images)[-1], expected)
                assert torch.equal(again.network(images)[-1], expected)


@pytest.mark.parametrize("kind", [Convolutional, Transformer])
def test_exits_learn_though_all_of_the_network_is_frozen(tiny, tmp_path, kind):
    longer = Recipe(epochs=30, batch_size=16, learning_rate=0.01)
    run = finished(training_of(tmp_path, given(kind), tiny, recipe=longer))
    assert len(run.accuracy) >= 3
    assert max(run.accuracy[:-1]) > 0.6  # of four classes, by features that are random
    assert run.separate_accuracy == run.accuracy  # none depends on another, so each was trained alone
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "data.npz", "backbone.pt2", "joint.safetensors"}


@pytest.mark.parametrize("stop_after", [1, 4, 7])
def test_what_was_interrupted_comes_out_the_same(tiny, tmp_path, stop_after):
    module = given(Convolutional)
    whole = finished(training_of(tmp_path / "whole", module, tiny))
    events = training_of(tmp_path / "broken", module, tiny).train()
    for _ in range(stop_after):
        next(events)
    events.close()
    broken = finished(training_of(tmp_path / "broken", module, tiny))
    expected = whole.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in broken.network.state_dict().items())


def test_images_are_counted_to_the_end(tiny, tmp_path):
    events = [*training_of(tmp_path, given(Convolutional), tiny).train()]
    [planned] = [event for event in events if isinstance(event, Planned)]
    assert sum(event.images for event in events if isinstance(event, Learned)) == planned.images
    assert isinstance(events[-1], Finished)


def test_features_take_no_more_room_than_they_may(tiny, tmp_path):
    training = training_of(tmp_path, given(Convolutional), tiny)
    most = 60_000
    to_train = ExitsToTrain(
        folder=tmp_path,
        kept_at=tmp_path / "joint.safetensors",
        network=training.network,
        recipe=RECIPE,
        seed=3,
        distill=True,
        most_bytes=most,
    )
    largest, seen = 0, 0
    for event in train_exits(to_train, tiny):
        seen += isinstance(event, Learned) and event.epoch == 0
        kept = [path.stat().st_size for path in (tmp_path / FEATURES).glob("*.npy")]
        largest = max([largest, sum(kept) - 128 * len(kept)])
    assert 0.9 * most < largest <= most
    assert seen
    assert not (tmp_path / FEATURES).exists()


def test_features_are_what_the_blocks_make_of_the_samples(tiny, tmp_path):
    network = training_of(tmp_path / "run", given(Transformer), tiny).network
    layout = features.layout(network, tiny, tmp_path / "features")
    for _ in features.compute(network, tiny, layout, seed=0):
        pass
    kept = features.kept_features(tiny, layout, seed=0)
    with torch.inference_mode():
        x = torch.tensor(tiny.train.images[kept.rows])
        for block, stored in zip(network.blocks, [*kept.blocks, None], strict=True):
            x = block(x)
            if stored is not None:
                expected = torch.stack([x[:, 0], x.mean(dim=1)], dim=1) if x.ndim == 3 else x
                assert torch.allclose(torch.from_numpy(stored).reshape(expected.shape), expected, atol=1e-6)
        assert torch.allclose(torch.from_numpy(kept.logits), network.branches[-1](x), atol=1e-6)


SHAPES: list[Shape] = [(64, 32, 32), (3, 7, 5), (16, 1, 1), (2000, 3, 3), (17, 64), (10,), (14, 14, 96)]
OUTPUTS = [*map(Output, SHAPES), Output((8, 16_000), signal=True), Output((64, 5), signal=True)]


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
def test_every_head_answers_for_every_class(output):
    x = torch.rand(3, *output.shape)
    for kind in heads.kinds(output):
        head = heads.make(kind, output, 5).eval()
        assert head(x).shape == (3, 5)
        assert head.reduce(x).shape[1:] == heads.reduced_shape(output)
        most = heads.MOST_NUMBERS if output.signal else max(heads.MOST_NUMBERS, 2 * max(output.shape))
        assert head.reduce(x)[0].numel() <= most


def test_a_signal_is_told_from_tokens():
    assert Output.of(nn.Sequential(nn.Conv1d(2, 4, 3)), (4, 9)).signal
    assert not Output.of(nn.Sequential(nn.Linear(2, 4)), (9, 4)).signal
    assert not Output.of(nn.Sequential(nn.Conv2d(2, 4, 3)), (4, 9, 9)).signal


def test_heads_are_small_beside_their_block():
    block = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU())  # 1,792 weights, as VGG-11's first block
    found = heads.candidates(block, torch.zeros(1, 3, 64, 64), Output((64, 64, 64)), 1000)
    assert next(iter(found)) == "linear"
    assert found["linear"].weights == 65_000
    assert set(found) == {"linear"}  # others have more weights than the block and the 8,192 that any head may have
    few = heads.candidates(block, torch.zeros(1, 3, 64, 64), Output((64, 64, 64)), 10)
    assert {*few} > {"linear"}
    assert all(cost.weights <= 8192 for cost in few.values())


def test_a_head_says_of_plain_features_what_it_learned_of_standardized_ones():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 3
    inputs = 100 * torch.randn(200, 6, generator=generator) + 1e4  # far from standardized
    inputs[torch.arange(200), labels] += 500
    head = heads.make("linear", Output((6,)), 3)
    recipe = Recipe(epochs=20, batch_size=32, learning_rate=0.05)
    for _ in fit_head(head, Samples(inputs, labels, None), np.arange(200), recipe, seed=0):
        pass
    assert float((head(inputs).argmax(1) == labels).float().mean()) > 0.95


def test_a_network_says_how_its_images_are_normalized(tiny):
    module = given(Convolutional)
    module.normalize = ([0.1, 0.2, 0.3], [0.5, 0.5, 0.5])
    assert normalized_by(backbone_spec(module), tiny, seed=0)[0] == "0.1,0.2,0.3/0.5,0.5,0.5"


def test_the_normalization_is_found_that_a_network_was_trained_with(tiny, tmp_path):
    module = learned(tiny, "unit")
    assert normalized_by(backbone_spec(module), tiny, seed=0)[0] == "unit"
    assert seems_trained(backbone_spec(module), tiny, seed=0, normalize=None)
    assert not seems_trained(backbone_spec(Convolutional()), tiny, seed=0, normalize=None)
    run = finished(training_of(tmp_path, module, tiny, normalize=None))
    assert run.setup.normalize == "unit"
    assert run.setup.given_accuracy == run.accuracy[-1] > 0.9


def test_all_of_a_network_learns_gently_and_no_longer_than_it_gets_better(tiny, tmp_path):
    module = learned(tiny, "unit")
    training = training_of(tmp_path, module, tiny, train="all", heads="own", normalize="unit")
    [joint] = training.networks()
    assert joint.patience is not None
    run = finished(training)
    assert run.setup.given_accuracy is not None
    assert run.accuracy[-1] >= run.setup.given_accuracy - 0.1


def test_a_run_of_other_weights_is_another_run(tiny, tmp_path):
    module = given(Convolutional)
    finished(training_of(tmp_path, module, tiny))
    with torch.no_grad():
        module.classify[1].bias += 1
    with pytest.raises(InputError, match="weights: is not what it was"):
        training_of(tmp_path, module, tiny)


def test_a_run_of_before_there_were_weights_is_read(tiny, tmp_path):
    finished(training_of(tmp_path, given(Convolutional), tiny, train="all", heads="own", from_weights=False))
    record = json.loads((tmp_path / "run.json").read_text())
    for added in ("train", "heads", "distill", "from_weights", "weights", "normalize", "given_accuracy"):
        del record[added]
    del record["joint"]["given_share"]
    (tmp_path / "run.json").write_text(json.dumps({**record, "offramp": "run/1"}))
    setup = read_setup(tmp_path)
    assert (setup.train, setup.heads, setup.from_weights, setup.normalize) == ("all", "own", False, "data")


def learned(dataset: Dataset, normalize: str) -> nn.Module:
    """A network that was trained elsewhere."""
    module, before = given(Convolutional).requires_grad_(True), normalization(normalize, dataset)
    x, y = before(torch.tensor(dataset.train.images)), torch.tensor(dataset.train.labels)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
    return module.eval()
