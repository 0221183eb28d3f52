# `make demo` and `make test` set up all they need; Python 3.11 or newer is all that must be there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check benchmark clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train]' --group dev
	touch $@

demo: .venv/installed  ## Train, profile and plan ResNet-20 on handwritten digits, from nothing
	rm -rf runs/demo
	$(BIN)/offramp auto --backbone resnet20 --data digits --topology mobile --out runs/demo

test: .venv/installed  ## Every test
	$(BIN)/python -m pytest

check: .venv/installed  ## Style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

benchmark: .venv/installed  ## How long planning takes
	$(BIN)/python benchmarks/planner.py

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
