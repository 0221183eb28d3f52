"""Networks that no one here wrote, cut into blocks that compute the same numbers."""

import textwrap
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from offramp.errors import InputError
from offramp.nn import data
from offramp.nn.backbones.custom import custom
from offramp.nn.backbones.resnet import resnet
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import Dataset
from offramp.nn.graph.split import cut
from offramp.nn.network import MultiExitNetwork, build, output_of
from offramp.nn.training import checkpoint
from offramp.nn.training.checkpoint import Checkpoint
from offramp.nn.training.fit import Recipe, fit

CLASSES = 4
IMAGE = (3, 32, 32)


@pytest.fixture(scope="module")
def small() -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, *IMAGE)).astype(np.uint8)
    return data.split("noise", images, np.arange(40) % CLASSES, seed=0)


def vit(t) -> nn.Module:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return t.ViTForImageClassification(t.ViTConfig(**sizes, image_size=32, patch_size=8, num_labels=CLASSES))


def convnext(t) -> nn.Module:
    sizes = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1]}
    return t.ConvNextForImageClassification(t.ConvNextConfig(**sizes, patch_size=2, num_labels=CLASSES))


def bottlenecks(t) -> nn.Module:
    sizes = {"embedding_size": 8, "hidden_sizes": [16, 24, 32], "depths": [1, 2, 1]}
    return t.ResNetForImageClassification(t.ResNetConfig(**sizes, num_labels=CLASSES))


def swin(t) -> nn.Module:
    sizes = {"embed_dim": 8, "depths": [2, 1], "num_heads": [2, 4], "window_size": 4, "patch_size": 2}
    return t.SwinForImageClassification(t.SwinConfig(**sizes, image_size=32, num_labels=CLASSES))


def mobilenetv2(t) -> nn.Module:
    config = t.MobileNetV2Config(image_size=32, depth_multiplier=0.25, num_labels=CLASSES)
    return t.MobileNetV2ForImageClassification(config)


def regnet(t) -> nn.Module:
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "groups_width": 8}
    return t.RegNetForImageClassification(t.RegNetConfig(**sizes, num_labels=CLASSES))


# How many blocks, and whether every branch has the classifier's own layers: the counts follow from the configurations.
# ViT: patches, and attention and perceptron of every layer. ConvNeXt: patches, layers, and what halves the images in
# between. ResNet: stem and layers. RegNet: the same.
MODELS = {vit: 1 + 2 * 2, convnext: 1 + 5 + 3, bottlenecks: 1 + 4, swin: None, mobilenetv2: None, regnet: 1 + 4}


@pytest.fixture(scope="module", params=MODELS, ids=lambda make: make.__name__)
def case(request, small):
    """A model of transformers, its number of blocks, and the full configuration cut from another copy of it."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    model = request.param(transformers)
    remember(model)
    copy = request.param(transformers)
    copy.load_state_dict(model.state_dict())
    network = build(custom("model", lambda shape, classes: copy), small, seed=0)
    return model.eval(), MODELS[request.param], network.eval()


def remember(model: nn.Module) -> None:
    """Give the normalization layers something to know: with means of 0 and deviations of 1 they'd hide mistakes."""
    model.train()
    with torch.no_grad():
        model(torch.randn(16, *IMAGE) * 2 + 1)


def test_the_network_is_the_model_bit_for_bit(case, small):
    model, blocks, network = case
    images = torch.tensor(small.validation.images)
    normalize = network.blocks[0][0]
    with torch.inference_mode():
        expected = model(normalize(images)).logits
        assert torch.equal(network(images)[-1], expected)
    assert expected.std() > 0
    assert blocks is None or len(network.blocks) == blocks


