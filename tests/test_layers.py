"""The rule of design: imports point inwards, and a module fits in one screenful of ideas."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "offramp"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of ours, beside itself and errors; and, for the inner ones, of others'.
OURS = {
    "errors": set(),
    "core": set(),
    "pictures": set(),
    "files": {"core", "pictures"},
    "finding": {"core", "files"},
    "words": {"core", "finding"},
    "grid": {"core", "files"},
    "fleet": {"core", "grid"},
    "regimes": {"core", "fleet", "grid"},
    "plot": {"core", "regimes"},
    "placement": {"core"},
    "plot_placement": {"core", "placement", "plot", "words"},
    "plot_results": {"core", "plot"},
    "report": {"core", "files", "finding", "placement", "plot", "plot_placement", "plot_results", "words"},
    "engine": {"core"},
    "bundle": {"core", "files"},
    "explore": {"core", "files", "finding", "fleet", "grid", "placement", "plot", "plot_results", "regimes", "words"},
    "nn": {"core", "engine", "pictures"},
    "rehearsal": {"core", "engine"},
    "trials": {"core"},
    "building": {"bundle", "core", "engine", "nn", "rehearsal"},
    "runtime": {"core", "files", "bundle", "engine"},
    "deploy": {"bundle", "core", "runtime"},
    "cli": {
        "building",
        "bundle",
        "core",
        "explore",
        "deploy",
        "engine",
        "files",
        "finding",
        "fleet",
        "grid",
        "nn",
        "placement",
        "plot",
        "plot_results",
        "regimes",
        "rehearsal",
        "report",
        "runtime",
        "trials",
        "words",
    },
    "__init__": set(),
    "__main__": {"cli"},
}
OTHERS = {"errors": set(), "core": {"numpy", "numba", "scipy"}, "__init__": {"lazy_loader"}}


def part_of(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(module: Path) -> set[str]:
    """Every module imported, anywhere in the file, by its full name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write imports in full"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_inwards(module: Path) -> None:
    part = part_of(module)
    for name in imported(module):
        top, *rest = name.split(".")
        if top == "offramp":
            assert rest[0] in {part, "errors"} | OURS[part], f"{part} imports {name}"
        elif part in OTHERS:
            assert top in OTHERS[part] | sys.stdlib_module_names, f"{part} imports {name}"
        elif top in ("torch", "safetensors"):
            assert part == "nn", f"{part} imports {name}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_core_reads_no_clock_and_prints_nothing(module: Path) -> None:
    if part_of(module) != "core":
        return
    assert not imported(module) & {"time", "random", "os", "pathlib", "logging"}
    calls = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"print", "open", "input"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_fits_in_the_head(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 320
