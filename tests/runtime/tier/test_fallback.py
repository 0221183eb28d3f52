"""Fallbacks: kept until released, popped or expired."""

import time

import pytest

from offramp.runtime.tier import fallback
from offramp.runtime.tier.fallback import Fallback, FallbackStore
from offramp.runtime.transport.messages import Outcome


def kept(request: int, receiver: int = 1, deadline_s: float = float("inf")) -> Fallback:
    return Fallback(Outcome("d", request, "ab", "1@a", 0, 1.0, 1, degraded=True), b"", receiver, deadline_s)


def test_they_are_popped_by_tier_the_latest_first_and_once() -> None:
    store = FallbackStore()
    for request, receiver in enumerate((1, 2, 1, 1)):
        store.keep(kept(request, receiver))
    store.release(2)
    store.release(9)
    assert [popped.outcome.request for popped in store.pop_for(1)] == [3, 0]
    assert store.pop_for(1) == []
    assert [popped.outcome.request for popped in store.pop_for(2)] == [1]


def test_expired_ones_are_dropped() -> None:
    store, past_s = FallbackStore(), time.monotonic() - 1
    store.keep(kept(0, deadline_s=past_s))
    assert store.pop_for(1) == []
    store.keep(kept(1))
    store.keep(kept(2, deadline_s=past_s))
    # Behind one that is not expired.
    assert [popped.outcome.request for popped in store.pop_for(1)] == [2, 1]


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback, "_MOST", 3)
    store = FallbackStore()
    for request in range(5):
        store.keep(kept(request))
    assert [popped.outcome.request for popped in store.pop_for(1)] == [4, 3, 2]
