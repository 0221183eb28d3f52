"""What a profile's JSON holds, as pydantic models that turn into the core's values."""

import math
from collections.abc import Mapping
from itertools import combinations_with_replacement
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from offramp.core import checks
from offramp.core.backbone import Backbone, Block
from offramp.core.checks import FloatArray, IntArray
from offramp.core.codec import Codec, InputCodec
from offramp.core.encoded import Encoded, EncodedInput
from offramp.core.exit_table import ExitTable
from offramp.core.profile import ExitRates, Meaning, Profile
from offramp.core.score import ENTROPY, Score, ScoreName
from offramp.core.timing import Timing
from offramp.errors import Fault, InputError, fail
from offramp.files.checking import Document, ValueDocument, attempt

# Bounds what an untrusted file can make us allocate; the deepest published networks have about a thousand layers.
MOST_BLOCKS = 1024
MOST_DEVICES = 64

BLANK_BLOCK = Block("", 1)

Seconds = Annotated[float, Field(description="a time in seconds", examples=[0.0012], json_schema_extra={"minimum": 0})]
Share = Annotated[
    float, Field(description="a number from 0 to 1", examples=[0.4], json_schema_extra={"minimum": 0, "maximum": 1})
]
# Whole numbers above 2**53 don't survive a round trip through JSON.
Whole = Annotated[int, Field(le=2**53, json_schema_extra={"minimum": 1})]
Row = Annotated[
    list[Annotated[float, Field(description="a number", examples=[1], json_schema_extra={"minimum": 0})]],
    Field(min_length=3, max_length=3, description="first block, last block (from 1), seconds", examples=[[1, 3, 0.01]]),
]


BlockSeconds = Annotated[list[Seconds], Field(max_length=MOST_BLOCKS)]
ObjectSeconds = Annotated[list[Seconds], Field(max_length=MOST_BLOCKS + 2)]
Shares = Annotated[list[Share], Field(max_length=MOST_BLOCKS)]


class BlockDocument(Document):
    """Layers that are never cut apart."""

    name: str = Field(description="what the block is called", examples=["stem"])
    output_bits: Whole = Field(description="the size of the output tensor in bits", examples=[524288])
    weight_bits: int | None = Field(
        None, le=2**53, description="the size of all weights of the block and its branch in bits", examples=[13824]
    )


class BackboneDocument(ValueDocument):
    """A line of N blocks and what they put out."""

    name: str = Field(description="what the backbone is called", examples=["resnet20"])
    dataset: str = Field(description="what it was trained on", examples=["digits"])
    input_bits: Whole = Field(description="the size of one sample in bits", examples=[24576])
    result_bits: Whole = Field(description="the size of one answer in bits", examples=[320])
    blocks: Annotated[list[BlockDocument], Field(max_length=MOST_BLOCKS)] = Field(
        description="the blocks, block 1 first"
    )

    def core(self) -> Backbone:
        """The core's backbone; raises `InputError`."""
        faults: list[Fault] = []
        blocks = [
            attempt(faults, f"blocks[{i}]", Block, block.name, block.output_bits, block.weight_bits) or BLANK_BLOCK
            for i, block in enumerate(self.blocks)
        ]
        backbone = attempt(
            faults, "", Backbone, self.name, self.dataset, self.input_bits, self.result_bits, tuple(blocks)
        )
        if backbone is None or faults:
            raise InputError(faults)
        return backbone


