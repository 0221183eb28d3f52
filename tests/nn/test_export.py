"""Partitions in ONNX Runtime against the network in PyTorch, which shares no code with them beyond the export."""

import numpy as np
import onnx
import pytest
import torch

from offramp.bundle.session import PartitionSession
from offramp.core.exits import normalized_entropy
from offramp.core.score import ENTROPY
from offramp.nn import export
from offramp.nn.parity import parity
from offramp.nn.profiling.partition_fit import pairs

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def network(run):
    return run.network


@pytest.fixture(scope="module")
def images(run):
    return torch.tensor(run.dataset.test.images[:8])


@pytest.fixture(scope="module")
def whole(network, images):
    return export.export(network, images.shape[1:])


def test_every_partition_says_what_pytorch_says(network, whole, images):
    outputs = [images]
    with torch.inference_mode():
        for block in network.blocks:
            outputs.append(block(outputs[-1]))
        said = [torch.softmax(logits.double(), dim=1).numpy() for logits in network(images)]
    for first, last in pairs(len(network.blocks)):
        found = PartitionSession(export.cut(whole, first, last))
        for x, expected in ((outputs[first - 1][:1], 1), (outputs[first - 1], 8)):
            output, probabilities, entropy = found.run(x.numpy())
            assert output == pytest.approx(outputs[last][:expected].numpy(), abs=TOLERANCE)
            assert probabilities == pytest.approx(said[last - 1][:expected], abs=TOLERANCE)
            assert entropy == pytest.approx(normalized_entropy(said[last - 1][:expected]), abs=TOLERANCE)


def test_parts_alone_make_up_the_whole(network, whole, images):
    x = images[:1].numpy()
    for i in range(1, len(network.blocks) + 1):
        (output,) = PartitionSession(export.cut_block(whole, i)).run(x)
        _, probabilities, entropy = PartitionSession(export.cut(whole, i, i)).run(x)
        alone = PartitionSession(export.cut_branch(whole, i)).run(output)
        assert alone[0] == pytest.approx(probabilities, abs=TOLERANCE)
        assert alone[1] == pytest.approx(entropy, abs=TOLERANCE)
        x = output


def test_a_partition_holds_its_own_weights_only(network, whole):
    for first, last in ((1, 1), (2, 3)):
        model = onnx.load_from_string(export.cut(whole, first, last))
        there = sum(int(np.prod(each.dims)) for each in model.graph.initializer)
        blocks = network.blocks[first - 1 : last]
        parameters = sum(p.numel() for module in (*blocks, network.branch(last)) for p in module.parameters())
        assert there == pytest.approx(parameters, rel=0.1)
        onnx.checker.check_model(model, full_check=True)


def test_the_bytes_are_the_same_every_time(network, whole, images):
    again = export.export(network, images.shape[1:])
    assert export.cut(again, 1, 2) == export.cut(whole, 1, 2)


def test_parity_is_what_the_worst_sample_shows(network, whole, images):
    pieces = {2: export.cut(whole, 1, 2), 4: export.cut(whole, 3, 4)}
    assert parity(network, pieces, images.numpy()) < TOLERANCE
    with torch.no_grad():
        network.branch(2)[-1].bias[0] += 0.1
    try:
        assert parity(network, pieces, images.numpy()) > 1e-3
    finally:
        with torch.no_grad():
            network.branch(2)[-1].bias[0] -= 0.1


def test_certain_answers_have_no_entropy():
    probabilities, entropy = export.answer(torch.tensor([[0.0, 1000.0, 0.0], [1.0, 1.0, 1.0]]), ENTROPY, 1)
    assert probabilities[0].tolist() == [0, 1, 0]
    assert entropy.tolist() == pytest.approx([0, 1])


def test_exporting_leaves_the_network_as_it_was(network, images):
    before = {name: each.clone() for name, each in network.state_dict().items()}
    network.train()
    export.export(network, images.shape[1:])
    assert network.training
    network.eval()
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())
