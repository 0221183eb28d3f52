"""Answers that a tier keeps for the samples it has handed to another tier, in case that tier fails."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from offramp.runtime.transport.messages import Outcome

_MOST = 1 << 16


@dataclass(frozen=True, slots=True)
class Fallback:
    """An early answer for a sample that continues on another tier.

    outcome, tensor: of the last branch that ran on this tier, marked as degraded.
    receiver: index of the tier that has the sample now.
    deadline_s: by the monotonic clock; after it the client no longer waits.
    """

    outcome: Outcome
    tensor: bytes
    receiver: int
    deadline_s: float


class FallbackStore:
    """Fallbacks by request, oldest first, bounded in number.

    Expired ones are dropped when another is kept, unless an older one has not expired yet.
    """

    def __init__(self) -> None:
        self._fallbacks: OrderedDict[int, Fallback] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, fallback: Fallback) -> None:
        """Keep a fallback, and drop expired ones."""
        now = time.monotonic()
        with self._lock:
            self._fallbacks[fallback.outcome.request] = fallback
            while self._fallbacks:
                oldest = next(iter(self._fallbacks.values()))
                if oldest.deadline_s > now and len(self._fallbacks) <= _MOST:
                    break
                self._fallbacks.popitem(last=False)

    def release(self, request: int) -> None:
        """Drop the fallback of a request, if there is one."""
        with self._lock:
            self._fallbacks.pop(request, None)

    def pop_for(self, tier: int) -> list[Fallback]:
        """Remove and return the fallbacks of all samples that the tier at that index has.

        The latest first: most of the earlier ones will have been answered by that tier.
        """
        with self._lock:
            popped = [fallback for fallback in reversed(self._fallbacks.values()) if fallback.receiver == tier]
            for fallback in popped:
                del self._fallbacks[fallback.outcome.request]
        return popped
