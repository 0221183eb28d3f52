"""Messages delivered reliably: sent again until they are acknowledged, refused, or out of time.

The reply to a request is the acknowledgement. Where none comes in time, the message is sent again; receivers recognize
one that they already have.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from offramp.runtime.transport.breaker import CircuitBreaker
from offramp.runtime.transport.interface import NoReceiverError, RefusedError, Transport, TransportError
from offramp.runtime.transport.messages import Message, pack

_QUEUE_FULL = "the queue is full"

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25
_LONGEST_REASON = 200


class QueueFullError(RefusedError):
    """The receiver has no room at the moment: the one refusal after which the sender tries again."""

    def __init__(self) -> None:
        super().__init__(_QUEUE_FULL)


class UndeliveredError(Exception):
    """A message was refused, or not acknowledged in time; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTimeouts:
    """How long a delivery may take, in seconds; the first two by the sender's monotonic clock.

    deadline_s: when the request that the message belongs to ends; the time left travels with the message.
    give_up_s: when to stop trying, early enough for a fallback.
    transfer_s: what the transfer is expected to take, by propagation and transmission.
    ack_timeout_s: how long to wait for one acknowledgement before sending again.
    no_ack_limit_s, no_receiver_limit_s: for how long to go on where no acknowledgement comes, or no receiver is
        connected. A receiver whose queue is full is tried until `give_up_s`.
    """

    deadline_s: float
    give_up_s: float
    transfer_s: float
    ack_timeout_s: float
    no_ack_limit_s: float = math.inf
    no_receiver_limit_s: float = 0.3

    def limit_s(self, error: TransportError) -> float:
        """For how long to go on after this error in a row; 0 where it is final."""
        if isinstance(error, RefusedError):
            return math.inf if str(error) == _QUEUE_FULL else 0.0
        return self.no_receiver_limit_s if isinstance(error, NoReceiverError) else self.no_ack_limit_s


class Deliverer:
    """Delivers over one transport, with a circuit breaker for each receiver.

    A delivery that fails for want of any response opens the circuit of its receiver for `open_s` seconds.

    open_s: 0 to have each delivery try for itself.
    clock: gives seconds, from any start.
    wait: returns when the event is set or after so many seconds.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        open_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._transport, self._clock, self._wait = transport, clock, wait
        self._breaker = CircuitBreaker(open_s, clock=clock)
        self._closed = threading.Event()

    def close(self) -> None:
        """End deliveries, undelivered, after the attempt that is under way; closing the transport ends that too."""
        self._closed.set()

    def deliver(self, key: str, message: Message, tensor: bytes, timeouts: DeliveryTimeouts) -> None:
        """Return when the receiver at `key` has acknowledged the message. Raises `UndeliveredError`."""
        if not self._breaker.admit(key, trial_until_s=timeouts.give_up_s):
            raise UndeliveredError("the receiver did not respond a moment ago")
        pause_s, problem, since_s = _FIRST_PAUSE_S, "there was no time to try", self._clock()
        silent = False
        while (now := self._clock()) < timeouts.give_up_s and not self._closed.is_set():
            left_s = max(timeouts.deadline_s - now - timeouts.transfer_s, 0.001)
            data = pack(msgspec.structs.replace(message, left_s=left_s), tensor)
            try:
                self._transport.ask(key, data, timeout_s=min(timeouts.ack_timeout_s, timeouts.give_up_s - now))
            except TransportError as error:
                if str(error) != problem:
                    problem, since_s = str(error), now
                silent = not isinstance(error, RefusedError)
                if self._clock() - since_s >= timeouts.limit_s(error):
                    break
            else:
                self._breaker.close(key)
                return
            self._wait(self._closed, min(pause_s, max(timeouts.give_up_s - self._clock(), 0)))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        # A delivery that had too little time is no evidence against the receiver.
        enough_s = min(timeouts.no_receiver_limit_s, timeouts.ack_timeout_s / 4)
        if silent and self._clock() - since_s >= enough_s:
            self._breaker.trip(key)
        else:
            self._breaker.close(key)
        raise UndeliveredError(problem[:_LONGEST_REASON])
