import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from offramp.errors import InputError, MissingExtraError
from offramp.files import maps
from offramp.nn.catalog import backbone_spec
from offramp.nn.datasets import read_data
from offramp.nn.training import checkpoint, jobs
from offramp.nn.training.fit import Recipe
from offramp.nn.training.ray_runner import OnRay
from offramp.nn.training.run import JOINT, Run, Training, begin_run, read_run, separate_name
from offramp.nn.training.runner import MOST_TRIES, Job, JobsError, Local, _payload, in_turn
from offramp.nn.training.setup import Setup
from tests.nn.training import tasks

pair = Local(2, tasks.settle)


def job(name, task, **options) -> Job:
    return Job(name, lambda: task, **options)


def by_job(events) -> dict[str, list]:
    found: dict[str, list] = {}
    for name, event in events:
        found.setdefault(name, []).append(event)
    return found


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("runner", [in_turn, pair, Local(1, tasks.settle)], ids=["in turn", "pair", "one"])
def test_every_job_is_done_in_its_order(runner):
    jobs = [job(f"to-{last}", partial(tasks.count, 1, last)) for last in range(5)]
    wanted = {f"to-{last}": [100 + number for number in range(1, last + 1)] for last in range(1, 5)}
    assert by_job(runner(jobs, 100)) == wanted
    assert [*runner([], 100)] == []


def test_processes_are_settled_once_and_do_one_job_after_the_other():
    found = by_job(pair([job(str(number), tasks.tell) for number in range(5)], None))
    told = [event for [event] in found.values()]
    assert len(told) == 5
    assert len({pid for pid, _ in told} - {os.getpid()}) == 2
    assert {(pid, *settled) for pid, settled in told} == {(pid, *settled) for pid, settled in dict(told).items()}
    assert sorted(settled for settled in dict(told).values()) == [[0], [1]]


def test_jobs_are_done_side_by_side(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    found = by_job(pair([job("a", partial(tasks.meet, a, b)), job("b", partial(tasks.meet, b, a))], None))
    assert found == {"a": ["met"], "b": ["met"]}


def test_a_wide_job_is_done_first_and_here():
    found = [*pair([*(job(str(number), tasks.tell) for number in range(2)), job("wide", tasks.tell, wide=True)], None)]
    assert found[0][0] == "wide"
    assert found[0][1][0] == os.getpid()


def test_a_failure_names_its_job_and_the_others_are_done():
    jobs = [job("bad", tasks.stumble), *(job(f"good-{number}", partial(tasks.count, 1, 2)) for number in range(3))]
    seen = []
    with pytest.raises(JobsError, match=r"^bad failed: ValueError at .*tasks\.py:\d+: no such luck\nWhat was done"):
        seen.extend(pair(jobs, 0))
    assert by_job(seen) == {"bad": ["so far"], **{f"good-{number}": [1, 2] for number in range(3)}}


@pytest.mark.parametrize("options", [{}, {"wide": True}])
def test_one_worker_does_the_others_too(options):
    jobs = [job("bad", tasks.stumble, **options), *(job(f"good-{n}", partial(tasks.count, 1, 2)) for n in range(2))]
    seen = []
    with pytest.raises(JobsError, match=r"^bad failed: ValueError at .*tasks\.py:\d+: no such luck\nWhat was done"):
        seen.extend(Local(1, tasks.settle)(jobs, 0))
    assert by_job(seen) == {"bad": ["so far"], **{f"good-{n}": [1, 2] for n in range(2)}}


def test_a_lost_job_goes_on_in_a_new_process(tmp_path):
    counting = tasks.Counting(6, dies_after=4, mark=tmp_path / "died")
    seen = []
    for name, event in pair([Job("lost", counting), job("other", partial(tasks.count, 1, 3))], 0):
        seen.append((name, event))
        if name == "lost":
            counting.taken.append(event)
    assert by_job(seen) == {"lost": [1, 2, 3, 4, 5, 6], "other": [1, 2, 3]}
    assert (tmp_path / "died").exists()


def test_a_job_that_loses_every_process_is_given_up():
    deadly = Job("deadly", tasks.Counting(2, dies_after=1, mark=None))
    with pytest.raises(JobsError, match=r"^deadly failed: its process was ended by SIGKILL, 3 times") as found:
        for _ in pair([deadly, *(job(f"good-{number}", tasks.tell) for number in range(2))], 0):
            pass
    assert [failure.job for failure in found.value.failures] == ["deadly"]
    assert MOST_TRIES == 3


def test_who_stops_listening_leaves_no_process():
    events = pair([job(str(number), tasks.wait_for_ever) for number in range(2)], None)
    pids = [pid for _, (_, pid) in zip(range(2), events, strict=False)]
    assert not any(map(gone, pids))
    events.close()
    assert all(map(gone, pids))


ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}


