"""Workers and a client in this process, on a transport that loses nothing unless told to."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from offramp.bundle import read_model, read_tier
from offramp.bundle.session import PartitionSession
from offramp.core.plan import Plan
from offramp.runtime.client import Client
from offramp.runtime.tier.results import ResultRouter
from offramp.runtime.tier.worker import Limits, Worker
from offramp.runtime.transport.delivery import QueueFullError
from offramp.runtime.transport.keys import client_key, work_key
from offramp.runtime.transport.messages import Outcome, Task, pack, unpack
from tests.runtime.conftest import PLANS
from tests.runtime.in_process import InProcessNetwork
from tests.runtime.tiny import CLASSES, Case

TIERS = ("watch", "phone", "cloud")


@dataclass(frozen=True)
class Deployment:
    case: Case
    network: InProcessNetwork
    stack: ExitStack

    def start(self, name: str, **limits: int) -> Worker:
        folder = self.case.folder / "tiers" / name
        tier = read_tier(folder)
        sessions = {partition.blocks: PartitionSession(read_model(folder, partition)) for partition in tier.partitions}
        return self.stack.enter_context(closing(Worker(tier, sessions, self.network.join(), limits=Limits(**limits))))

    def client(self) -> Client:
        return Client(self.case.manifest, source="", destination="", connect=lambda _: self.network.join())


@pytest.fixture
def deployment(tiny: Case) -> Iterator[Deployment]:
    with closing(InProcessNetwork()) as network, ExitStack() as stack:
        yield Deployment(tiny, network, stack)


@pytest.mark.parametrize("plan", PLANS)
def test_a_deployment_needs_no_more_of_a_network_than_a_transport(deployment: Deployment, plan: str) -> None:
    case = deployment.case
    for name in TIERS:
        deployment.start(name)
    with deployment.client() as client:
        assert client.alive() == {*TIERS}
        client.switch(Plan.parse(plan))
        answers = list(client.ask_all(case.many(80), deadline_s=60, window=8))
    assert [case.wrong(answer, [plan]) for answer in answers if case.wrong(answer, [plan])] == []
    assert not any(answer.error or answer.degraded for answer in answers)


def test_full_queues_are_waited_for(deployment: Deployment) -> None:
    for name in TIERS:
        deployment.start(name, queue=1, window=1)
    with deployment.client() as client:
        answers = list(client.ask_all(deployment.case.many(40), deadline_s=60, window=16))
    assert not any(deployment.case.wrong(answer) or answer.error or answer.degraded for answer in answers)


def test_the_samples_of_a_tier_that_is_lost_are_answered_from_the_one_before(deployment: Deployment) -> None:
    """The cloud acknowledges what it gets, does nothing, and is lost."""
    case, cloud, accepted = deployment.case, deployment.network.join(), threading.Event()

    def accept(_: bytes) -> bytes:
        accepted.set()
        return b""

    cloud.answer(work_key(2), accept)
    withdraw = cloud.announce("2")
    for name in TIERS[:2]:
        deployment.start(name)
    number = next(number for number in range(len(case.samples)) if case.expected(PLANS[0], number).exit == 2)
    with deployment.client() as client, ThreadPoolExecutor(1) as threads:
        asking = threads.submit(lambda: list(client.ask_all([case.samples[number]], deadline_s=600)))
        assert accepted.wait(60)
        # The acknowledgement has to reach the phone; a fallback is kept before anything is sent.
        withdraw()
        (answer,) = asking.result(60)
    assert (answer.degraded, answer.exit, answer.error) == (True, 1, "")
    assert answer.plan == PLANS[0]


def test_a_task_whose_deadline_has_passed_is_dropped(deployment: Deployment) -> None:
    """While it waited behind one that waits for the cloud."""
    network, release, received = deployment.network, threading.Event(), threading.Semaphore(0)
    requests: list[int] = []

    def hold(payload: bytes) -> bytes:
        requests.append(unpack(payload, most_tensor_bytes=16)[0].request)
        received.release()
        release.wait(60)
        return b""

    network.join().answer(work_key(2), hold)
    deployment.start("watch", window=1)
    source, sample = network.join(), deployment.case.samples[0].tobytes()

    def send(request: int, left_s: float) -> None:
        task = Task(deployment.case.manifest.deployment, request, "ab", "1-4@cloud", 0, left_s)
        source.ask(work_key(0), pack(task, sample), timeout_s=60)

    send(1, left_s=600)
    assert received.acquire(timeout=60)
    send(2, left_s=0.05)
    time.sleep(0.1)
    release.set()
    send(3, left_s=600)
    assert received.acquire(timeout=60)
    assert requests == [1, 3]


def test_results_wait_for_room_to_the_clients(tiny: Case) -> None:
    """A destination whose window is full says so, and takes the same outcome when it is sent again."""
    held, release, answers = threading.Event(), threading.Event(), []

    def hold(payload: bytes) -> bytes:
        answers.append(payload)
        held.set()
        release.wait(60)
        return b""

    result = bytes(4 * CLASSES)
    with closing(InProcessNetwork()) as network:
        network.join().answer(client_key("ab"), hold)
        with closing(ResultRouter(read_tier(tiny.folder / "tiers" / "watch"), network.join(), window=1)) as results:
            outcomes = [Outcome("5f2a90c1d3e4", number, "ab", PLANS[0], 0, 60.0, 1) for number in (1, 2)]
            results.take(outcomes[0], result, arrived_ns=1)
            assert held.wait(60)
            with pytest.raises(QueueFullError):
                results.take(outcomes[1], result, arrived_ns=1)
            release.set()
            until_room(results)
            results.take(outcomes[1], result, arrived_ns=1)
            until_room(results)
            # What comes twice is dropped.
            results.take(outcomes[1], result, arrived_ns=1)
            until_room(results)
    assert len(answers) == 2


def until_room(results: ResultRouter) -> None:
    results.wait(time.monotonic() + 60)
