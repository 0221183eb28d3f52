"""Many plans at once: one profile on the topologies of a grid, or of a fleet."""

import itertools
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from offramp.core.estimate import EstimatedPlan
from offramp.core.exits import ExitModelName, exit_model
from offramp.core.input_choice import together
from offramp.core.latency import ComputeSource
from offramp.core.planner import Planner
from offramp.core.profile import Profile
from offramp.core.requirement import Requirement
from offramp.core.search_result import SearchResult
from offramp.core.topology import Topology
from offramp.errors import Fault, InputError, MissingExtraError, fail
from offramp.files.writing import target
from offramp.sweeps.grid import VariedTopology

# Topologies that a thread plans before it hands its rows over: enough for handing over to cost nothing.
_AT_ONCE = 16
# Rows that are written to a file together.
_ROWS_PER_GROUP = 16_384


@dataclass(frozen=True, slots=True)
class PlannedTopology:
    """What was found for one topology.

    estimated: the optimal plan; where none meets the requirement, the nearest; None where there is none at all.
    meets: whether the plan meets the requirement.
    reason: why there is no plan, or why it is not proven to be the best; "" where it is.
    """

    varied: VariedTopology
    estimated: EstimatedPlan | None
    meets: bool
    reason: str = ""

    def record(self) -> dict[str, Any]:
        """The row as flat columns: numbers in SI units, None where there are none."""
        record: dict[str, Any] = {"topology": self.varied.topology.name, **self.varied.values, **_NO_PLAN}
        if self.estimated is not None:
            predicted = self.estimated.estimate
            record |= {
                "plan": str(self.estimated.plan),
                "accuracy": predicted.accuracy,
                "latency_s": predicted.latency_s,
            }
            if min(predicted.exit_rates) >= 0:
                record |= {f"p{percent}_s": predicted.percentile_s(percent) for percent in (50, 95, 99)}
        return record | {"meets": self.meets, "reason": self.reason}


_NO_PLAN = dict.fromkeys(("plan", "accuracy", "latency_s", "p50_s", "p95_s", "p99_s"))


def plan_many(
    profile: Profile,
    topologies: Iterable[VariedTopology | Topology],
    requirement: Requirement,
    *,
    exits: ExitModelName | None = None,
    compute: ComputeSource | None = None,
    thresholds: Sequence[float] | None = None,
    workers: int | None = None,
) -> Iterator[PlannedTopology]:
    """The optimal plan on every topology, in their order, each as soon as it and those before it are known.

    topologies: read as they are needed, a few dozen ahead, so that there may be any number of them.
    exits, compute, thresholds: those of `Planner.of`.
    workers: how many threads plan; by default one per core. Threads share the profile and what is worked out from it.
        A search doesn't hold Python's lock, but the 0.2 ms before and after it do: threads pay where searches are
        long (replay, many tiers); additive ones stay near the rate of one thread. Two processes were slower than two
        threads.
    A topology that can't be planned gives a row with the reason. Raises `InputError` where the profile lacks what the
    exit model needs.
    """
    if workers is not None and workers < 1:
        fail("workers", f"{workers} threads plan nothing", "give 1 or more")
    exit_model(profile, exits, thresholds=thresholds)
    requirement.check_goal()

    def begin(topology: Topology) -> tuple[Planner, ...]:
        return Planner.each(
            profile,
            topology,
            requirement.codecs,
            exits=exits,
            compute=compute,
            thresholds=thresholds,
            compiled=True,
            inputs=together(requirement.input_codecs, bits_matter=requirement.counts_bits),
        )

    varied = (topology if isinstance(topology, VariedTopology) else VariedTopology(topology) for topology in topologies)
    return _rows(begin, varied, requirement, workers or os.cpu_count() or 1)


def _rows(
    begin: Callable[[Topology], tuple[Planner, ...]],
    topologies: Iterator[VariedTopology],
    requirement: Requirement,
    workers: int,
) -> Iterator[PlannedTopology]:
    # Until planners stand, and their search is compiled, there is nothing to share between threads.
    for varied in topologies:
        try:
            planners = begin(varied.topology)
        except InputError as error:
            yield PlannedTopology(varied, None, meets=False, reason=str(error))
            continue
        yield _planned(planners, requirement, varied)
        yield from _in_order(partial(_planned, planners, requirement), topologies, workers)


def _planned(planners: Sequence[Planner], requirement: Requirement, varied: VariedTopology) -> PlannedTopology:
    """The best of what the planners, one for each codec, find on the topology."""
    try:
        answers = [planner.on(varied.topology).best(requirement) for planner in planners]
    except InputError as error:
        return PlannedTopology(varied, None, meets=False, reason=str(error))
    return best_answer(varied, answers, requirement)


def best_answer(varied: VariedTopology, answers: Sequence[SearchResult], requirement: Requirement) -> PlannedTopology:
    """The best of what searches in several codecs found on one topology."""
    plans = [(plan, answer.best is not None) for answer in answers if (plan := answer.best or answer.nearest)]
    ended = "the search was ended by its limits" if any(answer.gap for answer in answers) else ""
    if not plans:
        return PlannedTopology(varied, None, meets=False, reason=ended or "the constraints allow no plan")
    plan, meets = min(plans, key=lambda found: requirement.rank(found[0].estimate, met=found[1]))
    return PlannedTopology(varied, plan, meets=meets, reason=ended)


def _in_order(
    work: Callable[[VariedTopology], PlannedTopology], topologies: Iterator[VariedTopology], workers: int
) -> Iterator[PlannedTopology]:
    """The rows of the topologies, worked out by threads a few batches ahead of who takes them."""
    batches = iter(lambda: list(itertools.islice(topologies, _AT_ONCE)), [])
    waiting: deque[Future[list[PlannedTopology]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in batches:
                waiting.append(pool.submit(lambda batch: [work(varied) for varied in batch], batch))
                if len(waiting) > 2 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def write_parquet(rows: Iterable[PlannedTopology], path: str | Path) -> int:
    """Write rows to a Parquet file as they come, one column for each entry of `record`; returns their number.

    The file appears whole or not at all. Raises `MissingExtraError` without pyarrow, `InputError` where the file can't
    be written.
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise MissingExtraError("Parquet files need pyarrow: pip install 'offramp[fleet]'") from None
    path = target(path)
    part = path.parent / f".{secrets.token_hex(8)}.part"
    remaining, count = iter(rows), 0
    first = list(itertools.islice(remaining, 1))
    columns = first[0].record() if first else ("topology", *_NO_PLAN, "meets", "reason")
    types = dict.fromkeys(("topology", "plan", "reason"), pa.string()) | {"meets": pa.bool_()}
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in columns])
    try:
        with ParquetWriter(part, schema) as writer:
            rest = itertools.chain(first, remaining)
            while records := [row.record() for row in itertools.islice(rest, _ROWS_PER_GROUP)]:
                writer.write_table(pa.Table.from_pylist(records, schema=schema))
                count += len(records)
        os.replace(part, path)
    except OSError as error:
        fault = Fault("file", f"can't be written: {error.strerror or error}", "give a file in a folder that exists")
        raise InputError([fault], source=str(path)) from error
    finally:
        part.unlink(missing_ok=True)
    return count
