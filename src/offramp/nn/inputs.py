"""What networks get: the types of samples, in PyTorch's words."""

import numpy as np
import torch

from offramp.files.arrays import Samples

# What counts or names something, such as tokens, in contrast to what was measured with few bits.
_WHOLE = (torch.int32, torch.int64)


def torch_type(values: Samples) -> torch.dtype:
    """Of the samples as tensors."""
    return torch.from_numpy(np.empty(0, values.dtype)).dtype


def are_whole(kind: torch.dtype) -> bool:
    """Whether samples of that type count or name something, such as tokens, and are not to be normalized."""
    return kind in _WHOLE
