"""What the explorer is tested on."""

from functools import cache
from pathlib import Path

from offramp import Profile, read_profile, read_topology
from offramp.core.exits import ExitModelName
from offramp.explore.view import Explorer

# One that stays as it is, since the tests know its figures; the shipped one is measured again now and then.
PROFILE = Path(__file__).parents[1] / "profiles" / "resnet20-digits.json"


@cache
def profile() -> Profile:
    return read_profile(PROFILE)


@cache
def explorer(topology: str = "mobile", exits: ExitModelName | None = None) -> Explorer:
    return Explorer.of(
        profile(), read_topology(topology), profile_source=str(PROFILE), topology_source=topology, exit_model=exits
    )
