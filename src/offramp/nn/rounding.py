"""How far apart a network's answers are where its numbers differ in their last bits."""

from collections.abc import Collection

import numpy as np
import torch

from offramp.core.score import ENTROPY, Score
from offramp.files.arrays import Samples
from offramp.nn.export import answer
from offramp.nn.network import MultiExitNetwork

# Of a number of 32 bits: what a sum of some products is rounded by.
_LAST_BITS = 2.0**-21


def rounding(network: MultiExitNetwork, ends: Collection[int], images: Samples, *, score: Score = ENTROPY) -> float:
    """The largest difference of probabilities and scores after blocks `ends` where blocks answer in other last bits.

    A branch that tells samples apart by small differences of large numbers amplifies how these are rounded, and two
    ways to compute them, both right, differ by as much.

    images: [S, ...] samples, one at a time.
    score: what the branches were exported with.
    """
    network.eval()
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    with torch.inference_mode():
        for image in images:
            x = near = torch.tensor(image[None])
            for number, block in enumerate(network.blocks[: max(ends)], start=1):
                x, near = block(x), block(near)
                near = near * (1 + _LAST_BITS * (2 * torch.rand(near.shape, generator=generator) - 1))
                if number in ends:
                    branch = network.branch(number)
                    pairs = zip(answer(branch(x), score, number), answer(branch(near), score, number), strict=True)
                    worst = float(np.max([worst, *(float((one - other).abs().max()) for one, other in pairs)]))
    return worst
