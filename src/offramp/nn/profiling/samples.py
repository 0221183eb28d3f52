"""What every exit says of every sample, as a Parquet file: for confusion matrices, and for exit rules of one's own."""

import io

import numpy as np
import torch
from torch import Tensor

from offramp.core.checks import Float32Array
from offramp.core.exits import normalized_entropy
from offramp.core.score import ScoreName
from offramp.errors import MissingExtraError
from offramp.nn.data import Split
from offramp.nn.inference import predict
from offramp.nn.network import MultiExitNetwork
from offramp.nn.scores import all_scores, fitted


def require_parquet() -> None:
    """Raise `MissingExtraError` where Parquet files can't be written."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise MissingExtraError("Parquet files need pyarrow: pip install 'offramp[fleet]'") from None


def samples_parquet(network: MultiExitNetwork, split: Split) -> bytes:
    """A Parquet file of one row per sample and exit, all exits of a sample together.

    Columns: id, the sample's place in the whole data set; label; exit, the block it is after, from 1; predicted;
    entropy, normalized; max_probability; margin, between the two highest probabilities; temperature and gate, the
    scores of these names as fitted on these very samples; logits, a list of one per class.
    Raises `MissingExtraError` without pyarrow.
    """
    require_parquet()
    import pyarrow as pa
    from pyarrow import parquet

    by_exit = predict(network, split)
    logits = by_exit.transpose(0, 1)  # [S, N, C]
    samples, exits, classes = logits.shape
    probabilities = torch.softmax(logits.double(), dim=2).numpy()
    highest = np.sort(probabilities, axis=2)[:, :, ::-1]
    offsets = np.arange(0, logits.numel() + 1, classes, dtype=np.int64)
    flat = pa.array(logits.contiguous().float().numpy().ravel())
    table = pa.table(
        {
            "id": np.repeat(split.members, exits),
            "label": np.repeat(split.labels, exits),
            "exit": np.tile(np.arange(1, exits + 1), samples),
            "predicted": logits.argmax(dim=2).numpy().ravel(),
            # In float32, as exits compare it to their thresholds.
            "entropy": normalized_entropy(probabilities).astype(np.float32).ravel(),
            "max_probability": highest[:, :, 0].ravel(),
            "margin": (highest[:, :, 0] - highest[:, :, 1]).ravel(),
            **{name.value: _fitted(name, by_exit, split).ravel() for name in (ScoreName.TEMPERATURE, ScoreName.GATE)},
            "logits": pa.LargeListArray.from_arrays(offsets, flat),
        }
    )
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def _fitted(name: ScoreName, logits: Tensor, split: Split) -> Float32Array:
    """[S, N] of logits [N, S, K]."""
    score = fitted(name, logits, split.labels)
    return all_scores(logits.double(), score, range(1, len(logits) + 1)).T.float().numpy()
