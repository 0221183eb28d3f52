"""What a search over a large exit table keeps, as the operating system counts it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from offramp.core.exit_table import ExitTable
from offramp.core.exits import Replay
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement, SearchLimits
from offramp.errors import InputError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

# The table is made of few bytes, so that making it is not the peak.
SEARCH = """
import resource
import numpy as np
from instances import problem
from dataclasses import replace
from offramp.core.exit_table import ExitTable
from offramp.core.planner import Planner
from offramp.core.requirement import Requirement, SearchLimits

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000

profile, topology = problem(blocks=4, tiers=4, thresholds=3, samples=100)
Planner.of(profile, topology, compiled=True).best(Requirement(min_accuracy=0.5))  # compile
profile, topology = problem(blocks=55, tiers=4, thresholds=100, samples=2)
rows = np.tile(np.linspace(0, 1, 50_000, dtype=np.float32), (55, 1))
profile = replace(profile, exit_table=ExitTable(rows, rows > 0.1, np.zeros(50_000, np.int64)))
before = peak_mb()
planner = Planner.of(profile, topology, compiled=True)
answer = planner.best(Requirement(min_accuracy=0.8, limits=SearchLimits(memory_bytes=100e6)))
assert answer.best is not None
print(peak_mb() - before, planner.exits.bit_set_bytes / 1e6)
"""


def test_a_search_over_a_large_table_stays_within_its_memory() -> None:
    ran = subprocess.run([sys.executable, "-c", SEARCH], capture_output=True, text=True, cwd=BENCHMARKS, check=True)
    grown_mb, packed_mb = map(float, ran.stdout.split())
    assert packed_mb < 100
    assert grown_mb < 100


def test_a_limit_below_the_packed_table_is_refused_with_that_figure() -> None:
    sys.path.insert(0, str(BENCHMARKS))
    from instances import problem

    profile, topology = problem(blocks=10, tiers=3, thresholds=20, samples=20_000)
    planner = Planner.of(profile, topology)
    assert isinstance(planner.exits, Replay)
    packed = sum(array.nbytes for array in planner.exits.bit_sets()[:4])
    assert planner.exits.bit_set_bytes == packed
    low, enough = (Requirement(min_accuracy=0.5, limits=SearchLimits(memory_bytes=b)) for b in (packed - 1, packed))
    with pytest.raises(InputError, match=rf"memory_limit: .*{packed / 1e6:.1f} MB"):
        planner.best(low)
    assert planner.best(enough).best is not None


def test_packing_row_by_row_is_what_the_table_says() -> None:
    random = np.random.default_rng(5)
    table = ExitTable(random.random((3, 70)), random.random((3, 70)) < 0.5, np.zeros(70, np.int64))
    exits, right, later, everyone, samples = Replay(table, np.array([0.25, 0.75])).bit_sets()

    def members(words: np.ndarray) -> set[int]:
        return {s for s in range(64 * len(words)) if int(words[s // 64]) >> (s % 64) & 1}

    assert (samples, members(everyone)) == (70, set(range(70)))
    for q in range(4):
        assert members(later[q]) == {s for s in range(70) if any(table.correct[i, s] for i in range(q, 3))}
        assert members(right[q]) == ({s for s in range(70) if table.correct[q - 1, s]} if q else set())
        for k, threshold in enumerate((0.25, 0.75)):
            assert members(exits[k, q]) == (
                {s for s in range(70) if table.scores[q - 1, s] <= threshold} if q else set()
            )
