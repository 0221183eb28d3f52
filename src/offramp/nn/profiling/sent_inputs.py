"""Inputs as they travel: how large each is in every codec, and what the exits say of what the receiver decodes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from offramp.bundle.input_codecs import decode_input, encode_input, input_codecs
from offramp.core.checks import IntArray
from offramp.core.codec import InputCodec
from offramp.core.encoded import EncodedInput
from offramp.core.exit_table import ExitTable
from offramp.core.score import Score
from offramp.nn.data import Split
from offramp.nn.inputs import few
from offramp.nn.network import MultiExitNetwork
from offramp.nn.profiling.exit_tables import table_of

_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class SentInputs:
    """A validation split in one codec.

    bits: [S] size of each sample.
    exit_table: of what the receiver decodes; None for a lossless codec.
    """

    bits: IntArray
    exit_table: ExitTable | None

    def timed(self, devices: Iterable[str], serialize_s: float, deserialize_s: float) -> EncodedInput:
        """With the times that one input takes, the same on all the devices."""
        names = tuple(devices)
        return EncodedInput(
            self.bits, dict.fromkeys(names, serialize_s), dict.fromkeys(names, deserialize_s), self.exit_table
        )


def sent_inputs(network: MultiExitNetwork, split: Split, score: Score) -> Mapping[InputCodec, SentInputs]:
    """The split in every codec that its samples can travel in, but as they are.

    score: as for `exit_table`.
    """
    codecs = input_codecs(split.images.shape[1:], split.images.dtype)
    return {codec: _sent(network, split, codec, score) for codec in codecs if codec is not InputCodec.RAW}


def _sent(network: MultiExitNetwork, split: Split, codec: InputCodec, score: Score) -> SentInputs:
    bits: list[int] = []
    said = []
    network.eval()
    for batch in few(split.images, _BATCH):
        sent = [encode_input(image, codec) for image in batch.numpy()]
        bits += [8 * len(data) for data in sent]
        if not codec.lossless:
            image = batch[0].numpy()
            received = np.stack([decode_input(data, image.shape, image.dtype, codec) for data in sent])
            with torch.inference_mode():
                said.append(torch.stack(network(torch.from_numpy(received))).cpu())
    table = table_of(said, split, score, network.ends) if said else None
    return SentInputs(np.array(bits, np.int64), table)
