"""Exit tables of a network: what every branch says of every sample, a few samples at a time."""

import contextlib
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from offramp.bundle.codecs import decode, encode
from offramp.core.checks import IntArray
from offramp.core.codec import Codec
from offramp.core.exit_table import ExitTable
from offramp.core.score import ENTROPY, Score, ScoreName
from offramp.nn.data import Split
from offramp.nn.inference import predict, predictions
from offramp.nn.inputs import few
from offramp.nn.network import MultiExitNetwork
from offramp.nn.scores import all_scores, fitted

# Activations of so many samples are held at once.
_BATCH = 64


def fitted_on(network: MultiExitNetwork, split: Split, name: ScoreName) -> Score:
    """The score of that name, with what there is to fit fitted for every branch of a network."""
    return fitted(name, predict(network, split), split.labels) if name.has_parameters else Score(name)


def exit_table(network: MultiExitNetwork, split: Split, score: Score = ENTROPY) -> ExitTable:
    """What every branch of a network says of every sample of `split`.

    score: with what was fitted for the branches of the full configuration.
    """
    return table_of(predictions(network, split), split, score, network.ends)


def encoded_exit_tables(network: MultiExitNetwork, split: Split, score: Score) -> dict[Codec, ExitTable]:
    """By codec, except fp32 and those that can't hold what the network puts out; compressed they are the same."""
    tables: dict[Codec, ExitTable] = {}
    for codec in Codec:
        if codec is not Codec.FP32 and codec is codec.plain:
            with contextlib.suppress(ValueError):
                tables[codec] = encoded_exit_table(network, split, codec, score)
    return tables


def encoded_exit_table(network: MultiExitNetwork, split: Split, codec: Codec, score: Score = ENTROPY) -> ExitTable:
    """The exit table with every activation between blocks as it is after traveling in `codec`.

    Raises `ValueError` for an activation that the codec can't hold.
    """
    said = (_encoded(network, image, codec) for image in few(split.images, 1))
    return table_of(said, split, score, network.ends)


def activation_bits(network: MultiExitNetwork, split: Split, codec: Codec) -> IntArray:
    """[N, S] what the output of each block takes of each sample, encoded for the first time.

    Raises `ValueError` for an activation that the codec can't hold.
    """
    network.eval()
    sizes = []
    with torch.inference_mode():
        for x in few(split.images, _BATCH):
            of_batch = []
            for block in network.blocks:
                x = block(x)
                of_batch.append([8 * len(encode(output, codec)) for output in x.numpy()])
            sizes.append(of_batch)
    return np.concatenate([np.array(of_batch, np.int64) for of_batch in sizes], axis=1)


def _encoded(network: MultiExitNetwork, x: Tensor, codec: Codec) -> Tensor:
    """Logits [branches, 1, C] of one sample."""
    said = []
    with torch.inference_mode():
        for block, branch in zip(network.blocks, network.branches, strict=True):
            output = block(x)
            said.append(branch(output))
            x = torch.from_numpy(decode(encode(output.numpy(), codec), output.shape, codec))
        return torch.stack(said)


def table_of(logits: Iterable[Tensor], split: Split, score: Score, ends: Sequence[int]) -> ExitTable:
    """Of logits [branches, B, C] for some samples after the other, of the branches after blocks `ends`."""
    scored, predicted, confidence = [], [], []
    for said in logits:
        exact = said.double()
        scored.append(all_scores(exact, score, ends).float().numpy())
        predicted.append(said.argmax(dim=2).numpy())
        confidence.append(torch.softmax(exact, dim=2).numpy().max(axis=2).astype(np.float32))
    answers = np.concatenate(predicted, axis=1)
    return ExitTable(
        scores=np.concatenate(scored, axis=1),
        correct=answers == split.labels,
        label=split.labels,
        predicted=answers,
        confidence=np.concatenate(confidence, axis=1),
        ids=split.members,
        score=score.name,
    )
