"""Which lossless codec the input travels in: the one that takes least, which depends on where it travels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offramp.core.checks import BoolArray
from offramp.core.codec import Codec, InputCodec
from offramp.core.latency import ComputeSource, Costs, Work
from offramp.core.profile import Profile
from offramp.core.topology import Topology

InputCodecs = tuple[InputCodec, ...]
"""Codecs of inputs that share an exit table: several lossless ones, one lossy one, or none where inputs stay."""

RAW_INPUT: InputCodecs = (InputCodec.RAW,)


def together(codecs: Sequence[InputCodec], *, bits_matter: bool) -> tuple[InputCodecs, ...]:
    """The codecs in groups that one search can choose from.

    Lossless ones change nothing but the time that the input takes, so the fastest for each way is the best of them,
    unless what travels is limited or paid for by the bit; then each is searched alone. A lossy one has an exit table
    of its own. Plans whose first partition is on the source send no input: they are in the first group, which may have
    no codec.

    bits_matter: whether a slower codec may be the better one, for sending less.
    """
    lossless = tuple(codec for codec in codecs if codec.lossless)
    alone = [(codec,) for codec in lossless] if bits_matter and lossless else [lossless]
    return (*alone, *((codec,) for codec in codecs if not codec.lossless))


def measured_only(
    profile: Profile, asked: Iterable[tuple[Codec, InputCodecs]]
) -> tuple[tuple[Codec, InputCodecs], ...]:
    """Codecs of activations with those of inputs that were measured with them; without those that have none left."""
    left = (
        (codec, group, tuple(each for each in group if profile.measured(codec, each)))
        for codec, group in asked
        if profile.measured(codec)
    )
    return tuple(dict.fromkeys((codec, known) for codec, group, known in left if known or not group))


@dataclass(frozen=True, slots=True, eq=False)
class InputChoice:
    """How an input may travel, and what that takes.

    codecs: to choose from.
    works: by codec, what a profile says of time when inputs travel so; raw where there is no codec.
    """

    codecs: InputCodecs
    works: Mapping[InputCodec, Work]

    @classmethod
    def of(cls, profile: Profile, codec: Codec, codecs: InputCodecs, *, compute: ComputeSource | None) -> "InputChoice":
        """Among those codecs, with activations in `codec`. Raises `InputError` where one was not measured."""
        works = {each: Work.of(profile.encoded(codec, each), compute=compute) for each in codecs or RAW_INPUT}
        return cls(codecs, works)

    @property
    def work(self) -> Work:
        """What a profile says of time, where inputs travel by the first of the codecs."""
        return next(iter(self.works.values()))

    @property
    def is_lossy(self) -> bool:
        """Whether the exit table is of what was lost on the way, so that a plan without that way is none of these."""
        return any(not codec.lossless for codec in self.codecs)

    def counted(self, plans: int, *, tiers: int) -> int:
        """How many there are of so many plans, each in every codec: as many begin on one tier as on any other."""
        return plans // tiers * (len(self.codecs) * (tiers - 1) + (not self.is_lossy))

    def barred(self, topology: Topology) -> BoolArray:
        """[M] whether no plan may begin on that tier: the source where what is sent is lossy, others where none is."""
        is_source = np.array([tier.name == topology.source for tier in topology.tiers])
        if self.is_lossy:
            return is_source
        return np.zeros_like(is_source) if self.codecs else ~is_source

    def costs(self, topology: Topology) -> tuple[Costs, InputCodecs]:
        """What everything costs, the input by the fastest of the codecs; and [M] that codec by tier it is sent to."""
        each = [self.works[codec].on(topology) for codec in self.codecs or RAW_INPUT]
        first = each[0]
        if len(each) == 1:
            return first, (self.codecs or RAW_INPUT) * len(topology.tiers)
        # [C, M, M]; the way through the air, without its bits, is the same for all.
        sent = np.array([costs.transmission_s[:, :, 0] + costs.serialization_s[:, :, 0] for costs in each])
        fastest = sent.argmin(axis=0)[None]
        parts = {}
        for name in ("transmission_s", "serialization_s"):
            by_codec = np.array([getattr(costs, name)[:, :, 0] for costs in each])
            whole = getattr(first, name).copy()
            whole[:, :, 0] = np.take_along_axis(by_codec, fastest, axis=0)[0]
            parts[name] = whole
        chosen = tuple(self.codecs[int(k)] for k in fastest[0, first.source])
        return replace(first, **parts), chosen
