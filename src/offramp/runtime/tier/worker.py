"""One tier at work: it accepts tasks, runs its partitions, and sends results and activations on."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from offramp.bundle.input_codecs import decode_input, encode_input
from offramp.bundle.manifest import TierManifest
from offramp.bundle.session import PartitionSession
from offramp.core.codec import InputCodec
from offramp.core.latency import transfer_s
from offramp.runtime.tier.executor import PartitionExecutor
from offramp.runtime.tier.fallback import Fallback, FallbackStore
from offramp.runtime.tier.results import ResultRouter
from offramp.runtime.tier.scheduler import Scheduler
from offramp.runtime.tier.slowdown import SlowdownEmulator, wait_until
from offramp.runtime.tier.validation import AcceptedTask, RecentKeys, TaskValidator
from offramp.runtime.transport.delivery import Deliverer, DeliveryTimeouts, QueueFullError, UndeliveredError
from offramp.runtime.transport.interface import Transport
from offramp.runtime.transport.keys import plan_key, result_key, work_key
from offramp.runtime.transport.messages import MessageError, Outcome, Task, TraceEntry, unpack
from offramp.runtime.transport.sender import SendWindow

_LOG = logging.getLogger(__name__)
_LEAST_ACK_TIMEOUT_S = 1.0
# How long a worker that is closed goes on with the tasks that it has accepted.
_DRAIN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a tier takes on.

    queue: tasks that may wait, for each partition of a plan; more are refused, and wait at the tier that sends them.
    window: hand-overs to other tiers in flight at once, for each partition of a plan.
    """

    queue: int = 32
    window: int = 4


