"""Topologies: YAML with units to `core.topology.Topology` and back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, WithJsonSchema

from offramp.core import checks
from offramp.core.topology import Link, Tier, Topology, relation_faults
from offramp.errors import Fault, InputError, refuse
from offramp.files.checking import Document, ValueDocument, check, merged, refusing
from offramp.files.parsing import parse_yaml
from offramp.files.quantities import ENERGY, ENERGY_PER_BIT, POWER, RATE, SIZE, TIME, Dimension, write_size
from offramp.files.sources import locate, naming, read_text
from offramp.files.writing import replace_files, target

# Sixteen tiers fit in a few KiB.
MOST_BYTES = 1 << 20

# A number and a unit, with a prefix before the unit or an exponent behind the number.
_PATTERN = r"^\s*[+-]?[0-9.][0-9.,_]*(\s*[{}]?|[eE][+-]?[0-9]+\s*){}\s*$"


Rate = Annotated[
    float,
    BeforeValidator(RATE.parse),
    WithJsonSchema({"type": "string", "pattern": _PATTERN.format("kKMGT", "[bB]/s")}),
]
Time = Annotated[
    float, BeforeValidator(TIME.parse), WithJsonSchema({"type": "string", "pattern": _PATTERN.format("munµ", "s")})
]
Size = Annotated[
    float, BeforeValidator(SIZE.parse), WithJsonSchema({"type": "string", "pattern": _PATTERN.format("kKMG", "[bB]")})
]
Power = Annotated[
    float, BeforeValidator(POWER.parse), WithJsonSchema({"type": "string", "pattern": _PATTERN.format("kmunµ", "W")})
]
Joules = Annotated[
    float, BeforeValidator(ENERGY.parse), WithJsonSchema({"type": "string", "pattern": _PATTERN.format("kmunµp", "J")})
]
BitEnergy = Annotated[
    float,
    BeforeValidator(ENERGY_PER_BIT.parse),
    WithJsonSchema({"type": "string", "pattern": _PATTERN.format("munµp", "J/b")}),
]


def _refuse_no_size(bits: float) -> None:
    refuse(checks.positive("", bits, f"give a fragment size, e.g. {SIZE.example}"))


class LinkDocument(ValueDocument):
    """What joins tier j and tier j+1."""

    bandwidth: Rate = Field(description="the rate in b/s or B/s", examples=[RATE.example])
    latency: Time = Field(description="the one-way propagation time", examples=[TIME.example])
    send: BitEnergy | None = Field(
        None, description="what a bit takes of the tier that sends it", examples=[ENERGY_PER_BIT.example]
    )
    receive: BitEnergy | None = Field(
        None, description="what a bit takes of the tier that receives it", examples=["52 nJ/b"]
    )
    radio: Power | None = Field(
        None,
        description="what the source's radio takes from its first bit, where that leaves over this link, to the answer",
        examples=["0.8 W"],
    )
    tail: Time | None = Field(
        None, description="for how long after the answer the radio still takes that", examples=["1.5 s"]
    )

    def core(self) -> Link:
        """The core's link; raises `InputError`."""
        return Link(
            self.bandwidth,
            self.latency,
            send_j_per_bit=self.send or 0.0,
            receive_j_per_bit=self.receive or 0.0,
            radio_w=self.radio or 0.0,
            tail_s=self.tail or 0.0,
        )


class TierDocument(ValueDocument):
    """A machine on the line, with exactly one of slowdown and device."""

    name: str = Field(description="a name without spaces and without @", examples=["smartphone"])
    slowdown: float | None = Field(
        None,
        description="time on this tier / time on the profile's reference device",
        examples=[10],
        json_schema_extra={"exclusiveMinimum": 0},
    )
    device: str | None = Field(None, description="the measured device of the profile that this is", examples=["pi4"])
    power: Power | None = Field(None, description="what it takes while it computes", examples=[POWER.example])
    idle: Power | None = Field(
        None, description="what it takes while it waits for the answer, as the source", examples=["0.3 W"]
    )

    def core(self) -> Tier:
        """The core's tier; raises `InputError`."""
        return Tier(self.name, self.slowdown, self.device, power_w=self.power or 0.0, idle_w=self.idle or 0.0)


