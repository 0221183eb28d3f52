"""Handing messages over so that the sender knows that they arrived.

Zenoh carries and routes, but drops what it can't deliver over a link that stalls. So a message is a query, and its
reply the acknowledgement: no reply in time, and it is sent again; receivers know a message that they have seen.
"""

import threading
import time
from dataclasses import dataclass

import msgspec
import zenoh

from offramp.runtime.wire import Message, pack

FULL = "the queue is full"
"""The refusal that is worth trying again."""

_TAKEN = "taken"
_SILENCE = "there was no acknowledgement"
_ABSENCE = "nobody is there"
_ZENOH_TIMEOUT = "Timeout"

_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25
_LONGEST_ABSENCE_S = 0.3


class UndeliveredError(Exception):
    """A message was refused, or there was no acknowledgement in time; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a delivery may take, in seconds by the monotonic clock.

    deadline_s: when the request ends; what is left then goes with the message.
    give_up_s: when to stop trying, in time for something else.
    travel_s: how long a message should be on its way.
    patience_s: how long to wait for one acknowledgement before sending again.
    """

    deadline_s: float
    give_up_s: float
    travel_s: float
    patience_s: float


class Courier:
    """Delivers over one session, and rests from places that gave no sign of life.

    After a delivery has failed for want of any reply, those to the same place fail at once for `rest_s` seconds:
    else every request would wait in vain for a link that is down. Then one tries, and the others go on resting.
    """

    def __init__(self, session: zenoh.Session, *, rest_s: float = 1.0) -> None:
        self._session = session
        self._rest_s = rest_s
        self._resting_until_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def deliver(self, key: str, message: Message, tensor: bytes, terms: Terms) -> None:
        """Return when the receiver at `key` has taken the message. Raises `UndeliveredError`."""
        self._wake(key, terms)
        pause_s, problem = _PAUSE_S, "there was no time to try"
        absent_since_s: float | None = None
        while (now := time.monotonic()) < terms.give_up_s:
            left_s = max(terms.deadline_s - now - terms.travel_s, 0.001)
            data = pack(msgspec.structs.replace(message, left_s=left_s), tensor)
            verdict = self._attempt(key, data, min(terms.patience_s, terms.give_up_s - now))
            if verdict == _TAKEN:
                with self._lock:
                    self._resting_until_s.pop(key, None)
                return
            if verdict not in (FULL, _SILENCE, _ABSENCE):
                raise UndeliveredError(verdict)
            problem = verdict
            absent_since_s = (absent_since_s or now) if verdict == _ABSENCE else None
            if absent_since_s is not None and now - absent_since_s > _LONGEST_ABSENCE_S:
                break
            time.sleep(min(pause_s, max(terms.give_up_s - time.monotonic(), 0)))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        if problem != FULL:
            with self._lock:
                self._resting_until_s[key] = time.monotonic() + self._rest_s
        raise UndeliveredError(problem)

    def _attempt(self, key: str, data: bytes, patience_s: float) -> str:
        """Send once. Returns `_TAKEN`, or what spoke against it."""
        replies = self._session.get(
            key,
            payload=data,
            timeout=patience_s,
            congestion_control=zenoh.CongestionControl.BLOCK,
            express=True,
        )
        for reply in replies:
            if reply.ok is not None:
                return _TAKEN
            if reply.err is not None:
                refusal = bytes(reply.err.payload)[:200].decode(errors="replace")
                return _SILENCE if refusal == _ZENOH_TIMEOUT else refusal
        return _ABSENCE

    def _wake(self, key: str, terms: Terms) -> None:
        """Let this delivery try, and others rest while it does; or have it rest as well."""
        now = time.monotonic()
        with self._lock:
            until_s = self._resting_until_s.get(key)
            if until_s is not None:
                if now < until_s:
                    raise UndeliveredError("the way there was down a moment ago")
                self._resting_until_s[key] = max(terms.give_up_s, now + self._rest_s)
