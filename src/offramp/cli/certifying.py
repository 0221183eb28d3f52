"""`offramp certs`: the certificates of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from offramp.errors import fail


def certs(
    bundle: Annotated[Path, typer.Argument(help="The bundle that the deployment runs.")],
    out: Annotated[Path, typer.Option(help="A folder to make, with one folder for each tier and one for clients.")],
    days: Annotated[int, typer.Option(min=1, max=36500, help="How long they are valid.")] = 365,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="TIER=HOST", help="One more name or address of a tier's machine; may be given often."),
    ] = None,
) -> None:
    """Make certificates, so that a deployment's tiers talk to their neighbors and its clients, and to nobody else.

    Copy to each machine only its own folder. Before they end, make new ones for the whole deployment.

    Example: offramp certs bundle --out certs --host base-station=edge.example.org
    """
    from offramp.pipeline.arguments import require_runtime

    require_runtime()
    from offramp.bundle import read_bundle
    from offramp.deploy.certificates import issue, write_credentials
    from offramp.runtime.transport.tls import CLIENT

    manifest = read_bundle(bundle)
    hosts: dict[str, list[str]] = {}
    for text in host or ():
        tier, equals, name = text.partition("=")
        if not equals:
            fail("--host", f"{text!r} does not say whose it is", "write TIER=HOST")
        hosts.setdefault(tier, []).append(name)
    tiers = [tier.name for tier in manifest.topology.tiers]
    credentials = issue(manifest.topology, deployment=manifest.deployment, days=days, hosts=hosts)
    write_credentials(credentials, out)
    for tier in tiers:
        print(f"{out / tier}  for the tier found at {', '.join(credentials[tier].hosts)}")
    print(f"{out / CLIENT}  for clients")
    print(f"Valid until {credentials[CLIENT].until:%Y-%m-%d}.")
