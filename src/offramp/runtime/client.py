"""Sending samples to a running deployment and getting their answers."""

import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import zenoh
from numpy.typing import NDArray

from offramp.bundle.manifest import Manifest
from offramp.core.checks import FloatArray
from offramp.core.plan import Plan
from offramp.errors import Fault, InputError, fail
from offramp.runtime.transport import zenoh_session as network
from offramp.runtime.transport.delivery import ZENOH_TIMEOUT, Courier, Terms, UndeliveredError
from offramp.runtime.transport.messages import MessageError, Outcome, Stage, Task, unpack

_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """How one request ended.

    number: which sample it was, counted from 0 in the order they were given.
    plan: that it went by, in one line; empty where that is not known.
    exit: at which partition's branch it left, counted from 0; None where there is no answer.
    probabilities: [K] of the classes; empty where there is no answer.
    degraded: it left early because it could not be passed on.
    accuracy: what is known of answers like this, from the validation split.
    latency_s: from its arrival at the source to the answer at the destination, by their clocks.
    error: why there is no answer; empty where there is one.
    trace: what each partition did.
    """

    number: int
    plan: str
    exit: int | None
    probabilities: FloatArray
    degraded: bool
    accuracy: float
    latency_s: float
    error: str
    trace: tuple[Stage, ...]

    @property
    def label(self) -> int | None:
        """The class of the highest probability; None where there is no answer."""
        return int(self.probabilities.argmax()) if len(self.probabilities) else None


