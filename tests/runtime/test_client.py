"""What a client says of a source that behaves as none should."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from offramp.core.plan import Plan
from offramp.errors import InputError
from offramp.runtime.client import Client
from offramp.runtime.transport.interface import Handler, NoReceiverError, RefusedError
from offramp.runtime.transport.keys import plan_key
from offramp.runtime.transport.messages import Outcome, Task, pack
from tests.runtime.conftest import PLANS
from tests.runtime.in_process import InProcessNetwork
from tests.runtime.places import free_port
from tests.runtime.tiny import CLASSES, Case


@contextmanager
def client_of(case: Case, takes_plans: Handler) -> Iterator[Client]:
    """A client of a source that takes new plans in this way."""
    with closing(InProcessNetwork()) as network:
        network.join().answer(plan_key(0), takes_plans)
        with Client(case.manifest, source="", destination="", connect=lambda _: network.join()) as client:
            yield client


def test_a_source_that_does_not_answer_is_called_that(tiny: Case) -> None:
    released = threading.Event()
    with client_of(tiny, lambda _: b"%d" % released.wait(60)) as client:
        with pytest.raises(InputError, match="source: does not answer; start its worker"):
            client.current_plan(timeout_s=0.05)
        released.set()


def test_a_switch_that_did_not_happen_is_an_error(tiny: Case) -> None:
    with client_of(tiny, lambda _: PLANS[1].encode()) as client:
        client.switch(Plan.parse(PLANS[1]))
        with pytest.raises(InputError, match="was asked for, but the source goes by 1@phone"):
            client.switch(Plan.parse(PLANS[0]))


def test_a_place_where_nobody_listens_is_named(tiny: Case) -> None:
    place = f"127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=f"{place}: there is no tier to connect to: .*; start the tier's worker"):
        Client(tiny.manifest, source=place, destination=place)


def test_only_outcomes_of_the_deployment_are_taken(tiny: Case) -> None:
    """Each refused with the reason; one that nobody waits for is acknowledged, as after a timeout."""
    deployment, result = tiny.manifest.deployment, bytes(4 * CLASSES)
    outcome = Outcome(deployment, 7, "ab", PLANS[0], 0, 5.0, 1)
    with closing(InProcessNetwork()) as network:
        with Client(tiny.manifest, source="", destination="", connect=lambda _: network.join()):
            (key,) = network.handlers
            tier = network.join()
            for payload, reason in (
                (pack(Task(deployment, 7, "ab", PLANS[0], 0, 5.0), b""), "no outcome of the client's deployment"),
                (pack(Outcome("0", 7, "ab", PLANS[0], 0, 5.0, 1), result), "no outcome of the client's deployment"),
                (pack(outcome, result[1:]), "15 bytes are not a result"),
                (b"", "0 bytes are no message"),
            ):
                with pytest.raises(RefusedError, match=reason):
                    tier.ask(key, payload, timeout_s=30)
            assert tier.ask(key, pack(outcome, result), timeout_s=30) == b""
        with pytest.raises(NoReceiverError):
            tier.ask(key, pack(outcome, result), timeout_s=30)
