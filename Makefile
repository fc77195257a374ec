# Everything is set up by these targets themselves: Python 3.11 or newer and make are all they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SECONDS ?= 60
# Where it is set, every process would compile all of the sources again.
export PYTHONDONTWRITEBYTECODE :=
N       ?= 1000000

.PHONY: help setup demo test check bench fuzz properties faults matrix soak nonces guard-corpus softhsm clean
.DEFAULT_GOAL := help

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

$(VENV)/.runtime: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Panless needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "Python's venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@"$(CURDIR)/$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "installing what the tests need ..."
	@"$(CURDIR)/$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.fuzz: $(VENV)/.dev
	@echo "installing what fuzzing needs ..."
	@"$(CURDIR)/$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@touch $@

setup: $(VENV)/.runtime ## create .venv; .venv/bin/panless works afterwards

demo: setup ## the whole story on this machine; ONCE=1 tells it once and exits
	@"$(CURDIR)/$(BIN)/python" -m proxy.cli demo $(if $(ONCE),--once)

test: $(VENV)/.dev ## all checks and all tests
	@$(MAKE) --no-print-directory check softhsm
	@"$(CURDIR)/$(BIN)/python" -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder -m "not long"; \
	  status=$$?; "$(CURDIR)/$(BIN)/python" -m tests.harness.browser; exit $$status

check: $(VENV)/.dev ## format, lint, types, import contracts
	@"$(CURDIR)/$(BIN)/python" -m ruff format --check --quiet .
	@"$(CURDIR)/$(BIN)/python" -m ruff check --quiet .
	@"$(CURDIR)/$(BIN)/python" -m mypy --no-error-summary
	@"$(CURDIR)/$(BIN)/lint-imports" --no-logo --no-cache

softhsm: $(VENV)/.dev ## get SoftHSM2 for the tests of key provider pkcs11, if it is not there
	@"$(CURDIR)/$(BIN)/python" -m tests.harness.softhsm

BENCHED = $(if $(ROWS),--rows "$(ROWS)") $(if $(TABLES),--tables "$(TABLES)") $(if $(FULL),--full)
bench: $(VENV)/.dev ## measure; prints tables and writes build/bench.json; ROWS=pass,reveal: these only; FULL=1: 10^7 cards
	@"$(CURDIR)/$(BIN)/python" -m tests.bench $(BENCHED)

fuzz: $(VENV)/.fuzz ## try the parsers on hostile input, SECONDS=60 each; prints a table
	@"$(CURDIR)/$(BIN)/python" -m tests.fuzz --seconds $(SECONDS)

MINUTES ?= 30
properties: $(VENV)/.dev ## the property tests again and again with new examples, for MINUTES=30
	@end=$$(( $$(date +%s) + $(MINUTES) * 60 )); runs=0; \
	while [ $$(date +%s) -lt $$end ]; do \
	  "$(CURDIR)/$(BIN)/python" -m pytest -q tests/property || exit 1; runs=$$((runs + 1)); \
	done; echo "$$runs runs in $(MINUTES) minutes, nothing found"

KILLS ?= 10
JOBS  ?= 10000
LONG   = $(shell grep -rl 'pytest.mark.long' tests --include='test_*.py')
faults: $(VENV)/.dev ## the tests of faults, with the long ones; rotations are killed KILLS=10 times each
	@$(MAKE) --no-print-directory softhsm
	@KILLS=$(KILLS) JOBS=$(JOBS) "$(CURDIR)/$(BIN)/python" -m pytest -v tests/faults $(LONG)

SEEDS ?= 200
matrix: $(VENV)/.dev ## charges under faults at each of their steps, SEEDS=200 of them; SEED=n repeats one
	@SEEDS=$(SEEDS) "$(CURDIR)/$(BIN)/python" -m pytest --numprocesses 2 --dist load tests/faults/test_charges.py

SOAKED = $(if $(SEED),--seed $(SEED))
soak: $(VENV)/.dev ## payments and webhooks with random kills, for MINUTES=30; prints a table; SEED=n repeats one
	@"$(CURDIR)/$(BIN)/python" -m tests.soak --minutes $(MINUTES) $(SOAKED)

SEALS ?= 10000000
nonces: $(VENV)/.dev ## seal SEALS=10000000 values and look for a nonce that comes twice
	@SEALS=$(SEALS) "$(CURDIR)/$(BIN)/python" -m pytest -q tests/vault/crypto/test_nonces.py

guard-corpus: $(VENV)/.dev ## count the guard's mistakes over N=1000000 documents; prints a table, writes build/guard.json
	@"$(CURDIR)/$(BIN)/python" -m tests.guard_corpus --documents $(N)

clean: ## remove what the targets made
	rm -rf $(VENV) build .panless-demo .mypy_cache .ruff_cache .hypothesis
