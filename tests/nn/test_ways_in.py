"""Networks that people have already: as files, by the names of libraries, and without what once made them."""

import io
import json
import pickle
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import offramp
from offramp.errors import Fault, InputError, MissingExtraError
from offramp.nn.catalog import backbone_spec
from offramp.nn.graph.operations import exported
from offramp.nn.graph.program_file import read_program, write_program
from offramp.nn.graph.split import cut
from offramp.nn.network import as_given
from offramp.nn.training.fit import Recipe
from offramp.nn.training.run import begin_run, read_run
from offramp.nn.training.setup import Setup

IMAGE = (3, 8, 8)
RECIPE = Recipe(epochs=1, batch_size=16, shift=0)


class Small(nn.Module):
    """Three convolutions, the second with a way around it."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(width, 8, 3, padding=1) for width in (3, 8, 8))
        self.normalize_second = nn.BatchNorm2d(8)
        self.classify = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = x + self.normalize_second(self.second(x)).relu()
        return self.classify(self.third(x).relu().mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def small() -> nn.Module:
    torch.manual_seed(0)
    module = Small().train()
    with torch.no_grad():
        module(torch.randn(16, *IMAGE) * 2 + 1)  # the normalization knows something
    return module.eval()


@pytest.fixture(scope="module")
def program(small: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as a file."""
    path = tmp_path_factory.mktemp("program") / "net.pt2"
    write_program(exported(small, IMAGE), path)
    return path


def exits_of(spec, dataset, folder, **options):
    """A run that gives the network light exits, trained."""
    setup = Setup.of(
        spec, dataset, seed=0, bf16=False, joint=RECIPE, separate=None, train="exits", heads="light",
        from_weights=True, normalize="data", **options,
    )  # fmt: skip
    training = begin_run(folder, setup, dataset, spec)
    assert not training.needed
    for _ in training.train():
        pass
    return training.finished()


def test_a_program_is_cut_as_the_module_is(small, program):
    one, other = cut(small, IMAGE), cut(read_program(program), IMAGE)
    assert [*one.blocks] == [*other.blocks] == ["first", "second", "third"]
    for name, block in one.blocks.items():
        state, again = block.state_dict(), other.blocks[name].state_dict()
        assert [*state] == [*again]
        assert all(torch.equal(state[key], again[key]) for key in state)
        assert {key for key, _ in block.named_parameters()} == {key for key, _ in other.blocks[name].named_parameters()}


def test_a_file_of_a_program_is_a_backbone_with_its_weights(small, program, tiny):
    spec = backbone_spec(str(program))
    assert (spec.name, spec.trained) == ("net.pt2", True)
    network = as_given(spec, tiny, seed=0, normalize="raw")[0].eval()
    images = torch.tensor(tiny.test.images[:3])
    with torch.inference_mode():
        assert torch.equal(network(images)[0], small(images.float()))
    assert len(as_given(backbone_spec(f"{program}@work=40%"), tiny, seed=0, normalize="raw")[0].blocks) == 2
    with pytest.raises(InputError, match="has its own; leave them out"):
        backbone_spec(str(program), weights=Path("net.pt"))


def test_a_run_is_read_where_what_made_its_network_is_not_at_hand(tiny, tmp_path, monkeypatch):
    source = Path(__file__).read_text().split("\n@pytest.fixture")[0]
    (tmp_path / "gone_of_mine.py").write_text(
        source[source.index("import torch") :] + "\n\nnet = lambda num_classes: Small(num_classes)\n"
    )
    monkeypatch.chdir(tmp_path)
    run = exits_of(backbone_spec("gone_of_mine:net@work=20%"), tiny, tmp_path / "run")
    (tmp_path / "gone_of_mine.py").unlink()
    monkeypatch.delitem(sys.modules, "gone_of_mine")
    with pytest.raises(InputError, match="there is no module gone_of_mine"):
        as_given(backbone_spec("gone_of_mine:net"), tiny, seed=0, normalize=None)
    again = read_run(tmp_path / "run", dataset=tiny)
    assert again.network.names == run.network.names
    state = again.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in run.network.state_dict().items())


class Harm:
    def __reduce__(self):
        return (Path.touch, (Path("harmed"),))


def with_changed(program: Path, path: Path, name: str, change) -> Path:
    """A copy of a program in which one record is another, or is new."""
    reader = torch._C.PyTorchFileReader(str(program))
    writer = torch._C.PyTorchFileWriter(str(path))
    for record in {*reader.get_all_records(), name}:
        content = reader.get_record(record) if record in reader.get_all_records() else b""
        content = change(content) if record == name else content
        if not record.startswith((".data", "version", "byteorder", ".format", ".storage")):
            writer.write_record(record, content, len(content))
    writer.write_end_of_file()
    return path


def saved(value) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


