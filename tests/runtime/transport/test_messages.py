"""What is packed is unpacked, and nothing else is."""

import struct
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.runtime.transport.messages import VERSION, MessageError, Outcome, Task, TraceEntry, pack, unpack

NS = st.integers(0, 2**63 - 1)
TEXT = st.text(max_size=60)
HEX = st.text("0123456789abcdef", min_size=1, max_size=32)
LEFT_S = st.floats(min_value=0, max_value=86400, exclude_min=True)
TRACES = st.lists(st.builds(TraceEntry, st.integers(0, 15), st.integers(0, 1023), NS, NS, NS, NS), max_size=16).map(
    tuple
)
TASKS = st.builds(Task, TEXT, NS, HEX, TEXT, st.integers(0, 1023), LEFT_S, NS, TRACES)
OUTCOMES = st.builds(
    Outcome, TEXT, NS, HEX, TEXT, st.integers(0, 1023), LEFT_S, NS, st.booleans(), st.floats(0, 1), TEXT, TRACES, NS
)
MESSAGES = TASKS | OUTCOMES


@given(MESSAGES, st.binary(max_size=2000))
def test_what_is_packed_is_unpacked(message: Task | Outcome, tensor: bytes) -> None:
    unpacked, unpacked_tensor = unpack(pack(message, tensor), most_tensor_bytes=2000)
    assert unpacked == message
    assert bytes(unpacked_tensor) == tensor


@given(MESSAGES, st.binary(min_size=1, max_size=200))
def test_a_tensor_longer_than_allowed_is_refused(message: Task | Outcome, tensor: bytes) -> None:
    with pytest.raises(MessageError, match="more than"):
        unpack(pack(message, tensor), most_tensor_bytes=len(tensor) - 1)


@given(st.binary(max_size=400))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(MessageError):
        unpack(noise, most_tensor_bytes=1000)


@given(st.binary(max_size=300))
def test_a_header_of_noise_is_refused_or_a_message(noise: bytes) -> None:
    """Past the magic, so that the decoder itself sees the noise."""
    try:
        message, _ = unpack(b"OFR" + struct.pack("<BH", VERSION, len(noise)) + noise, most_tensor_bytes=1000)
    except MessageError:
        return
    assert isinstance(message, Task | Outcome)


@given(MESSAGES, st.data())
def test_a_damaged_message_never_does_worse_than_being_refused(message: Task | Outcome, data: st.DataObject) -> None:
    whole = bytearray(pack(message, b"12345678"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        unpacked, tensor = unpack(bytes(whole[:cut]), most_tensor_bytes=8)
    except MessageError:
        return
    assert isinstance(unpacked, Task | Outcome)
    assert len(tensor) <= 8
    assert 0 < unpacked.left_s <= 86400


@pytest.mark.parametrize(
    "header",
    [
        b"\xdd\xff\xff\xff\xff",  # an array that claims four billion entries
        b"\xc6\xff\xff\xff\xff",  # as many bytes
        b"\xdb\xff\xff\xff\xff",  # a text so long
        b"\x91" * 5000 + b"\x00",  # arrays within arrays
        b"\x9c\xa4task\xdb\x7f\xff\xff\xffabc",
    ],
)
def test_forged_lengths_allocate_nothing(header: bytes) -> None:
    data = b"OFR" + struct.pack("<BH", VERSION, len(header)) + header
    tracemalloc.start()
    with pytest.raises(MessageError):
        unpack(data, most_tensor_bytes=1 << 20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_another_version_says_so() -> None:
    data = bytearray(pack(msgspec.convert(["task", "d", 1, "ab", "", 0, 1.0], Task), b""))
    data[3] = VERSION + 1
    with pytest.raises(MessageError, match=f"version {VERSION + 1}, this program speaks version {VERSION}"):
        unpack(bytes(data), most_tensor_bytes=0)


@pytest.mark.parametrize("left_s", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_deadline_is_a_time_within_a_day(left_s: float) -> None:
    data = pack(Task("d", 1, "ab", "", 0, left_s), b"")
    with pytest.raises(MessageError):
        unpack(data, most_tensor_bytes=0)
