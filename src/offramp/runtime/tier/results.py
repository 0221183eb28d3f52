"""The way of outcomes: to the destination, and from there to the client, the first of each request."""

import logging
import math
import queue
import threading
import time
from collections.abc import Mapping

import msgspec
import numpy as np
import zenoh

from offramp.bundle.manifest import TierManifest
from offramp.core.latency import propagation_s, transmission_s
from offramp.runtime.tier.validation import Seen
from offramp.runtime.transport import zenoh_session as network
from offramp.runtime.transport.delivery import Courier, Terms, UndeliveredError
from offramp.runtime.transport.messages import MessageError, Outcome
from offramp.runtime.transport.sender import Outbox

_LOG = logging.getLogger(__name__)
_LEAST_PATIENCE_S = 1.0
# A client that is gone must not keep the answers of others waiting.
_CLIENT_ABSENCE_S = 0.3


class Homeward:
    """Where a tier's outcomes go.

    tier: its part of the bundle.
    session: its place in the network.
    window: how many may be on their way at once.
    doors: as for `Courier`, shared with whoever else sends from this tier.

    travel_s: how long an outcome should be on its way to the destination.
    """

    def __init__(
        self, tier: TierManifest, session: zenoh.Session, *, window: int, doors: Mapping[str, threading.Lock]
    ) -> None:
        topology = tier.topology
        self._tier = tier.tier
        self._here = topology.index(tier.tier)
        self._destination = topology.index(topology.destination)
        way_s = propagation_s(topology)[:, :, None] + transmission_s(topology, np.array(tier.object_bits[-1:], float))
        self.travel_s = float(way_s[self._here, self._destination, 0])
        # Nothing else can be done with an outcome: it is tried as long as it is worth anything.
        self._courier = Courier(session, rest_s=0.0, doors=doors)
        self._outbox = Outbox("homeward", window=window)
        self._concluded = Seen()

    def wait(self, until_s: float) -> None:
        """Return when nothing is on its way, or at that time of the monotonic clock."""
        self._outbox.wait(until_s)

    def close(self) -> None:
        """Take nothing more, and give up what is not there yet."""
        self._outbox.close()
        self._courier.close()

    def send(self, outcome: Outcome, tensor: bytes, deadline_s: float) -> None:
        """Get an outcome to the destination, which may be here, once there is room for it; not once this is closed."""
        if self._here == self._destination:
            self._conclude(outcome, tensor, deadline_s, arrived_ns=time.time_ns(), wait=True)
        else:
            key = network.result_key(self._destination)
            self._outbox.put(lambda: self._deliver(key, outcome, tensor, deadline_s, absence_s=math.inf))

    def take(self, outcome: Outcome, tensor: bytes, *, arrived_ns: int) -> None:
        """Hand an outcome that another tier has sent to its client.

        Raises `MessageError` where this tier is not the destination, `queue.Full` where there is no room for it.
        """
        if self._here != self._destination:
            raise MessageError(f"{self._tier} is not the destination")
        self._conclude(outcome, tensor, time.monotonic() + outcome.left_s, arrived_ns=arrived_ns, wait=False)

    def _conclude(self, outcome: Outcome, tensor: bytes, deadline_s: float, *, arrived_ns: int, wait: bool) -> None:
        """Hand the first outcome of a request to its client, and drop any other."""
        if not self._concluded.add(outcome.request):
            return
        final = msgspec.structs.replace(outcome, arrived_ns=arrived_ns)
        key = network.client_key(outcome.client)

        def send() -> None:
            self._deliver(key, final, tensor, deadline_s, absence_s=_CLIENT_ABSENCE_S)

        if wait:
            self._outbox.put(send)
        elif not self._outbox.offer(send):
            self._concluded.discard(outcome.request)
            raise queue.Full

    def _deliver(self, key: str, outcome: Outcome, tensor: bytes, deadline_s: float, *, absence_s: float) -> None:
        terms = Terms(
            deadline_s=deadline_s,
            give_up_s=deadline_s,
            travel_s=self.travel_s,
            patience_s=max(_LEAST_PATIENCE_S, 10 * self.travel_s),
            absence_s=absence_s,
        )
        try:
            self._courier.deliver(key, outcome, tensor, terms)
        except UndeliveredError as error:
            _LOG.warning("the answer to request %d did not get to %s: %s", outcome.request, key, error)
