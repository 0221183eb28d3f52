"""`offramp explore`: planning in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from offramp.cli.options import ModelOptions, ProfileArgument, RequirementOptions, TopologyOption, flattened


@flattened
def explore(
    profile: ProfileArgument,
    asked: RequirementOptions,
    model: ModelOptions,
    topology: TopologyOption = "mobile",
    host: Annotated[str, typer.Option(help="The address to listen on; this machine alone by default.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8765,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Plan in the browser: move links, tiers and requirements, and see the plan follow.

    The page begins with what is asked here, loads nothing from elsewhere, and its address holds all that was set on it.

    Example: offramp explore resnet20-digits --topology mobile
    """
    from offramp.errors import MissingExtraError
    from offramp.explore.view import Explorer
    from offramp.files import read_profile, read_topology

    try:
        from offramp.explore.serving import serve
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"the explorer needs {error.name}: pip install 'offramp[explore]'") from error

    explorer = Explorer.of(
        read_profile(profile),
        read_topology(topology),
        asked.requirement(),
        profile_source=profile,
        topology_source=topology,
        **model.arguments(),
    )
    typer.echo(f"http://{host}:{port}  (Ctrl+C ends it)")
    serve(explorer, host=host, port=port, show=browser)