class Worker:
    """A tier of a deployment, from its construction until `close`.

    tier: its part of the bundle.
    sessions: its partitions, loaded, by first and last block.
    transport: its connection to the other tiers and to clients; outlives the worker.
    slowdown: the hardware to emulate; None to be as fast as this machine.
    """

    def __init__(
        self,
        tier: TierManifest,
        sessions: Mapping[tuple[int, int], PartitionSession],
        transport: Transport,
        *,
        slowdown: SlowdownEmulator | None = None,
        limits: Limits = Limits(),
    ) -> None:
        topology = tier.topology
        self._tier, self._slowdown, self._limits = tier, slowdown, limits
        self._names = [member.name for member in topology.tiers]
        self._indices = {str(index): index for index in range(len(self._names))}
        self._index = topology.index(tier.tier)
        bits = np.array(tier.object_bits, np.float64)
        self._transfer_s = transfer_s(topology, bits)

        self._validator = TaskValidator(tier)
        self._executor = PartitionExecutor(tier, sessions, slowdown)
        self._plan = str(tier.plans[0])
        self._scheduler = Scheduler(limits.queue)
        self._accepted, self._fallbacks = RecentKeys(), FallbackStore()
        self._deliverer = Deliverer(transport)
        longest = max(len(plan.ends) for plan in tier.plans)
        self._hand_overs = [
            SendWindow(f"partition-{k}", window=limits.window, freed=self._scheduler.recheck) for k in range(longest)
        ]
        self._results = ResultRouter(tier, transport, window=2 * limits.window)

        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="partitions", daemon=True)
        self._thread.start()
        self._withdrawals = [
            transport.answer(work_key(self._index), self._on_task),
            transport.answer(result_key(self._index), self._on_outcome),
            transport.answer(plan_key(self._index), self._on_plan),
            transport.watch(self._on_lost),
            # Last: whoever sees this tier present finds the rest in place.
            transport.announce(str(self._index)),
        ]

    def close(self) -> None:
        """Accept nothing more, drain for up to two seconds, and give up the rest."""
        until_s = time.monotonic() + _DRAIN_S
        for withdraw in reversed(self._withdrawals):
            withdraw()
        self._scheduler.close()
        self._thread.join(_DRAIN_S)
        for hand_overs in self._hand_overs:
            hand_overs.wait(until_s)
        self._results.wait(until_s)  # last: a hand-over that fails becomes a result
        self._stopped.set()
        for hand_overs in self._hand_overs:
            hand_overs.close()
        self._deliverer.close()
        self._results.close()
        self._thread.join()

    # What is received. These run in the transport's threads: they validate, enqueue and acknowledge.

    def _on_task(self, payload: bytes) -> bytes:
        arrived_ns = time.time_ns()
        message, tensor = unpack(payload, most_tensor_bytes=self._validator.most_tensor_bytes)
        if not isinstance(message, Task):
            raise MessageError("an outcome where tasks are taken")
        self._enqueue(self._validator.accept(message, tensor, current=self._plan, arrived_ns=arrived_ns))
        return b""

    def _enqueue(self, accepted: AcceptedTask) -> None:
        """Put the task into its queue, unless it is a retransmission. Raises `QueueFullError`."""
        key = (accepted.task.request, accepted.task.partition)
        if not self._accepted.add(key):
            return
        try:
            self._scheduler.put(accepted)
        except QueueFullError:
            self._accepted.discard(key)
            raise

    def _on_outcome(self, payload: bytes) -> bytes:
        arrived_ns = time.time_ns()
        message, tensor = unpack(payload, most_tensor_bytes=self._validator.most_tensor_bytes)
        if not isinstance(message, Outcome):
            raise MessageError("a task where outcomes are taken")
        self._validator.check_outcome(message, tensor)
        self._results.take(message, bytes(tensor), arrived_ns=arrived_ns)
        return b""

    def _on_plan(self, payload: bytes) -> bytes:
        """Switch to the plan in the payload, unless it is empty. Returns the current plan."""
        if self._tier.tier != self._tier.topology.source:
            raise MessageError(f"{self._tier.tier} is not the source")
        if payload:
            self._plan = str(self._validator.plan(payload[:4096].decode(errors="replace")))
        return self._plan.encode()

    def _on_lost(self, name: str) -> None:
        """Answer the samples that a lost tier has, from their fallbacks."""
        tier = self._indices.get(name)
        if tier is None:
            return  # anybody in the network may announce anything
        fallbacks = self._fallbacks.pop_for(tier)
        if fallbacks:
            _LOG.warning("%s was lost: answering its %d samples from this tier", self._names[tier], len(fallbacks))
        for fallback in fallbacks:
            self._results.send(fallback.outcome, fallback.tensor, fallback.deadline_s)

    # What is run, one task after the other.

    def _work(self) -> None:
        while not self._stopped.is_set() and (accepted := self._scheduler.take(self._ready)) is not None:
            if time.monotonic() > accepted.deadline_s:
                continue  # the client no longer waits
            try:
                if accepted.plan.placement[accepted.task.partition] == self._tier.tier:
                    self._run(accepted)
                else:
                    self._forward(accepted)
            except Exception as error:  # one sample's failure must not end the worker
                _LOG.exception("request %d failed", accepted.task.request)
                failed = self._outcome(accepted, accepted.task.partition, error=f"{self._tier.tier}: {error}")
                self._results.send(failed, b"", accepted.deadline_s)

    def _ready(self, accepted: AcceptedTask) -> bool:
        """Whether there is room for what the task may hand over, so that it doesn't block the tasks behind it."""
        placement, k = accepted.plan.placement, accepted.task.partition
        while k < len(placement) and placement[k] == self._tier.tier:
            k += 1
        return k == len(placement) or self._hand_overs[k].has_room()

    def _run(self, accepted: AcceptedTask) -> None:
        """Run this tier's partitions, then send the result or hand the sample over."""
        ran = self._executor.run(accepted)
        outcome = self._outcome(accepted, ran.partition, trace=ran.trace, degraded=not ran.exited)
        if ran.exited:
            self._results.send(outcome, ran.result, accepted.deadline_s)
            return
        plan = accepted.plan
        task = msgspec.structs.replace(
            accepted.task,
            plan=str(plan),
            partition=ran.partition + 1,
            created_ns=outcome.created_ns,
            trace=outcome.trace,
        )
        receiver = self._names.index(plan.placement[task.partition])
        sent, fallback = plan.ends[ran.partition], Fallback(outcome, ran.result, receiver, accepted.deadline_s)
        self._hand_overs[task.partition].put(
            lambda: self._hand_over(accepted, task, ran.activation, receiver, sent, fallback)
        )

    def _forward(self, accepted: AcceptedTask) -> None:
        """Send the input of a new sample, encoded, to the tier of the first partition."""
        began_ns = time.monotonic_ns()
        task = msgspec.structs.replace(
            accepted.task, plan=str(accepted.plan), created_ns=accepted.task.created_ns or accepted.arrived_ns
        )
        kind, codec = np.dtype(self._tier.input_type), accepted.plan.input_codec
        tensor = bytes(accepted.tensor)
        if codec is not InputCodec.RAW:
            tensor = encode_input(decode_input(tensor, self._tier.input_shape, kind, InputCodec.RAW), codec)
        if self._slowdown is not None:
            wait_until(began_ns + self._slowdown.forward_ns(accepted.plan))
        receiver = self._names.index(accepted.plan.placement[0])
        self._hand_overs[0].put(lambda: self._hand_over(accepted, task, tensor, receiver, 0, None))

    # What is sent. These run in the send windows' threads.

    def _hand_over(
        self,
        accepted: AcceptedTask,
        task: Task,
        tensor: bytes,
        receiver: int,
        sent: int,
        fallback: Fallback | None,
    ) -> None:
        """Deliver a sample to another tier; where that fails, answer it from this tier.

        sent: the object that travels: 0 the input, i the output of block i.
        fallback: None where no branch of this tier has run on the sample.
        """
        if fallback is not None:
            self._fallbacks.keep(fallback)
        try:
            self._deliverer.deliver(work_key(receiver), task, tensor, self._timeouts(accepted, receiver, sent))
        except Exception as error:  # whatever failed, the client gets an answer
            self._fallbacks.release(task.request)
            expected = isinstance(error, UndeliveredError)
            level, text = logging.INFO if expected else logging.ERROR, "request %d was not handed over to %s: %s"
            _LOG.log(level, text, task.request, self._names[receiver], error, exc_info=not expected)
            if fallback is None:
                reason = f"the input can't be passed on to {self._names[receiver]}: {error}"
                self._results.send(self._outcome(accepted, 0, error=reason), b"", accepted.deadline_s)
            else:
                self._results.send(fallback.outcome, fallback.tensor, accepted.deadline_s)

    def _timeouts(self, accepted: AcceptedTask, receiver: int, sent: int) -> DeliveryTimeouts:
        """Time for two attempts, and some left to send an answer from this tier."""
        transfer_s = float(self._transfer_s[self._index, receiver, sent])
        # The whole window may be in flight before this message.
        ack_timeout_s = max(_LEAST_ACK_TIMEOUT_S, 3 * (self._limits.window + 1) * transfer_s)
        return DeliveryTimeouts(
            deadline_s=accepted.deadline_s,
            give_up_s=accepted.deadline_s - 3 * self._results.transfer_s - 0.1,
            transfer_s=transfer_s,
            ack_timeout_s=ack_timeout_s,
            no_ack_limit_s=2 * ack_timeout_s,
        )

    def _outcome(
        self,
        accepted: AcceptedTask,
        k: int,
        *,
        trace: tuple[TraceEntry, ...] = (),
        degraded: bool = False,
        error: str = "",
    ) -> Outcome:
        task, accuracy = accepted.task, 0.0
        if not error:
            partition = self._validator.partition(accepted.plan, k)
            known = partition.staying_accuracy if degraded else None
            accuracy = partition.accuracy if known is None else known
        return Outcome(
            deployment=task.deployment,
            request=task.request,
            client=task.client,
            plan=str(accepted.plan),
            partition=k,
            left_s=max(accepted.deadline_s - time.monotonic(), 0.001),
            created_ns=task.created_ns or accepted.arrived_ns,
            degraded=degraded,
            accuracy=accuracy,
            error=error[:500],
            trace=trace or task.trace,
        )
