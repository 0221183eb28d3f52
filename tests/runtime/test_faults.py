"""A deployment under faults: every request ends, with its answer, a degraded one marked as such, or a clear error.

Faults come and go while requests are in flight, and normal service must follow without anybody's help.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from offramp.core.plan import Plan
from offramp.core.topology import Link
from offramp.runtime.client import Answer, Client
from offramp.runtime.local import LocalDeployment
from tests.runtime.conftest import FAST, PLANS
from tests.runtime.tiny import Case, case, line

WINDOW = 8
HANGS_S = 60.0
"""Beyond a deadline, or for a recovery: only what hangs takes so long, however busy the machine is."""


@pytest.fixture(scope="module")
def across(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Samples arise at one end and are wanted at the other."""
    topology = line("watch", "phone", "cloud", link=FAST, destination="cloud")
    return case(tmp_path_factory.mktemp("across") / "bundle", topology, PLANS[:3])


@pytest.fixture
def whole(deployment: LocalDeployment) -> Iterator[LocalDeployment]:
    """The deployment, repaired after the test whatever happens in it."""
    yield deployment
    for link in deployment.links:
        link.restore()
    for j, process in enumerate(deployment.processes):
        if process.poll() is not None:
            deployment.restart(j)
    deployment.wait_until_alive()


def ask(
    case: Case,
    client: Client,
    plan: str,
    *,
    count: int,
    deadline_s: float = 5.0,
    events: Mapping[int, Callable[[], object]] | None = None,
) -> list[Answer]:
    """Answers to so many requests, each checked to be right, or degraded or failed and marked so.

    events: what to do when so many answers have come, with the next requests in flight.
    """
    answers: list[Answer] = []
    for answer in client.ask_all(case.many(count), deadline_s=deadline_s, window=WINDOW, plan=Plan.parse(plan)):
        answers.append(answer)
        if events and len(answers) in events:
            events[len(answers)]()
    assert [answer.number for answer in answers] == list(range(count))
    assert [case.wrong(answer, [plan]) for answer in answers if case.wrong(answer, [plan])] == []
    assert max(answer.latency_s for answer in answers) < deadline_s + HANGS_S
    return answers


def kinds(answers: list[Answer]) -> set[str]:
    return {answer.error or ("degraded" if answer.degraded else "normal") for answer in answers}


def until_normal(case: Case, client: Client, plan: str) -> None:
    """Return when requests are answered as if nothing had happened."""
    until_s = time.monotonic() + HANGS_S
    while (seen := kinds(ask(case, client, plan, count=60))) != {"normal"}:
        assert time.monotonic() < until_s, f"still not normal: {seen}"
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("fault", "deadline_s"),
    [
        (lambda link: link.cut(), 5.0),
        (lambda link: link.stall(), 4.0),
        (lambda link: link.stall(), 0.8),
        # 4 s for an activation.
        (lambda link: link.slow(20_000), 1.0),
    ],
    ids=["cut", "stalled", "stalled, little time", "slower than the deadline"],
)
def test_a_link_fails_under_load(
    tiny: Case, whole: LocalDeployment, fault: Callable[[object], None], deadline_s: float
) -> None:
    plan, link = PLANS[0], whole.links[1]
    with whole.client() as client:
        until_normal(tiny, client, plan)
        events = {300: lambda: fault(link), 1200: link.restore}
        answers = ask(tiny, client, plan, count=2500, deadline_s=deadline_s, events=events)
        # Each sample has been at the watch, which answers what can't be passed on: only those whose answers were in
        # flight over the link are without. Where the deadline leaves the watch a tenth of a second for that, a busy
        # machine may take longer.
        if deadline_s > 2:
            assert sum(bool(answer.error) for answer in answers) <= WINDOW
        assert "degraded" in kinds(answers[320:1200])
        assert any(not answer.degraded for answer in answers[320:1200]), "what exits before the link is not concerned"
        until_normal(tiny, client, plan)


@pytest.mark.parametrize("fault", ["cut", "stall"])
def test_a_raw_input_that_can_not_be_passed_on_is_an_error_at_once(
    tiny: Case, whole: LocalDeployment, fault: str
) -> None:
    plan, link = PLANS[1], whole.links[0]
    with whole.client() as client:
        until_normal(tiny, client, plan)
        getattr(link, fault)()
        answers = ask(tiny, client, plan, count=2000)
        assert all("the input can't be passed on to phone" in answer.error for answer in answers)
        at_once = sum("did not respond a moment ago" in answer.error for answer in answers)
        assert at_once > 1000, "most need not wait"
        link.restore()
        until_normal(tiny, client, plan)


