# `make demo` and `make test` set up all they need; Python 3.11 or newer is all that must be there.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test nightly check coverage benchmark cases study clean

# Python compiles what it imports when it first does; compiling all of PyTorch beforehand would take longer.
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt

.venv/installed: pyproject.toml constraints.txt
	@echo "Setting up .venv: a minute or so, most of it PyTorch"
	$(PYTHON) -m venv .venv
	$(PIP) --editable '.[train]'
	@touch $@

.venv/development: .venv/installed
	$(PIP) --upgrade pip
	$(PIP) --editable '.[train]' --group dev
	@touch $@

# Raw images stay on the watch, and activations travel as what is best: with so small a network, sending every image
# to the phone would else be the answer.
demo: .venv/installed  ## ResNet-20 on handwritten digits, from nothing to a plan that runs over four tiers
	rm -rf runs/demo
	$(BIN)/offramp auto --backbone resnet20 --data digits --topology mobile --keep 1 --codec any --out runs/demo

# Links, faults and the page are about time: their tests have the machine for themselves. Of the others two run side by
# side, and threads that wait by spinning (OpenMP's) would take the time from each other.
test: .venv/development  ## Every test but those of minutes
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --ignore tests/runtime --ignore tests/explore/test_page.py
	$(BIN)/python -m pytest tests/runtime tests/explore/test_page.py

nightly: .venv/development  ## The tests of minutes: a whole study in small, and training on a cluster that loses a worker
	$(BIN)/python -m pytest -m nightly

check: .venv/development  ## Style, and types of the whole package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Processes that tests start are counted as well; kernels run uncompiled, so that their branches count.
coverage: .venv/development  ## Branch coverage of the package, file by file
	rm -f .coverage .coverage.*
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest --cov --cov-report= --numprocesses 2 --dist loadfile --ignore tests/runtime --ignore tests/explore/test_page.py
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest --cov --cov-append --cov-report=term tests/runtime tests/explore/test_page.py

benchmark: .venv/development  ## How long planning takes, and what the alternatives take
	$(PIP) --group benchmark
	$(BIN)/python benchmarks/planner.py
	$(BIN)/python benchmarks/replanning.py
	$(BIN)/python benchmarks/alternatives.py
	$(BIN)/python benchmarks/links.py
	$(BIN)/python benchmarks/separate_training.py
	$(BIN)/python benchmarks/profiling.py
	$(BIN)/python benchmarks/explore.py
	$(BIN)/python benchmarks/own_network.py
	$(BIN)/python benchmarks/scores.py

# CATDOG as below; TEXTS a CSV of texts with labels, ENCODER and SERIES wheels that hold an encoder and series.
cases: .venv/development  ## Networks and data of others, from training to validation: make cases CATDOG=catdog64 TEXTS=... ENCODER=... SERIES=...
	$(PIP) --group cases
	$(BIN)/python benchmarks/own_cases.py $(if $(CATDOG),--catdog '$(CATDOG)') $(if $(TEXTS),--texts '$(TEXTS)') $(if $(ENCODER),--encoder '$(ENCODER)') $(if $(SERIES),--series '$(SERIES)')

# CIFAR10 is a folder with the binary batches, CATDOG one with pictures of cats and of dogs, a folder each.
BUDGET ?= 3.5
study: .venv/development  ## EdgeSys'22 done again: make study CIFAR10=cifar-10-batches-bin CATDOG=catdog64 BUDGET=3.5
	$(BIN)/python -m studies.edgesys22 --cifar10 '$(CIFAR10)' $(if $(CATDOG),--catdog '$(CATDOG)') --budget $(BUDGET)

clean:
	rm -rf .venv runs .mypy_cache .ruff_cache .pytest_cache .hypothesis
