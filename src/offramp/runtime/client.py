"""Sending samples to a running deployment and getting their answers."""

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.bundle.manifest import Manifest
from offramp.core.plan import Plan
from offramp.errors import Fault, InputError, fail
from offramp.runtime.transport.delivery import Deliverer, DeliveryTimeouts, UndeliveredError
from offramp.runtime.transport.interface import RefusedError, Transport, TransportError
from offramp.runtime.transport.keys import client_key, plan_key, work_key
from offramp.runtime.transport.messages import MessageError, Outcome, Task, TraceEntry, unpack
from offramp.runtime.transport.zenoh_transport import open_client

_ACK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """How one request ended.

    number: of the sample, counted from 0 in the order they were given.
    plan: that the sample was processed by, in one line; empty where that is not known.
    exit: the partition at whose branch the sample exited, counted from 0; None where there is no answer.
    probabilities: [K] of the classes, float32; empty where there is no answer.
    degraded: it exited early because the next tier could not be reached.
    accuracy: of such answers on the validation split.
    latency_s: from the sample's arrival at the source to the answer's at the destination, by their clocks.
    error: why there is no answer; empty where there is one.
    trace: when each partition ran.
    """

    number: int
    plan: str
    exit: int | None
    probabilities: NDArray[np.float32]
    degraded: bool
    accuracy: float
    latency_s: float
    error: str
    trace: tuple[TraceEntry, ...]

    @property
    def label(self) -> int | None:
        """The class of the highest probability; None where there is no answer."""
        return int(self.probabilities.argmax()) if len(self.probabilities) else None


