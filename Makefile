# make run and make test set up all they need: both work as root and as a normal user, and offline once set up.
# .venv/.installed is what aishell runs on, .venv/.developer what its tests, checks and benchmarks add.
PYTHON ?=
ARGS ?=
# Of the lines of aishell/; what it measures takes a quarter longer.
COVERAGE ?= --cov --cov-fail-under=90
VERSIONS ?= 12 13 14 15 16 17 18
BIN := .venv/bin
# What is imported is compiled then: all of it now would take as long as unpacking it.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes
# Two workers a processor: the tests wait for locks, servers and programs in a good part of their time.
WORKERS ?= $(shell echo $$((2 * $$(nproc))))
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# Where nothing compiled is kept, each start of Python compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup servers run test test-all test-versions lint bench eval pictures lock clean

help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: .venv/.developer ## Make .venv with the locked versions of all that developers need

run: .venv/.installed ## Run full maintenance on a fresh sample SQLite database
	rm -f sample.db sample.db-wal sample.db-shm sample.db-journal
	$(BIN)/python -m aishell.sample sample.db
	$(BIN)/aishell run maintenance --type full --target sample --yes

servers:
	@scripts/install-servers $(ARGS)

test: servers setup ## Lint, then test everything once on real servers, in minutes (ARGS= goes to pytest)
	$(MAKE) lint
	$(PYTEST) -m "not thorough" $(ARGS)

test-all: servers setup ## All tests: whole sweeps of kills, every name, PostgreSQL 12 to 18, with coverage (ARGS= goes to pytest)
	$(MAKE) lint
	$(PYTEST) $(COVERAGE) $(ARGS)
	$(MAKE) test-versions ARGS=

test-versions: setup ## Every tool and the main runs on PostgreSQL 12 to 18 (VERSIONS= chooses; needs npm)
	scripts/fetch-postgresql
	@failed=; for version in $(VERSIONS); do \
	    echo "== PostgreSQL $$version"; \
	    AISHELL_TEST_POSTGRESQL=$$version $(PYTEST) -q $(ARGS) || failed="$$failed $$version"; \
	done; [ -z "$$failed" ] || { echo "failed on PostgreSQL$$failed"; exit 1; }

lint: setup ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## Run every benchmark; results go to bench/results/
	@set -e; for bench in bench/bench_*.py; do \
	    [ -e "$$bench" ] || { echo "no benchmarks yet"; break; }; \
	    echo "== $$bench"; $(BIN)/python "$$bench"; \
	done

eval: servers setup ## Let planners at twenty faults; results go to bench/results/eval.md (ARGS= chooses, see bench/eval/README.md)
	$(BIN)/python -m bench.eval.run $(ARGS)

pictures: setup ## Take the pictures of README and docs anew, from real runs (needs tmux)
	$(BIN)/python -m scripts.pictures

lock: setup ## Renew the lock files from pyproject.toml
	scripts/lock

clean: ## Remove what make and the tools made, except bench/results/
	rm -rf .venv tests/versions/node_modules build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -f sample.db sample.db-* state.db state.db-*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	PYTHON="$(PYTHON)" scripts/make-venv

.venv/.installed: requirements.lock scripts/link-checkout .venv/bin/python
	$(PIP_INSTALL) -r requirements.lock
	$(BIN)/python scripts/link-checkout
	@touch $@

.venv/.developer: requirements-dev.lock .venv/.installed
	$(PIP_INSTALL) -r requirements-dev.lock
	@touch $@
