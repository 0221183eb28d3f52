"""What tiers and clients need of a network between them: a `Transport` asks, answers, and shows who is present.

Zenoh is one (`zenoh_transport.py`). Another takes a class with the six methods of `Transport`, no base class needed,
that passes the tests of `offramp.testing.transport`.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

Handler: TypeAlias = Callable[[bytes], bytes]
"""Takes the payload of a request and returns that of the reply, soon: it may hold up other requests to the same key.

Raise `RefusedError` to refuse a request; whoever asked gets its text.
"""

Withdraw: TypeAlias = Callable[[], None]
"""Takes back what was registered; once it has returned, nothing new comes."""


class TransportError(Exception):
    """The network can't be joined, or a request has no reply; the message says why."""


class RefusedError(TransportError):
    """The receiver, or the transport itself, refuses a request; the message is the reason. Asking again won't help."""


class NoReceiverError(TransportError):
    """No receiver that is within reach answers to that key."""

    def __init__(self) -> None:
        super().__init__("no receiver is connected")


class NoReplyError(TransportError):
    """There was no reply in time. The receiver may have got the request all the same."""

    def __init__(self) -> None:
        super().__init__("there was no acknowledgement in time")


class Transport(Protocol):
    """One participant's connection to the network. Every method may be called by any thread, several at once.

    Requests are addressed by key, text in parts with a slash between them (`keys.py`), and each key is answered by
    one participant at a time.
    """

    def ask(self, key: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Send a request to whoever answers to `key`. Returns the reply's payload, which acknowledges the request.

        timeout_s: above zero. However congested the network is, this returns or raises at most a moment later.

        Raises `RefusedError` with the receiver's reason, `NoReceiverError`, as soon as it is known that there is
        none, or `NoReplyError`. Once the transport is closed, requests are refused.
        """
        ...

    def answer(self, key: str, handler: Handler) -> Withdraw:
        """Have `handler` answer the requests to `key`, in threads of the transport.

        A handler that fails with anything else than `RefusedError` refuses that one request.
        """
        ...

    def announce(self, name: str) -> Withdraw:
        """Be present under a name, of letters, digits, `-` and `_`, until withdrawn, closed, or out of reach."""
        ...

    def watch(self, lost: Callable[[str], None]) -> Withdraw:
        """Have `lost` called with each name that is no longer present, in threads of the transport."""
        ...

    def present(self) -> set[str]:
        """The names that are present within reach."""
        ...

    def close(self) -> None:
        """Leave the network: everything registered here is withdrawn."""
        ...
