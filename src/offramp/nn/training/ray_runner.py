"""Independent jobs on a Ray cluster."""

import logging
import socket
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from offramp.errors import MissingExtraError, fail
from offramp.nn.training.runner import MOST_TRIES, Failure, Job, JobsError, Task, problem_of

_PATIENCE_S = 10.0
_PACKAGE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class OnRay:
    """Run jobs on a Ray cluster: each has a GPU where the cluster has any, else a CPU; a wide one a node's CPUs.

    address: of the cluster as `ray start --head` prints it, `HOST:PORT`, or `auto` on one of its machines.

    Its machines need the packages that Offramp needs, and no files of this one: what the jobs share goes with them,
    and so does Offramp. A job whose worker is lost is begun again elsewhere, twice. When all the others are done,
    `JobsError` names the jobs that failed. Raises `MissingExtraError` without Ray, `InputError` where there is no
    cluster at `address`.
    """

    address: str

    def __call__(self, jobs: Sequence[Job], shared: Any) -> Iterator[tuple[str, Any]]:
        """Yield the events of `jobs` as they come."""
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("--ray needs Ray: pip install 'offramp[ray]'") from error

        try:
            _knock(self.address)
            ray.init(
                self.address,
                runtime_env={"py_modules": [str(_PACKAGE)]},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (OSError, RuntimeError, ValueError) as error:
            problem = f"there is no cluster at {self.address}: {next(iter(str(error).splitlines()), '')}"
            fail("--ray", problem, "start one with `ray start --head`, and give the address it prints")
        try:
            yield from _events(jobs, shared)
        finally:
            # Ends what still runs, too.
            ray.shutdown()


def _knock(address: str) -> None:
    """Raise `OSError` or `ValueError` where nobody listens; Ray itself would wait for minutes, or for ever."""
    if address != "auto":
        parts = urlsplit(f"//{address}")
        if not parts.hostname or not parts.port:
            raise ValueError("that is not HOST:PORT")
        socket.create_connection((parts.hostname, parts.port), timeout=_PATIENCE_S).close()


def _events(jobs: Sequence[Job], shared: Any) -> Iterator[tuple[str, Any]]:
    import ray
    from ray import ObjectRefGenerator
    from ray.exceptions import RayError, RayTaskError

    # Wide jobs first: the others would leave no machine free for them.
    waiting = deque(sorted(jobs, key=lambda job: not job.wide))
    tries, failures = Counter[str](), []
    running: dict[ObjectRefGenerator, Job] = {}
    common = ray.put(shared)
    with_gpu, machine = _resources(ray)
    # What a lost worker had done is known to this process alone: Ray itself would begin the very same task again.
    task = ray.remote(num_returns="streaming", max_retries=0)(_run)
    while waiting or running:
        while waiting:
            job = waiting.popleft()
            tries[job.name] += 1
            needs = {"num_gpus": 1} if with_gpu else {"num_cpus": machine if job.wide else 1}
            running[task.options(name=job.name, **needs).remote(job.task(), common)] = job
        for stream in ray.wait(list(running), num_returns=1)[0]:
            assert isinstance(stream, ObjectRefGenerator)
            job = running[stream]
            try:
                event = ray.get(next(stream))
            except StopIteration:
                del running[stream]
            except RayTaskError as error:
                del running[stream]
                failures.append(Failure(job.name, problem_of(error.cause)))
            except RayError as error:
                del running[stream]
                if tries[job.name] < MOST_TRIES:
                    waiting.append(job)
                else:
                    how = next(iter(str(error).splitlines()), type(error).__name__)
                    failures.append(Failure(job.name, f"its worker was lost {MOST_TRIES} times: {how}"))
            else:
                yield job.name, event
    if failures:
        order = [job.name for job in jobs]
        raise JobsError(sorted(failures, key=lambda failure: order.index(failure.job)))


def _resources(ray: Any) -> tuple[bool, float]:
    """Whether the cluster has GPUs, and the CPUs of its largest machine."""
    cpus = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    return ray.cluster_resources().get("GPU", 0) > 0, max(cpus)


def _run(task: Task, shared: Any) -> Iterator[Any]:
    yield from task(shared)