class TopologyDocument(Document):
    """Tiers on a line, device first, and the links between neighbors."""

    name: str = Field(description="what the topology is called", examples=["mobile"])
    source: str = Field(description="the tier where samples arise", examples=["smartwatch"])
    destination: str = Field(description="the tier where answers are consumed", examples=["smartwatch"])
    tiers: list[TierDocument] = Field(description="the machines, device first")
    links: list[LinkDocument] = Field(
        [], description="one link between every two neighbors: link j joins tier j and tier j+1"
    )
    transfer: Literal["store-and-forward", "pipelined"] = Field(
        "store-and-forward",
        description="how an object crosses several links: whole at each tier, as offramp's own tiers forward it, or in "
        "fragments of size mtu, each forwarded as soon as it has arrived",
    )
    mtu: Annotated[Size, refusing(_refuse_no_size)] | None = Field(
        None, description="the fragment size of pipelined transfers", examples=[SIZE.example]
    )

    def core(self) -> Topology:
        """The core's topology; raises `InputError`."""
        return Topology(
            name=self.name,
            source=self.source,
            destination=self.destination,
            tiers=tuple(tier.core() for tier in self.tiers),
            links=tuple(link.core() for link in self.links),
            mtu_bits=self.mtu,
        )


def read_topology(source: str | Path) -> Topology:
    """The topology in a YAML file, or the shipped one of that name.

    Raises `InputError` with every fault of the document.
    """
    with naming(source):
        raw, faults = parse_yaml(read_text(locate(source, "topologies"), most=MOST_BYTES))
        document, more = check(TopologyDocument, raw, strict=False)
        faults = merged(faults, [*more, *_relation_faults(raw)])
        if document is None or faults:
            raise InputError(faults)
        return document.core()


def _relation_faults(raw: Any) -> Iterator[Fault]:
    """What is wrong between the entries, as far as they can be read."""
    if not isinstance(raw, dict):
        return
    transfer, mtu = raw.get("transfer", "store-and-forward"), raw.get("mtu")
    if transfer == "pipelined" and mtu is None:
        yield Fault("mtu", "is missing", f"pipelined transfers have a fragment size, e.g. {SIZE.example}")
    if transfer == "store-and-forward" and mtu is not None:
        yield Fault("mtu", "has no meaning for store-and-forward", "leave it out, or write transfer: pipelined")
    tiers, links = raw.get("tiers"), raw.get("links", [])
    if not isinstance(tiers, list):
        return
    names = [tier.get("name") if isinstance(tier, dict) else None for tier in tiers]
    known = all(isinstance(name, str) for name in names)
    source, destination = raw.get("source"), raw.get("destination")
    unreadable = {"links"} if not isinstance(links, list) else set()
    unreadable |= {"source"} if not (known and isinstance(source, str)) else set()
    unreadable |= {"destination"} if not (known and isinstance(destination, str)) else set()
    for fault in relation_faults(
        # An unreadable name is like no other.
        tier_names=[name if isinstance(name, str) else f"tier {j}" for j, name in enumerate(names)],
        links=len(links) if isinstance(links, list) else 0,
        source=str(source),
        destination=str(destination),
    ):
        if fault.place not in unreadable:
            yield fault


def write_topology(topology: Topology, path: str | Path) -> None:
    """Write a YAML file that `read_topology` reads as an equal topology."""
    replace_files({target(path): topology_text(topology).encode()})


def topology_text(topology: Topology) -> str:
    """The topology as YAML, one line for each tier and link."""
    tiers = [
        {"name": tier.name}
        | ({"device": tier.device} if tier.slowdown is None else {"slowdown": _number(tier.slowdown)})
        | _given(power=(tier.power_w, POWER), idle=(tier.idle_w, POWER))
        for tier in topology.tiers
    ]
    links = [
        {"bandwidth": RATE.write(link.bandwidth_bits_per_s), "latency": TIME.write(link.latency_s)}
        | _given(
            send=(link.send_j_per_bit, ENERGY_PER_BIT),
            receive=(link.receive_j_per_bit, ENERGY_PER_BIT),
            radio=(link.radio_w, POWER),
            tail=(link.tail_s, TIME),
        )
        for link in topology.links
    ]
    head = {"name": topology.name, "source": topology.source, "destination": topology.destination}
    tail = {"transfer": "store-and-forward"}
    if topology.mtu_bits is not None:
        tail = {"transfer": "pipelined", "mtu": write_size(topology.mtu_bits)}
    # None: the innermost mappings on one line each.
    styles: list[tuple[dict[str, Any], bool | None]] = [
        (head, False),
        ({"tiers": tiers, "links": links}, None),
        (tail, False),
    ]
    return "".join(
        yaml.safe_dump(part, default_flow_style=style, sort_keys=False, allow_unicode=True, width=1000)
        for part, style in styles
    )


def _given(**figures: tuple[float, Dimension]) -> dict[str, str]:
    """Those that are not zero, as they are written."""
    return {key: dimension.write(value) for key, (value, dimension) in figures.items() if value}


def _number(value: float) -> float:
    return int(value) if float(value).is_integer() and value < 2**53 else float(value)
