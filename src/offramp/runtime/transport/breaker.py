"""Circuit breakers: requests to a receiver that doesn't respond fail at once, instead of each waiting in vain."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class CircuitState(Enum):
    """Of the circuit to one receiver."""

    CLOSED = "closed"
    """Every request may try."""
    OPEN = "open"
    """None may, for a while."""
    HALF_OPEN = "half-open"
    """One is trying, and the others may not; how it ends closes the circuit or opens it again."""


@dataclass(frozen=True, slots=True)
class _Circuit:
    """One that is not closed.

    until_s: when an open circuit lets one try, and when the one that tries counts as lost, so that another may.
    """

    state: CircuitState
    until_s: float


class CircuitBreaker:
    """The circuits to all receivers, by key; closed at first.

    open_s: how long a circuit stays open; with 0, none ever opens.
    clock: gives seconds.
    """

    def __init__(self, open_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._open_s, self._clock = open_s, clock
        self._circuits: dict[str, _Circuit] = {}
        self._lock = threading.Lock()

    def state(self, key: str) -> CircuitState:
        """Of the circuit to the receiver at `key`."""
        with self._lock:
            circuit = self._circuits.get(key)
            return CircuitState.CLOSED if circuit is None else circuit.state

    def admit(self, key: str, *, trial_until_s: float) -> bool:
        """Whether a request may try; it then says how that ended with `close` or `trip`.

        trial_until_s: when it ends, should it be the one that tries for the others.
        """
        now = self._clock()
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None:
                return True
            if now < circuit.until_s:
                return False
            self._circuits[key] = _Circuit(CircuitState.HALF_OPEN, max(trial_until_s, now + self._open_s))
            return True

    def close(self, key: str) -> None:
        """Let all requests to `key` try: its receiver responds, or there is no evidence that it doesn't."""
        with self._lock:
            self._circuits.pop(key, None)

    def trip(self, key: str) -> None:
        """Open the circuit: the receiver at `key` doesn't respond."""
        if self._open_s:
            with self._lock:
                self._circuits[key] = _Circuit(CircuitState.OPEN, self._clock() + self._open_s)
