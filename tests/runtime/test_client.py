"""What a client says of a source that behaves as none should."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zenoh

from offramp.core.plan import Plan
from offramp.errors import InputError
from offramp.runtime.client import Client
from offramp.runtime.transport import zenoh_session as network
from tests.runtime.conftest import PLANS
from tests.runtime.places import free_port
from tests.runtime.tiny import Case


@contextmanager
def client_of(case: Case, answer: Callable[[zenoh.Query], None]) -> Iterator[Client]:
    """A client of a source that takes new plans in this way."""
    place = f"127.0.0.1:{(port := free_port())}"
    with network.router(port=port, toward_cloud=None, host="127.0.0.1") as source:
        source.declare_queryable(network.plan_key(0), answer)
        with Client(case.manifest, source=place, destination=place) as client:
            yield client


def test_silence_is_called_silence(tiny: Case) -> None:
    kept: list[zenoh.Query] = []
    with client_of(tiny, kept.append) as client:
        with pytest.raises(InputError, match="source: does not answer; start its worker"):
            client.current_plan(timeout_s=0.5)
        assert kept


def test_a_switch_that_did_not_happen_is_an_error(tiny: Case) -> None:
    def answer(query: zenoh.Query) -> None:
        with query:
            query.reply(query.key_expr, PLANS[1].encode())

    with client_of(tiny, answer) as client:
        client.switch(Plan.parse(PLANS[1]))
        with pytest.raises(InputError, match="was asked for, but the source goes by 1@phone"):
            client.switch(Plan.parse(PLANS[0]))
