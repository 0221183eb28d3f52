"""Networks in ONNX files: cut on their own graphs, given exits by ONNX Runtime, and deployed as parts of the file."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from offramp.bundle.session import PartitionSession
from offramp.errors import InputError
from offramp.nn.catalog import backbone_spec
from offramp.nn.data import split
from offramp.nn.export import cut, export
from offramp.nn.network import as_given
from offramp.nn.parity import parity
from offramp.nn.training.fit import Recipe
from offramp.nn.training.run import begin_run, read_run
from offramp.nn.training.setup import Setup

IMAGE = (3, 8, 8)
RECIPE = Recipe(epochs=1, batch_size=16, shift=0)


class Small(nn.Module):
    """Three convolutions, the second with a way around it; logits or probabilities."""

    def __init__(self, *, softmax: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(width, 8, 3, padding=1) for width in (3, 8, 8))
        self.classify = nn.Linear(8, 4)
        self.softmax = softmax

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = x + self.second(x).relu()
        x = self.third(x).relu()
        x = self.classify(x.mean(dim=(2, 3)).reshape(x.shape[0], 8))
        return x.softmax(1) if self.softmax else x


def written(module: nn.Module, path: Path, *, dynamic: bool = True, opset: int = 18) -> nn.Module:
    """The module as an ONNX file, by PyTorch's exporter; without a dynamic batch by its older one, for one sample."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamic:
            sizes = {"x": {0: torch.export.Dim("batch", min=1)}}
            images = torch.zeros(2, *IMAGE)
            torch.onnx.export(
                module.eval(),
                (images,),
                path,
                opset_version=opset,
                dynamo=True,
                dynamic_shapes=sizes,
                external_data=False,
            )
        else:
            torch.onnx.export(module.eval(), (torch.zeros(1, *IMAGE),), path, opset_version=opset, dynamo=False)
    return module


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    return written(Small(), path), path


def test_a_file_is_cut_where_a_single_tensor_passes(small, tiny):
    module, path = small
    network = as_given(backbone_spec(str(path)), tiny, seed=0, normalize="raw")[0].eval()
    assert len(network.blocks) == 3  # not within the way around the second
    with torch.inference_mode():
        images = torch.tensor(tiny.test.images[:5])
        torch.testing.assert_close(network(images)[0], module(images.float()), rtol=1e-5, atol=1e-3)
    assert len(as_given(backbone_spec(f"{path}@work=40%"), tiny, seed=0, normalize="raw")[0].blocks) == 2


@pytest.mark.parametrize("opset", [13, 17])
def test_a_file_for_one_sample_that_returns_probabilities(tiny, tmp_path, opset):
    """Old opsets are converted, the number of samples is freed, and exits answer as the file does."""
    torch.manual_seed(1)
    module = written(Small(softmax=True), tmp_path / "old.onnx", dynamic=False, opset=opset)
    network = as_given(backbone_spec(str(tmp_path / "old.onnx")), tiny, seed=0, normalize="raw")[0].eval()
    images = torch.tensor(tiny.test.images[:5])
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[0].softmax(1), module(images.float()), rtol=1e-4, atol=1e-5)


def test_partitions_are_parts_of_the_file_and_the_run_keeps_it(small, tiny, tmp_path):
    module, source = small
    path = tmp_path / "mine.onnx"
    path.write_bytes(source.read_bytes())
    spec = backbone_spec(str(path))
    setup = Setup.of(
        spec, tiny, seed=0, bf16=False, joint=RECIPE, separate=None, train="exits", heads="light",
        from_weights=True, normalize="raw",
    )  # fmt: skip
    training = begin_run(tmp_path / "run", setup, tiny, spec)
    assert not training.needed
    for _ in training.train():
        pass
    path.unlink()
    run = read_run(tmp_path / "run", dataset=tiny)
    whole = export(run.network, IMAGE)
    pieces = {end: cut(whole, first, end) for first, end in ((1, 1), (2, 3))}
    assert parity(run.network, pieces, tiny.test.images[:8]) < 1e-5
    kernels = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(pieces[3]).graph.initializer
    }
    own = module.second.weight.detach().numpy()
    assert any(kernel.shape == own.shape and np.array_equal(kernel, own) for kernel in kernels.values())
    first = PartitionSession(pieces[1]).run(tiny.test.images[:2])[0]
    probabilities = PartitionSession(pieces[3]).run(first)[1]
    with torch.inference_mode():
        expected = module(torch.tensor(tiny.test.images[:2]).float()).softmax(1)
    np.testing.assert_allclose(probabilities, expected.numpy(), atol=1e-5)


