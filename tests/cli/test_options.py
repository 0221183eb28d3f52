"""One group of options for everything that is asked of a plan: the same in every command, in files and in Python."""

import dataclasses
from pathlib import Path
from typing import get_type_hints

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from offramp.cli.app import app
from offramp.cli.options import ModelOptions, RequirementOptions, flattened
from offramp.core.constraints import Prices
from offramp.core.requirement import Objective
from offramp.errors import InputError
from offramp.files import RequirementWords, read_requirements
from offramp.files.requirements import RequirementsDocument

PLANNING = ("plan", "auto", "compare", "report", "explore", "sweep", "validate")
COMMANDS = get_command(app).commands


def options_of(command: str) -> dict[str, object]:
    return {parameter.name: parameter for parameter in COMMANDS[command].params}


@pytest.mark.parametrize("command", PLANNING)
def test_every_command_that_plans_has_all_of_them(command: str) -> None:
    here, there = options_of(command), options_of("plan")
    for group in (RequirementOptions, ModelOptions):
        for field in dataclasses.fields(group):
            assert here[field.name].opts == there[field.name].opts
            assert here[field.name].help == there[field.name].help
            assert here[field.name].default is None


def test_files_python_and_the_command_line_know_the_same_words() -> None:
    in_files = set(RequirementsDocument.model_fields)
    assert set(get_type_hints(RequirementWords)) == in_files
    on_the_command_line = {field.name for field in dataclasses.fields(RequirementOptions)}
    told_otherwise = {"requirements", "price", "price_bit"}
    assert on_the_command_line - told_otherwise | {"prices", "max_total_energy"} == in_files


def test_what_is_said_is_what_is_asked(tmp_path: Path) -> None:
    said = RequirementOptions(
        min_accuracy=0.9, max_latency="300 ms", latency="p95", codec="any", input_codec="webp", confidence=0.9,
        certify=True, exits_per_tier=2, threshold_per_exit=True, keep=1, memory=["phone=2 MB"], forbid=["cloud"],
        require=["phone"],
        max_upload="20 kB", price=["phone=0.5"], price_bit=1e-6, budget=0.25, time_limit="10 s", memory_limit="500 MB",
        max_energy=["phone=5mJ", "20 mJ"], minimize="latency",
    )  # fmt: skip
    unsaid = {field.name for field in dataclasses.fields(said) if getattr(said, field.name) is None}
    assert unsaid == {"requirements", "min_balanced_accuracy", "min_class_recall"}  # the last two have a test below
    written = tmp_path / "requirements.yaml"
    written.write_text(
        "min_accuracy: 0.9\nmax_latency: 300 ms\nlatency: p95\ncodec: any\ninput_codec: webp\nconfidence: 0.9\n"
        "certify: true\nexits_per_tier: 2\nthreshold_per_exit: true\nkeep: 1\nmemory: {phone: 2 MB}\nforbid: [cloud]\n"
        "require: [phone]\nmax_upload: 20 kB\nprices: {tiers: {phone: 0.5}, bit: 1e-6}\nbudget: 0.25\n"
        "time_limit: 10 s\nmemory_limit: 500 MB\nmax_energy: {phone: 5 mJ}\nmax_total_energy: 20 mJ\n"
        "minimize: latency\n"
    )
    from_file = RequirementOptions(requirements=str(written)).requirement()
    from_python = read_requirements(
        min_accuracy=0.9, max_latency="300 ms", latency="p95", codec="any", input_codec="webp", confidence=0.9,
        certify=True, exits_per_tier=2, threshold_per_exit=True, keep=1, memory={"phone": "2 MB"}, forbid=["cloud"],
        require=["phone"], max_upload="20 kB", prices={"tiers": {"phone": 0.5}, "bit": 1e-6}, budget=0.25,
        time_limit="10 s", memory_limit="500 MB", max_energy={"phone": "5 mJ"}, max_total_energy="20 mJ",
        minimize="latency",
    )  # fmt: skip
    assert said.requirement() == from_file == from_python


def test_floors_by_class_are_said_the_same_and_have_no_bound(tmp_path: Path) -> None:
    floors = {"min_balanced_accuracy": 0.8, "min_class_recall": 0.7}
    written = tmp_path / "requirements.yaml"
    written.write_text("".join(f"{name}: {floor}\n" for name, floor in floors.items()))
    from_file = RequirementOptions(requirements=str(written)).requirement()
    assert RequirementOptions(**floors).requirement() == from_file == read_requirements(**floors)
    for name, floor in floors.items():
        with pytest.raises(InputError, match="confidence: is of accuracy and latency, and there are floors by class"):
            read_requirements(confidence=0.9, **{name: floor})


def test_options_take_precedence_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    written = tmp_path / "requirements.yaml"
    written.write_text("min_accuracy: 0.9\ncodec: int8\n")
    both = RequirementOptions(requirements=str(written), min_accuracy=0.5)
    assert both.requirement(codec="any") == read_requirements(min_accuracy=0.5, codec="int8")
    assert RequirementOptions().requirement(codec="any") == read_requirements(codec="any")


