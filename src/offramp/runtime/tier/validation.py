"""Which messages a tier accepts: of its own deployment, for its own partitions, with tensors of the right size."""

import functools
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from offramp.bundle.input_codecs import most_input_bytes
from offramp.bundle.manifest import PartitionFile, TierManifest
from offramp.core.codec import InputCodec, encoded_bits
from offramp.core.plan import Plan
from offramp.errors import InputError
from offramp.runtime.transport.messages import MessageError, Outcome, Task

_REMEMBERED = 1 << 16


@dataclass(frozen=True, slots=True)
class AcceptedTask:
    """A task that a tier has validated and accepted.

    tensor: as it was received, of the right length; of an encoded input, whose length is not known, not too long.
    deadline_s: when the request ends, by this tier's monotonic clock.
    arrived_ns: when it was received, in nanoseconds since 1970.
    """

    task: Task
    plan: Plan
    tensor: memoryview
    deadline_s: float
    arrived_ns: int

    @property
    def is_input(self) -> bool:
        """Whether its tensor is the input, not an activation."""
        return self.task.partition == 0


class TaskValidator:
    """Validates what one tier receives.

    tier: its part of the bundle.

    most_tensor_bytes: the largest tensor that any message may have.
    """

    def __init__(self, tier: TierManifest) -> None:
        self._deployment = tier.deployment
        self._tier = tier.tier
        self._source = tier.topology.source
        self._object_bits = tier.object_bits
        self.most_tensor_bytes = most_object_bytes(tier) + 64
        self._partitions = {partition.blocks: partition for partition in tier.partitions}
        self._built_for = {_structure(plan) for plan in tier.plans}
        self.plan = functools.lru_cache(maxsize=256)(self._plan)

    def accept(self, task: Task, tensor: memoryview, *, current: str, arrived_ns: int) -> AcceptedTask:
        """The task, validated. Raises `MessageError` for one that is not for this tier.

        current: the plan of new samples, where the task names none.
        """
        self._check_deployment(task.deployment)
        plan = self.plan(task.plan or current)
        if task.partition >= len(plan.ends):
            raise MessageError(f"partition {task.partition + 1} of {len(plan.ends)}")
        is_new_sample = task.partition == 0 and self._tier == self._source
        if plan.placement[task.partition] != self._tier and not is_new_sample:
            raise MessageError(f"this is {self._tier}; the partition belongs to {plan.placement[task.partition]}")
        expected = self._tensor_bytes(plan, task.partition)
        if task.partition == 0 and not is_new_sample and plan.input_codec is not InputCodec.RAW:
            most = most_input_bytes(expected, plan.input_codec)
            if not 0 < len(tensor) <= most:
                problem = f"an input of {len(tensor)} bytes, which as {plan.input_codec.value} has at most {most}"
                raise MessageError(problem)
        elif task.partition and plan.codec is not plan.codec.plain:
            if not 0 < len(tensor) <= expected:
                raise MessageError(
                    f"a tensor of {len(tensor)} bytes, which as {plan.codec.value} has at most {expected}"
                )
        elif len(tensor) != expected:
            raise MessageError(f"a tensor of {len(tensor)} bytes where the partition takes {expected}")
        return AcceptedTask(task, plan, tensor, time.monotonic() + task.left_s, arrived_ns)

    def check_outcome(self, outcome: Outcome, tensor: memoryview) -> None:
        """Raise `MessageError` for an outcome that no tier of this deployment can have sent."""
        self._check_deployment(outcome.deployment)
        partitions = len(self.plan(outcome.plan).ends)
        if outcome.partition >= partitions:
            raise MessageError(f"partition {outcome.partition + 1} of {partitions}")
        expected = 0 if outcome.error else self._object_bits[-1] // 8
        if len(tensor) != expected:
            raise MessageError(f"a result of {len(tensor)} bytes where there should be {expected}")

    def partition(self, plan: Plan, k: int) -> PartitionFile:
        """Partition `k` of the plan, counted from 0."""
        return self._partitions[plan.blocks[k]]

    def _check_deployment(self, deployment: str) -> None:
        if deployment != self._deployment:
            raise MessageError(f"the message is of bundle {deployment}, {self._tier} runs {self._deployment}")

    def _plan(self, text: str) -> Plan:
        """The plan in `text`. Raises `MessageError` unless the bundle was built for it."""
        try:
            plan = Plan.parse(text)
        except InputError as error:
            raise MessageError(f"the plan can't be read: {error}") from error
        if _structure(plan) not in self._built_for:
            raise MessageError(f"the bundle was not built for the plan {text}")
        return plan

    def _tensor_bytes(self, plan: Plan, k: int) -> int:
        if k == 0:
            return self._object_bits[0] // 8
        return encoded_bits(math.prod(self.partition(plan, k).input_shape), plan.codec) // 8


class RecentKeys:
    """The most recent keys, bounded in number, so that duplicates are recognized."""

    def __init__(self) -> None:
        self._keys: OrderedDict[Hashable, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, key: Hashable) -> bool:
        """Remember `key`. Returns whether it is new."""
        with self._lock:
            new = key not in self._keys
            self._keys[key] = None
            if len(self._keys) > _REMEMBERED:
                self._keys.popitem(last=False)
        return new

    def discard(self, key: Hashable) -> None:
        """Forget `key`."""
        with self._lock:
            self._keys.pop(key, None)


def _structure(plan: Plan) -> tuple[object, ...]:
    """The part of a plan that a bundle is built for; thresholds may change."""
    return plan.ends, plan.placement, plan.codec, plan.input_codec


def most_object_bytes(tier: TierManifest) -> int:
    """The largest object that travels in any plan of the bundle."""
    raw_bytes = tier.object_bits[0] // 8
    inputs = (most_input_bytes(raw_bytes, plan.input_codec) for plan in tier.plans)
    return max(max(tier.object_bits) // 8, *inputs)
