"""Handing messages over so that the sender knows that they arrived.

Zenoh carries and routes, but drops what it can't deliver over a link that stalls. So a message is a query, and its
reply the acknowledgement: no reply in time, and it is sent again; receivers know a message that they have seen.
"""

import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
import zenoh

from offramp.runtime.transport.messages import Message, pack
from offramp.runtime.transport.zenoh_session import result_key, work_key

FULL = "the queue is full"
"""The refusal that is worth trying again."""

ZENOH_TIMEOUT = "Timeout"
"""What Zenoh itself replies with, as an error, where nobody did in time."""

_TAKEN = "taken"
_SILENCE = "there was no acknowledgement"
_ABSENCE = "nobody is there"

_MOST_ATTEMPTS = 512
_GRACE_S = 0.05
_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25


class UndeliveredError(Exception):
    """A message was refused, or there was no acknowledgement in time; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a delivery may take, in seconds by the monotonic clock.

    deadline_s: when the request ends; what is left then goes with the message.
    give_up_s: when to stop trying, in time for something else.
    travel_s: how long a message should be on its way.
    patience_s: how long to wait for one acknowledgement before sending again.
    silence_s, absence_s: how long to go on where nothing is heard, or nobody is there. A receiver whose queue is full
        is waited for to the end.
    """

    deadline_s: float
    give_up_s: float
    travel_s: float
    patience_s: float
    silence_s: float = math.inf
    absence_s: float = 0.3


def doors(here: int, tiers: int) -> dict[str, threading.Lock]:
    """A lock for each of a tier's two links, by the keys that are reached over it.

    Zenoh holds up all who have something for a stalled link, one after the other, for as long as it waits for it. And
    once it gives the link up, nothing else on this tier moves before the last of them has gone. So only one may wait
    there at a time, and the others wait here, where they can give up.
    """
    sides = threading.Lock(), threading.Lock()
    return {key(j): sides[j > here] for j in range(tiers) for key in (work_key, result_key)}


class Courier:
    """Delivers over one session, and rests from places that gave no sign of life.

    After a delivery has failed for want of any reply, those to the same place fail at once for `rest_s` seconds:
    else every request would wait in vain for a link that is down. Then one tries, and the others go on resting.
    With a rest of no time each delivery tries for itself.

    doors: by key, what only one message at a time may go through, because it goes over the same link; see `doors`.
    """

    def __init__(
        self, session: zenoh.Session, *, rest_s: float = 1.0, doors: Mapping[str, threading.Lock] = MappingProxyType({})
    ) -> None:
        self._session = session
        self._rest_s, self._doors = rest_s, doors
        self._resting_until_s: dict[str, float] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_MOST_ATTEMPTS, thread_name_prefix="courier")
        self._closed = threading.Event()

    def close(self) -> None:
        """Have deliveries end, undelivered, after the try that is under way; closing the session ends that as well."""
        self._closed.set()

    def deliver(self, key: str, message: Message, tensor: bytes, terms: Terms) -> None:
        """Return when the receiver at `key` has taken the message. Raises `UndeliveredError`."""
        self._wake(key, terms)
        pause_s, problem, since_s = _PAUSE_S, "there was no time to try", time.monotonic()
        longest_s = {FULL: math.inf, _SILENCE: terms.silence_s, _ABSENCE: terms.absence_s}
        while (now := time.monotonic()) < terms.give_up_s and not self._closed.is_set():
            left_s = max(terms.deadline_s - now - terms.travel_s, 0.001)
            data = pack(msgspec.structs.replace(message, left_s=left_s), tensor)
            verdict = self._attempt(key, data, min(terms.patience_s, terms.give_up_s - now))
            if verdict == _TAKEN:
                self._rest(key, False)
                return
            if verdict not in longest_s:
                self._rest(key, False)
                raise UndeliveredError(verdict)
            if verdict != problem:
                problem, since_s = verdict, now
            if time.monotonic() - since_s >= longest_s[verdict]:
                break
            self._closed.wait(min(pause_s, max(terms.give_up_s - time.monotonic(), 0)))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        quiet_s = time.monotonic() - since_s if problem in (_SILENCE, _ABSENCE) else 0.0
        # Too little time for an answer says nothing about the way.
        self._rest(key, quiet_s >= min(terms.absence_s, terms.patience_s / 4))
        raise UndeliveredError(problem)

    def _attempt(self, key: str, data: bytes, patience_s: float) -> str:
        """Send once. Returns `_TAKEN`, or what spoke against it, in time even where the link takes nothing."""
        asking = self._threads.submit(self._ask, key, data, patience_s)
        try:
            return asking.result(patience_s + _GRACE_S)
        except TimeoutError:
            asking.cancel()
            return _SILENCE

    def _ask(self, key: str, data: bytes, patience_s: float) -> str:
        """What became of one query. A link that stalls holds up whoever has more to send than its buffers take."""
        until_s = time.monotonic() + patience_s
        door = self._doors.get(key, threading.Lock())
        if not door.acquire(timeout=patience_s):
            return _SILENCE
        try:
            replies = self._session.get(
                key,
                payload=data,
                timeout=max(until_s - time.monotonic(), 0.001),
                congestion_control=zenoh.CongestionControl.BLOCK,
                express=True,
            )
        except zenoh.ZError as error:
            return f"it can't be sent: {error}"
        finally:
            door.release()
        for reply in replies:
            if reply.ok is not None:
                return _TAKEN
            if reply.err is not None:
                refusal = bytes(reply.err.payload)[:200].decode(errors="replace")
                return _SILENCE if refusal == ZENOH_TIMEOUT else refusal
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

    def _rest(self, key: str, needed: bool) -> None:
        """Have deliveries to a place rest, or let them try again."""
        with self._lock:
            if needed and self._rest_s:
                self._resting_until_s[key] = time.monotonic() + self._rest_s
            else:
                self._resting_until_s.pop(key, None)
