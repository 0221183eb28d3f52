"""Tiers in this process: what they refuse to start with, what they warn of, what they let in, and how they end."""

import logging
import socket

import pytest
import zenoh

from offramp.errors import InputError
from offramp.files import read_profile
from offramp.runtime.tier.serve import Place, at_work
from offramp.runtime.tier.worker import Limits
from offramp.runtime.transport import zenoh_session
from offramp.runtime.transport.keys import work_key
from tests.runtime.places import free_port
from tests.runtime.tiny import Case

HOST = "127.0.0.1"


@pytest.mark.parametrize(
    ("tier", "onward", "problem"),
    [
        ("watch", None, "--next: is missing: watch is not the last tier of watch - phone - cloud"),
        ("cloud", "localhost:7447", "--next: leads nowhere: cloud is the last tier"),
        ("phone", "localhost", "--next: 'localhost' is not HOST:PORT"),
        ("phone", "localhost:0", "--next: 'localhost:0' is not HOST:PORT"),
        ("phone", "localhost:99999", "is not HOST:PORT"),
        ("phone", "tcp/localhost:7447", "is not HOST:PORT"),
        ("phone", "::1:7447", "is not HOST:PORT"),
    ],
)
def test_the_way_onward_fits_the_tier(tiny: Case, tier: str, onward: str | None, problem: str) -> None:
    place = Place(port=free_port(), host=HOST, toward_cloud=onward)
    with (
        pytest.raises(InputError, match="--next") as error,
        at_work(tiny.folder / "tiers" / tier, place, limits=Limits()),
    ):
        pytest.fail("it starts")
    assert problem in str(error.value)


@pytest.mark.parametrize("onward", ["cloud.local:7447", "10.0.0.7:1", "[::1]:65535"])
def test_a_way_onward_that_leads_to_nobody_yet_is_fine(tiny: Case, onward: str) -> None:
    place = Place(port=free_port(), host=HOST, toward_cloud=onward)
    with at_work(tiny.folder / "tiers" / "phone", place, limits=Limits()):
        pass


@pytest.mark.parametrize("host", [HOST, None])
def test_a_port_that_is_taken_is_blamed_and_only_then(tiny: Case, host: str | None) -> None:
    folder = tiny.folder / "tiers" / "cloud"
    with socket.create_server((HOST, 0)) as taken:
        place = Place(port=taken.getsockname()[1], host=host)
        with pytest.raises(InputError, match=f"--port: {place.port} is taken"), at_work(folder, place, limits=Limits()):
            pytest.fail("it starts")
    # An address for documentation: no machine has it.
    place = Place(port=free_port(), host="192.0.2.1")
    with pytest.raises(InputError, match=r"the network: can't be joined: ."), at_work(folder, place, limits=Limits()):
        pytest.fail("it starts")


def test_a_profile_of_another_network_can_not_be_played(tiny: Case) -> None:
    profile = read_profile("resnet20-digits")
    place = Place(port=free_port(), host=HOST)
    refused = pytest.raises(
        InputError, match=f"--emulate: is of resnet20 with {len(profile.backbone.blocks)} blocks; .* 4"
    )
    with refused, at_work(tiny.folder / "tiers" / "cloud", place, emulate=profile, limits=Limits()):
        pytest.fail("it starts")


@pytest.mark.parametrize(
    ("host", "open_to_all"), [(None, True), ("0.0.0.0", True), (HOST, False), ("localhost", False)]
)
def test_listening_in_the_open_is_said(
    tiny: Case, caplog: pytest.LogCaptureFixture, host: str | None, open_to_all: bool
) -> None:
    with (
        caplog.at_level(logging.WARNING),
        at_work(tiny.folder / "tiers" / "cloud", Place(port=free_port(), host=host), limits=Limits()),
    ):
        pass
    assert ("without certificates" in caplog.text) == open_to_all


def test_far_too_long_messages_never_reach_a_tier(tiny: Case) -> None:
    """Zenoh drops what no message of the bundle can be; what is a little too long, the tier refuses with the reason."""
    place = Place(port=free_port(), host=HOST)
    with (
        at_work(tiny.folder / "tiers" / "cloud", place, limits=Limits()),
        zenoh_session.client(tier=f"{HOST}:{place.port}") as stranger,
    ):

        def said(size: int) -> str:
            block = zenoh.CongestionControl.BLOCK
            replies = stranger.get(work_key(2), payload=bytes(size), timeout=2.0, congestion_control=block)
            (reply,) = replies
            assert reply.err is not None
            return bytes(reply.err.payload).decode()

        assert "more than any message for this tier has" in said(1 << 19)
        assert said(1 << 22) == "Timeout"
        assert "more than any message for this tier has" in said(1 << 19)


def test_the_loss_of_what_is_no_tier_is_ignored(tiny: Case, caplog: pytest.LogCaptureFixture) -> None:
    place = Place(port=free_port(), host=HOST)
    with at_work(tiny.folder / "tiers" / "cloud", place, limits=Limits()) as worker:
        for name in ("x", "7", "-1", "00"):
            worker._on_lost(name)
    assert "was lost" not in caplog.text
