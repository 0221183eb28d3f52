"""The commands that only look: `offramp topology` and `offramp schema`."""

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from offramp.core.topology import Topology


def topology(
    source: Annotated[
        str | None, typer.Argument(help="A YAML file or the name of a shipped topology; without it, their names.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, in SI units, for other programs.")] = False,
) -> None:
    """Show a topology, or list those that ship with Offramp.

    Example: offramp topology mobile
    """
    from rich.console import Console

    from offramp.files import read_topology, shipped

    if source is None:
        names = shipped("topologies")
        print(json.dumps(names) if json_ else "\n".join(names))
        return
    shown = read_topology(source)
    if json_:
        print(json.dumps(dataclasses.asdict(shown), indent=2))
    else:
        Console().print(drawing(shown))


def schema(
    kind: Annotated[
        Literal["topology", "profile", "plan", "requirements", "bundle", "tier", "run", "validation"],
        typer.Argument(help="The kind of file."),
    ],
) -> None:
    """Print the JSON Schema of a kind of file, for editors and other programs.

    Example: offramp schema topology > topology.schema.json
    """
    from offramp import bundle, files

    document = bundle.schema(kind) if kind == "bundle" or kind == "tier" else files.schema(kind)
    print(json.dumps(document, indent=2, ensure_ascii=False))


def drawing(topology: "Topology") -> "Table":
    """The line of tiers from the device down to the cloud, with the links between them."""
    from rich.markup import escape
    from rich.table import Table

    from offramp.files.quantities import ENERGY_PER_BIT, POWER, RATE, TIME, write_size

    transfer = "store-and-forward"
    if topology.mtu_bits is not None:
        transfer = f"pipelined, MTU {write_size(topology.mtu_bits)}"
    table = Table(box=None, show_header=False, title=f"{escape(topology.name)} ({transfer})", title_justify="left")
    for j, tier in enumerate(topology.tiers):
        speed = f"device {escape(tier.device or '')}" if tier.slowdown is None else f"slowdown {tier.slowdown:g}"
        roles = [role for role in ("source", "destination") if getattr(topology, role) == tier.name]
        powers = (("busy", tier.power_w), ("idle", tier.idle_w))
        speed += "".join(f", {POWER.write(power)} {state}" for state, power in powers if power)
        table.add_row(f"[bold]{escape(tier.name)}[/bold]", speed, " and ".join(roles))
        if j < len(topology.links):
            link = topology.links[j]
            ends = (("sent", link.send_j_per_bit), ("received", link.receive_j_per_bit))
            energies = [f"{ENERGY_PER_BIT.write(energy)} {end}" for end, energy in ends if energy]
            if link.radio_w:
                energies.append(f"radio {POWER.write(link.radio_w)}")
            if link.tail_s:
                energies.append(f"tail {TIME.write(link.tail_s)}")
            words = ", ".join([RATE.write(link.bandwidth_bits_per_s), TIME.write(link.latency_s)])
            table.add_row(f"  │ {words}", ", ".join(energies))
    return table
