"""What the study found, as a file from which its tables and figures are made without training anything."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

import offramp
from offramp.files.writing import json_text, replace_files
from offramp.nn.inference import accuracy
from offramp.nn.training.run import Run
from studies.edgesys22.prediction import Trial
from studies.edgesys22.schedule import Epochs

HERE = Path(__file__).parent
# The profile of the subject with figure 3 is an example that the package ships.
SHIPPED = "resnet20-cifar10"
_PACKAGED = Path(offramp.__file__).parent / "data" / "profiles"


@dataclass(frozen=True, slots=True)
class Trained:
    """A subject's networks; its profile has the rest.

    epochs: as scheduled.
    test_accuracy: [N] of the full configuration's branches on the held-out split.
    """

    title: str
    epochs: Epochs
    test_accuracy: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """What came out, beside the profiles.

    budget_h: CPU hours that training was to take. processors: how many worked.
    spent_s: processor seconds that it took, by subject; final models apart.
    bf16: whether training computed in bfloat16.
    trained: by subject.
    trials: of figure 3.
    """

    budget_h: float
    processors: int
    bf16: bool
    spent_s: dict[str, float]
    trained: dict[str, Trained]
    trials: tuple[Trial, ...]


_RESULTS, _TRIALS = TypeAdapter(Results), TypeAdapter(tuple[Trial, ...])


def trained(run: Run, title: str, epochs: Epochs) -> Trained:
    """The record of a subject whose networks are trained."""
    return Trained(title, epochs, accuracy(run.network, run.dataset.test))


def write(results: Results, path: Path) -> None:
    """Write the results, shares with five decimals: more than the samples can tell apart."""
    _write(_RESULTS.dump_python(results, mode="json"), path)


def read(path: Path) -> Results:
    """The results at `path`."""
    return _RESULTS.validate_json(path.read_bytes())


def kept_trials(path: Path, make: Callable[[], Iterable[Trial]]) -> tuple[Trial, ...]:
    """The trials at `path`; where there are none, those that are made, and then kept."""
    if not path.exists():
        _write(_TRIALS.dump_python(tuple(make()), mode="json"), path)
    return _TRIALS.validate_json(path.read_bytes())


def profile_path(folder: Path, key: str) -> Path:
    """Where the profile of a subject is, for results in that folder."""
    shipped = folder == HERE and key == SHIPPED
    return (_PACKAGED if shipped else folder / "profiles") / f"{key}.json"


def _write(document: object, path: Path) -> None:
    replace_files({path: json_text(_rounded(document)).encode()})


def _rounded(value: object) -> object:
    match value:
        case float():
            return round(value, 5)
        case dict():
            return {name: _rounded(each) for name, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
        case _:
            return value
