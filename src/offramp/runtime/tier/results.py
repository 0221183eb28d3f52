"""Routing outcomes: to the destination tier, and from there to the client, the first of each request."""

import logging
import math
import time

import msgspec
import numpy as np

from offramp.bundle.manifest import TierManifest
from offramp.core.latency import transfer_s
from offramp.runtime.tier.validation import RecentKeys
from offramp.runtime.transport.delivery import Deliverer, DeliveryTimeouts, QueueFullError, UndeliveredError
from offramp.runtime.transport.interface import Transport
from offramp.runtime.transport.keys import client_key, result_key
from offramp.runtime.transport.messages import MessageError, Outcome
from offramp.runtime.transport.sender import SendWindow

_LOG = logging.getLogger(__name__)
_LEAST_ACK_TIMEOUT_S = 1.0
# Answers for a client that has disconnected must not hold up those for others.
_CLIENT_RECONNECT_S = 0.3


class ResultRouter:
    """Sends a tier's outcomes to the destination; at the destination, those of all tiers to the clients.

    tier: its part of the bundle.
    transport: its connection to the others.
    window: how many outcomes may be in flight at once.

    transfer_s: what an outcome is expected to take to the destination, by propagation and transmission.
    """

    def __init__(self, tier: TierManifest, transport: Transport, *, window: int) -> None:
        topology = tier.topology
        self._tier = tier.tier
        self._index = topology.index(tier.tier)
        self._destination = topology.index(topology.destination)
        result_bits = np.array(tier.object_bits[-1:], np.float64)
        times_s = transfer_s(topology, result_bits)
        self.transfer_s = float(times_s[self._index, self._destination, 0])
        # There is no fallback for an outcome, so no circuit opens: each is tried until its deadline.
        self._deliverer = Deliverer(transport, open_s=0.0)
        self._sends = SendWindow("results", window=window)
        self._answered = RecentKeys()

    def wait(self, until_s: float) -> None:
        """Return when nothing is in flight, or at that time of the monotonic clock."""
        self._sends.wait(until_s)

    def close(self) -> None:
        """Accept nothing more, and give up what has not been delivered."""
        self._sends.close()
        self._deliverer.close()

    def send(self, outcome: Outcome, tensor: bytes, deadline_s: float) -> None:
        """Send an outcome of this tier, once there is room for it; dropped once this is closed."""
        if self._index == self._destination:
            self._answer_client(outcome, tensor, deadline_s, arrived_ns=time.time_ns(), wait=True)
        else:
            key = result_key(self._destination)
            self._sends.put(lambda: self._deliver(key, outcome, tensor, deadline_s, no_receiver_limit_s=math.inf))

    def take(self, outcome: Outcome, tensor: bytes, *, arrived_ns: int) -> None:
        """Send an outcome of another tier to its client.

        Raises `MessageError` where this tier is not the destination, `QueueFullError` where there is no room for it.
        """
        if self._index != self._destination:
            raise MessageError(f"{self._tier} is not the destination")
        self._answer_client(outcome, tensor, time.monotonic() + outcome.left_s, arrived_ns=arrived_ns, wait=False)

    def _answer_client(
        self, outcome: Outcome, tensor: bytes, deadline_s: float, *, arrived_ns: int, wait: bool
    ) -> None:
        """Send the first outcome of a request to its client, and drop any other."""
        if not self._answered.add(outcome.request):
            return
        final = msgspec.structs.replace(outcome, arrived_ns=arrived_ns)
        key = client_key(outcome.client)

        def send() -> None:
            self._deliver(key, final, tensor, deadline_s, no_receiver_limit_s=_CLIENT_RECONNECT_S)

        if wait:
            self._sends.put(send)
        elif not self._sends.offer(send):
            self._answered.discard(outcome.request)
            raise QueueFullError

    def _deliver(
        self, key: str, outcome: Outcome, tensor: bytes, deadline_s: float, *, no_receiver_limit_s: float
    ) -> None:
        timeouts = DeliveryTimeouts(
            deadline_s=deadline_s,
            give_up_s=deadline_s,
            transfer_s=self.transfer_s,
            ack_timeout_s=max(_LEAST_ACK_TIMEOUT_S, 10 * self.transfer_s),
            no_receiver_limit_s=no_receiver_limit_s,
        )
        try:
            self._deliverer.deliver(key, outcome, tensor, timeouts)
        except UndeliveredError as error:
            _LOG.warning("the answer to request %d was not delivered to %s: %s", outcome.request, key, error)