def test_processes_end_with_the_program(tmp_path):
    # Killed, so that it can't tell its workers.
    script = tmp_path / "program.py"
    script.write_text(
        "from functools import partial\n"
        "from offramp.nn.training.runner import Job, Local\n"
        "from tests.nn.training import tasks\n"
        "jobs = [Job(str(n), partial(partial, tasks.chatter)) for n in range(2)]\n"
        "for _, pid in Local(2, tasks.settle)(jobs, None):\n"
        "    print(pid, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as program:
        pids: set[int] = set()
        while len(pids) < 2:
            pids.add(int(program.stdout.readline()))
        program.kill()
    deadline = time.monotonic() + 10
    while not all(map(gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(gone, pids))


PROGRAM = """
from functools import partial
from offramp.nn.training.runner import Job, Local
from tests.nn.training import tasks

print("begun", flush=True)
jobs = [Job(str(n), partial(partial, partial(TASK))) for n in range(2)]
for name, event in Local(2, tasks.settle)(jobs, 100):
    print(name, event, flush=True)
"""


def test_a_script_needs_no_guard(tmp_path):
    """Processes that imported the program's main module would print that it has begun, and begin processes."""
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.replace("TASK", "tasks.count, 1, 2"))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    begun, *events = done.stdout.splitlines()
    assert begun == "begun"
    assert sorted(events) == ["0 101", "0 102", "1 101", "1 102"]


def test_a_program_read_from_standard_input_runs_jobs():
    """As in a notebook, whose main module has no file."""
    program = PROGRAM.replace("TASK", "tasks.count, 1, 1")
    done = subprocess.run(
        [sys.executable], input=program, capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=True
    )
    assert sorted(done.stdout.splitlines()) == ["0 101", "1 101", "begun"]


def test_ctrl_c_ends_the_program_and_its_processes_quietly(tmp_path):
    script = tmp_path / "program.py"
    # What a shell starts in the background ignores it, and so does what that starts.
    listening = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script.write_text(listening + PROGRAM.replace("TASK", "tasks.wait_for_ever"))
    program = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    try:
        program.stdout.readline()
        pids = [int(program.stdout.readline().split()[1]) for _ in range(2)]
        os.killpg(program.pid, signal.SIGINT)  # as a terminal does: to the program and all its processes
        _, errors = program.communicate(timeout=60)
    finally:
        program.kill()
    assert all(map(gone, pids))
    assert errors.count("KeyboardInterrupt") == errors.count("Traceback") == 1


# Training, by each of the runners.


@pytest.fixture(scope="module")
def small(tiny, tmp_path_factory) -> Setup:
    """Two epochs, so that there is a checkpoint to go on from, of 48 small images."""
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    parts = (tiny.train, tiny.validation, tiny.test)
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    np.savez(path, images=images, labels=labels)
    recipe = Recipe(epochs=2, batch_size=16)
    return Setup(backbone="resnet8", dataset=str(path), seed=3, bf16=False, joint=recipe, separate=recipe)


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory) -> Run:
    training = begin(tmp_path_factory.mktemp("in-turn"), small)
    for _ in training.train():
        pass
    return training.finished()