MODEL = "models/model.json"
CHANGES = {
    "pickled inputs": ("data/sample_inputs/model.pt", lambda _: saved((Harm(),))),
    "a pickled weight": (
        "data/weights/model_weights_config.json",
        lambda text: text.replace(b'"use_pickle": false', b'"use_pickle": true', 1),
    ),
    "a pickled object": ("data/constants/opaque_obj_0", lambda _: pickle.dumps(Harm())),
    "an older file's weights": ("data/weights/model.pt", lambda _: saved({"x": Harm()})),
    "a compiled library": ("data/aotinductor/model/model.so", lambda _: b"\x7fELF"),
    "a size that is code": (MODEL, lambda text: re.sub(rb"Symbol\('s\d+'", b"open('harmed', 'w'", text)),
    "a name that is code": (MODEL, lambda text: text.replace(b'"images"', b'"images=open(0)"')),
    "a function of Python": (MODEL, lambda text: text.replace(b"torch.ops.aten.relu.default", b"torch.load")),
    "an operation on files": (MODEL, lambda text: text.replace(b"aten.relu.default", b"aten.from_file.default")),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_program_that_could_run_code_is_refused(program, tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    path = with_changed(program, tmp_path / "other.pt2", *CHANGES[change])
    with pytest.raises(InputError, match="may run code"):
        read_program(path)
    assert not (tmp_path / "harmed").exists()


def test_a_copy_with_nothing_changed_is_read(program, tmp_path):
    read_program(
        with_changed(program, tmp_path / "other.pt2", MODEL, lambda text: json.dumps(json.loads(text)).encode())
    )


def test_what_is_no_program_for_images_is_refused(small, tmp_path):
    images = torch.zeros(2, *IMAGE)
    torch.export.save(torch.export.export(small, (images,)), tmp_path / "fixed.pt2")
    with pytest.raises(InputError, match="takes 2 samples at a time, no others, by its input x; write it by"):
        read_program(tmp_path / "fixed.pt2")
    (tmp_path / "text.pt2").write_text("no archive")
    with zipfile.ZipFile(tmp_path / "zip.pt2", "w") as archive:
        archive.writestr("a/b", "c")
    for name in ("text.pt2", "zip.pt2"):
        with pytest.raises(InputError, match=r"is no torch\.export program|may run code"):
            read_program(tmp_path / name)
    with pytest.raises(InputError, match="No such file"):
        read_program(tmp_path / "none.pt2")


@pytest.mark.parametrize(
    ("library", "name", "wrong"),
    [("torchvision", "squeezenet1_1", "squeezenet1_2"), ("timm", "resnet10t", "resnet10")],
)
def test_a_library_makes_the_network_of_that_name(library, name, wrong, tiny):
    pytest.importorskip(library, exc_type=Exception, reason=f"{library} is not installed")
    line = backbone_spec(f"{library}:{name}@work=20%").make((3, 32, 32), 4)
    assert len(line.blocks) > 1
    with pytest.raises(InputError, match=f"{library} has no '{wrong}'; did you mean .*{name}"):
        backbone_spec(f"{library}:{wrong}").make((3, 32, 32), 4)


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match="needs timm: pip install timm"):
        backbone_spec("timm:resnet10t").make((3, 32, 32), 4)


def test_a_folder_of_transformers_is_a_backbone_with_its_weights(tiny, tmp_path):
    t = pytest.importorskip("transformers", reason="transformers is not installed")
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "groups_width": 8}
    torch.manual_seed(0)
    model = t.RegNetForImageClassification(t.RegNetConfig(**sizes, num_labels=4)).eval()
    model.save_pretrained(tmp_path / "model")
    said = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}
    (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(said))
    spec = backbone_spec(f"hf:{tmp_path / 'model'}")
    assert spec.trained
    network, normalize = as_given(spec, tiny, seed=0, normalize=None)
    assert normalize == "0.5,0.4,0.3/0.2,0.2,0.1"
    images = torch.tensor(tiny.test.images[:2])
    with torch.inference_mode():
        expected = model(network.blocks[0][0](images)).logits
        torch.testing.assert_close(network.eval()(images)[0], expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match=r"no folder with a config\.json"):
        backbone_spec(f"hf:{tmp_path}").make((3, 8, 8), 4)


def test_what_a_run_can_not_be_read_without_is_said_without_progress_too(small, tmp_path, monkeypatch):
    def full(program: object, path: Path) -> None:
        raise InputError([Fault("backbone", "can't be written: no space is left", "keep what makes it")])

    monkeypatch.setattr("offramp.nn.backbones.custom.write_program", full)
    rng = np.random.default_rng(0)
    data = {"images": rng.integers(0, 256, (60, *IMAGE), np.uint8), "labels": np.arange(60) % 4}
    with pytest.warns(UserWarning, match="the run can't be read without it; can't be written: no space is left"):
        offramp.train(small, data, train="exits", epochs=1, out=tmp_path / "run", progress=False)
