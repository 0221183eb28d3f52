"""Messages that should not be: refused with the reason, while service goes on."""

import io
import random
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zenoh
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from offramp.core.plan import Plan
from offramp.runtime.local import LocalDeployment
from offramp.runtime.transport import zenoh_session
from offramp.runtime.transport.keys import client_key, plan_key, result_key, work_key
from offramp.runtime.transport.messages import VERSION, Outcome, Task, pack, unpack
from tests.runtime.conftest import PLANS
from tests.runtime.tiny import CLASSES, Case

WATCH, PHONE = work_key(0), work_key(1)
SAMPLE, ACTIVATION, RESULT = bytes(16), bytes(64), bytes(4 * CLASSES)
TASK = Task("5f2a90c1d3e4", 1, "abcd", PLANS[0], 0, 5.0)
OUTCOME = Outcome("5f2a90c1d3e4", 1, "abcd", PLANS[0], 0, 5.0, 1)


@pytest.fixture(scope="module")
def stranger(deployment: LocalDeployment) -> Iterator[zenoh.Session]:
    """A session of its own at the source, with its own idea of what to send."""
    with zenoh_session.client(tier=deployment.places()[0]) as session:
        yield session


def said(session: zenoh.Session, key: str, payload: bytes) -> str:
    """The refusal of a message; empty where it was taken."""
    replies = list(session.get(key, payload=payload, timeout=10.0, congestion_control=zenoh.CongestionControl.BLOCK))
    assert len(replies) == 1
    return "" if replies[0].err is None else bytes(replies[0].err.payload).decode()


def serves(case: Case, deployment: LocalDeployment) -> bool:
    with deployment.client() as client:
        answers = list(client.ask_all(case.samples, deadline_s=20, window=4))
    return not any(answer.error or answer.degraded or case.wrong(answer) for answer in answers)


def changed(message: Task | Outcome, **fields: object) -> bytes:
    return pack(msgspec.structs.replace(message, **fields), SAMPLE)


PICTURED = PLANS[8]
NEXT = {"partition": 1, "plan": PLANS[0]}
REFUSED = [
    (WATCH, b"", "0 bytes are no message"),
    (WATCH, b"\x80\x04\x95" + bytes(60), "no message of Offramp"),
    (WATCH, pack(TASK, SAMPLE)[:40], "the header claims"),
    (WATCH, pack(TASK, SAMPLE)[:-1], "a tensor of 15 bytes where the partition takes 16"),
    (WATCH, pack(TASK, SAMPLE + b"x"), "a tensor of 17 bytes where the partition takes 16"),
    (WATCH, pack(TASK, bytes(1 << 19)), "more than any message for this tier has"),
    (WATCH, b"OFR" + struct.pack("<BH", VERSION + 1, 4) + bytes(50), f"of version {VERSION + 1}, this program"),
    (WATCH, b"OFR" + struct.pack("<BH", VERSION, 0xFFFF) + bytes(50), "the header claims 65535 bytes"),
    (WATCH, b"OFR" + struct.pack("<BH", VERSION, 5) + b"\xdd\xff\xff\xff\xff", "the header is not valid"),
    (WATCH, b"OFR" + struct.pack("<BH", VERSION, 5) + b"\xc6\xff\xff\xff\xff", "the header is not valid"),
    (WATCH, changed(TASK, deployment="000000000000"), "of bundle 000000000000, watch runs 5f2a90c1d3e4"),
    (WATCH, changed(TASK, plan="1@watch 2-4@phone T=0.1"), "the bundle was not built for the plan"),
    (WATCH, changed(TASK, plan="nonsense"), "the plan can't be read"),
    (WATCH, changed(TASK, plan="1@watch 2-3@phone 4@cloud T=nan"), "the plan can't be read"),
    (WATCH, changed(TASK, partition=3), "partition 4 of 3"),
    (WATCH, changed(TASK, **NEXT), "this is watch; the partition belongs to phone"),
    (PHONE, changed(TASK), "this is phone; the partition belongs to watch"),
    (PHONE, changed(TASK, **NEXT), "a tensor of 16 bytes where the partition takes 64"),
    (WATCH, pack(msgspec.structs.replace(TASK, plan=PICTURED), SAMPLE + b"x"), "takes 16"),
    (
        PHONE,
        pack(msgspec.structs.replace(TASK, plan=PICTURED), b""),
        "an input of 0 bytes, which as jpeg75 has at most",
    ),
    (PHONE, pack(msgspec.structs.replace(TASK, plan=PICTURED), bytes(2081)), "an input of 2081 bytes"),
    (WATCH, changed(TASK, left_s=-1.0), "the header is not valid"),
    (WATCH, changed(TASK, client="../../x"), "the header is not valid"),
    (WATCH, pack(OUTCOME, RESULT), "an outcome where tasks are taken"),
    (result_key(0), pack(TASK, SAMPLE), "a task where outcomes are taken"),
    (result_key(0), pack(OUTCOME, RESULT[1:]), "a result of 15 bytes where there should be 16"),
    (result_key(0), changed(OUTCOME, deployment="0"), "of bundle 0, watch runs"),
    (result_key(0), changed(OUTCOME, partition=3), "partition 4 of 3"),
    (result_key(1), pack(OUTCOME, RESULT), "phone is not the destination"),
    (plan_key(1), PLANS[0].encode(), "phone is not the source"),
    (plan_key(0), b"\xff" * 5000, "the plan can't be read"),
]


