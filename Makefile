# Everything runs from .venv, which the lock files fill; nothing else on the machine is changed.
SHELL := /bin/bash
PYTHON ?= python3
UV := .tools/bin/uv
BIN := .venv/bin
SPEED ?= 200
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup demo test simulate simulate-mutants faults check format lint types contracts lock clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(UV):
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools 'uv>=0.13'

.venv/.ready: requirements-dev.lock pyproject.toml | $(UV)
	@test -x $(BIN)/python || $(UV) venv --quiet --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements-dev.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.ready ## make .venv with the command mes

demo: setup ## run the demo plant; PACKS=3 builds three packs and ends; SPEED=200 times real time
	@$(BIN)/mes demo $(if $(PACKS),--packs $(PACKS)) --speed $(SPEED)

test: setup ## every test
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

simulate: setup ## shifts of random stations, audited; SEEDS=1000 FIRST=1 STEPS=300
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),50) --first $(or $(FIRST),1) --steps $(or $(STEPS),300)

simulate-mutants: setup ## deliberate faults, each of which the simulation must find
	@$(BIN)/python -m tests.simulation --mutants --seeds $(or $(SEEDS),200) --steps $(or $(STEPS),300)

faults: setup ## a shift of ten stations under random faults, and its table; FAULTS=100 SEED=1
	@$(BIN)/python -m tests.faults --faults $(or $(FAULTS),100) --seed $(or $(SEED),1)

format: setup
	@$(BIN)/ruff format --check .

lint: setup
	@$(BIN)/ruff check . && $(BIN)/deptry . && $(BIN)/djlint --quiet --lint mes

types: setup
	@$(BIN)/mypy

contracts: setup
	@$(BIN)/lint-imports

check: format lint types contracts test ## format, lint, types, contracts, tests

lock: | $(UV) ## renew the lock files from pyproject.toml
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra demo pyproject.toml -o requirements.lock
	@$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra demo --group dev pyproject.toml -o requirements-dev.lock

clean: ## remove what was made here
	@rm -rf .venv .tools .data
