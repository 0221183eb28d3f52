"""What a tier lets in: tasks of its own deployment, for its own partitions, with tensors of the right size."""

import functools
import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from offramp.bundle.manifest import PartitionFile, TierManifest
from offramp.core.codec import encoded_bits
from offramp.core.plan import Plan
from offramp.errors import InputError
from offramp.runtime.transport.messages import MessageError, Outcome, Task

_REMEMBERED = 1 << 16


@dataclass(frozen=True, slots=True)
class Job:
    """A task that a tier has let in.

    tensor: as it came, of the right length.
    deadline_s: when the request ends, by this tier's monotonic clock.
    arrived_ns: when it came, in nanoseconds since 1970.
    """

    task: Task
    plan: Plan
    tensor: memoryview
    deadline_s: float
    arrived_ns: int

    @property
    def first(self) -> bool:
        """Whether its tensor is the raw input."""
        return self.task.partition == 0


class Admission:
    """The rules of one tier."""

    def __init__(self, tier: TierManifest) -> None:
        self._deployment = tier.deployment
        self._tier = tier.tier
        self._source = tier.topology.source
        self._object_bits = tier.object_bits
        self._partitions = {(each.first, each.last): each for each in tier.partitions}
        self._allowed = {_shape(plan) for plan in tier.plans}
        self.plan = functools.lru_cache(maxsize=256)(self._plan)

    @property
    def most_tensor_bytes(self) -> int:
        """The largest tensor that may come."""
        return max(self._object_bits) // 8 + 64

    def job(self, task: Task, tensor: memoryview, *, current: str, arrived_ns: int) -> Job:
        """The task as this tier will do it. Raises `MessageError` for one that is not for this tier.

        current: the plan for samples that arise here.
        """
        self._same_deployment(task.deployment)
        plan = self.plan(task.plan or current)
        if task.partition >= len(plan.ends):
            raise MessageError(f"partition {task.partition + 1} of {len(plan.ends)}")
        arises_here = task.partition == 0 and self._tier == self._source
        if plan.placement[task.partition] != self._tier and not arises_here:
            raise MessageError(f"this is {self._tier}; the partition belongs to {plan.placement[task.partition]}")
        wanted = self._tensor_bytes(plan, task.partition)
        if len(tensor) != wanted:
            raise MessageError(f"a tensor of {len(tensor)} bytes where the partition takes {wanted}")
        return Job(task, plan, tensor, time.monotonic() + task.left_s, arrived_ns)

    def outcome(self, outcome: Outcome, tensor: memoryview) -> None:
        """Raise `MessageError` for an outcome that no tier of this deployment can have sent."""
        self._same_deployment(outcome.deployment)
        partitions = len(self.plan(outcome.plan).ends)
        if outcome.partition >= partitions:
            raise MessageError(f"partition {outcome.partition + 1} of {partitions}")
        wanted = 0 if outcome.error else self._object_bits[-1] // 8
        if len(tensor) != wanted:
            raise MessageError(f"a result of {len(tensor)} bytes where there should be {wanted}")

    def _same_deployment(self, deployment: str) -> None:
        if deployment != self._deployment:
            raise MessageError(f"the message is of bundle {deployment}, {self._tier} runs {self._deployment}")

    def partition(self, plan: Plan, k: int) -> PartitionFile:
        """Partition `k` of the plan, counted from 0."""
        return self._partitions[plan.blocks[k]]

    def _plan(self, text: str) -> Plan:
        """The plan in `text`. Raises `MessageError` unless the bundle was built for it."""
        try:
            plan = Plan.parse(text)
        except InputError as error:
            raise MessageError(f"the plan can't be read: {error}") from error
        if _shape(plan) not in self._allowed:
            raise MessageError(f"the bundle was not built for the plan {text}")
        return plan

    def _tensor_bytes(self, plan: Plan, k: int) -> int:
        if k == 0:
            return self._object_bits[0] // 8
        return encoded_bits(math.prod(self.partition(plan, k).input_shape), plan.codec) // 8


class Seen:
    """The latest things seen, so that what comes twice is done once."""

    def __init__(self) -> None:
        self._keys: OrderedDict[object, None] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._keys

    def add(self, key: object) -> bool:
        """Remember `key`. Returns whether it is new."""
        with self._lock:
            new = key not in self._keys
            self._keys[key] = None
            if len(self._keys) > _REMEMBERED:
                self._keys.popitem(last=False)
        return new

    def discard(self, key: object) -> None:
        """Forget `key`."""
        with self._lock:
            self._keys.pop(key, None)


def _shape(plan: Plan) -> tuple[object, ...]:
    """What of a plan a bundle is built for; thresholds are free."""
    return plan.ends, plan.placement, plan.codec
