"""A deployment without faults: every answer is the plan's own, whoever asks, however many at once."""

import threading
from collections import Counter

import pytest

from offramp.core.plan import Plan
from offramp.runtime.client import Answer
from offramp.runtime.local import LocalDeployment
from tests.runtime.conftest import PLANS
from tests.runtime.tiny import Case


@pytest.mark.parametrize("plan", PLANS)
def test_every_answer_is_that_of_the_plan(tiny: Case, deployment: LocalDeployment, plan: str) -> None:
    with deployment.client() as client:
        for window, count in ((1, 200), (4, 300), (16, 500)):
            answers = list(client.ask_all(tiny.many(count), deadline_s=30, window=window, plan=Plan.parse(plan)))
            assert [answer.number for answer in answers] == list(range(count))
            assert [tiny.wrong(answer, [plan]) for answer in answers if tiny.wrong(answer, [plan])] == []
            assert not [answer.error for answer in answers if answer.error]
            assert not any(answer.degraded for answer in answers)
    ends = Counter(answer.exit for answer in answers)
    assert len(ends) == len(Plan.parse(plan).ends), "a plan whose exits are not all used proves little"


def test_the_trace_tells_who_did_what(tiny: Case, deployment: LocalDeployment) -> None:
    plan = Plan.parse(PLANS[2])
    tiers = [tiny.manifest.topology.index(name) for name in plan.placement]
    with deployment.client() as client:
        for answer in client.ask_all(tiny.samples, deadline_s=30, plan=plan):
            assert answer.exit is not None
            assert [(entry.tier, entry.partition) for entry in answer.trace] == [
                (tiers[k], k) for k in range(answer.exit + 1)
            ]
            times = [
                moment
                for entry in answer.trace
                for moment in (entry.arrived_ns, entry.started_ns, entry.computed_ns, entry.done_ns)
            ]
            assert times == sorted(times)
            assert (times[-1] - times[0]) / 1e9 <= answer.latency_s


def test_clients_do_not_get_in_each_others_way(tiny: Case, deployment: LocalDeployment) -> None:
    answers: dict[str, list[Answer]] = {}

    def ask(plan: str) -> None:
        with deployment.client() as client:
            asked = client.ask_all(tiny.many(300), deadline_s=30, window=4, plan=Plan.parse(plan))
            answers[plan] = list(asked)

    threads = [threading.Thread(target=ask, args=[plan]) for plan in PLANS[:4]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for plan in PLANS[:4]:
        assert [tiny.wrong(answer, [plan]) for answer in answers[plan] if tiny.wrong(answer, [plan])] == []
        assert all(answer.exit is not None and not answer.degraded for answer in answers[plan])


@pytest.mark.parametrize("plan", PLANS[:2])
def test_full_queues_lose_nothing(tiny: Case, plan: str) -> None:
    """Queues of one, and more at once than all tiers together hold."""
    with LocalDeployment(tiny.folder, queue=1) as deployment, deployment.client() as client:
        answers = list(client.ask_all(tiny.many(150), deadline_s=60, window=32, plan=Plan.parse(plan)))
    assert [tiny.wrong(answer, [plan]) for answer in answers if tiny.wrong(answer, [plan])] == []
    assert Counter((answer.error, answer.degraded) for answer in answers) == {("", False): 150}