class Client:
    """Sends samples to a deployment from outside its tiers, and takes their answers.

    bundle: what the deployment runs.
    source, destination: `host:port` of those tiers; the same where one tier is both.
    security: as for `zenoh_session.client`.
    connect: opens a transport to such a place; None for Zenoh.

    Use it in a `with` block. Raises `InputError` where nothing listens at a place.
    """

    def __init__(
        self,
        bundle: Manifest,
        *,
        source: str,
        destination: str,
        security: Mapping[str, Any] | None = None,
        connect: Callable[[str], Transport] | None = None,
    ) -> None:
        topology = bundle.topology
        self._bundle = bundle
        self._source = topology.index(topology.source)
        self._id = secrets.token_hex(4)
        # Tiers tell the requests of all clients apart by these numbers.
        self._requests = count(secrets.randbits(30) << 32)
        self._pending: dict[int, _PendingRequest] = {}
        self._lock = threading.Lock()
        connect = connect or partial(open_client, security=security, largest_bits=max(bundle.object_bits))
        self._transports = [_connected(connect, place) for place in dict.fromkeys((source, destination))]
        self._deliverer = Deliverer(self._transports[0], open_s=0.0)
        self._withdraw = self._transports[-1].answer(client_key(self._id), self._on_outcome)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._withdraw()
        for transport in self._transports:
            transport.close()

    def ask_all(
        self, samples: Iterable[NDArray[np.generic]], *, deadline_s: float, window: int = 1, plan: Plan | None = None
    ) -> Iterator[Answer]:
        """Answers in the order of the samples, with `window` requests in flight.

        samples: of the bundle's input shape and type each.
        deadline_s: of each request, from the moment it is sent; by then it has an answer or an error.
        plan: one of the bundle's, with any thresholds; None for the deployment's current one.

        A caller that stops early, also by an interrupt, still waits for the requests in flight: at most `deadline_s`.
        """
        text = "" if plan is None else str(plan)
        numbered = enumerate(samples)
        with ThreadPoolExecutor(window, thread_name_prefix="client") as threads:

            def ask(numbered_sample: tuple[int, NDArray[np.generic]]) -> Answer:
                return self._ask(*numbered_sample, text, deadline_s)

            pending = [threads.submit(ask, sample) for sample in islice(numbered, window)]
            while pending:
                answer = pending.pop(0).result()
                pending += [threads.submit(ask, sample) for sample in islice(numbered, 1)]
                yield answer

    def switch(self, plan: Plan, *, timeout_s: float = 5.0) -> None:
        """Have new samples processed by `plan`; those in flight finish by the plan they began with.

        plan: with the cuts, the placement and the codec of one of the bundle's, and any thresholds.
        Raises `InputError` where the source refuses it or can't be reached.
        """
        current = self._ask_for_plan(str(plan), timeout_s)
        if current != str(plan):
            fail("plan", f"{plan} was asked for, but the source goes by {current}", "look at who else switches plans")

    def current_plan(self, *, timeout_s: float = 5.0) -> Plan:
        """The plan of new samples. Raises `InputError` where the source can't be reached."""
        return Plan.parse(self._ask_for_plan("", timeout_s))

    def alive(self) -> set[str]:
        """Names of the tiers that are running and within reach."""
        present = self._transports[0].present()
        return {tier.name for index, tier in enumerate(self._bundle.topology.tiers) if str(index) in present}

    def _ask_for_plan(self, text: str, timeout_s: float) -> str:
        try:
            return self._transports[0].ask(plan_key(self._source), text.encode(), timeout_s=timeout_s).decode()
        except RefusedError as error:
            fail("plan", str(error), "use one of its own")
        except TransportError:
            fail("source", "does not answer", "start its worker, or look at the network between")

    def _ask(self, number: int, sample: NDArray[np.generic], plan: str, deadline_s: float) -> Answer:
        pending = _PendingRequest()
        began_s = time.monotonic()
        with self._lock:
            request = next(self._requests)
            self._pending[request] = pending
        task = Task(self._bundle.deployment, request, self._id, plan, 0, deadline_s)
        until_s = began_s + deadline_s
        timeouts = DeliveryTimeouts(deadline_s=until_s, give_up_s=until_s, transfer_s=0.0, ack_timeout_s=_ACK_TIMEOUT_S)
        error = ""
        try:
            self._deliverer.deliver(work_key(self._source), task, _bytes(sample), timeouts)
            if not pending.answered.wait(until_s - time.monotonic()):
                error = f"there was no answer within {deadline_s:g} s"
        except UndeliveredError as problem:
            error = f"the source does not take the sample: {problem}"
        with self._lock:
            del self._pending[request]
        if pending.outcome is None:
            return _failed(number, error, time.monotonic() - began_s)
        return _answer(number, pending.outcome, pending.probabilities)

    def _on_outcome(self, payload: bytes) -> bytes:
        result_bytes = self._bundle.object_bits[-1] // 8
        message, tensor = unpack(payload, most_tensor_bytes=result_bytes)
        if not isinstance(message, Outcome) or message.deployment != self._bundle.deployment:
            raise MessageError("this is no outcome of the client's deployment")
        if len(tensor) != (0 if message.error else result_bytes):
            raise MessageError(f"{len(tensor)} bytes are not a result")
        with self._lock:
            pending = self._pending.get(message.request)
            if pending is not None and pending.outcome is None:
                pending.outcome, pending.probabilities = message, np.frombuffer(tensor, "<f4").astype(np.float32)
                pending.answered.set()
        return b""


def _bytes(sample: NDArray[np.generic]) -> bytes:
    """As they travel: little-endian."""
    return sample.astype(sample.dtype.newbyteorder("<"), copy=False).tobytes()


class _PendingRequest:
    """A request without an answer yet."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.outcome: Outcome | None = None
        self.probabilities = np.empty(0, np.float32)


def _connected(connect: Callable[[str], Transport], place: str) -> Transport:
    try:
        return connect(place)
    except TransportError as error:
        remedy = "start the tier's worker, or give the host:port it listens at"
        raise InputError([Fault(place, f"there is no tier to connect to: {error}", remedy)]) from error


def _failed(number: int, error: str, seconds: float) -> Answer:
    return Answer(number, "", None, np.empty(0, np.float32), False, 0.0, seconds, error, ())


def _answer(number: int, outcome: Outcome, probabilities: NDArray[np.float32]) -> Answer:
    return Answer(
        number=number,
        plan=outcome.plan,
        exit=None if outcome.error else outcome.partition,
        probabilities=probabilities,
        degraded=outcome.degraded,
        accuracy=outcome.accuracy,
        latency_s=(outcome.arrived_ns - outcome.created_ns) / 1e9,
        error=outcome.error,
        trace=outcome.trace,
    )
