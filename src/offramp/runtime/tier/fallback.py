"""What a tier keeps of the samples it has handed on, in case the tier that took them dies."""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from offramp.runtime.transport.messages import Outcome

_MOST = 1 << 16


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer at hand for a sample that has gone on.

    outcome, tensor: the own branch's, marked as degraded.
    taker: the tier that took the sample.
    deadline_s: by the monotonic clock; later, nobody waits any more.
    """

    outcome: Outcome
    tensor: bytes
    taker: int
    deadline_s: float


class Shelter:
    """The answers kept, oldest first; bounded in number.

    Those past their deadline go when another is kept, but not before older ones that somebody still waits for.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, kept: Kept) -> None:
        """Keep an answer, and forget those that nobody waits for."""
        now = time.monotonic()
        with self._lock:
            self._kept[kept.outcome.request] = kept
            while self._kept:
                oldest = next(iter(self._kept.values()))
                if oldest.deadline_s > now and len(self._kept) <= _MOST:
                    break
                self._kept.popitem(last=False)

    def release(self, request: int) -> None:
        """Forget the answer to a request, if there is one."""
        with self._lock:
            self._kept.pop(request, None)

    def evacuate(self, taker: int) -> list[Kept]:
        """The answers for all samples that `taker` took, which are kept no longer.

        The latest first: most of the earlier ones will have been answered since.
        """
        with self._lock:
            found = [kept for kept in reversed(self._kept.values()) if kept.taker == taker]
            for kept in found:
                del self._kept[kept.outcome.request]
        return found
