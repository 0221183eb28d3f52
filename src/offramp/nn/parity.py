"""Whether what was exported computes what PyTorch does."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from offramp.core.score import ENTROPY, Score
from offramp.errors import InputError, fail
from offramp.files.arrays import Samples
from offramp.nn.export import ANOTHER, answer, cut_block, cut_branch, export, first_line, load
from offramp.nn.inputs import torch_type
from offramp.nn.network import MultiExitNetwork, output_of

TOLERANCE = 1e-4
"""How far ONNX Runtime may be from PyTorch: in probabilities, and in outputs relative to their largest entry."""


def check_exports(network: MultiExitNetwork, sample: Samples) -> None:
    """Raise `InputError` where a network can't be exported, or a block then computes other numbers than in PyTorch.

    network: with any weights, on the CPU; it stays as it is.
    sample: [1, ...].
    """
    whole = export(network, sample.shape[1:], torch_type(sample))
    x = torch.tensor(sample)
    for i, (name, block) in enumerate(zip(network.names, network.blocks, strict=True), start=1):
        y = output_of(block, x)
        _check_piece(f"block {name}", cut_block(whole, i), x, [y])
        if i in network.ends:
            _check_piece(
                f"the exit after {name}", cut_branch(whole, i), y, answer(output_of(network.branch(i), y), ENTROPY, i)
            )
        x = y


def parity(network: MultiExitNetwork, pieces: Mapping[int, bytes], images: Samples, *, score: Score = ENTROPY) -> float:
    """The largest difference between a chain of partitions in ONNX Runtime and the network in PyTorch.

    pieces: the partitions that make up the network up to the last of them, by their last block.
    images: [S, ...] samples, sent one at a time.
    score: what they were exported with.
    Over the probabilities and scores of every piece, and its outputs relative to their largest entry.
    """
    network.eval()
    sessions = {end: load(piece) for end, piece in sorted(pieces.items())}
    worst = 0.0
    with torch.inference_mode():
        for image in images:
            x, activation = torch.tensor(image[None]), image[None]
            begin = 0
            for end, session in sessions.items():
                for block in network.blocks[begin:end]:
                    x = block(x)
                output, *answers = session.run(activation)
                scale = max(float(x.abs().max()), 1.0)
                worst = float(np.maximum(worst, np.abs(output - x.numpy()).max() / scale))  # keeps NaN
                for actual, expected in zip(answers, answer(network.branch(end)(x), score, end), strict=True):
                    worst = float(np.maximum(worst, np.abs(actual - expected.numpy()).max()))
                activation, begin = output, end
    return worst


def _check_piece(place: str, model: bytes, x: Tensor, expected: Iterable[Tensor]) -> None:
    try:
        outputs = load(model).run(x.numpy())
    except InputError:
        raise
    except Exception as error:  # ONNX Runtime has a dozen types for what can be wrong, most of them undocumented
        fail("backbone", f"{place} can't be run once exported: {first_line(error)}", ANOTHER)
    for said, tensor in zip(outputs, expected, strict=True):
        scale = max(float(tensor.abs().max()), 1.0)
        apart = float(np.abs(said - tensor.numpy()).max()) / scale
        if not apart <= TOLERANCE:  # NaN is no agreement either
            problem = f"{place} differs by {apart:.2g} once exported, more than {TOLERANCE:g}"
            fail("backbone", problem, ANOTHER)
