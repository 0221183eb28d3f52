"""What a network answers when it is deployed: evaluation mode, float32."""

import torch
from torch import Tensor

from offramp.nn.data import Split
from offramp.nn.network import MultiExitNetwork


def predict(network: MultiExitNetwork, split: Split, *, batch_size: int = 256) -> Tensor:
    """Logits [branches, S, C] for the samples of a split, on the CPU; the network is put in evaluation mode."""
    device = next(iter(network.state_dict().values())).device
    images = torch.tensor(split.images, device=device)
    network.eval()
    with torch.inference_mode():
        return torch.cat([torch.stack(network(batch)) for batch in torch.split(images, batch_size)], dim=1).cpu()


def accuracy(network: MultiExitNetwork, split: Split) -> tuple[float, ...]:
    """Share of the split that each branch has right, shallowest first."""
    right = predict(network, split).argmax(dim=2).numpy() == split.labels
    return tuple(right.mean(axis=1).tolist())
