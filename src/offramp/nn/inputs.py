"""What networks get: samples and their types, in PyTorch's words."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from offramp.files.arrays import Samples

# What counts or names something, such as tokens, in contrast to what was measured with few bits.
_WHOLE = (torch.int32, torch.int64)


def torch_type(values: Samples) -> torch.dtype:
    """Of the samples as tensors."""
    return torch.from_numpy(np.empty(0, values.dtype)).dtype


def at(samples: Tensor | Samples, places: Tensor) -> Tensor:
    """Those at some places, on the device of `places`; of an array in memory or in a file."""
    if isinstance(samples, Tensor):
        return samples[places]
    return torch.from_numpy(samples[places.cpu().numpy()]).to(places.device)


def few(samples: Samples, size: int) -> Iterator[Tensor]:
    """All samples in order, `size` at a time, each batch a copy on the CPU."""
    for first in range(0, max(1, len(samples)), size):
        # Laid out as a copy of all would be; a view of a file has its own way.
        yield torch.from_numpy(np.array(samples[first : first + size], order="K"))


def are_whole(kind: torch.dtype) -> bool:
    """Whether samples of that type count or name something, such as tokens, and are not to be normalized."""
    return kind in _WHOLE
