"""One tier at work: it takes tasks, runs its partitions, and sends results and outputs where they belong."""

import logging
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
import zenoh

from offramp.bundle.manifest import TierManifest
from offramp.bundle.session import PartitionSession
from offramp.core.latency import propagation_s, transmission_s
from offramp.runtime.tier.executor import Partitions
from offramp.runtime.tier.fallback import Kept, Shelter
from offramp.runtime.tier.results import Homeward
from offramp.runtime.tier.scheduler import Backlog
from offramp.runtime.tier.slowdown import Pace, wait_until
from offramp.runtime.tier.validation import Admission, Job, Seen
from offramp.runtime.transport import zenoh_session as network
from offramp.runtime.transport.delivery import FULL, Courier, Terms, UndeliveredError, doors
from offramp.runtime.transport.messages import MessageError, Outcome, Stage, Task, unpack
from offramp.runtime.transport.sender import Outbox

_LOG = logging.getLogger(__name__)
_LEAST_PATIENCE_S = 1.0
# How long a worker that is to end goes on with what it has.
_LAST_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a tier takes on.

    queue: tasks that wait for their turn, for each partition of a plan; more are refused, and wait at the tier that
        sends them.
    window: hand-overs to other tiers under way at once, for each partition of a plan.
    """

    queue: int = 32
    window: int = 4


class Worker:
    """A tier of a deployment, from its construction until `close`.

    tier: its part of the bundle.
    sessions: its partitions, loaded, by first and last block.
    session: its place in the network.
    pace: how slow to play; None to be as fast as this machine.
    """

    def __init__(
        self,
        tier: TierManifest,
        sessions: Mapping[tuple[int, int], PartitionSession],
        session: zenoh.Session,
        *,
        pace: Pace | None = None,
        limits: Limits = Limits(),
    ) -> None:
        topology = tier.topology
        self._tier, self._pace, self._limits = tier, pace, limits
        self._names = [each.name for each in topology.tiers]
        self._signs = {network.alive_key(j): j for j in range(len(self._names))}
        self._here = topology.index(tier.tier)
        bits = np.array(tier.object_bits, np.float64)
        self._travel_s = propagation_s(topology)[:, :, None] + transmission_s(topology, bits)

        self._admission = Admission(tier)
        self._partitions = Partitions(tier, sessions, pace)
        self._plan = str(tier.plans[0])
        self._jobs = Backlog(limits.queue)
        self._accepted, self._shelter = Seen(), Shelter()
        links = doors(self._here, len(self._names))
        self._courier = Courier(session, doors=links)
        longest = max(len(plan.ends) for plan in tier.plans)
        self._onward = [
            Outbox(f"onward-{k}", window=limits.window, freed=self._jobs.look_again) for k in range(longest)
        ]
        self._home = Homeward(tier, session, window=2 * limits.window, doors=links)

        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="partitions", daemon=True)
        self._thread.start()
        self._declared = [
            session.declare_queryable(network.work_key(self._here), self._on_task),
            session.declare_queryable(network.result_key(self._here), self._on_outcome),
            session.declare_queryable(network.plan_key(self._here), self._on_plan),
            session.liveliness().declare_subscriber(network.alive_key("*"), self._on_sign_of_life),
            # Last: who sees it finds the rest in place.
            session.liveliness().declare_token(network.alive_key(self._here)),
        ]

    def close(self) -> None:
        """Take nothing more, go on for up to two seconds with what is here, give up the rest, and leave the network."""
        until_s = time.monotonic() + _LAST_S
        for each in reversed(self._declared):
            each.undeclare()
        self._jobs.close()
        self._thread.join(_LAST_S)
        for outbox in (*self._onward, self._home):  # what can't be handed on goes home
            outbox.wait(until_s)
        self._over.set()
        for outbox in (*self._onward, self._courier, self._home):
            outbox.close()
        self._thread.join()

    # What arrives. These run in Zenoh's threads: they check, put aside and acknowledge.

    def _on_task(self, query: zenoh.Query) -> None:
        arrived_ns = time.time_ns()
        with query:
            try:
                message, tensor = self._unpack(query)
                if not isinstance(message, Task):
                    raise MessageError("an outcome where tasks are taken")
                job = self._admission.job(message, tensor, current=self._plan, arrived_ns=arrived_ns)
                self._accept(job)
            except (MessageError, queue.Full) as error:
                refuse(query, error)
            else:
                query.reply(query.key_expr, b"")

    def _accept(self, job: Job) -> None:
        """Put the job into the queue, unless it is a second try of one that is there. Raises `queue.Full`."""
        key = (job.task.request, job.task.partition)
        if not self._accepted.add(key):
            return
        try:
            self._jobs.put(job)
        except queue.Full:
            self._accepted.discard(key)
            raise

    def _on_outcome(self, query: zenoh.Query) -> None:
        arrived_ns = time.time_ns()
        with query:
            try:
                message, tensor = self._unpack(query)
                if not isinstance(message, Outcome):
                    raise MessageError("a task where outcomes are taken")
                self._admission.outcome(message, tensor)
                self._home.take(message, bytes(tensor), arrived_ns=arrived_ns)
            except (MessageError, queue.Full) as error:
                refuse(query, error)
            else:
                query.reply(query.key_expr, b"")

    def _on_plan(self, query: zenoh.Query) -> None:
        with query:
            try:
                if self._tier.tier != self._tier.topology.source:
                    raise MessageError(f"{self._tier.tier} is not the source")
                wanted = bytes(query.payload or b"")[:4096].decode(errors="replace")
                if wanted:
                    self._plan = str(self._admission.plan(wanted))
            except MessageError as error:
                refuse(query, error)
            else:
                query.reply(query.key_expr, self._plan.encode())

    def _on_sign_of_life(self, sample: zenoh.Sample) -> None:
        if sample.kind != zenoh.SampleKind.DELETE:  # Zenoh makes a new object of it each time
            return
        tier = self._signs.get(str(sample.key_expr))
        if tier is None:
            return  # anybody may declare such a thing
        saved = self._shelter.evacuate(tier)
        if saved:
            _LOG.warning("%s is gone: answering %d samples from here", self._names[tier], len(saved))
        for kept in saved:
            self._home.send(kept.outcome, kept.tensor, kept.deadline_s)

    def _unpack(self, query: zenoh.Query) -> tuple[Task | Outcome, memoryview]:
        payload = query.payload
        if payload is None:
            raise MessageError("an empty message")
        return unpack(payload.to_bytes(), most_tensor_bytes=self._admission.most_tensor_bytes)

    # What is done, one job after the other.

    def _work(self) -> None:
        while not self._over.is_set() and (job := self._jobs.take(self._ready)) is not None:
            if time.monotonic() > job.deadline_s:
                continue  # who asked has stopped waiting
            try:
                if job.plan.placement[job.task.partition] == self._tier.tier:
                    self._serve(job)
                else:
                    self._forward(job)
            except Exception as error:  # a worker outlives whatever one sample does to it
                _LOG.exception("request %d failed", job.task.request)
                failed = self._outcome(job, job.task.partition, error=f"{self._tier.tier}: {error}")
                self._home.send(failed, b"", job.deadline_s)

    def _ready(self, job: Job) -> bool:
        """Whether there is room for what the job may hand on, so that its turn doesn't hold up others."""
        placement, k = job.plan.placement, job.task.partition
        while k < len(placement) and placement[k] == self._tier.tier:
            k += 1
        return k == len(placement) or self._onward[k].has_room()

    def _serve(self, job: Job) -> None:
        """Run the partitions that are here, and send the sample on or its result home."""
        done = self._partitions.run(job)
        outcome = self._outcome(job, done.partition, trace=done.trace, degraded=not done.leaves)
        if done.leaves:
            self._home.send(outcome, done.result, job.deadline_s)
            return
        task = msgspec.structs.replace(
            job.task, plan=str(job.plan), partition=done.partition + 1, born_ns=outcome.born_ns, trace=outcome.trace
        )
        taker = self._names.index(job.plan.placement[task.partition])
        item = job.plan.ends[done.partition]
        self._onward[task.partition].put(
            lambda: self._hand_over(job, task, done.activation, taker, item, (outcome, done.result))
        )

    def _forward(self, job: Job) -> None:
        """Send a raw input that arose here to the tier of the first partition."""
        began_ns = time.monotonic_ns()
        task = msgspec.structs.replace(job.task, plan=str(job.plan), born_ns=job.task.born_ns or job.arrived_ns)
        if self._pace is not None:
            wait_until(began_ns + self._pace.forward_ns(job.plan.codec))
        taker = self._names.index(job.plan.placement[0])
        self._onward[0].put(lambda: self._hand_over(job, task, bytes(job.tensor), taker, 0, None))

    # What is sent. These run in the outboxes' threads.

    def _hand_over(
        self, job: Job, task: Task, tensor: bytes, taker: int, item: int, own: tuple[Outcome, bytes] | None
    ) -> None:
        """Pass a sample on; where that can't be done, answer it from here.

        item: what travels, as `Costs` counts: 0 the input, i the output of block i.
        own: what the branch here says of the sample; None where there is none.
        """
        if own is not None:
            self._shelter.keep(Kept(*own, taker, job.deadline_s))
        try:
            self._courier.deliver(network.work_key(taker), task, tensor, self._terms(job, taker, item))
        except Exception as error:  # whatever it was, who asked is told
            self._shelter.release(task.request)
            foreseen = isinstance(error, UndeliveredError)
            level, text = logging.INFO if foreseen else logging.ERROR, "request %d not handed to %s: %s"
            _LOG.log(level, text, task.request, self._names[taker], error, exc_info=not foreseen)
            if own is None:
                reason = f"the input can't be passed on to {self._names[taker]}: {error}"
                own = self._outcome(job, 0, error=reason), b""
            self._home.send(*own, job.deadline_s)

    def _terms(self, job: Job, taker: int, item: int) -> Terms:
        """Time for two tries, and some left for an answer from here."""
        there_s = float(self._travel_s[self._here, taker, item])
        # Before this message, those of the whole window may be on the way.
        patience_s = max(_LEAST_PATIENCE_S, 3 * (self._limits.window + 1) * there_s)
        return Terms(
            deadline_s=job.deadline_s,
            give_up_s=job.deadline_s - 3 * self._home.travel_s - 0.1,
            travel_s=there_s,
            patience_s=patience_s,
            silence_s=2 * patience_s,
        )

    def _outcome(
        self, job: Job, k: int, *, trace: tuple[Stage, ...] = (), degraded: bool = False, error: str = ""
    ) -> Outcome:
        task, accuracy = job.task, 0.0
        if not error:
            partition = self._admission.partition(job.plan, k)
            known = partition.staying_accuracy if degraded else None
            accuracy = partition.accuracy if known is None else known
        return Outcome(
            deployment=task.deployment,
            request=task.request,
            client=task.client,
            plan=str(job.plan),
            partition=k,
            left_s=max(job.deadline_s - time.monotonic(), 0.001),
            born_ns=task.born_ns or job.arrived_ns,
            degraded=degraded,
            accuracy=accuracy,
            error=error[:500],
            trace=trace or task.trace,
        )


def refuse(query: zenoh.Query, error: Exception) -> None:
    """Answer a query with the reason why what it brought is not taken."""
    query.reply_err((FULL if isinstance(error, queue.Full) else str(error)).encode())