def test_no_weight_is_lost_or_shared(case):
    model, _, network = case
    weights = [*network.blocks.parameters(), *network.branches[-1].parameters()]
    assert len({weight.data_ptr() for weight in network.parameters()}) == len([*network.parameters()])
    # transformers keeps a mask token, and pooling layers that no classifier uses.
    used = [weight for name, weight in model.named_parameters() if "mask_token" not in name and "pooler" not in name]
    assert sum(weight.numel() for weight in weights) == sum(weight.numel() for weight in used)


def test_it_learns_a_step_as_the_model_would(case, small, tmp_path):
    _, _, network = case
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    statistics = {name: buffer.clone() for name, buffer in network.named_buffers() if "running" in name}
    next(fit(network, small.train, Recipe(epochs=1, batch_size=8, learning_rate=0.01), seed=0))
    still = [name for name, weight in network.named_parameters() if torch.equal(weight, before[name])]
    # The bias of a key shifts all scores of a query alike: its gradient is zero but for rounding.
    assert not [name for name in still if not name.endswith(("key.bias", "k_proj.bias"))]
    assert not [name for name, buffer in network.named_buffers()
                if name in statistics and torch.equal(buffer, statistics[name])]  # fmt: skip
    path = tmp_path / "network.safetensors"
    checkpoint.write(path, Checkpoint(1, network.state_dict()))
    kept = checkpoint.read(path)
    assert kept is not None
    assert all(torch.equal(kept.weights[name], tensor) for name, tensor in network.state_dict().items())
    network.eval().load_state_dict({name: before.get(name, statistics.get(name, tensor))
                                    for name, tensor in network.state_dict().items()})  # fmt: skip


