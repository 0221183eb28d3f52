"""Zenoh as the transport between tiers: a request is a query, presence a liveliness token.

Zenoh carries and routes, but drops what it can't deliver over a link that stalls; the reply to a query is what tells.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import Any

import zenoh

from offramp.runtime.transport import zenoh_session
from offramp.runtime.transport.interface import (
    Handler,
    NoReceiverError,
    NoReplyError,
    RefusedError,
    TransportError,
    Withdraw,
)
from offramp.runtime.transport.keys import result_key, work_key

_LOG = logging.getLogger(__name__)

# What Zenoh itself replies with, as an error, where nobody did in time.
_ZENOH_TIMEOUT = "Timeout"
_MOST_REQUESTS = 512
_GRACE_S = 0.05
_PRESENCE_TIMEOUT_S = 2.0


def alive_key(name: str) -> str:
    """The liveliness token of a participant that is present under that name; `*` for those of all."""
    return f"offramp/{name}/alive"


def link_locks(tier: int, tiers: int) -> dict[str, threading.Lock]:
    """A lock for each of a tier's two links, by the keys that are reached over it.

    Zenoh holds up all senders that have something for a stalled link, one after the other, for as long as it waits
    for the link. Once it gives the link up, this session sends nothing else before the last of them has returned. So
    only one sender may wait inside Zenoh at a time; the others wait for the lock, where they can time out.
    """
    sides = threading.Lock(), threading.Lock()
    return {key(other): sides[other > tier] for other in range(tiers) for key in (work_key, result_key)}


class ZenohTransport:
    """A transport over one Zenoh session.

    session: open; closed with the transport.
    link_lock: gives the lock of the link that a key is reached over, see `link_locks`.
    """

    def __init__(
        self, session: zenoh.Session, *, link_lock: Callable[[str], threading.Lock] = lambda _key: threading.Lock()
    ) -> None:
        self._link_lock = link_lock
        self._closing = ExitStack()
        self._session = self._closing.enter_context(session)
        self._declared: set[ExitStack] = set()
        self._threads = ThreadPoolExecutor(_MOST_REQUESTS, thread_name_prefix="ask")

    def ask(self, key: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Send a query and wait for its reply; in a thread, since a stalled link holds up whoever sends."""
        try:
            asking = self._threads.submit(self._query, key, payload, timeout_s)
        except RuntimeError:
            raise RefusedError("the transport is closed") from None
        try:
            return asking.result(timeout_s + _GRACE_S)
        except TimeoutError:
            asking.cancel()
            raise NoReplyError from None

    def answer(self, key: str, handler: Handler) -> Withdraw:
        """Declare a queryable. Zenoh calls the handlers of one key one after the other, in a thread for each key."""

        def on_query(query: zenoh.Query) -> None:
            with query:
                try:
                    payload = query.payload
                    reply = handler(b"" if payload is None else payload.to_bytes())
                except RefusedError as error:
                    query.reply_err(str(error).encode())
                except Exception:
                    _LOG.exception("a request to %s failed", key)
                    query.reply_err(b"the receiver failed; its log says why")
                else:
                    query.reply(key, reply)

        return self._kept(self._session.declare_queryable(key, on_query))

    def announce(self, name: str) -> Withdraw:
        """Declare a liveliness token."""
        return self._kept(self._session.liveliness().declare_token(alive_key(name)))

    def watch(self, lost: Callable[[str], None]) -> Withdraw:
        """Subscribe to liveliness tokens."""

        def on_change(sample: zenoh.Sample) -> None:
            if sample.kind == zenoh.SampleKind.DELETE:  # not `is`: Zenoh makes a new object of it each time
                lost(_name_in(sample))

        return self._kept(self._session.liveliness().declare_subscriber(alive_key("*"), on_change))

    def present(self) -> set[str]:
        """Query liveliness tokens."""
        replies = self._session.liveliness().get(alive_key("*"), timeout=_PRESENCE_TIMEOUT_S)
        return {_name_in(reply.ok) for reply in replies if reply.ok is not None}

    def close(self) -> None:
        """Close the session."""
        self._threads.shutdown(wait=False)
        try:
            self._closing.close()
        except RuntimeError as error:  # it is lent to a query that a stalled link holds up
            _LOG.warning("the session ends with the process: it can't be closed now (%s)", error)

    def _kept(self, declared: zenoh.Queryable[None] | zenoh.Subscriber[None] | zenoh.LivelinessToken) -> Withdraw:
        """Keep what is declared: Zenoh undeclares what nobody refers to."""
        stack = ExitStack()
        stack.enter_context(declared)
        self._declared.add(stack)

        def withdraw() -> None:
            self._declared.discard(stack)
            stack.close()

        return withdraw

    def _query(self, key: str, payload: bytes, timeout_s: float) -> bytes:
        until_s = monotonic() + timeout_s
        lock = self._link_lock(key)
        if not lock.acquire(timeout=timeout_s):
            raise NoReplyError
        try:
            # Waits where the link's buffers are full.
            replies = self._session.get(
                key,
                payload=payload,
                timeout=max(until_s - monotonic(), 0.001),
                congestion_control=zenoh.CongestionControl.BLOCK,
                express=True,
            )
        except zenoh.ZError as error:
            raise RefusedError(f"it can't be sent: {error}") from error
        finally:
            lock.release()
        for reply in replies:
            if reply.ok is not None:
                return reply.ok.payload.to_bytes()
            if reply.err is not None:
                reason = reply.err.payload.to_bytes().decode(errors="replace")
                raise NoReplyError if reason == _ZENOH_TIMEOUT else RefusedError(reason)
        raise NoReceiverError


def open_tier(
    tier: int,
    tiers: int,
    *,
    port: int,
    toward_cloud: str | None,
    host: str | None,
    security: Mapping[str, Any] | None,
    longest_send_s: float,
    largest_bits: int,
) -> ZenohTransport:
    """The transport of a tier, by its index among so many. Raises `TransportError` where it can't join the network.

    The rest as for `zenoh_session.router`.
    """
    locks = link_locks(tier, tiers)
    try:
        session = zenoh_session.router(
            port=port,
            host=host,
            toward_cloud=toward_cloud,
            security=security,
            longest_send_s=longest_send_s,
            largest_bits=largest_bits,
        )
    except zenoh.ZError as error:
        raise TransportError(str(error)) from error
    return ZenohTransport(session, link_lock=lambda key: locks.get(key) or threading.Lock())


def open_client(tier: str, *, security: Mapping[str, Any] | None = None, largest_bits: int) -> ZenohTransport:
    """The transport of a client beside the tier at `host:port`. Raises `TransportError` where none listens there.

    The rest as for `zenoh_session.client`.
    """
    lock = threading.Lock()
    try:
        session = zenoh_session.client(tier=tier, security=security, largest_bits=largest_bits)
    except zenoh.ZError as error:
        raise TransportError(str(error)) from error
    return ZenohTransport(session, link_lock=lambda _key: lock)


def _name_in(sample: zenoh.Sample) -> str:
    return str(sample.key_expr).split("/")[1]
