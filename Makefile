# Each target calls a real tool. `make demo` and `make test` set up everything they need by themselves.
PYTHON ?= python3.11
BIN := .venv/bin
UV := $(BIN)/uv
STAGE ?= local
PYTEST_WORKERS ?= $(shell $(PYTHON) -c "import os; print(min(4, max(2, os.cpu_count() or 2)))")
export PYTHONDONTWRITEBYTECODE :=
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench synth lint format up down lock selection test-localstack

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: .venv/.installed node_modules/.installed ## install everything into .venv and node_modules

.venv/.installed: requirements/uv.txt requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q .venv/lib || true
	touch $@

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	touch $@

demo: setup ## the whole loop on real data, on the embedded cloud
	$(BIN)/python -m cli.demo

test: selection lint ## lint, types and every test; ONLY=serving (or cli, infra, e2e, ...) runs one part's tests
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) $(if $(ONLY),$$($(BIN)/python -m tests.selection $(ONLY)))

selection: setup
	@$(if $(ONLY),$(BIN)/python -m tests.selection $(ONLY) >/dev/null)

test-localstack: setup ## the end-to-end test against a LocalStack that listens on AWS_ENDPOINT_URL
	@test -n "$$AWS_ENDPOINT_URL" || { echo "set AWS_ENDPOINT_URL to a LocalStack that listens, http://localhost:4566 for example" >&2; exit 2; }
	$(BIN)/python -m pytest tests/e2e

bench: setup ## one table of measured speed and size
	$(BIN)/python -m tests.bench

synth: setup ## CloudFormation templates into cdk.out, and the size of each function
	node_modules/.bin/cdk synth --quiet --context stage=$(STAGE)
	$(BIN)/python -m infra.layers sizes --stage $(STAGE)

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

up: setup ## start the embedded cloud and deploy to it
	$(BIN)/driftless up

down: ## stop the embedded cloud
	@if [ -x $(BIN)/driftless ]; then $(BIN)/driftless down; fi

lock: setup ## renew the hashed lock files
	$(UV) pip compile --quiet --no-header --no-annotate --generate-hashes --python-version 3.11 requirements/dev.in --output-file requirements/dev.txt
	$(BIN)/python -m infra.layers lock
