"""The commands as a person runs them: real processes, the shipped files, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import offramp
from offramp import Planner, Requirement, read_plan, read_profile, read_topology
from offramp.bundle import read_bundle
from offramp.cli.app import app
from offramp.core.exits import ExitModelName
from offramp.files import read_result

PROFILE = "resnet20-digits"


def run(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "offramp", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def run_json(*arguments: object) -> dict:
    done = run(*arguments, "--json")
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", [command.callback.__name__ for command in app.registered_commands])
def test_help_has_an_example(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert f"Example: offramp {command}" in " ".join(done.stdout.split()).replace("Examples:", "Example:")


def test_plan_is_the_planners_answer() -> None:
    planner = Planner.of(read_profile(PROFILE), read_topology("mobile"))
    floor = planner.frontier()[-1].estimate.accuracy - 0.02
    found = run_json("plan", PROFILE, "--topology", "mobile", "--min-accuracy", floor)
    best = planner.best(Requirement(min_accuracy=floor)).best
    assert best is not None
    assert set(found) == {"plan", "estimate", "quality", "warnings", "frontier", "search"}
    assert found["plan"]["text"] == str(best.plan)
    assert found["plan"]["ends"] == list(best.plan.ends)
    assert found["plan"]["placement"] == list(best.plan.placement)
    assert found["plan"]["thresholds"] == list(best.plan.thresholds)
    assert found["estimate"]["accuracy"] == best.estimate.accuracy
    assert found["estimate"]["latency_s"] == best.estimate.latency_s
    assert [each["text"] for each in found["frontier"]] == [str(each.plan) for each in planner.frontier()]
    assert found["search"]["plans"] == 170_000
    assert found["search"]["optimal"] is True


def test_energy_is_printed_by_tier_and_term(tmp_path: Path) -> None:
    asked = ("-t", "sensor", "--min-accuracy", "0.9", "--minimize", "energy")
    figure = tmp_path / "frontier.png"
    found = run_json("plan", PROFILE, *asked, "--figure", figure)
    energy = found["estimate"]["energy_j"]
    assert list(energy["tiers"]) == ["sensor", "gateway"]
    terms = ("compute", "waiting", "sending", "radio", "tail")
    assert all(tier["total"] == pytest.approx(sum(tier[term] for term in terms)) for tier in energy["tiers"].values())
    assert energy["total"] == pytest.approx(sum(tier["total"] for tier in energy["tiers"].values()))
    members = [member["energy_j"] for member in found["frontier"]]
    assert members == sorted(members)
    assert energy["total"] == min(
        member["energy_j"] for member in found["frontier"] if member["accuracy"] >= 0.9 - 1e-9
    )
    assert found["search"]["minimize"] == "energy"
    assert figure.read_bytes().startswith(b"\x89PNG")
    again = run_json("plan", PROFILE, *asked, "--no-frontier")
    assert (again["plan"], again["estimate"]) == (found["plan"], found["estimate"])
    text = " ".join(run("plan", PROFILE, *asked, "--max-energy", "1J").stdout.split())
    assert "The plan of least energy with accuracy of at least 90.00 %" in text
    assert "= sensor" in text
    least = run("plan", PROFILE, *asked, "--max-energy", f"sensor={energy['total'] / 2!r} J")
    assert least.returncode == 1
    assert "Give up max energy j" in least.stdout


def test_estimate_prints_the_same_objects_as_plan() -> None:
    found = run_json("plan", PROFILE, "--max-latency", "1s", "--no-frontier")
    again = run_json("estimate", PROFILE, "--plan", found["plan"]["text"])
    assert found["frontier"] == []
    assert again == {"plan": found["plan"], "estimate": found["estimate"], "quality": found["quality"]}


@pytest.mark.parametrize("model", [each.value for each in ExitModelName])
def test_every_exit_model_plans(model: str) -> None:
    found = run_json("plan", PROFILE, "--exit-model", model, "--no-frontier")
    assert 0 < found["estimate"]["accuracy"] <= 1


def test_a_written_plan_reads_back(tmp_path: Path) -> None:
    out, figure = tmp_path / "plan.json", tmp_path / "frontier.png"
    done = run("plan", PROFILE, "--out", out, "--figure", figure, "--plot")
    assert done.returncode == 0, done.stderr
    assert str(read_plan(out)) in done.stdout
    assert figure.read_bytes().startswith(b"\x89PNG")
    again = run_json("estimate", PROFILE, "--plan", out)
    assert again["plan"]["text"] == str(read_plan(out))


def test_an_impossible_requirement_says_what_to_give_up() -> None:
    done = run("plan", PROFILE, "--min-accuracy", 1.0, "--max-latency", "1us")
    assert done.returncode == 1
    assert "No plan has accuracy of at least 100.00 % and latency of at most 1 us." in done.stdout
    assert "Give up min accuracy" in done.stdout
    found = run_json("plan", PROFILE, "--min-accuracy", 1.0)
    assert found["search"]["meets"] is False
    assert found["search"]["relaxations"][0]["give_up"] == ["min_accuracy"]


def test_a_certified_floor_is_held_on_samples_that_had_no_say() -> None:
    found = run_json("plan", PROFILE, "--min-accuracy", 0.9, "--certify", "--no-frontier")
    guaranteed = found["guaranteed"]
    assert guaranteed["accuracy"] == 0.9 < guaranteed["held_back_accuracy"]
    assert guaranteed["latency_s"] >= guaranteed["held_back_latency_s"]
    assert guaranteed["confidence"] == 0.95
    assert found["search"]["optimal"] == (guaranteed["best_seen"]["plan"] == found["plan"])


def test_a_wide_space_is_certified_unless_that_is_declined() -> None:
    wide = ["--threshold-per-exit", "--exits-per-tier", 2, "--min-accuracy", 0.9]
    certified = run_json("plan", PROFILE, *wide)
    seen = run_json("plan", PROFILE, *wide, "--no-certify")
    assert "guaranteed" not in seen
    assert certified["guaranteed"]["best_seen"]["plan"] == seen["plan"]
    assert certified["estimate"]["accuracy"] > seen["estimate"]["accuracy"] >= 0.9


def test_what_can_not_be_guaranteed_is_the_best_seen_and_exit_code_1() -> None:
    asked = ["plan", PROFILE, "--threshold-per-exit", "--min-accuracy", 0.97]
    done = run(*asked)
    assert done.returncode == 1
    assert "Not guaranteed on new samples: the fastest plan with accuracy of at least 97.00" in done.stdout
    assert "samples are too few to guarantee it" in " ".join(done.stdout.split())
    assert run(*asked, "--no-certify").returncode == 0


def test_constraints_bind() -> None:
    free = run_json("plan", PROFILE, "--max-latency", "4s", "--no-frontier")
    tiers = set(free["plan"]["placement"])
    forbidden = [word for tier in tiers for word in ("--forbid", tier)]
    bound = run_json("plan", PROFILE, "--max-latency", "4s", "--no-frontier", *forbidden)
    assert not tiers & set(bound["plan"]["placement"])
    kept = run_json("plan", PROFILE, "--max-latency", "4s", "--no-frontier", "--keep", 1)
    assert kept["plan"]["placement"][0] == "smartwatch"
    # What the free plan computes costs money, and there is none.
    prices = [word for tier in tiers for word in ("--price", f"{tier}=1")]
    poor = run_json("plan", PROFILE, "--max-latency", "4s", "--no-frontier", *prices, "--budget", 0)
    assert not tiers & set(poor["plan"]["placement"])


@pytest.mark.parametrize(
    ("limit", "more"), [("1us", ["--threshold-per-exit"]), ("20ms", ["--threshold-per-exit"]), ("100s", [])]
)
def test_a_search_that_runs_out_of_time_says_how_far_it_got(limit: str, more: list[str]) -> None:
    wide = ["--exits-per-tier", 5, *more, "--min-accuracy", 0.2, "--frontier", "--no-certify"]
    search = run_json("plan", PROFILE, *wide, "--time-limit", limit)["search"]
    assert search["meets"]
    assert search["optimal"] == (search["gap"] is None) == (limit == "100s")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "nothing.json"], "there is no file 'nothing.json'"),
        (["plan", PROFILE, "--topology", "mobil"], "did you mean mobile?"),
        (["plan", PROFILE, "--min-accuracy", "92"], "outside [0, 1]"),
        (["plan", PROFILE, "--max-latency", "300"], "has no unit"),
        (["plan", PROFILE, "--thresholds", "0.4,0.2"], "0.2 comes after 0.4"),
        (["plan", PROFILE, "--memory", "2MB"], "write TIER=VALUE"),
        (["plan", PROFILE, "--forbid", "moon"], "has no tier 'moon'"),
        (["plan", PROFILE, "--price", "cloud=cheap"], "prices.tiers.cloud: 'cheap' is not a number"),
        (["plan", PROFILE, "--budget", "3"], "goes with prices"),
        (["plan", PROFILE, "--time-limit", "5"], "has no unit"),
        (
            ["plan", PROFILE, "--minimize", "energy"],
            "topology mobile gives neither powers of tiers nor what sending takes",
        ),
        (["plan", PROFILE, "--max-energy", "moon=5mJ"], "no tier 'moon'"),
        (["compare", PROFILE, "-t", "sensor", "--minimize", "energy"], "a comparison looks for the least latency"),
        (
            ["plan", PROFILE, "-t", "sensor", "--minimize", "energy", "--min-accuracy", "0.9", "--latency", "p99"],
            "the mean",
        ),
        (["plan", PROFILE, "--figure", "x.txt"], "neither .png nor .svg nor .pdf"),
        (["estimate", PROFILE, "--plan", "1-3@smartwatch 5@cloud T=0.4"], "start it at block 4"),
        (["estimate", PROFILE, "--plan", "1-30@smartwatch"], "block 30 of a backbone with 10"),
        (["topology", "nowhere"], "one of the shipped topologies: iot, lte, mobile, sensor"),
        (["profile", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_names_the_place_and_the_remedy(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done.stdout
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_planning_needs_neither_torch_nor_numba_nor_matplotlib() -> None:
    code = (
        "import sys; sys.argv = ['offramp', 'plan', 'resnet20-digits']\n"
        "from offramp.cli.app import app\n"
        "app(standalone_mode=False)\n"
        "print(sorted({'torch', 'numba', 'matplotlib', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]"


def test_auto_goes_from_nothing_to_a_plan_that_ran(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    short = ("--backbone", "resnet8", "--epochs", 1, "--no-separate", "--repeats", 8, "--tuning-epochs", 0)
    done = run("auto", "--out", folder, "--topology", "iot", *short, "--count", 5, "--keep", 1, timeout=400)
    assert done.returncode == 0, done.stderr
    profile = read_profile(folder / "profile.json")
    assert len(profile.backbone.blocks) == 4
    assert profile.exit_table is not None
    estimated = Planner.of(profile, read_topology("iot")).estimate(read_plan(folder / "plan.json"))
    written = json.loads((folder / "plan.json").read_text())
    assert written["estimate"]["latency_s"] == estimated.estimate.latency_s
    assert (folder / "frontier.png").exists()
    ran = read_result(folder / "result.json")
    assert ran.outcomes.answered == 5
    assert ran.plan == read_bundle(folder / "bundle").plans[0] == read_plan(folder / "plan.json")


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout.startswith("offramp 0.")
    assert offramp.Planner is Planner