def graph(nodes, tensors=(), inputs=1, outputs=4) -> bytes:
    """A file of these operations on `x` [batch, 3, 8, 8] that makes `y`."""
    taken = [helper.make_tensor_value_info(name, 1, ["batch", *IMAGE]) for name in ("x", "z")[:inputs]]
    made = [helper.make_tensor_value_info("y", 1, ["batch", outputs])]
    own = helper.make_graph(nodes, "net", taken, made, tensors)
    return helper.make_model(own, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def dense(name: str, taken: str, made: str, width: int, to: int):
    values = np.random.default_rng(0).normal(size=(width, to)).astype(np.float32)
    return helper.make_node("MatMul", [taken, name], [made]), numpy_helper.from_array(values, name)


def convolutions():
    """Two 1x1 convolutions of `x`, the last one's output `maps`, with their weights."""
    for taken, made, name in (("x", "h", "a"), ("g", "maps", "b")):
        values = np.random.default_rng(1).normal(size=(3, 3, 1, 1)).astype(np.float32)
        yield helper.make_node("Conv", [taken, name], [made]), numpy_helper.from_array(values, name)


def ending(name: str):
    """Nodes and tensors from `z` [batch, classes] to `y`, as exporters write the ends of classifiers."""
    axis = numpy_helper.from_array(np.array([1]), "axis")
    match name:
        case "written out":
            yield helper.make_node("Exp", ["z"], ["e"])
            yield helper.make_node("ReduceSum", ["e", "axis"], ["sum"])
            yield helper.make_node("Div", ["e", "sum"], ["y"])
            yield axis
        case "sigmoid":
            yield helper.make_node("Sigmoid", ["z"], ["y"])
        case _:
            yield helper.make_node("Identity", ["z"], ["y"])


@pytest.mark.parametrize(("name", "outputs"), [("written out", 4), ("one logit", 1), ("sigmoid", 1)])
def test_a_file_whose_shapes_are_told_as_a_whole(tmp_path, name, outputs):
    """Reshapes by a part of the whole shape, softmax written out, and one number that tells two classes apart."""
    (first, a), (second, b) = convolutions()
    last, weights = dense("w", "flat", "z", 192, outputs)
    parts = [*ending(name)]
    nodes = [
        first,
        helper.make_node("Relu", ["h"], ["g"]),
        helper.make_node("Shape", ["g"], ["shape"]),
        second,
        helper.make_node("Slice", ["shape", "zero", "one"], ["count"]),
        helper.make_node("Concat", ["count", "width"], ["to"], axis=0),
        helper.make_node("Reshape", ["maps", "to"], ["flat"]),
        last,
        *(part for part in parts if isinstance(part, onnx.NodeProto)),
    ]
    sizes = {"zero": [0], "one": [1], "width": [192]}
    tensors = [numpy_helper.from_array(np.array(size), key) for key, size in sizes.items()]
    tensors += [a, b, weights, *(part for part in parts if isinstance(part, onnx.TensorProto))]
    content = graph(nodes, tensors, outputs=outputs)
    (tmp_path / "net.onnx").write_bytes(content)
    classes = max(outputs, 2)
    line = backbone_spec(str(tmp_path / "net.onnx")).line(IMAGE, classes, torch.float32, ())
    assert len(line.blocks) == 2
    x = torch.randn(5, *IMAGE)
    logits = nn.Sequential(*line.blocks.values(), line.make_branch((3, 8, 8)))(x)
    answer = torch.from_numpy(PartitionSession(content).run(x.numpy())[0])
    found = {
        "written out": logits.softmax(1),
        "one logit": logits[:, 1:] - logits[:, :1],
        "sigmoid": logits.softmax(1)[:, 1:],
    }
    torch.testing.assert_close(found[name], answer, rtol=1e-4, atol=1e-5)


def refusals():
    one, weights = dense("w", "flat", "y", 192, 4)
    flat = helper.make_node("Flatten", ["x"], ["flat"])
    yield "one product", graph([flat, one], [weights]), "no two blocks with a single tensor between them"
    both = helper.make_node("Add", ["x", "z"], ["sum"])
    yield "two inputs", graph([both, helper.make_node("Flatten", ["sum"], ["flat"]), one], [weights], 2), "has 2 inputs"
    (first, a), (second, b) = convolutions()
    mean = helper.make_node("ReduceMean", ["h", "axes"], ["g"], keepdims=0)
    axes = numpy_helper.from_array(np.array([0]), "axes")
    less = helper.make_node("Sub", ["h", "g"], ["less"])
    second.input[0] = "less"
    nodes = [first, mean, less, second, helper.make_node("Flatten", ["maps"], ["flat"]), one]
    yield "of the batch", graph(nodes, [a, b, axes, weights]), "samples depend on the others"
    yield "no ONNX", b"PK and so on", "is no whole ONNX file"
    yield "cut short", graph([flat, one], [weights])[:-100], "is no whole ONNX file"


@pytest.mark.parametrize(("content", "message"), [pytest.param(*rest, id=name) for name, *rest in refusals()])
def test_what_can_not_be_cut_is_refused_with_the_file(tiny, tmp_path, content, message):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        as_given(backbone_spec(str(tmp_path / "bad.onnx")), tiny, seed=0, normalize="raw")
    assert "bad.onnx" in str(caught.value)


def test_samples_of_another_shape_are_refused(small):
    larger = split("larger", np.zeros((40, 3, 12, 12), np.uint8), np.arange(40) % 4, seed=0)
    with pytest.raises(InputError, match=r"the file takes samples \[3, 8, 8\] of float32, these are \[3, 12, 12\]"):
        as_given(backbone_spec(str(small[1])), larger, seed=0, normalize="raw")
