"""What the explorer is tested on."""

from functools import cache

from offramp import Profile, read_profile, read_topology
from offramp.core.exits import ExitModelName
from offramp.explore.view import Explorer


@cache
def profile() -> Profile:
    return read_profile("resnet20-digits")


@cache
def explorer(topology: str = "mobile", exits: ExitModelName | None = None) -> Explorer:
    return Explorer.of(
        profile(), read_topology(topology), profile_source="resnet20-digits", topology_source=topology, exits=exits
    )