@pytest.mark.parametrize(("key", "payload", "reason"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_should_not_be_is_refused_with_the_reason(
    stranger: zenoh.Session, key: str, payload: bytes, reason: str
) -> None:
    assert reason in said(stranger, key, payload)


def test_service_goes_on_in_little_memory(tiny: Case, deployment: LocalDeployment, stranger: zenoh.Session) -> None:
    before = most_memory(deployment)
    for _ in range(20):
        for key, payload, _ in REFUSED:
            if len(payload) < 1 << 20:
                said(stranger, key, payload)
    assert serves(tiny, deployment)
    assert most_memory(deployment) < before + (64 << 20)


def most_memory(deployment: LocalDeployment) -> int:
    """The most that any tier's process has held so far, in bytes."""
    texts = [Path(f"/proc/{process.pid}/status").read_text() for process in deployment.processes]
    return max(int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) << 10 for text in texts)  # type: ignore[index]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_messages_stop_nothing(stranger: zenoh.Session, data: st.DataObject) -> None:
    """Each is refused, or is a message that a tier may well have sent; a worker lives on in any case."""
    good = data.draw(st.sampled_from([pack(TASK, SAMPLE), pack(OUTCOME, RESULT), changed(TASK, **NEXT)]))
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    key = data.draw(st.sampled_from([WATCH, PHONE, result_key(0), plan_key(0)]))
    said(stranger, key, bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


def test_after_all_that_service_is_normal(tiny: Case, deployment: LocalDeployment) -> None:
    assert serves(tiny, deployment)


def test_tensors_that_are_no_numbers_are_answered_with_an_error(tiny: Case, stranger: zenoh.Session) -> None:
    """A step of zero in int8: the tier finds out when its turn has come."""
    with outcomes(stranger, "beef") as got:
        task = msgspec.structs.replace(TASK, client="beef", request=77, plan=PLANS[2], partition=1)
        stranger_said = said(stranger, work_key(2), pack(task, bytes(4 + 16)))
        assert stranger_said == ""
        wait_for(got, 1)
    message, tensor = unpack(got[0], most_tensor_bytes=16)
    assert isinstance(message, Outcome)
    assert "a step of 0.0 is no step" in message.error
    assert len(tensor) == 0


def test_a_frame_that_is_no_activation_is_answered_with_an_error(stranger: zenoh.Session) -> None:
    with outcomes(stranger, "f00d") as got:
        for number, tensor in enumerate((b"x", zstandard.compress(bytes(1 << 24))[:52], zstandard.compress(bytes(21)))):
            task = msgspec.structs.replace(TASK, client="f00d", request=500 + number, plan=PLANS[7], partition=1)
            assert said(stranger, work_key(2), pack(task, tensor)) == ""
        too_long = pack(msgspec.structs.replace(TASK, plan=PLANS[7], partition=1), bytes(53))
        assert "a tensor of 53 bytes, which as int8+zstd has at most 52" in said(stranger, work_key(2), too_long)
        wait_for(got, 3)
    for payload in got:
        message, _ = unpack(payload, most_tensor_bytes=16)
        assert isinstance(message, Outcome)
        assert re.search("no Zstandard frame|where the receiver expects 20", message.error)


def picture(name: str, width: int, height: int, **options: object) -> bytes:
    data = io.BytesIO()
    Image.new("L", (width, height), 77).save(data, name, **options)
    return data.getvalue()


HOSTILE = [
    (PLANS[6], "cloud", picture("PNG", 15000, 15000)[:1900], "is cut short"),
    (PLANS[6], "cloud", picture("PNG", 400, 400), "(400, 400, 1) where the input is (4, 4, 1)"),
    (PLANS[6], "cloud", picture("PNG", 4, 4) + b"x", "cut short"),
    (PLANS[6], "cloud", picture("PNG", 4, 4)[:-1], "cut short"),
    (PLANS[6], "cloud", SAMPLE, "no PNG"),
    (PLANS[7], "phone", picture("WEBP", 4, 4), "no lossless WebP"),
    (PLANS[7], "phone", picture("WEBP", 5000, 5000, lossless=True), "(5000, 5000, 3) where the input is (4, 4, 3)"),
    (PLANS[8], "phone", picture("JPEG", 300, 9), "(300, 9, 1) where the input is (4, 4, 1)"),
    (PLANS[8], "phone", picture("JPEG", 4, 4, progressive=True), "segments that are not needed"),
    (PLANS[8], "phone", picture("JPEG", 4, 4)[:-2], "cut short, or does not end"),
]


@pytest.mark.parametrize(("plan", "tier", "sent", "reason"), HOSTILE, ids=[str(i) for i in range(len(HOSTILE))])
def test_pictures_that_are_not_the_input_are_answered_with_an_error(
    deployment: LocalDeployment, stranger: zenoh.Session, plan: str, tier: str, sent: bytes, reason: str
) -> None:
    before = most_memory(deployment)
    client = f"b0{random.getrandbits(24):06x}"
    with outcomes(stranger, client) as got:
        task = msgspec.structs.replace(TASK, client=client, request=random.getrandbits(40), plan=plan)
        assert said(stranger, work_key({"phone": 1, "cloud": 2}[tier]), pack(task, sent)) == ""
        wait_for(got, 1)
    message, tensor = unpack(got[0], most_tensor_bytes=16)
    assert isinstance(message, Outcome)
    assert reason in message.error
    assert len(tensor) == 0
    assert most_memory(deployment) < before + (16 << 20)


def test_a_request_that_is_sent_again_is_answered_once(tiny: Case, stranger: zenoh.Session) -> None:
    """As a tier does when an acknowledgement is lost, immediately and after the answer."""
    plan = Plan.parse(PLANS[0])
    with outcomes(stranger, "cafe") as got:
        for number, sample in enumerate(tiny.samples):
            task = msgspec.structs.replace(TASK, client="cafe", request=1000 + number)
            for _ in range(3):
                assert said(stranger, WATCH, pack(task, sample.tobytes())) == ""
        wait_for(got, len(tiny.samples))
        for number, sample in enumerate(tiny.samples):
            task = msgspec.structs.replace(TASK, client="cafe", request=1000 + number)
            assert said(stranger, WATCH, pack(task, sample.tobytes())) == ""
        time.sleep(0.5)
    answered = [unpack(payload, most_tensor_bytes=16) for payload in got]
    assert sorted(message.request for message, _ in answered) == [1000 + number for number in range(len(tiny.samples))]
    for message, tensor in answered:
        assert isinstance(message, Outcome)
        expected = tiny.expected(str(plan), message.request - 1000)
        assert message.partition == expected.exit
        np.testing.assert_allclose(np.frombuffer(tensor, "<f4"), expected.probabilities[expected.exit], atol=1e-4)


class outcomes:  # noqa: N801
    """What comes for a client of that id, while the block runs."""

    def __init__(self, session: zenoh.Session, client: str) -> None:
        self._got: list[bytes] = []
        self._queryable = session.declare_queryable(client_key(client), self._on)

    def _on(self, query: zenoh.Query) -> None:
        with query:
            assert query.payload is not None
            self._got.append(query.payload.to_bytes())
            query.reply(query.key_expr, b"")

    def __enter__(self) -> list[bytes]:
        return self._got

    def __exit__(self, *_: object) -> None:
        self._queryable.undeclare()


def wait_for(got: list[bytes], count: int) -> None:
    until_s = time.monotonic() + 20
    while len(got) < count:
        assert time.monotonic() < until_s, f"only {len(got)} of {count} came"
        time.sleep(0.02)
