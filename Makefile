# Few targets, each says what it does: `make help`.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCK := deploy/locks/requirements.lock
# Of `make test`, each with engines of its own; one test at a time: make test WORKERS=0
WORKERS ?= 2
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup up test lint lock bench chaos-disk

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name what; do printf '  make %-7s %s\n' "$$name" "$$what"; done

setup: $(STAMP) ## Create .venv with everything pinned; quick when nothing changed

# uv installs in a fifth of pip's time; pip stands in where only pip is configured for the network.
$(STAMP): $(LOCK) deploy/locks/kafka-jars.lock pyproject.toml producers/sdk/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tracemill needs Python 3.11 or newer, $(PYTHON) is older: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot create environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^[a-z]/ {wanted = /^uv==/} wanted' $(LOCK) > .venv/uv.lock
	$(PIP) install --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes -r $(LOCK) || $(PIP) install --require-hashes -r $(LOCK)
	$(PIP) install --no-deps --no-build-isolation -e producers/sdk -e .
	$(BIN)/python -P -m deploy.embedded.warm_up
	@touch $@

up: setup ## Start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/tracemill up

test: setup ## Run all tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

lint: setup ## Check style, types and the rules between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup ## Measure the pipeline and each stage alone; prints one table
	$(BIN)/python -m tests.bench

chaos-disk: setup ## Fill small disks under load, delete a log and recover: 15 minutes, mounts need root
	$(BIN)/python -m tests.chaos

lock: setup ## Pin the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--no-emit-package tracemill-sdk --quiet --output-file $(LOCK)
	$(BIN)/python -P -m deploy.embedded.pin_jars