class Client:
    """A place outside the tiers where samples come from and answers are wanted.

    bundle: what the deployment runs.
    source, destination: `host:port` of those tiers; the same where the two are the same tier.
    security: as for `session.client`.

    Use it in a `with` block. Raises `InputError` where nothing listens at a place.
    """

    def __init__(
        self, bundle: Manifest, *, source: str, destination: str, security: Mapping[str, Any] | None = None
    ) -> None:
        topology = bundle.topology
        self._bundle = bundle
        self._source = topology.index(topology.source)
        self._id = secrets.token_hex(4)
        # Tiers know requests of all clients by these numbers.
        self._requests = count(secrets.randbits(30) << 32)
        self._waiting: dict[int, _Waiting] = {}
        self._lock = threading.Lock()
        largest_bits = max(bundle.object_bits)
        self._sessions = [_connect(place, security, largest_bits) for place in dict.fromkeys((source, destination))]
        self._courier = Courier(self._sessions[0], rest_s=0.0, doors={network.work_key(self._source): threading.Lock()})
        self._queryable = self._sessions[-1].declare_queryable(network.client_key(self._id), self._on_outcome)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._queryable.undeclare()
        for session in self._sessions:
            session.close()

    def ask_all(
        self, samples: Iterable[NDArray[np.uint8]], *, deadline_s: float, window: int = 1, plan: Plan | None = None
    ) -> Iterator[Answer]:
        """Answers in the order of the samples, with `window` requests in flight.

        samples: [C, H, W] each.
        deadline_s: for each request, from the moment it is sent; it then has an answer, or an error.
        plan: one of the bundle's, its thresholds free; None for the deployment's current one.

        Whoever stops early, also by an interrupt, still waits for the requests in flight: at most `deadline_s`.
        """
        text = "" if plan is None else str(plan)
        numbered = enumerate(samples)
        with ThreadPoolExecutor(window, thread_name_prefix="client") as threads:

            def ask(numbered_sample: tuple[int, NDArray[np.uint8]]) -> Answer:
                return self._ask(*numbered_sample, text, deadline_s)

            pending = [threads.submit(ask, each) for each in islice(numbered, window)]
            while pending:
                answer = pending.pop(0).result()
                pending += [threads.submit(ask, each) for each in islice(numbered, 1)]
                yield answer

    def switch(self, plan: Plan, *, timeout_s: float = 5.0) -> None:
        """Have the samples that arise from now on go by `plan`; those in flight end by the one they began with.

        plan: with the cuts, the tiers and the codec of one of the bundle's, the thresholds free.
        Raises `InputError` where the source refuses it or can't be reached.
        """
        current = self._ask_for_plan(str(plan), timeout_s)
        if current != str(plan):
            fail("plan", f"{plan} was asked for, but the source goes by {current}", "look at who else switches plans")

    def current_plan(self, *, timeout_s: float = 5.0) -> Plan:
        """The plan of the samples that arise now. Raises `InputError` where the source can't be reached."""
        return Plan.parse(self._ask_for_plan("", timeout_s))

    def alive(self) -> set[str]:
        """Names of the tiers that are there and within reach."""
        replies = self._sessions[0].liveliness().get(network.alive_key("*"), timeout=2.0)
        there = {str(reply.ok.key_expr).split("/")[1] for reply in replies if reply.ok is not None}
        return {tier.name for j, tier in enumerate(self._bundle.topology.tiers) if str(j) in there}

    def _ask_for_plan(self, text: str, timeout_s: float) -> str:
        for reply in self._sessions[0].get(network.plan_key(self._source), payload=text.encode(), timeout=timeout_s):
            if reply.ok is not None:
                return reply.ok.payload.to_string()
            if reply.err is not None:
                refusal = bytes(reply.err.payload).decode(errors="replace")
                if refusal == ZENOH_TIMEOUT:
                    break
                fail("plan", refusal, "use one of its own")
        fail("source", "does not answer", "start its worker, or look at the way there")

    def _ask(self, number: int, sample: NDArray[np.uint8], plan: str, deadline_s: float) -> Answer:
        waiting = _Waiting()
        began_s = time.monotonic()
        with self._lock:
            request = next(self._requests)
            self._waiting[request] = waiting
        task = Task(self._bundle.deployment, request, self._id, plan, 0, deadline_s)
        until_s = began_s + deadline_s
        terms = Terms(deadline_s=until_s, give_up_s=until_s, travel_s=0.0, patience_s=_PATIENCE_S)
        error = ""
        try:
            self._courier.deliver(network.work_key(self._source), task, sample.tobytes(), terms)
            if not waiting.there.wait(until_s - time.monotonic()):
                error = f"there was no answer within {deadline_s:g} s"
        except UndeliveredError as problem:
            error = f"the source does not take the sample: {problem}"
        with self._lock:
            del self._waiting[request]
        if waiting.outcome is None:
            return _failed(number, error, time.monotonic() - began_s)
        return _answer(number, waiting.outcome, waiting.probabilities)

    def _on_outcome(self, query: zenoh.Query) -> None:
        with query:
            try:
                payload = query.payload
                if payload is None:
                    raise MessageError("an empty message")
                most = self._bundle.object_bits[-1] // 8
                message, tensor = unpack(payload.to_bytes(), most_tensor_bytes=most)
                if not isinstance(message, Outcome) or message.deployment != self._bundle.deployment:
                    raise MessageError("this is no outcome of the client's deployment")
                if len(tensor) != (0 if message.error else most):
                    raise MessageError(f"{len(tensor)} bytes are not a result")
            except MessageError as error:
                query.reply_err(str(error).encode())
                return
            query.reply(query.key_expr, b"")
        with self._lock:
            waiting = self._waiting.get(message.request)
            if waiting is None or waiting.outcome is not None:
                return
            waiting.outcome, waiting.probabilities = message, np.frombuffer(tensor, "<f4").copy()
        waiting.there.set()


class _Waiting:
    """A request without an answer yet."""

    def __init__(self) -> None:
        self.there = threading.Event()
        self.outcome: Outcome | None = None
        self.probabilities: FloatArray = np.empty(0, np.float32)


def _connect(place: str, security: Mapping[str, Any] | None, largest_bits: int) -> zenoh.Session:
    try:
        return network.client(tier=place, security=security, largest_bits=largest_bits)
    except zenoh.ZError as error:
        remedy = "start the tier's worker, or give the host:port it listens at"
        raise InputError([Fault(place, f"there is no tier to connect to: {error}", remedy)]) from error


def _failed(number: int, error: str, seconds: float) -> Answer:
    return Answer(number, "", None, np.empty(0, np.float32), False, 0.0, seconds, error, ())


def _answer(number: int, outcome: Outcome, probabilities: FloatArray) -> Answer:
    return Answer(
        number=number,
        plan=outcome.plan,
        exit=None if outcome.error else outcome.partition,
        probabilities=probabilities,
        degraded=outcome.degraded,
        accuracy=outcome.accuracy,
        latency_s=(outcome.arrived_ns - outcome.born_ns) / 1e9,
        error=outcome.error,
        trace=outcome.trace,
    )
