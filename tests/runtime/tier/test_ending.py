"""How a worker ends, and what becomes of what it has not delivered."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from offramp.core.plan import Plan
from offramp.runtime.client import Client
from offramp.runtime.emulation.link import EmulatedLink
from offramp.runtime.local import LocalDeployment
from offramp.runtime.tier.serve import Place, at_work
from offramp.runtime.tier.worker import Limits
from offramp.runtime.transport.sender import SendWindow
from tests.runtime.conftest import FAST
from tests.runtime.places import free_port
from tests.runtime.tiny import Case, case, line

DEADLINE_S = 15.0
"""A worker ends after some four seconds; one that waited for its requests would take this long."""


@pytest.mark.parametrize(("fault", "tier"), [(EmulatedLink.cut, 1), (EmulatedLink.stall, 0)], ids=["cut", "stalled"])
def test_a_worker_ends_in_time_where_results_can_not_be_delivered(
    tmp_path: Path, fault: Callable[[EmulatedLink], None], tier: int
) -> None:
    """More requests than all windows hold wait for a link, and most of them would for longer."""
    topology = line("watch", "phone", "cloud", link=FAST, destination="cloud")
    made = case(tmp_path / "bundle", topology, ["1@watch 2@phone 3-4@cloud T=0.80,0.60"])
    with LocalDeployment(made.folder) as deployment, deployment.client() as client, ThreadPoolExecutor(1) as threads:
        assert not any(answer.error for answer in client.ask_all(made.samples, deadline_s=30, window=8))
        fault(deployment.links[tier])
        asking = threads.submit(lambda: list(client.ask_all(made.many(64), deadline_s=DEADLINE_S, window=64)))
        time.sleep(1.0)
        deployment.processes[tier].terminate()
        assert deployment.processes[tier].wait(30) == 0
        assert not asking.done()
        assert {answer.error != "" for answer in asking.result()} >= {True}


def test_what_can_not_be_handed_over_for_whatever_reason_is_answered(
    tiny: Case, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    place = f"127.0.0.1:{port}"

    def fails(*_: object) -> None:
        raise ValueError("a header that is too long")

    here = Place(port=port, host="127.0.0.1", toward_cloud=f"127.0.0.1:{free_port()}")
    with at_work(tiny.folder / "tiers" / "watch", here, limits=Limits()) as worker:
        monkeypatch.setattr(worker._deliverer, "deliver", fails)
        with Client(tiny.manifest, source=place, destination=place) as client:
            answers = list(client.ask_all(tiny.samples, deadline_s=5, window=4))
            raw = list(client.ask_all(tiny.samples[:2], deadline_s=5, plan=Plan.parse("1-4@cloud")))
    assert [tiny.wrong(answer) for answer in answers if tiny.wrong(answer)] == []
    assert {(answer.error, answer.degraded) for answer in answers} == {("", False), ("", True)}
    assert all("can't be passed on to cloud: a header that is too long" in answer.error for answer in raw)
    assert "Traceback" in caplog.text


def test_a_sender_that_waits_for_room_gives_up_when_the_window_closes() -> None:
    window, gate, started = SendWindow("full", window=1), threading.Event(), []
    assert window.put(gate.wait)
    waiting = threading.Thread(target=lambda: started.append(window.put(gate.wait)), daemon=True)
    waiting.start()
    began_s = time.monotonic()
    window.wait(began_s + 0.2)
    assert time.monotonic() - began_s >= 0.2
    assert not started
    window.close()
    waiting.join(10)
    assert started == [False]
    assert not window.offer(gate.wait)
    gate.set()
    window.wait(time.monotonic() + 10)
    assert window.has_room()


def test_a_send_that_raises_is_logged_and_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    window = SendWindow("raising", window=1)
    for _ in range(3):
        assert window.put(lambda: [][0])
    window.wait(time.monotonic() + 10)
    window.close()
    assert caplog.text.count("IndexError") == 3