class TimingDocument(ValueDocument):
    """Times on one device: of blocks and branches, of whole partitions, or both."""

    block_s: BlockSeconds | None = Field(None, description="[N] seconds of each block without its branch")
    branch_s: BlockSeconds | None = Field(None, description="[N] seconds of the branch after each block")
    partition_s: Annotated[list[Row], Field(max_length=MOST_BLOCKS * (MOST_BLOCKS + 1) // 2)] | None = Field(
        None, description="[first, last, seconds] of every run of blocks with the branch after its last"
    )
    serialize_s: ObjectSeconds = Field(
        [], description="seconds to turn the input, the blocks' outputs and the result into bytes; zero from its end on"
    )
    deserialize_s: ObjectSeconds = Field([], description="seconds of the way back, in the same order")
    block_spread_s: BlockSeconds | None = Field(None, description="[N] standard deviation behind block_s")
    branch_spread_s: BlockSeconds | None = Field(None, description="[N] standard deviation behind branch_s")

    def core(self) -> Timing:
        """The core's timing; raises `InputError`."""
        if self.block_s is None and self.partition_s is None:
            fail("block_s", "there is neither block_s nor partition_s", "give one of the two, or both")
        faults: list[Fault] = []
        n = blocks_timed(self.block_s, self.partition_s)
        timing = attempt(
            faults,
            "",
            Timing,
            block_s=self.block_s,
            branch_s=self.branch_s,
            partition_s=None if self.partition_s is None else _matrix(self.partition_s, n, faults),
            serialize_s=_padded(self.serialize_s, n),
            deserialize_s=_padded(self.deserialize_s, n),
            block_spread_s=self.block_spread_s,
            branch_spread_s=self.branch_spread_s,
        )
        if timing is None or faults:
            raise InputError(faults)
        return timing


class ExitsDocument(ValueDocument):
    """Exit rates at K thresholds, and the accuracy of each branch."""

    thresholds: Annotated[list[Share], Field(max_length=100_000)] = Field(
        description="[K] normalized entropies, going up", examples=[[0.1, 0.2, 0.4]]
    )
    meaning: Literal["first-exit", "marginal"] = Field(
        description="what a rate counts: first exits (EdgeSys'22) or one exit alone (PORTEND)"
    )
    exit_rate: Annotated[list[Shares], Field(max_length=100_000)] = Field(
        description="[K x N] shares of the samples, one row per threshold"
    )
    accuracy: Shares = Field(description="[N] accuracy of each branch, as the meaning defines it")
    samples: Whole = Field(description="the number of samples counted", examples=[5000])
    joint_accuracy: Shares | None = Field(
        None, description="[N] accuracy of each branch in the network trained with all branches"
    )

    def core(self) -> ExitRates:
        """The core's exit rates; raises `InputError`."""
        n = len(self.accuracy)
        ragged = {f"exit_rate[{k}]": len(row) for k, row in enumerate(self.exit_rate) if len(row) != n}
        rows = [row if len(row) == n else [math.nan] * n for row in self.exit_rate]
        faults = [
            fault for place, length in ragged.items() for fault in checks.length(place, length, n, "one per branch")
        ]
        more: list[Fault] = []
        rates = attempt(
            more,
            "",
            ExitRates,
            thresholds=self.thresholds,
            meaning=Meaning(self.meaning),
            exit_rate=np.reshape(rows, (len(rows), n)),
            accuracy=self.accuracy,
            samples=self.samples,
            joint_accuracy=self.joint_accuracy,
        )
        faults += [fault for fault in more if fault.place.rsplit("[", 1)[0] not in ragged]
        if rates is None or faults:
            raise InputError(faults)
        return rates


class ScoreDocument(ValueDocument):
    """What exits compare to their thresholds: of all, the lower, the surer is the exit."""

    name: Literal["entropy", "max-probability", "margin", "temperature", "gate"] = Field(
        description="what it is computed of", examples=["entropy"]
    )
    parameters: list[list[float]] | None = Field(
        None, max_length=MOST_BLOCKS, description="by exit: its temperature, or its gate's intercept and three weights"
    )

    def core(self) -> Score:
        """The core's value; raises `InputError`."""
        rows = self.parameters
        if rows is not None and len({len(row) for row in rows}) != 1:
            fail("parameters", "has rows of different lengths, or none", "give as many numbers for each exit")
        return Score(ScoreName(self.name), None if rows is None else np.array(rows))


class EncodedDocument(Document):
    """What is different when activations travel in a codec."""

    exit_table: str = Field(description="an npz file, its path relative to this one", examples=["exits.fp16.npz"])
    serialize_s: dict[str, ObjectSeconds] = Field(
        {}, max_length=MOST_DEVICES, description="by device, seconds as in its timings, with the codec"
    )
    deserialize_s: dict[str, ObjectSeconds] = Field(
        {}, max_length=MOST_DEVICES, description="by device, seconds of the way back"
    )

    def core(self, exit_table: ExitTable, bits: IntArray | None) -> Encoded:
        """The core's value, with the table that `exit_table` names, and its sizes; raises `InputError`."""
        n = exit_table.blocks
        return Encoded(
            exit_table,
            bits=bits,
            serialize_s={device: np.array(_padded(times_s, n)) for device, times_s in self.serialize_s.items()},
            deserialize_s={device: np.array(_padded(times_s, n)) for device, times_s in self.deserialize_s.items()},
        )


class EncodedInputDocument(Document):
    """What is different when inputs travel in a codec."""

    exit_table: str | None = Field(
        None, description="an npz file beside this one; absent for a lossless codec", examples=["exits.jpeg90.npz"]
    )
    serialize_s: dict[str, Seconds] = Field({}, max_length=MOST_DEVICES, description="by device, to encode an input")
    deserialize_s: dict[str, Seconds] = Field({}, max_length=MOST_DEVICES, description="by device, the way back")

    def core(self, bits: IntArray, exit_table: ExitTable | None) -> EncodedInput:
        """The core's value, with its sizes and the table that `exit_table` names; raises `InputError`."""
        return EncodedInput(bits, self.serialize_s, self.deserialize_s, exit_table)


class ProfileDocument(Document):
    """What was measured of one backbone: times on devices, and how each branch classifies samples."""

    offramp: Literal["profile/1"] = Field(description="the format", examples=["profile/1"])
    backbone: BackboneDocument = Field(description="the network, a line of blocks")
    timings: dict[str, TimingDocument] = Field(min_length=1, max_length=MOST_DEVICES, description="times by device")
    reference_device: str | None = Field(
        None,
        description="the device that slowdowns refer to; may be absent where every tier names its own",
        examples=["pi4"],
    )
    exits: ExitsDocument | None = Field(
        None, description="exit rates by threshold; may be absent where there is an exit_table"
    )
    exit_table: str | None = Field(
        None,
        description="an npz file, its path relative to this one; may be absent where there are exits",
        examples=["exits.npz"],
    )
    codecs: dict[Literal["fp16", "int8", "int8+zstd"], EncodedDocument] = Field(
        {}, description="what is different in other codecs than fp32, which all the rest is in"
    )
    inputs: dict[Literal["png", "webp", "jpeg90", "jpeg75", "zstd"], EncodedInputDocument] = Field(
        {}, description="what is different when inputs travel in other codecs than as they are"
    )
    sizes: str | None = Field(
        None, description="an npz file beside this one: by codec, what every sample takes in bits", examples=["x.npz"]
    )
    overhead_bits: Annotated[int, Field(le=2**53, json_schema_extra={"minimum": 0})] = Field(
        0, description="what travels with every object beside its own bits", examples=[2400]
    )
    provenance: dict[str, Any] = Field({}, description="how it was measured, for people")
    score: ScoreDocument | None = Field(
        None, description="what exits compare to their thresholds; may be absent where it is entropy"
    )

    def core(
        self,
        exit_table: ExitTable | None,
        codecs: Mapping[Codec, Encoded],
        inputs: Mapping[InputCodec, EncodedInput],
    ) -> Profile:
        """The core's profile, with the tables that the document names; raises `InputError`."""
        return Profile(
            backbone=self.backbone.core(),
            timings={device: timing.core() for device, timing in self.timings.items()},
            reference_device=self.reference_device,
            exits=None if self.exits is None else self.exits.core(),
            exit_table=exit_table,
            codecs=codecs,
            inputs=inputs,
            overhead_bits=self.overhead_bits,
            provenance=self.provenance,
            score=ENTROPY if self.score is None else self.score.core(),
        )


def blocks_timed(block_s: list[float] | None, rows: list[list[float]] | None) -> int:
    """N as the times themselves have it."""
    if block_s is not None:
        return len(block_s)
    return max((int(last) for _, last, _ in rows or () if 1 <= last <= MOST_BLOCKS), default=0)


def _padded(values: list[float], n: int) -> list[float]:
    """Times of all N+2 objects: what is missing at the end was not measured and counts as zero."""
    return values + [0.0] * (n + 2 - len(values))


def _matrix(rows: list[list[float]], n: int, faults: list[Fault]) -> FloatArray:
    """[N, N] seconds of blocks f..l at [f-1, l-1], NaN below the diagonal; what is wrong goes to `faults`.

    A number that could not be read is NaN in `rows`, and its fault has been reported.
    """
    matrix = np.full((n, n), np.nan)
    given: set[tuple[float, float]] = set()
    for r, (first, last, seconds) in enumerate(rows):
        run, place = (first, last), f"partition_s[{r}]"
        if math.isnan(first) or math.isnan(last):
            continue
        if not (first.is_integer() and last.is_integer() and 1 <= first <= last <= n):
            faults.append(Fault(place, f"{_run(run)} is not a run of blocks", f"give 1 <= first <= last <= {n}"))
            continue
        if run in given:
            faults.append(Fault(place, f"{_run(run)} is given twice", "keep one of the two"))
        given.add(run)
        wrong = list(checks.not_negative(f"{place}[2]", seconds, "give seconds, zero or more"))
        faults += wrong
        matrix[int(first) - 1, int(last) - 1] = 0 if wrong else seconds
    unreadable = any(math.isnan(first) or math.isnan(last) for first, last, _ in rows)
    runs = combinations_with_replacement(range(1, n + 1), 2)
    missing = [] if unreadable else [run for run in runs if run not in given]
    if missing:
        named = ", ".join(map(_run, missing[:3])) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        faults.append(Fault("partition_s", f"has no {named}", f"give all {n * (n + 1) // 2} runs of the {n} blocks"))
    matrix[np.triu(np.isnan(matrix))] = 0
    return matrix


def _run(run: tuple[float, float]) -> str:
    return f"[{run[0]:g}, {run[1]:g}]"
