# Every target does its own set-up: a fresh machine needs Python 3.11 and make, nothing else.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test check unit test-long faults picture format clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## the virtual environment in .venv

# Made again only when what it is made from changes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "edgeconv needs Python 3.11 or newer; pass one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV): TensorFlow and the converters, about 2 GB and some minutes, once." >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --no-input --disable-pip-version-check \
	  -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## train, export, verify and run a small model; no download
	@$(BIN)/edgeconv demo

test: check unit ## everything that is checked on every change

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict edgeconv
	$(BIN)/lint-imports

# One worker a core; a file's tests stay together, since they share what is slow to make.
unit: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-long: $(READY) ## matrices, other engines, browser, emulated device
	$(BIN)/python -m pytest -m long -n 2 --dist loadfile --durations=25

faults: $(READY) ## the whole catalogue of faults, a table of what the gate says of each
	@$(BIN)/python -m tests.faults

picture: $(READY) ## docs/export.svg, the README's picture, from a real run
	$(BIN)/python benchmarks/picture.py

format: $(READY) ## rewrite the sources in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the other targets made
	rm -rf $(VENV) demo-out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
