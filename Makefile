# `make help` lists the targets.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
LOCK := deploy/locks/requirements.lock
# Processes of `make test`, each with its own engines; WORKERS=0 runs one test at a time.
WORKERS ?= 2
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup up test lint docs screenshots lock bench chaos-disk

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name what; do printf '  make %-11s %s\n' "$$name" "$$what"; done

setup: $(STAMP) ## Create .venv with pinned packages; fast if nothing changed

# uv installs five times as fast as pip; pip is used if uv cannot reach a package index.
$(STAMP): $(LOCK) deploy/locks/kafka-jars.lock deploy/locks/npm-packages.lock pyproject.toml producers/sdk/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tracemill needs Python 3.11 or newer, $(PYTHON) is older: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot create environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "installing packages into .venv, which takes some minutes" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^[a-z]/ {wanted = /^uv==/} wanted' $(LOCK) > .venv/uv.lock
	$(PIP) install --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode --require-hashes -r $(LOCK) || $(PIP) install --require-hashes -r $(LOCK)
	$(PIP) install --no-deps --no-build-isolation -e producers/sdk -e .
	$(BIN)/python -P -m deploy.embedded.warm_up
	$(BIN)/python -P -m deploy.assets.install
	@touch $@

up: setup ## Start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/tracemill up

test: setup ## Run all tests
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --durations=30

lint: setup ## Check style, types and the imports between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: setup ## Write the generated parts of docs/
	$(BIN)/python -m tests.billing.table
	$(BIN)/python -m tests.compat.calls

screenshots: setup ## Renew the screenshots of the README with Chromium
	$(BIN)/python -m tests.e2e.console.screenshots

bench: setup ## Measure the pipeline and each stage alone
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.console

chaos-disk: setup ## Test full disks and lost logs under load: 15 minutes, needs root for mounts
	$(BIN)/python -m tests.chaos

lock: setup ## Pin the newest allowed versions of the dependencies
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--no-emit-package tracemill-sdk --quiet --output-file $(LOCK)
	$(BIN)/python -P -m deploy.embedded.pin_jars
	$(BIN)/python -P -m deploy.assets.pin