def test_of_mappings_what_is_said_takes_precedence_and_the_rest_stays(tmp_path: Path) -> None:
    written = tmp_path / "requirements.yaml"
    written.write_text(
        "memory: {phone: 2 MB, watch: 1 MB}\nprices: {tiers: {phone: 0.5, cloud: 0.1}, bit: 1e-6}\nbudget: 1\n"
    )
    said = RequirementOptions(requirements=str(written), memory=["watch=3 MB"], price=["phone=0.7"]).requirement()
    assert said == read_requirements(
        memory={"phone": "2 MB", "watch": "3 MB"}, prices={"tiers": {"phone": 0.7, "cloud": 0.1}, "bit": 1e-6}, budget=1
    )
    said = RequirementOptions(requirements=str(written), price_bit=1e-3).requirement()
    assert said.constraints.prices == Prices(tier_s={"phone": 0.5, "cloud": 0.1}, bit=1e-3)
    alone = RequirementOptions(price_bit=1e-3, budget=1.0).requirement()
    assert alone.constraints.prices == Prices(bit=1e-3)


def test_none_is_as_if_it_was_not_said(tmp_path: Path) -> None:
    written = tmp_path / "requirements.yaml"
    written.write_text("min_accuracy: 0.9\ncodec: int8\n")
    nothing = dict.fromkeys(RequirementsDocument.model_fields)
    assert read_requirements(written, **nothing) == read_requirements(written)
    assert read_requirements(**nothing) == read_requirements()


def test_least_energy_is_asked_for_alike_and_of_the_mean_alone() -> None:
    said = RequirementOptions(min_accuracy=0.9, minimize="energy", max_energy=["watch=5mJ"]).requirement()
    assert said == read_requirements(min_accuracy=0.9, minimize="energy", max_energy={"watch": "5 mJ"})
    assert said.minimize is Objective.ENERGY
    with pytest.raises(InputError, match="latency: is p95, and the plan of least energy is known for the mean alone"):
        RequirementOptions(min_accuracy=0.9, minimize="energy", latency="p95").requirement()
    with pytest.raises(InputError, match="--max-energy: 5mJ and 6mJ are both without a tier; keep one of the two"):
        RequirementOptions(max_energy=["5mJ", "6mJ"]).requirement()
    with pytest.raises(InputError, match=r"max_energy\.watch: '5' has no unit"):
        RequirementOptions(max_energy=["watch=5"]).requirement()


def test_yes_is_no_number(tmp_path: Path) -> None:
    written = tmp_path / "requirements.yaml"
    written.write_text("min_accuracy: yes\nkeep: true\nbudget: no\n")
    with pytest.raises(InputError) as error:
        read_requirements(written)
    assert [fault.place for fault in error.value.faults] == ["min_accuracy", "keep", "budget"]


def test_a_pair_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="--memory: '2MB' is not a tier and a value; write TIER=VALUE"):
        RequirementOptions(memory=["2MB"]).requirement()
    with pytest.raises(InputError, match="--price: cloud is given twice; keep one of the two"):
        RequirementOptions(price=["cloud=1", "cloud=2"], budget=1.0).requirement()
    with pytest.raises(InputError, match="--thresholds: 'low' is not a list of numbers"):
        ModelOptions(thresholds="low").arguments()


def test_no_command_has_an_option_that_it_does_not_heed() -> None:
    """A plan in hand has its thresholds: none are searched with."""
    assert "thresholds" not in options_of("estimate")
    assert {"exit_model", "compute"} <= options_of("estimate").keys()


def test_a_group_becomes_an_option_for_each_of_its_fields() -> None:
    @dataclasses.dataclass(frozen=True)
    class Size:
        width: int = 3
        height: int = 4

    @flattened
    def area(size: Size, scale: int = 1) -> int:
        """Say how large it is."""
        return scale * size.width * size.height

    assert area.__doc__ == "Say how large it is."
    assert area(width=5, height=2, scale=10) == 100


@pytest.mark.parametrize("command", ["auto", "report"])
def test_a_wrong_requirement_is_refused_before_anything_is_done(command: str, tmp_path: Path) -> None:
    out = tmp_path / "out.html"
    words = [command, *([] if command == "auto" else ["resnet20-digits"]), "--out", str(out), "--max-latency", "300"]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, InputError)
    assert "has no unit" in str(result.exception)
    assert not out.exists()


def test_the_readmes_own_plan_can_be_reported(tmp_path: Path) -> None:
    out = tmp_path / "report.md"
    asked = ["--keep", "1", "--codec", "any", "--max-latency", "300ms"]
    result = CliRunner().invoke(app, ["report", "resnet20-digits", "--topology", "mobile", *asked, "--out", str(out)])
    assert result.exception is None, result.exception
    assert "1-5@smartwatch 6-8@smartphone T=0.40 codec=int8" in out.read_text()
