"""The line of machines to deploy on, and what a transfer between two of them costs."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from offramp.core import checks
from offramp.errors import Fault, fail, refuse

# A plan's search keeps the tiers it has used in the bits of one integer, and its cost doubles with each tier.
MOST_TIERS = 16


@dataclass(frozen=True, slots=True)
class Tier:
    """A machine on the line.

    slowdown: R_j, time on this tier / time on the profile's reference device; None where `device` is given.
    device: the measured device of the profile this tier is; None where `slowdown` is given.
    power_w: what it takes while it computes. idle_w: what it takes while it waits for an answer, as the source.
    """

    name: str
    slowdown: float | None = None
    device: str | None = None
    power_w: float = 0.0
    idle_w: float = 0.0

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        if not self.name or any(c.isspace() or c == "@" for c in self.name):
            yield Fault("name", f"{self.name!r} is not a tier name", "use a name without spaces and without @")
        if (self.slowdown is None) == (self.device is None):
            given = "neither slowdown nor device" if self.slowdown is None else "both slowdown and device"
            yield Fault("slowdown", f"tier {self.name} has {given}", "give one of the two")
        if self.slowdown is not None:
            yield from checks.positive(
                "slowdown", self.slowdown, "give time on this tier / time on the reference device"
            )
        yield from checks.not_negative("power", self.power_w, "give the power while it computes, e.g. 2.1 W")
        yield from checks.not_negative("idle", self.idle_w, "give the power while it waits, e.g. 0.3 W")


@dataclass(frozen=True, slots=True)
class Link:
    """What joins two neighbors on the line, the same in both directions.

    bandwidth_bits_per_s: BW_j.
    latency_s: PL_j, one way.
    send_j_per_bit, receive_j_per_bit: what a bit takes of the tier that sends it, and of the one that receives it.
    radio_w, tail_s: what the radio of a source takes whose first bit leaves over this link, from that bit to the
        answer, and for how long it does so after the answer.
    """

    bandwidth_bits_per_s: float
    latency_s: float
    send_j_per_bit: float = 0.0
    receive_j_per_bit: float = 0.0
    radio_w: float = 0.0
    tail_s: float = 0.0

    def __post_init__(self) -> None:
        refuse(self._faults())

    def _faults(self) -> Iterator[Fault]:
        yield from checks.positive("bandwidth", self.bandwidth_bits_per_s, "give a rate, e.g. 10 Mb/s")
        yield from checks.not_negative("latency", self.latency_s, "give a time, e.g. 40 ms")
        yield from checks.not_negative("send", self.send_j_per_bit, "give the energy of a bit, e.g. 438 nJ/b")
        yield from checks.not_negative("receive", self.receive_j_per_bit, "give the energy of a bit, e.g. 52 nJ/b")
        yield from checks.not_negative("radio", self.radio_w, "give a power, e.g. 0.8 W")
        yield from checks.not_negative("tail", self.tail_s, "give a time, e.g. 1.5 s")
        if self.tail_s > 0 and self.radio_w == 0:
            yield Fault("tail", "is that of a radio without power", "give the radio's power, e.g. radio: 0.8 W")


@dataclass(frozen=True, slots=True)
class Topology:
    """M tiers on a line, device first, and the M-1 links between neighbors.

    source, destination: names of the tiers where samples arise and where answers are consumed.
    mtu_bits: fragment size of pipelined transfers; None for store-and-forward, the paper's own.
    """

    name: str
    source: str
    destination: str
    tiers: tuple[Tier, ...]
    links: tuple[Link, ...]
    mtu_bits: float | None = None

    def __post_init__(self) -> None:
        refuse(
            relation_faults(
                tier_names=[tier.name for tier in self.tiers],
                links=len(self.links),
                source=self.source,
                destination=self.destination,
            )
        )
        if self.mtu_bits is not None:
            refuse(checks.positive("mtu", self.mtu_bits, "give a fragment size, e.g. 9000 B"))

    @property
    def has_energy(self) -> bool:
        """Whether any power, or energy of a bit, is given."""
        by_link = ((link.send_j_per_bit, link.receive_j_per_bit, link.radio_w) for link in self.links)
        return any(map(any, itertools.chain(((tier.power_w, tier.idle_w) for tier in self.tiers), by_link)))

    def index(self, tier_name: str) -> int:
        """Position of the tier on the line, device = 0."""
        for j, tier in enumerate(self.tiers):
            if tier.name == tier_name:
                return j
        names = ", ".join(tier.name for tier in self.tiers)
        fail("placement", f"topology {self.name} has no tier {tier_name!r}", f"use one of {names}")


def relation_faults(*, tier_names: list[str], links: int, source: str, destination: str) -> Iterator[Fault]:
    """What is wrong between the parts of a topology, even where some of the parts are wrong themselves."""
    if not tier_names:
        yield Fault("tiers", "is empty", "give at least one tier")
    if len(tier_names) > MOST_TIERS:
        yield Fault("tiers", f"has {len(tier_names)} tiers", f"give at most {MOST_TIERS}")
    for name, count in Counter(tier_names).items():
        if count > 1:
            yield Fault("tiers", f"{count} tiers are named {name!r}", "give every tier a name of its own")
    if tier_names and links != len(tier_names) - 1:
        yield Fault(
            "links",
            f"{links} links for {len(tier_names)} tiers",
            f"give {len(tier_names) - 1}: link j joins tier j and tier j+1",
        )
    for place, name in (("source", source), ("destination", destination)):
        if tier_names and name not in tier_names:
            yield Fault(place, f"{name!r} is not a tier", f"use one of {', '.join(tier_names)}")
