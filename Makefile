# What people and CI run. Each target makes the environment first: a minute or so once (5 GB, torch),
# then a tenth of a second. See docs/decisions/0001-environment.md.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help environment demo test test-all check format lock map corrections golden ejected screenshots bench soak clean

# The Python that makes the environment; `make PYTHON=/usr/bin/python3.12 test` takes another.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Workers times threads is the number of cores: more of either makes all of it slower.
# Each worker begins with a half of its own, so that what a file or a folder shares is made once.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

# A byte-code cache is what makes the second start quick.
unexport PYTHONDONTWRITEBYTECODE
# Packages that could fetch weights do not, in whatever these commands run.
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

environment: ## make .venv from the lock
	@$(PYTHON) tools/environment.py

demo: environment ## train on the sample and predict on pictures it has not seen
	@$(BIN)/python tools/demo.py

test: environment ## the fast tests
	$(PYTEST) -m "not slow and not net and not gpu"

test-all: environment ## every test this machine can run
	$(PYTEST) -m "not net and not gpu"

check: environment ## format, lint, types, layers
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

format: environment ## put the code into its form
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

lock: ## write requirements/*.lock from pyproject.toml; UPGRADE=1 takes newer versions
	@$(PYTHON) tools/environment.py lock

map: environment ## write docs/map.md from docs/map_rows.toml and the tests
	@$(BIN)/python tools/map.py

corrections: environment ## write docs/corrections.md, computed anew
	@$(BIN)/python tools/corrections.py

golden: environment ## rewrite tests/golden and print what moved
	@$(BIN)/python tools/golden.py

ejected: environment ## rewrite examples/ejected
	@$(BIN)/python tools/ejected.py

screenshots: environment ## rewrite docs/images, what the pages look like
	@$(BIN)/python tools/screenshots.py

bench: ## measure against other programs, in their own environment; writes benchmarks/RESULTS.md
	@$(PYTHON) benchmarks/run.py

soak: environment ## kill and resume KILLS trainings (1000), and fail every operation on the disk
	@OMP_NUM_THREADS=1 $(BIN)/python tools/soak.py --kills $(or $(KILLS),1000)

clean: ## remove what the commands made here; the shared cache stays
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist runs samples
	find src tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
