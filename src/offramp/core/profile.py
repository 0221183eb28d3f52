"""What was measured: times on devices, and how each branch classifies each sample."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.core import checks
from offramp.core.backbone import Backbone
from offramp.core.checks import FloatArray
from offramp.core.codec import Codec, InputCodec
from offramp.core.encoded import Encoded, EncodedInput
from offramp.core.exit_table import ExitTable
from offramp.core.metrics import quality_of_exit
from offramp.core.score import ENTROPY, Score
from offramp.core.tables import html_table
from offramp.core.timing import Timing
from offramp.errors import Fault, fail, refuse


class Meaning(Enum):
    """What a table of exit rates counts."""

    FIRST_EXIT = "first-exit"
    """alpha_i(T) of EdgeSys'22: the share whose first branch at or below T, with every branch in place, is i."""
    MARGINAL = "marginal"
    """ER_i(T) of PORTEND: the share that would exit at branch i if i were the only exit."""


@dataclass(frozen=True, slots=True, eq=False)
class ExitRates:
    """Exit rates at K thresholds, and the accuracy of each branch.

    thresholds: [K] strictly increasing, in [0, 1].
    meaning: what exit_rate counts.
    exit_rate: [K, N].
    accuracy: [N] acc_i, as the model of that meaning defines it: of a network trained for branch i alone
        (first-exit, EdgeSys'22), or of branch i over all samples (marginal, PORTEND).
    samples: how many samples were counted.
    joint_accuracy: [N] of branch i in the network trained with all branches; None where it was not measured.
    """

    thresholds: FloatArray
    meaning: Meaning
    exit_rate: FloatArray
    accuracy: FloatArray
    samples: int
    joint_accuracy: FloatArray | None = None

    def __post_init__(self) -> None:
        for name, ndim in (("thresholds", 1), ("exit_rate", 2), ("accuracy", 1), ("joint_accuracy", 1)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, checks.frozen_array(getattr(self, name), np.float64, ndim, name))
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        yield from checks.thresholds("thresholds", self.thresholds)
        for name in ("exit_rate", "accuracy", "joint_accuracy"):
            if getattr(self, name) is not None:
                yield from checks.shares(name, getattr(self, name))
        if self.samples < 1:
            yield Fault("samples", f"{self.samples} samples", "give the number of samples counted")
        k, n = self.exit_rate.shape
        yield from checks.length("exit_rate", k, len(self.thresholds), "one row per threshold")
        yield from checks.length("accuracy", len(self.accuracy), n, "one per branch")
        if self.joint_accuracy is not None:
            yield from checks.length("joint_accuracy", len(self.joint_accuracy), n, "one per branch")
        yield from self._law_faults()

    def _law_faults(self) -> Iterator[Fault]:
        """Laws that hold for any data: the higher the threshold, the more samples exit early."""
        if self.meaning is Meaning.FIRST_EXIT:
            for i, total in enumerate(self.exit_rate.sum(axis=1)):
                if abs(total - 1) > checks.ROUNDING:
                    yield Fault(
                        f"exit_rate[{i}]", f"sums to {total:.6g}", "every sample has one first exit: rows sum to 1"
                    )
            exited = np.cumsum(self.exit_rate, axis=1)
        else:
            exited = self.exit_rate
        for k, i in np.argwhere(np.diff(exited, axis=0) < -checks.ROUNDING)[:3]:
            yield Fault(
                f"exit_rate[{k + 1}][{i}]",
                "fewer samples have exited than at the threshold below",
                "a higher threshold never keeps a sample longer",
            )

    def __repr__(self) -> str:
        return (
            f"ExitRates({self.meaning.value} at {len(self.thresholds)} thresholds: {self.blocks} branches, "
            f"{self.samples} samples)"
        )

    @property
    def blocks(self) -> int:
        """N, the number of branches counted."""
        return len(self.accuracy)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Everything measured of one backbone: the planner's only source of numbers beside the topology.

    timings: by device.
    reference_device: the device that slowdowns refer to; None where every tier must name its device.
    exits, exit_table: at least one of the two.
    codecs: what is different when activations travel in other codecs than fp32.
    inputs: what is different when inputs travel in other codecs than raw.
    overhead_bits: what travels with every object beside its own bits: headers of messages and of the transport.
    provenance: how it was measured, as text; for people, never for the model.
    score: what exits compare to their thresholds.
    """

    backbone: Backbone
    timings: Mapping[str, Timing]
    reference_device: str | None
    exits: ExitRates | None = None
    exit_table: ExitTable | None = None
    codecs: Mapping[Codec, Encoded] = field(default_factory=dict)
    inputs: Mapping[InputCodec, EncodedInput] = field(default_factory=dict)
    overhead_bits: int = 0
    provenance: Mapping[str, object] = field(default_factory=dict)
    score: Score = ENTROPY

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        n = len(self.backbone.blocks)
        if self.score.parameters is not None:
            yield from checks.length("score.parameters", len(self.score.parameters), n, "one row per block")
        if self.reference_device is not None and self.reference_device not in self.timings:
            known = ", ".join(self.timings) or "none"
            yield Fault("reference_device", f"{self.reference_device!r} has no timings", f"use one of {known}")
        for device, timing in self.timings.items():
            yield from checks.length(f"timings.{device}", timing.blocks, n, "one per block of the backbone")
        if self.exits is None and self.exit_table is None:
            yield Fault("exits", "there are neither exits nor an exit_table", "give one of the two, or both")
        if self.exits is not None:
            yield from checks.length("exits.accuracy", self.exits.blocks, n, "one per block of the backbone")
        if self.exit_table is not None:
            yield from checks.length("exit_table", self.exit_table.blocks, n, "one row per block of the backbone")
            yield from self._score_faults("exit_table", self.exit_table)
        for codec, encoded in self.codecs.items():
            place = f"codecs.{codec.value}"
            if codec is Codec.FP32:
                yield Fault(place, "is what the profile itself is in", "take it out")
            if (codec is codec.plain) != (encoded.bits is None):
                yield Fault(place, "has sizes, or has none", "give bits for a codec that compresses, and no other")
            yield from checks.length(place, encoded.exit_table.blocks, n, "one row per block of the backbone")
            yield from self._score_faults(f"{place}.exit_table", encoded.exit_table)
        for input_codec, sent in self.inputs.items():
            place = f"inputs.{input_codec.value}"
            if input_codec is InputCodec.RAW:
                yield Fault(place, "is what the profile itself is in", "take it out")
            if input_codec.lossless == (sent.exit_table is not None):
                known = "needs no exit_table, it changes nothing" if sent.exit_table else "has no exit_table"
                yield Fault(place, known, "give one for each lossy codec, and for no other")
            if sent.exit_table is not None:
                yield from checks.length(place, sent.exit_table.blocks, n, "one row per block of the backbone")
                yield from self._score_faults(f"{place}.exit_table", sent.exit_table)
        yield from checks.not_negative("overhead_bits", self.overhead_bits, "give what travels with every object")

    def _score_faults(self, place: str, table: ExitTable) -> Iterator[Fault]:
        if table.score is not self.score.name:
            problem = f"holds {table.score.value}, and the profile's score is {self.score.name.value}"
            yield Fault(place, problem, "name the score that the table holds")

    def __repr__(self) -> str:
        counted = self.exit_table or self.exits
        return (
            f"Profile({self.backbone.name} on {self.backbone.dataset}: {len(self.backbone.blocks)} blocks, "
            f"{counted.samples if counted else 0} samples; devices {', '.join(self.timings)})"
        )

    def _repr_html_(self) -> str:
        columns = self.columns()
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return html_table([*columns], rows, caption=repr(self))

    def columns(self) -> dict[str, NDArray[Any]]:
        """By name, one entry per block: ready for `pandas.DataFrame(profile.columns())` and `numpy.savez`.

        block: its name. output_bits, weight_bits: as in `Block`, NaN where not measured.
        accuracy: share of all samples that its branch classifies right, from the exit table; without one, what
            `exits` knows of it: joint_accuracy, or else accuracy.
        balanced_accuracy, least_recall, macro_f1, calibration_error: as in `Quality`, as far as the exit table tells.
        DEVICE.block_s, DEVICE.branch_s: by device, as in `Timing`; NaN where only whole partitions were measured.
        """
        blocks = self.backbone.blocks
        columns: dict[str, NDArray[Any]] = {
            "block": np.array([block.name for block in blocks], np.str_),
            "output_bits": np.array([block.output_bits for block in blocks], np.int64),
            "weight_bits": np.array([block.weight_bits for block in blocks], np.float64),  # None becomes NaN
        }
        if self.exit_table is not None:
            columns["accuracy"] = self.exit_table.accuracy
            columns |= self._quality_columns(self.exit_table)
        elif self.exits is not None:
            joint = self.exits.joint_accuracy
            columns["accuracy"] = self.exits.accuracy if joint is None else joint
        unknown = np.full(len(blocks), np.nan)
        for device, timing in self.timings.items():
            columns[f"{device}.block_s"] = unknown if timing.block_s is None else timing.block_s
            columns[f"{device}.branch_s"] = unknown if timing.branch_s is None else timing.branch_s
        return columns

    @staticmethod
    def _quality_columns(table: ExitTable) -> dict[str, NDArray[Any]]:
        exits = [quality_of_exit(table, branch).figures() for branch in range(1, table.blocks + 1)]
        return {name: np.array([figures[name] for figures in exits]) for name in exits[0] if name != "accuracy"}

    def with_timing(
        self,
        device: str,
        timing: Timing,
        encoded: Mapping[Codec, tuple[FloatArray, FloatArray]] | None = None,
        inputs: Mapping[InputCodec, tuple[float, float]] | None = None,
    ) -> "Profile":
        """The same profile with the times of one more device, or with that device's times replaced.

        encoded: serialize_s and deserialize_s, [N+2] each, in the profile's other codecs. In a codec without them
            the device has no times.
        inputs: the same of one input, in the other codecs of inputs.
        """
        codecs = dict(self.codecs)
        for codec, (serialize_s, deserialize_s) in (encoded or {}).items():
            before = codecs[codec]
            codecs[codec] = replace(
                before,
                serialize_s={**before.serialize_s, device: serialize_s},
                deserialize_s={**before.deserialize_s, device: deserialize_s},
            )
        sent = {
            codec: replace(
                self.inputs[codec],
                serialize_s={**self.inputs[codec].serialize_s, device: serialize},
                deserialize_s={**self.inputs[codec].deserialize_s, device: deserialize},
            )
            for codec, (serialize, deserialize) in (inputs or {}).items()
        }
        timings = {**self.timings, device: timing}
        return replace(self, timings=timings, codecs=codecs, inputs={**self.inputs, **sent})

    def measured(self, codec: Codec, input_codec: InputCodec = InputCodec.RAW) -> bool:
        """Whether it is known how samples exit, and in what time, when they travel so."""
        known = codec is Codec.FP32 or codec in self.codecs
        if input_codec is InputCodec.RAW:
            return known
        # Two losses at once were not measured; one of them alone was.
        return known and input_codec in self.inputs and (input_codec.lossless or codec is Codec.FP32)

    def encoded(self, codec: Codec, input_codec: InputCodec = InputCodec.RAW) -> "Profile":
        """The profile as it is when activations and inputs travel so; `InputError` where that was not measured."""
        if not self.measured(codec):
            known = ", ".join(measured.value for measured in (Codec.FP32, *self.codecs))
            fail("codec", f"{codec.value} was not measured", f"use {known}, or profile the run again")
        if not self.measured(codec, input_codec):
            lost = input_codec in self.inputs
            known = ", ".join(each.value for each in InputCodec if self.measured(codec, each))
            problem = f"{input_codec.value} was not measured" + (f" together with {codec.value}" if lost else "")
            fail("input_codec", problem, f"use {known}, or profile the run again")
        profile = self if codec is Codec.FP32 else self._with_activations(self.codecs[codec], codec)
        return profile if input_codec is InputCodec.RAW else profile._with_input(self.inputs[input_codec])

    def _with_activations(self, encoded: Encoded, codec: Codec) -> "Profile":
        return replace(
            self,
            backbone=self.backbone.encoded(codec, None if encoded.bits is None else encoded.bits.mean(axis=1)),
            timings={
                device: replace(
                    timing, serialize_s=encoded.serialize_s[device], deserialize_s=encoded.deserialize_s[device]
                )
                for device, timing in self.timings.items()
                if device in encoded.serialize_s
            },
            # Rates and accuracies by branch were counted in fp32; those in this codec come from its table.
            exits=None,
            exit_table=encoded.exit_table,
            codecs={},
        )

    def _with_input(self, sent: EncodedInput) -> "Profile":
        lossy = sent.exit_table is not None
        return replace(
            self,
            backbone=replace(self.backbone, input_bits=max(1, round(sent.mean_bits))),
            timings={
                device: replace(
                    timing,
                    serialize_s=np.concatenate([[sent.serialize_s[device]], timing.serialize_s[1:]]),
                    deserialize_s=np.concatenate([[sent.deserialize_s[device]], timing.deserialize_s[1:]]),
                )
                for device, timing in self.timings.items()
                if device in sent.serialize_s
            },
            exits=None if lossy else self.exits,
            exit_table=sent.exit_table if lossy else self.exit_table,
            codecs={},
            inputs={},
        )
