"""Bundles of the tiny network, at work."""

from collections.abc import Iterator

import pytest

from offramp.core.topology import Link
from offramp.runtime.local import LocalDeployment
from tests.runtime.tiny import Case, case, line

PLANS = (
    "1@watch 2-3@phone 4@cloud T=0.60,0.30",
    "1@phone 2-3@watch 4@cloud T=0.60,0.30",
    "1-2@watch 3@cloud 4@phone T=0.40 codec=int8",
    "1-2@watch 3@watch 4@cloud T=0.50,0.30 codec=fp16",
    "1-4@cloud",
    "1-2@watch 3@phone T=0.50",
    "1-4@cloud input=png",
    "1@phone 2-3@cloud T=0.50 codec=int8+zstd input=webp",
    "1-2@phone 3@cloud T=0.40 input=jpeg75",
)
"""Consecutive and not, back toward the device, two exits on a tier, trimmed, every codec of activations and inputs."""

FAST = Link(1e9, 0.0002)


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return case(tmp_path_factory.mktemp("tiny") / "bundle", line("watch", "phone", "cloud", link=FAST), PLANS)


@pytest.fixture(scope="package")
def deployment(tiny: Case) -> Iterator[LocalDeployment]:
    """Whoever breaks it mends it."""
    with LocalDeployment(tiny.folder) as running:
        yield running