# What the others are made of, convolutions and batch normalization, is exported in test_backbones.
@pytest.mark.parametrize(
    "case",
    [vit, *(pytest.param(make, marks=pytest.mark.nightly) for make in (convnext, swin))],
    indirect=True,
    ids=lambda make: make.__name__,
)
def test_blocks_export(case, small):
    _, _, network = case
    whole = Outputs(network).eval()
    images = torch.tensor(small.validation.images[:3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            whole,
            (images[:2],),
            dynamo=True,
            verbose=False,
            input_names=["x"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
        )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for found, expected in zip(session.run(None, {"x": images.numpy()}), whole(images), strict=True):
        torch.testing.assert_close(torch.tensor(found), expected.detach(), rtol=1e-3, atol=1e-4)


class Outputs(nn.Module):
    """Every block's output and every branch's logits: what is exported."""

    def __init__(self, network: MultiExitNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> list[Tensor]:
        found = []
        x = images
        for block, branch in zip(self.network.blocks, self.network.branches, strict=True):
            x = block(x)
            found += [x, branch(x)]
        return found


class Plain(nn.Module):
    """A handwritten line of blocks as the one module that a user would have."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        line = resnet(depth).make(IMAGE, CLASSES)
        self.blocks = nn.Sequential(*line.blocks.values())
        self.classifier = line.make_branch((64,))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.blocks(x))


def test_the_blocks_found_in_a_resnet_are_those_written_by_hand():
    torch.manual_seed(0)
    model = Plain(20)
    remember(model)
    line = cut(model, IMAGE)
    assert len(line.blocks) == 10
    x = y = torch.randn(2, *IMAGE)
    for found, written in zip(line.blocks.values(), model.eval().blocks, strict=True):
        x, y = output_of(found, x), output_of(written, y)
        assert torch.equal(x, y)
        branch = line.make_branch(tuple(x.shape[1:]))
        assert sum(weight.numel() for weight in branch.parameters()) == (x.shape[1] + 1) * CLASSES


def test_training_changes_the_parts_as_it_changes_the_whole():
    torch.manual_seed(0)
    model, twin = Plain(8), Plain(8)
    twin.load_state_dict(model.state_dict())
    line = cut(twin, IMAGE)
    parts = nn.Sequential(*line.blocks.values(), line.make_branch((64, 8, 8)))
    x, labels = torch.randn(8, *IMAGE), torch.arange(8) % CLASSES
    for each in (model, parts):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        each.train()
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(each(x), labels).backward()
            optimizer.step()
        each.eval()
    assert torch.equal(model(x), parts(x))


@pytest.mark.parametrize(("share", "blocks"), [(0.0, 10), (0.02, 9), (0.2, 4), (0.34, 2), (0.9, 1)])
def test_blocks_have_at_least_the_share_of_the_work_asked_for(share, blocks):
    # By hand: the stem has 1.1 % of ResNet-20's arithmetic, every residual block 11.6 %, but for the first of the
    # later stages, with half the channels coming in: 8.7 %. So at 20 %: stem to 2, 3 to 4, 5 to 6, 7 to the end.
    if blocks == 1:
        with pytest.raises(InputError, match="one block"):
            cut(Plain(20), IMAGE, min_work=share)
        return
    assert len(cut(Plain(20), IMAGE, min_work=share).blocks) == blocks


def test_blocks_have_at_least_the_share_of_the_weights_asked_for():
    line = cut(Plain(20), IMAGE, min_size=0.05)
    sizes = [sum(weight.numel() for weight in block.parameters()) for block in line.blocks.values()]
    assert min(sizes) >= 0.05 * sum(sizes)
    assert len(sizes) > 2


class Encoding(nn.Module):
    """A transformer of torch's own layers, which it computes at once where no gradients are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, stride=8)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.patches(x).flatten(2).transpose(1, 2)).mean(dim=1))


@pytest.mark.parametrize("trained", [True, False])
def test_attention_is_cut_though_torch_would_compute_it_at_once(trained):
    torch.manual_seed(0)
    model = Encoding().requires_grad_(trained)
    line = cut(model, IMAGE)
    assert torch.backends.mha.get_fastpath_enabled()
    # The patches, and attention and perceptron of every layer; of what isn't trained, too.
    assert len(line.blocks) == 1 + 3 * 2
    parts = nn.Sequential(*line.blocks.values(), line.make_branch((16, 16))).eval()
    x = torch.randn(5, *IMAGE)
    whole = Encoding().requires_grad_(True)
    whole.load_state_dict(model.state_dict())
    assert torch.equal(parts(x), whole.eval()(x))


class Skipping(nn.Module):
    """The first feature map is used until the end."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(channels, 4, 3, padding=1) for channels in (3, 4, 4))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        early = self.a(x) + x.mean()
        late = self.c(self.b(early))
        return self.head(torch.cat([early, late], dim=1).mean(dim=(2, 3)) + x.mean())


class Deciding(Skipping):
    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 0:
            return super().forward(x)
        return super().forward(-x)


class Counting(Skipping):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.a(x).reshape(2, 8, -1).mean(dim=2))


class Segmenting(Skipping):
    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Skipping, r"what `add` at .*test_split.py:\d+ \(`early = self.a\(x\) \+ x.mean\(\)`\)"),
        (Skipping, r"until `\w+` at .*test_split.py:\d+ \(`return self.head"),
        (Deciding, r"can't be traced at .*test_split.py:\d+ \(`if x.mean\(\) > 0:`\)"),
        (Counting, r"number of images for a constant at .*test_split.py:\d+ \(`return self.head"),
        (Segmenting, r"returns a tensor \[.*4, 32, 32\], an answer for every position"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_the_operation_and_the_line(model, message):
    with pytest.raises(InputError, match=message):
        cut(model(), IMAGE)


def test_what_cannot_be_traced_is_not_shown(capfd):
    for model in (Deciding, Counting):
        with pytest.raises(InputError):
            cut(model(), IMAGE)
    found = capfd.readouterr()
    assert (found.out, found.err) == ("", "")


class Asserting(Skipping):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == 1
        return super().forward(x)


class Unfinished(Skipping):
    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Pairing(Skipping):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return super().forward(x + y)


class Halved(Skipping):
    def __init__(self) -> None:
        super().__init__()
        self.half()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Asserting,
            r"Asserting fails on samples \[2, 3, 32, 32\] of float32 at .*test_split.py:\d+ \(`assert .*`\): Assertion",
        ),
        (Unfinished, r"Unfinished fails .* at .*test_split.py:\d+ \(`raise NotImpl.*`\): NotImplementedError; see"),
        (Pairing, r"Pairing wants more than images: forward\(x, y\) at .*test_split.py:\d+; give y a default"),
        (Halved, r"Halved fails .* at .*test_split.py:\d+ .*: RuntimeError: .*Half"),
    ],
)
def test_what_does_not_work_as_it_is_is_refused_with_the_line(model, message):
    with pytest.raises(InputError, match=message):
        cut(model(), IMAGE)


class Squeezing(Skipping):
    """The number of images is taken away where it is one: before the classifier, or within it."""

    def __init__(self, *between: nn.Module) -> None:
        super().__init__()
        self.head = nn.Sequential(*between, nn.Linear(4, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.c(self.b(self.a(x))).mean(dim=(2, 3), keepdim=True)
        return self.head(x.squeeze())


@pytest.mark.parametrize("between", [[], [nn.Linear(4, 4), nn.ReLU()], [nn.Flatten(1)]])
def test_what_cannot_take_a_single_image_is_refused(between):
    with pytest.raises(InputError, match=r"`squeeze` at .*test_split.py:\d+ .*single image.*flatten\(1\)"):
        cut(Squeezing(*between), IMAGE)


def test_batch_normalization_that_would_not_learn_is_refused():
    model = Plain(8)
    model.blocks[1].norm = nn.BatchNorm2d(16, momentum=None)
    with pytest.raises(InputError, match=r"never learn its statistics: blocks\.1\.norm; give it a momentum"):
        cut(model, IMAGE)


class InPlace(nn.Module):
    """Tensors are changed where they lie, after others have them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(channels, 4, 3, padding=1) for channels in (3, 4, 4))
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        y[:, 0] = 0
        y = self.b(y).relu_()
        z = self.c(y)
        z.view(z.shape[0], -1).clamp_(min=0)
        return self.head(z.mean(dim=(2, 3)))


def test_tensors_changed_in_place_come_out_the_same():
    line = cut(InPlace(), IMAGE, min_work=0)
    first, second = line.blocks.values()
    x = output_of(first, torch.randn(2, *IMAGE))
    assert x.shape == (2, 4, 32, 32)
    assert x.min() == 0
    before = x.clone()
    assert output_of(second, x).min() >= 0
    assert torch.equal(x, before)


class Creating(InPlace):
    """Tensors are made along the way: one for every image, and one that is always the same, with five dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(self.a(x)) + torch.ones(x.shape[0], 1, 1, 1, device=x.device).cumsum(0)
        grid = torch.arange(32, device=x.device).reshape(1, 1, 1, 1, 32).tril()
        return self.head(self.c(y + grid[0]).mean(dim=(2, 3)))


def test_what_is_made_along_the_way_moves_to_the_device_of_the_network():
    line = cut(Creating(), IMAGE)
    parts = nn.Sequential(*line.blocks.values(), line.make_branch((4, 32, 32)))
    assert parts.to(memory_format=torch.channels_last)(torch.randn(5, *IMAGE)).shape == (5, CLASSES)
    # Tensors without contents refuse to meet those of the CPU, as a GPU's would.
    assert parts.to("meta")(torch.zeros(5, *IMAGE, device="meta")).device.type == "meta"


class Tied(nn.Module):
    """Two of three convolutions have the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.twice, self.last = (nn.Conv2d(channels, 4, 3, padding=1) for channels in (3, 4, 4))
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.last(self.twice(self.twice(self.stem(x)).relu()).relu()).mean(dim=(2, 3)))


def test_weights_that_are_shared_stay_in_one_block():
    assert [*cut(Tied(), IMAGE, min_work=0).blocks] == ["stem", "twice", "last"]


class Flattening(nn.Module):
    """The classifier takes every pixel: where images are larger it can't be had."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 8, 3, stride=8, padding=1)
        self.head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.b(self.a(x)).flatten(1))


def test_a_classifier_that_does_not_fit_gives_way_to_the_general_one():
    model = Flattening()
    line = cut(model, IMAGE, min_work=0)
    assert len(line.blocks) == 2
    own = line.make_branch((8, 2, 2))
    assert sum(weight.numel() for weight in own.parameters()) == sum(w.numel() for w in model.head.parameters())
    general = line.make_branch((4, 16, 16))
    assert sum(weight.numel() for weight in general.parameters()) == (4 + 1) * CLASSES
    assert output_of(general, torch.randn(2, 4, 16, 16)).shape == (2, CLASSES)
    own.train()
    x = torch.randn(64, 8, 2, 2)
    assert not torch.equal(own(x), own(x))  # dropout is at work again


FACTORIES = """
    from torch import nn

    def small(num_classes, image_shape):
        channels, height, width = image_shape
        convolutions = [nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)]
        return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

    def open_ended(**options):
        assert "image_shape" not in options
        return small(options["num_classes"], (3, 8, 8))

    def unaware(classes):
        return small(classes, (3, 8, 8))

    def nothing(num_classes):
        return num_classes

    def failing(num_classes):
        raise RuntimeError("no weights here")

    def silent(num_classes):
        assert num_classes == 0

    def demanding(num_classes, depth):
        return small(num_classes, (3, 8, 8))
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules of the user's in the folder where the command is started."""
    (tmp_path / "factories_of_mine.py").write_text(textwrap.dedent(FACTORIES))
    (tmp_path / "misspelled.py").write_text("import torch\n\ndef small(num_classes:\n    pass\n")
    (tmp_path / "lacking.py").write_text("import torch\nimport nobody_has_this\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("factories")
def test_a_factory_is_named_on_the_command_line(tiny):
    for name in ("small", "open_ended"):
        network = build(backbone_spec(f"factories_of_mine:{name}@work=1%"), tiny, seed=0)
        assert len(network.blocks) == 3
        again = build(backbone_spec(f"factories_of_mine:{name}@work=1%"), tiny, seed=1)
        again.load_state_dict(network.state_dict())
        images = torch.tensor(tiny.validation.images)
        assert all(map(torch.equal, again.eval()(images), network.eval()(images)))
    assert len(backbone_spec("factories_of_mine:small@work=40%").make((3, 8, 8), 4).blocks) == 2


@pytest.mark.usefixtures("factories")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("factories_of_mine:large", "no function large"),
        ("factories_of_mine:unaware", "takes no num_classes"),
        ("factories_of_mine:nothing", "made int, no nn.Module"),
        ("factories_of_yours:small", "no module factories_of_yours"),
        ("factories_of_mine:", "package.module:factory"),
        ("factories_of_mine:small@work=1", "package.module:factory"),
        ("factories_of_mine:small@work=1.2.3%", "package.module:factory"),
        (".:small", "package.module:factory"),
        ("factories_of_mine:failing", r"failing of .* at .*mine.py:\d+ \(`raise .*`\): RuntimeError: no weights here;"),
        ("factories_of_mine:silent", r"silent of .* at .*mine.py:\d+ \(`assert num_classes == 0`\): AssertionError;"),
        ("factories_of_mine:demanding", r"demanding of factories_of_mine makes no network: TypeError: .*'depth'"),
        ("misspelled:small", r"misspelled can't be imported at .*misspelled.py:3 \(`def small.*`\): SyntaxError: "),
        ("lacking:small", r"lacking can't be imported at .*lacking.py:2 \(`import .*`\): .* 'nobody_has_this'"),
    ],
)
def test_a_factory_that_does_not_make_a_network_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        backbone_spec(name).make((3, 8, 8), 4)
