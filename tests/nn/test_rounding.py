import torch
from torch import nn

from offramp.nn.export import cut, export
from offramp.nn.parity import TOLERANCE, parity
from offramp.nn.rounding import rounding


def test_answers_that_differences_of_last_bits_decide(network, tiny):
    """A branch that amplifies what is lost in rounding is as far from itself as ONNX Runtime is from PyTorch."""
    samples = tiny.test.images[:1]
    end = len(network.blocks)
    assert 0 < rounding(network, {end}, samples) < TOLERANCE / 10
    linear = [layer for layer in network.branch(end).modules() if isinstance(layer, nn.Linear)][-1]
    with torch.inference_mode():
        logits = network(torch.tensor(samples))[-1][0]
        linear.bias.copy_(20_000 * (linear.bias - logits))
        linear.weight.mul_(20_000)
    pieces = {end: cut(export(network, tiny.image_shape), 1, end)}
    assert TOLERANCE < parity(network, pieces, samples) < 4 * rounding(network, {end}, samples)
