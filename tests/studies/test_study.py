"""The study as its one command does it, and the page it writes."""

import re
from pathlib import Path

import numpy as np
import pytest

from offramp.core.exits import DEFAULT_THRESHOLDS
from offramp.errors import InputError
from offramp.files import read_profile
from offramp.nn.profiling import exit_tables
from offramp.nn.training.run import read_run
from studies.edgesys22 import document, prediction, results
from studies.edgesys22.__main__ import main
from studies.edgesys22.training import final_model, partitionings
from tests.studies.conftest import ROOT, SUBJECT, Done, run


@pytest.mark.nightly
def test_what_was_trained_before_it_was_killed_is_not_trained_again(study: Done) -> None:
    assert len(study.first_go) == 2
    assert {path: path.stat().st_mtime_ns for path in study.first_go} == study.first_go


@pytest.mark.nightly
def test_every_network_is_there(study: Done) -> None:
    kept = {path.stem for path in (study.work / SUBJECT).glob("*.safetensors")}
    finals = {f"final-{'-'.join(map(str, ends))}" for ends in partitionings(10)}
    assert kept == {"joint", *(f"separate-{i}" for i in range(1, 11)), *finals}
    assert len(finals) == 28


@pytest.mark.nightly
def test_what_is_done_is_not_done_again(study: Done) -> None:
    before = (study.work / "spent.json").read_text(), (study.out / "results.json").read_text()
    page = (study.out / "README.md").read_text()
    assert run(study.command).returncode == 0
    assert ((study.work / "spent.json").read_text(), (study.out / "results.json").read_text()) == before
    assert (study.out / "README.md").read_text() == page


@pytest.mark.nightly
def test_the_budget_and_what_was_spent_are_recorded(study: Done) -> None:
    found = results.read(study.out / "results.json")
    assert found.budget_h == 1e-4
    assert {*found.spent_s} == {SUBJECT, "figure-3"}
    assert all(seconds > 0 for seconds in found.spent_s.values())
    assert "Budget: 0.0001 CPU hours" in (study.out / "README.md").read_text()


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--budget", "2"], "was 0.0001 CPU hours when this study began"),
        (["--budget", "-1"], "-1 is no time to train in"),
        (["--repeats", "1"], "1 are too few"),
        (["--work", __file__], "is a file"),
        (["--out", "nowhere", "--write-only"], "there is no nowhere/results.json"),
        (["--work", "{tmp}"], "give the CPU hours that training may take"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(study: Done, tmp_path: Path, words: list[str], problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        main([*study.words, *(word.format(tmp=tmp_path) for word in words)])


@pytest.mark.nightly
def test_a_refusal_is_exit_code_2(study: Done) -> None:
    done = run([*study.command, "--budget", "0"])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.nightly
def test_actual_accuracies_and_rates_are_what_single_samples_do(study: Done) -> None:
    """The final models on every held-out sample, one at a time and without the package's replay."""
    trained = read_run(study.work / SUBJECT)
    split = trained.dataset.test
    trials = results.read(study.out / "results.json").trials
    assert [trial.ends for trial in trials] == list(partitionings(10))
    for trial in trials[::9]:
        table = exit_tables.exit_table(final_model(trained, trial.ends), split)
        for k, threshold in enumerate(DEFAULT_THRESHOLDS):
            left, right = np.zeros(len(trial.ends)), 0
            for sample in range(len(split)):
                exits = [at for at in range(len(trial.ends)) if table.scores[at, sample] <= np.float32(threshold)]
                exit_ = min([*exits, len(trial.ends) - 1])
                left[exit_] += 1
                right += int(table.correct[exit_, sample])
            assert trial.actual.accuracy[k] == pytest.approx(right / len(split), abs=1e-5)
            assert trial.actual.exit_rates[k] == pytest.approx(left / len(split), abs=1e-5)


@pytest.mark.nightly
def test_every_estimator_says_shares_that_add_up(study: Done) -> None:
    for trial in results.read(study.out / "results.json").trials:
        assert {*trial.predicted} == {*prediction.ESTIMATORS}
        for told in (*trial.predicted.values(), trial.actual):
            assert len(told.accuracy) == len(told.exit_rates) == 20
            for rates in told.exit_rates:
                assert len(rates) == len(trial.ends)
                assert sum(rates) == pytest.approx(1, abs=1e-4)
        # With all certain to stay, the last branch alone answers: every way of asking the joint network says so.
        stays = {name: trial.predicted[name].exit_rates[0] for name in prediction.BEFORE}
        if all(rates[-1] == 1 for rates in stays.values()):
            said = {trial.predicted[name].accuracy[0] for name in prediction.BEFORE if name != prediction.SEPARATE}
            assert len({round(each, 4) for each in said}) == 1


def test_the_page_of_the_study_is_made_from_its_results() -> None:
    found = results.read(results.HERE / "results.json")
    profiles = {key: read_profile(results.profile_path(results.HERE, key)) for key in found.trained}
    assert document.text(found, profiles) == (results.HERE / "README.md").read_text()


def test_the_readme_tells_what_the_study_found() -> None:
    told = (ROOT / "README.md").read_text()
    trials = results.read(results.HERE / "results.json").trials
    for name in prediction.BEFORE:
        found = prediction.accuracy_agreement(trials, name, averaged=True)
        row = f"| {found.slope:.2f} | {found.r2:.3f} | {found.mean_error:.2f} | {found.worst_error:.2f} |"
        assert row in told, name


def test_the_pictures_of_the_page_are_there() -> None:
    page = (results.HERE / "README.md").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", page)
    assert len(targets) >= 4
    assert all((results.HERE / target).is_file() for target in targets)


def test_the_page_names_nothing_of_the_machine_it_was_made_on() -> None:
    for path in (*results.HERE.rglob("*.json"), results.HERE / "README.md"):
        assert not re.search(r"/(home|root|tmp|work)/", path.read_text())


def test_the_shipped_profile_is_the_study_s() -> None:
    shipped = read_profile(results.SHIPPED)
    found = results.read(results.HERE / "results.json")
    assert shipped.exits is not None
    assert shipped.provenance["samples"] == {"train": 45_000, "validation": 5_000, "test": 10_000}
    assert shipped.provenance["training"]["joint"]["epochs"] == found.trained[results.SHIPPED].epochs.joint
