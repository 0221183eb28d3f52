"""The messages between tiers: a small versioned header and the raw bytes of one tensor.

::

    "OFR" | version, 1 byte | length of the header, 2 bytes | header, msgpack | tensor

Everything that arrives is untrusted: a message is parsed only if it is no longer than its reader allows, no memory is
allocated by a length that it claims, and the header's fields are validated against their types and bounds. The
tensor's shape is never sent: the reader knows it from its own bundle.
"""

import struct
from typing import Annotated, TypeAlias

import msgspec

from offramp.core.topology import MOST_TIERS
from offramp.runtime.transport.interface import RefusedError

VERSION = 1
MOST_HEADER_BYTES = 8192

_PREFIX = struct.Struct("<3sBH")
_MAGIC = b"OFR"
_MOST_TRACE_ENTRIES = 64

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1024)]
Nanoseconds: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=2048)]
RequestId: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class MessageError(RefusedError):
    """These bytes are not a message of this version, or not one for this receiver. Its handler refuses them so."""


class TraceEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """When one partition ran on a sample, by the clock of its tier: nanoseconds since 1970.

    tier: its index on the line, the device's is 0.
    partition: counted from 0.
    arrived_ns, started_ns, computed_ns, done_ns: the message had arrived; the partition began to run; its outputs were
        computed; the result or the activation was encoded.
    """

    tier: Annotated[int, msgspec.Meta(ge=0, lt=MOST_TIERS)]
    partition: Count
    arrived_ns: Nanoseconds
    started_ns: Nanoseconds
    computed_ns: Nanoseconds
    done_ns: Nanoseconds


Trace: TypeAlias = Annotated[tuple[TraceEntry, ...], msgspec.Meta(max_length=_MOST_TRACE_ENTRIES)]


class Task(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="task"):
    """A sample to process: its tensor is the input of `partition` (the raw input for partition 0).

    deployment: id of the bundle that it is for.
    request: id, the same on every attempt.
    client: id of the client that the destination sends the answer to.
    plan: in one line; every request carries its own, so that a new plan never disturbs requests in flight.
        Empty where the source tier is to use its current one.
    left_s: seconds until the deadline.
    created_ns: when the source received the sample, by the source's clock; 0 before.
    """

    deployment: Text
    request: RequestId
    client: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,32}$")]
    plan: Text
    partition: Count
    left_s: Annotated[float, msgspec.Meta(gt=0, le=86400)]
    created_ns: Nanoseconds = 0
    trace: Trace = ()


class Outcome(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="outcome"):
    """How a request ended: its tensor is the branch's probabilities, empty where there is an error.

    partition: at whose branch the sample exited, counted from 0.
    degraded: the sample should have continued to another tier that could not be reached.
    accuracy: of this branch on such samples of the validation split.
    error: why there is no answer; empty where there is one.
    arrived_ns: when the destination received it, by the destination's clock; 0 before.
    """

    deployment: Text
    request: RequestId
    client: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,32}$")]
    plan: Text
    partition: Count
    left_s: Annotated[float, msgspec.Meta(gt=0, le=86400)]
    created_ns: Nanoseconds
    degraded: bool = False
    accuracy: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    error: Text = ""
    trace: Trace = ()
    arrived_ns: Nanoseconds = 0


Message: TypeAlias = Task | Outcome

# What Zenoh adds to a message of this size, measured by `benchmarks/links.py`.
_TRANSPORT_BYTES = 24

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def pack(message: Message, tensor: bytes) -> bytes:
    """The bytes of a message. Raises `ValueError` for a header that no reader accepts."""
    header = _encoder.encode(message)
    if len(header) > MOST_HEADER_BYTES:
        raise ValueError(f"a header of {len(header)} bytes is longer than {MOST_HEADER_BYTES}")
    return _PREFIX.pack(_MAGIC, VERSION, len(header)) + header + tensor


def unpack(data: bytes, *, most_tensor_bytes: int) -> tuple[Message, memoryview]:
    """The message in `data` and a view of its tensor's bytes.

    Raises `MessageError` for anything but a complete message of this version with a tensor of at most
    `most_tensor_bytes`.
    """
    if len(data) > _PREFIX.size + MOST_HEADER_BYTES + most_tensor_bytes:
        raise MessageError(f"{len(data)} bytes are more than any message for this tier has")
    if len(data) < _PREFIX.size:
        raise MessageError(f"{len(data)} bytes are no message")
    magic, version, length = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        raise MessageError("this is no message of Offramp")
    if version != VERSION:
        raise MessageError(f"the message is of version {version}, this program speaks version {VERSION}")
    body = memoryview(data)[_PREFIX.size :]
    if length > min(len(body), MOST_HEADER_BYTES):
        raise MessageError(f"the header claims {length} bytes, there are {len(body)}")
    try:
        message: Message = _decoder.decode(body[:length])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MessageError(f"the header is not valid: {error}") from error
    tensor = body[length:]
    if len(tensor) > most_tensor_bytes:
        raise MessageError(f"a tensor of {len(tensor)} bytes is more than the {most_tensor_bytes} that are allowed")
    return message, tensor


def overhead_bits() -> int:
    """What a message adds to its tensor: the header with one trace entry, and Zenoh's own."""
    now_ns = 1 << 60
    task = Task(
        deployment="0" * 12,
        request=now_ns,
        client="0" * 8,
        plan="1-3@smartphone 4-10@cloud T=0.35",
        partition=1,
        left_s=10.0,
        created_ns=now_ns,
        trace=(TraceEntry(1, 0, now_ns, now_ns, now_ns, now_ns),),
    )
    return 8 * (len(pack(task, b"")) + _TRANSPORT_BYTES)