def begin(folder: Path, setup: Setup) -> Training:
    return begin_run(folder, setup, read_data(setup.dataset, seed=setup.seed), backbone_spec(setup.backbone))


def sabotaged(runner, victim: str, mark: Path):
    """The runner, but the worker that has the victim is killed once, after the victim's first epoch."""

    def run(jobs, shared):
        return runner([replace(each, task=killed(each)) if each.name == victim else each for each in jobs], shared)

    def killed(each: Job):
        return lambda: partial(tasks.dying_after_a_checkpoint, each.task(), mark)

    return run


def same_networks(one: Run, other: Run) -> bool:
    names = [JOINT, *(separate_name(end) for end in range(1, 5))]
    weights = [[checkpoint.read(run.checkpoint(name)) for name in names] for run in (one, other)]
    return all(
        a.finished and b.finished and a.accuracy == b.accuracy and torch.equal(a.weights[name], b.weights[name])
        for a, b in zip(*weights, strict=True)
        for name in a.weights
    )


def check_training(runner, small, trained, folder: Path) -> None:
    """All networks are trained as they are in turn, though a worker is lost midway."""
    events = [*begin(folder / "run", small).train(sabotaged(runner, "separate-3", folder / "killed"))]
    assert (folder / "killed").exists()
    starts = [event.seen for event in events if isinstance(event, jobs.Started) and event.network == "separate-3"]
    assert starts == [0, 48]
    assert sorted(event.network for event in events if isinstance(event, jobs.Finished)) == [
        "joint",
        *(f"separate-{end}" for end in range(1, 5)),
    ]
    learned = sum(event.images for event in events if isinstance(event, jobs.Learned))
    assert learned == sum(event.images for event in events if isinstance(event, jobs.Planned)) == 5 * 2 * 48
    assert same_networks(trained, read_run(folder / "run"))


def test_networks_trained_side_by_side_are_those_trained_in_turn(small, trained, tmp_path):
    check_training(jobs.local_runner(2), small, trained, tmp_path)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A Ray cluster on this machine: a head that does no work, and two workers with one core each."""
    pytest.importorskip("ray", reason="ray is not installed: pip install 'offramp[ray]'")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            found.add_node(num_cpus=1)
        yield found.address
    finally:
        found.shutdown()


@pytest.mark.nightly
def test_a_cluster_trains_the_same_networks_though_a_worker_is_lost(cluster, small, trained, tmp_path):
    check_training(OnRay(cluster), small, trained, tmp_path)


def test_a_failure_on_a_cluster_names_its_job_and_the_others_are_done(cluster):
    jobs = [job("bad", tasks.stumble), job("good", partial(tasks.count, 1, 2))]
    seen = []
    with pytest.raises(JobsError, match=r"^bad failed: ValueError.*no such luck"):
        seen.extend(OnRay(cluster)(jobs, 0))
    assert by_job(seen) == {"bad": ["so far"], "good": [1, 2]}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "nowhere", "here:there"])
def test_without_a_cluster_there_is_a_remedy(address):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'offramp[ray]'")
    with pytest.raises(InputError, match=f"no cluster at {address}: .*ray start --head"):
        next(OnRay(address)([job("a", tasks.tell)], None))


def test_without_ray_there_is_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'offramp\[ray\]'"):
        next(OnRay("auto")([job("a", tasks.tell)], None))


def test_an_array_in_a_file_is_not_sent_to_processes(monkeypatch):
    """They read it where it is."""
    monkeypatch.setattr(maps, "MOST_IN_MEMORY", 100)
    array = maps.empty("x", (1000,), np.int64)
    array[:] = np.arange(1000)
    assert len(_payload(array[500:])) < 1000
    found = by_job(pair([job(name, tasks.total) for name in "ab"], array[500:]))
    assert found == {name: [("memmap", sum(range(500, 1000)))] for name in "ab"}
