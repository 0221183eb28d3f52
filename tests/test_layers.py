"""The plan of the house: imports run from higher rooms to lower ones, never in a circle; a file fits in the head."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "offramp"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The rooms, the lowest first, with what each may import of ours beside itself and errors. A room inside a room
# stands by its path. What is not listed inside `nn` or `runtime` are the files of their ground floor.
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "core": set(),
    "files": {"core"},
    "bundle": {"core", "files"},
    "sweeps": {"core", "files"},
    "view": {"core", "sweeps"},
    "nn": {"core", "files", "bundle"},
    "nn/graph": {"files", "nn"},
    "nn/backbones": {"bundle", "files", "nn", "nn/graph"},
    "nn/datasets": {"core", "files", "nn"},
    "nn/catalog": {"nn", "nn/backbones"},
    "nn/profiling": {"core", "bundle", "nn"},
    "nn/training": {"core", "files", "nn", "nn/catalog", "nn/datasets", "nn/profiling"},
    "runtime": {"core", "bundle", "runtime/transport", "runtime/tier", "runtime/emulation"},
    "runtime/transport": {"core", "files"},
    "runtime/tier": {"core", "files", "bundle", "runtime/transport"},
    "runtime/emulation": {"core"},
    "deploy": {"core", "bundle", "view", "runtime"},
    "testing": {"core", "files", "bundle", "nn", "runtime"},
    "pipeline": {"core", "files", "bundle", "sweeps", "view", "nn", "runtime", "deploy"},
    "reports": {"core", "files", "view", "pipeline"},
    "explore": {"core", "files", "sweeps", "view", "pipeline"},
    "cli": {
        "core",
        "files",
        "bundle",
        "sweeps",
        "view",
        "nn",
        "runtime",
        "deploy",
        "pipeline",
        "reports",
        "explore",
    },
    "__init__": set(),
    "__main__": {"cli"},
}
# And, for the inner ones, of others'.
OTHERS = {"errors": set(), "core": {"numpy", "numba", "scipy"}, "__init__": {"lazy_loader"}}


def room_of(path: Path) -> str:
    """`nn/graph` for a file in there, `core` for one in `core/baselines`, `errors` for `errors.py`."""
    first, *rest = path.relative_to(PACKAGE).with_suffix("").parts
    inner = f"{first}/{rest[0]}" if rest else first
    return inner if inner in ROOMS else first


def imported(path: Path) -> set[str]:
    """Every module or name imported, anywhere in the file, in full."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def file_of(name: str) -> Path | None:
    """The file of ours that an imported name is of; None for others'."""
    top, *rest = name.split(".")
    if top != "offramp":
        return None
    for parts in (rest, rest[:-1]):
        place = PACKAGE.joinpath(*parts)
        if place.with_suffix(".py").is_file():
            return place.with_suffix(".py")
        if (place / "__init__.py").is_file():
            return place / "__init__.py"
    return None


def needed(path: Path) -> set[Path]:
    """The files of ours that a file imports, itself not counted."""
    return {file for name in imported(path) if (file := file_of(name)) is not None} - {path}


IMPORTS = {path: needed(path) for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_from_higher_rooms_to_lower_ones(path: Path) -> None:
    room = room_of(path)
    allowed = {room, "errors"} | ROOMS[room]
    for lower in ROOMS[room]:  # whoever may use a room may use what is inside it
        allowed |= {inner for inner in ROOMS if inner.startswith(f"{lower}/") and not room.startswith(f"{lower}/")}
    for file in IMPORTS[path]:
        assert room_of(file) in allowed, f"{room} imports {file.relative_to(PACKAGE)}"
    for name in imported(path):
        top = name.split(".")[0]
        if top != "offramp" and room in OTHERS:
            assert top in OTHERS[room] | sys.stdlib_module_names, f"{room} imports {name}"
        elif top in ("torch", "safetensors"):
            assert room.split("/")[0] in ("nn", "testing"), f"{room} imports {name}"


def circle_in(arrows: dict[str, set[str]]) -> list[str]:
    """A circle of arrows, its first member again at the end; empty where there is none."""
    done: set[str] = set()

    def follow(place: str, way: list[str]) -> list[str]:
        if place in way:
            return [*way[way.index(place) :], place]
        if place in done:
            return []
        for onward in sorted(arrows.get(place, ())):
            if circle := follow(onward, [*way, place]):
                return circle
        done.add(place)
        return []

    return next((circle for place in sorted(arrows) if (circle := follow(place, []))), [])


def test_a_circle_is_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}}) == []


def test_no_two_files_import_each_other() -> None:
    names = {path: str(path.relative_to(PACKAGE)) for path in MODULES}
    assert circle_in({names[path]: {names[file] for file in files} for path, files in IMPORTS.items()}) == []


def test_no_two_rooms_import_each_other() -> None:
    arrows: dict[str, set[str]] = {}
    for path, files in IMPORTS.items():
        room = room_of(path)
        arrows.setdefault(room, set()).update({room_of(file) for file in files} - {room})
    assert circle_in(arrows) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_core_reads_no_clock_and_prints_nothing(path: Path) -> None:
    if room_of(path) != "core":
        return
    assert not imported(path) & {"time", "random", "os", "pathlib", "logging"}
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"print", "open", "input"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 320