def test_a_link_that_comes_and_goes(tiny: Case, whole: LocalDeployment) -> None:
    plan, link = PLANS[2], whole.links[0]
    with whole.client() as client:
        until_normal(tiny, client, plan)
        events = {at: (link.cut if at % 300 else link.restore) for at in range(150, 2250, 150)}
        answers = ask(tiny, client, plan, count=2250, events=events)
        assert kinds(answers) >= {"degraded", "normal"}
        assert sum(bool(answer.error) for answer in answers) <= WINDOW * len(events)
        link.restore()
        until_normal(tiny, client, plan)


@pytest.mark.parametrize(("tier", "plan"), [(1, PLANS[0]), (2, PLANS[0]), (2, PLANS[2])])
def test_a_worker_is_killed_under_load_and_comes_back(tiny: Case, whole: LocalDeployment, tier: int, plan: str) -> None:
    with whole.client() as client:
        until_normal(tiny, client, plan)
        events = {200: lambda: whole.kill(tier), 700: lambda: whole.restart(tier)}
        answers = ask(tiny, client, plan, count=2400, events=events)
        # What it had accepted is answered by the tier that handed it over, without waiting for the deadline.
        assert kinds(answers) == {"degraded", "normal"}
        assert "degraded" in kinds(answers[220:700])
        until_normal(tiny, client, plan)


def test_the_next_tier_is_not_there_at_all(tiny: Case, whole: LocalDeployment) -> None:
    whole.kill(2)
    with whole.client() as client:
        assert kinds(ask(tiny, client, PLANS[0], count=2000)) == {"degraded", "normal"}
        assert client.alive() == {"watch", "phone"}
        answers = ask(tiny, client, "1-4@cloud", count=500)
        assert all("the input can't be passed on to cloud" in answer.error for answer in answers)
        whole.restart(2)
        until_normal(tiny, client, "1-4@cloud")
        until_normal(tiny, client, PLANS[0])


def test_the_source_is_killed_and_comes_back(tiny: Case, whole: LocalDeployment) -> None:
    with whole.client() as client:
        until_normal(tiny, client, PLANS[0])
        events = {100: lambda: whole.kill(0), 116: lambda: whole.restart(0)}
        answers = ask(tiny, client, PLANS[0], count=2000, events=events)
        errors = {answer.error for answer in answers if answer.error}
        assert errors
        assert errors <= {
            "the source does not take the sample: no receiver is connected",
            "the source does not take the sample: there was no acknowledgement in time",
            "there was no answer within 5 s",
        }
        until_normal(tiny, client, PLANS[0])


def test_the_link_to_another_destination_fails(across: Case) -> None:
    plan = PLANS[2]
    with LocalDeployment(across.folder) as deployment, deployment.client() as client:
        assert kinds(ask(across, client, plan, count=500)) == {"normal"}
        link = deployment.links[1]
        ask(across, client, plan, count=600, deadline_s=1.5, events={100: link.cut, 108: link.restore})
        until_normal(across, client, plan)
        events = {100: lambda: deployment.kill(2), 108: lambda: deployment.restart(2)}
        answers = ask(across, client, plan, count=400, deadline_s=1.5, events=events)
        assert {answer.error for answer in answers} > {""}
        until_normal(across, client, plan)


def test_a_link_stalls_for_long_under_large_messages(tmp_path: Path) -> None:
    """For longer than Zenoh waits before it gives the link up, and with more to send than all buffers take."""
    topology = line("watch", "phone", "cloud", link=Link(500e6, 0.002))
    large = case(tmp_path / "bundle", topology, PLANS[:1], width=16_384)
    with LocalDeployment(large.folder) as deployment, deployment.client() as client:
        until_normal(large, client, PLANS[0])
        deployment.links[1].stall()
        began_s = time.monotonic()
        while time.monotonic() < began_s + 7:
            answers = ask(large, client, PLANS[0], count=100)
            assert sum(bool(answer.error) for answer in answers) <= WINDOW
        deployment.links[1].restore()
        until_normal(large, client, PLANS[0])
