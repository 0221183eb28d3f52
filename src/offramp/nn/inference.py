"""What a network answers when it is deployed: evaluation mode, float32."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from offramp.nn.data import Split
from offramp.nn.inputs import few
from offramp.nn.network import MultiExitNetwork

_BATCH = 256


def predictions(network: MultiExitNetwork, split: Split, *, batch_size: int = _BATCH) -> Iterator[Tensor]:
    """Logits [branches, B, C] for some samples of a split after the other, on the CPU; in evaluation mode."""
    device = next(iter(network.state_dict().values())).device
    network.eval()
    for batch in few(split.images, batch_size):
        with torch.inference_mode():
            said = torch.stack(network(batch.to(device))).cpu()
        yield said


def predict(network: MultiExitNetwork, split: Split, *, batch_size: int = _BATCH) -> Tensor:
    """Logits [branches, S, C] for the samples of a split, on the CPU; the network is put in evaluation mode."""
    return torch.cat([*predictions(network, split, batch_size=batch_size)], dim=1)


def accuracy(network: MultiExitNetwork, split: Split) -> tuple[float, ...]:
    """Share of the split that each branch has right, shallowest first."""
    predicted = np.concatenate([said.argmax(dim=2).numpy() for said in predictions(network, split)], axis=1)
    return tuple((predicted == split.labels).mean(axis=1).tolist())
