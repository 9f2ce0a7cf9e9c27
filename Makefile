# `make` alone lists the verbs.

PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$name >/dev/null 2>&1 && \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && \
	echo $$name && break; done)
ifeq ($(PYTHON),)
$(error stockbroker needs Python 3.11 or newer: no python3, python3.11 ... python3.14 here is one)
endif

BIN := .venv/bin
# The contracts as last published; `make baseline` publishes anew.
BASELINE := protos/baseline.binpb

# Without bytecode each process compiles all it imports, and that is most of a start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up archive chaos test simulate bench profile lint format baseline stubs sync clean

help: ## List the verbs
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
	awk -F '\t' '{ printf "  make %-8s %s\n", $$1, $$2 }'

up: ## Start the whole house and show trades; Ctrl-C stops it (OPTIONS=--no-demo: without)
	@$(PYTHON) bootstrap.py up $(OPTIONS)

archive: ## Move old months out of a running house into files (OPTIONS='order --before 2026-08 --into DIR')
	@$(BIN)/stockbroker archive $(OPTIONS)

chaos: sync ## Trade while everything is killed and cut off, for two minutes (OPTIONS='--seed 7')
	@$(BIN)/stockbroker chaos $(OPTIONS)

test: sync ## Run all tests on real PostgreSQL, NATS and Envoy (TESTS=tests/edge: some)
	@$(BIN)/pytest -n auto --dist loadgroup $(TESTS)

SEEDS ?= 100
simulate: sync ## Run the house on virtual time with faults by seed (SEEDS=1000; SEED=123: one again; RACES=10000)
	@$(BIN)/python -m simulation.main --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) $(if $(RACES),--races $(RACES))

bench: sync ## Measure speed as ratios to what is known (OPTIONS='--only ledger --rounds 1')
	@$(BIN)/python -m bench.main $(OPTIONS)

profile: sync ## Sample every service under the load of the benchmark (OPTIONS='--door unary')
	@$(BIN)/python -m bench.profile $(OPTIONS)

lint: sync ## ruff, mypy --strict, import-linter, buf lint, format and breaking
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf breaking --against $(BASELINE)

format: sync ## Put code and contracts into shape
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/buf format --write

baseline: sync ## Take the contracts as they are for published: only after a release
	$(BIN)/buf build --exclude-source-info --output $(BASELINE)

stubs: sync ## Generate Python from protos/ when they changed

sync: ## Make .venv and the stubs what the lock file and protos/ say, developers' tools included
	@$(PYTHON) bootstrap.py sync --dev

clean: ## Wipe the data of the house in .stockbroker/
	@$(PYTHON) bootstrap.py clean
