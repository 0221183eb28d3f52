"""A plan: where the network is split, which tier runs which partition, and when a sample exits."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, TypeVar

from offramp.core import checks
from offramp.core.codec import Codec, InputCodec
from offramp.errors import Fault, fail, refuse

C = TypeVar("C", Codec, InputCodec)

_PARTITION = re.compile(r"(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?@(?P<tier>[^\s@]+)")
_EXAMPLE = "write it like '1-3@smartwatch 4-9@smartphone 10@cloud T=0.40'"


@dataclass(frozen=True, slots=True)
class Plan:
    """A partitioning, a placement and the thresholds. L is the number of partitions.

    ends: [L] P, the last block of each partition, 1-based and strictly increasing.
    placement: [L] A, the name of the tier that runs each partition.
    thresholds: [L-1] score, e.g. normalized entropy, at or below which a sample exits at that partition's branch; at
        the last partition all remaining samples exit.
    codec: what activations are sent as from tier to tier.
    input_codec: what the input is sent as from the source to the tier of the first partition; raw where that is the
        source itself.

    `str(plan)` is one line that `Plan.parse` reads back.
    """

    ends: tuple[int, ...]
    placement: tuple[str, ...]
    thresholds: tuple[float, ...]
    codec: Codec = Codec.FP32
    input_codec: InputCodec = InputCodec.RAW

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        partitions = len(self.ends)
        if not partitions:
            yield Fault("ends", "is empty", "give at least one partition")
        elif self.ends[0] < 1:
            yield Fault("ends[0]", f"{self.ends[0]} is not a block", "blocks count from 1")
        for k, (before, end) in enumerate(itertools.pairwise(self.ends)):
            if end <= before:
                yield Fault(f"ends[{k + 1}]", f"{end} comes after {before}", "ends must go up")
        yield from checks.length("placement", len(self.placement), partitions, "one tier per partition")
        yield from checks.length("thresholds", len(self.thresholds), partitions - 1, "one per partition but the last")
        for k, threshold in enumerate(self.thresholds):
            yield from checks.share(f"thresholds[{k}]", threshold, "thresholds are normalized entropies")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The plan that `text` describes, e.g. `1-3@smartwatch 4-9@smartphone 10@cloud T=0.40`.

        `T=0.40,0.25` gives each exit but the last its own threshold; a plan of one partition needs no `T=`.
        `codec=int8` after it: activations are sent in int8; `input=webp` at the end: inputs are sent as WebP.
        Raises `InputError` for anything else.
        """
        words = text.split()
        codec, input_codec = Codec.FP32, InputCodec.RAW
        if words and words[-1].startswith("input="):
            input_codec = _named(InputCodec, words.pop().removeprefix("input="), called="codec of inputs")
        if words and words[-1].startswith("codec="):
            codec = _named(Codec, words.pop().removeprefix("codec="), called="codec")
        thresholds: list[float] | None = None
        if words and words[-1].startswith("T="):
            thresholds = _parse_thresholds(words.pop())
        if not words:
            fail("plan", f"{text!r} names no partition", _EXAMPLE)
        ends: list[int] = []
        placement: list[str] = []
        for word in words:
            match = _PARTITION.fullmatch(word)
            if match is None:
                fail("plan", f"{word!r} is not a partition", _EXAMPLE)
            first, last = int(match["first"]), int(match["last"] or match["first"])
            next_block = ends[-1] + 1 if ends else 1
            if first != next_block or last < first:
                fail("plan", f"{word!r} follows block {next_block - 1}", f"start it at block {next_block}")
            ends.append(last)
            placement.append(match["tier"])
        exits = len(ends) - 1
        for threshold in thresholds or ():
            refuse(checks.share("plan", threshold, "thresholds are normalized entropies"))
        if thresholds is None and exits:
            fail("plan", f"{text!r} has no threshold", "end it with T= and a number, e.g. T=0.40")
        if thresholds is None or not exits:
            thresholds = []
        elif len(thresholds) == 1:
            thresholds *= exits
        return cls(tuple(ends), tuple(placement), tuple(thresholds), codec, input_codec)

    def __str__(self) -> str:
        parts = [
            f"{first}@{tier}" if first == last else f"{first}-{last}@{tier}"
            for (first, last), tier in zip(self.blocks, self.placement, strict=True)
        ]
        if self.thresholds:
            distinct = self.thresholds[:1] if len(set(self.thresholds)) == 1 else self.thresholds
            parts.append("T=" + ",".join(_threshold_text(threshold) for threshold in distinct))
        if self.codec is not Codec.FP32:
            parts.append(f"codec={self.codec.value}")
        if self.input_codec is not InputCodec.RAW:
            parts.append(f"input={self.input_codec.value}")
        return " ".join(parts)

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """[L] first and last block of each partition, 1-based."""
        return tuple((before + 1, end) for before, end in itertools.pairwise((0, *self.ends)))

    @property
    def sent_outputs(self) -> tuple[int, ...]:
        """The blocks whose output goes to another tier."""
        hops = zip(self.ends, self.placement, self.placement[1:], strict=False)
        return tuple(end for end, tier, after in hops if tier != after)

    @property
    def accuracy_is_approximate(self) -> bool:
        """Whether an exit table tells its accuracy only nearly.

        The table of a lossy codec has every activation between blocks encoded, and a plan only those that it sends,
        which may be none.
        """
        return self.codec.plain is not Codec.FP32 and len(self.sent_outputs) < self.ends[-1] - 1


def _named(kind: type[C], name: str, *, called: str) -> C:
    """The codec of that name, of the kind that is called so. Raises `InputError` for another name."""
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(str(codec.value) for codec in kind)
        fail("plan", f"there is no {called} {name!r}", f"use one of {known}")


def _threshold_text(threshold: float) -> str:
    """Two decimals where they say it all, as many as needed where they don't."""
    short = f"{threshold:.2f}"
    return short if float(short) == threshold else repr(threshold)


def _parse_thresholds(word: str) -> list[float]:
    try:
        return [float(number) for number in word.removeprefix("T=").split(",")]
    except ValueError:
        fail("plan", f"{word!r} is not a list of thresholds", "write T=0.40 or T=0.40,0.25")
