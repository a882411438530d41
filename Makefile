# Everything starts here: `make serve`, `make test`. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && exit; done; echo python3)
# cuda where there is an NVIDIA GPU, else cpu.
PLATFORM ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo cuda || echo cpu)
# What to pass on: make serve ARGS="--port 9000"; make test TESTS=tests/server/test_config.py
ARGS ?=
TESTS ?=

VENV := .venv
PY := $(VENV)/bin/python
RECIPE := pyproject.toml redraft/install.py $(wildcard constraints/*.txt)
NO_TESTS := 5 # pytest's exit code where none was selected
UNIT := not vllm and not browser and not train and not slow

# Compiled files make every later start 10 s faster.
unexport PYTHONDONTWRITEBYTECODE
export TOKENIZERS_PARALLELISM ?= false

# Tests keep all cores busy, and threads that wait for each other on busy cores are far slower than
# one.
test check unit coverage attack: export OMP_NUM_THREADS ?= 1

.PHONY: help serve test check lint types unit coverage attack clients format clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.serve ## install what is missing and serve on http://127.0.0.1:8000
	@exec $(PY) -m redraft.server $(ARGS)

test: $(VENV)/.test $(VENV)/.browser $(VENV)/.node lint types ## lint, types, every test
	@$(PY) -m pytest -q -n 3 -m "$(UNIT)" $(TESTS) $(ARGS) || [ $$? = $(NO_TESTS) ]
	@$(PY) -m pytest -m "not ($(UNIT))" $(TESTS) $(ARGS) || [ $$? = $(NO_TESTS) ]

check: $(VENV)/.test lint types unit ## lint, types, unit tests: under 90 seconds

lint: $(VENV)/.test ## ruff
	@$(PY) -m ruff check --quiet . && $(PY) -m ruff format --check --quiet .

types: $(VENV)/.test ## mypy, strict
	@$(PY) -m mypy --no-error-summary

unit: $(VENV)/.test ## the fast tests
	@$(PY) -m pytest -q -n 3 --hypothesis-profile quick -m "$(UNIT)" $(TESTS) $(ARGS)

coverage: $(VENV)/.test ## lines of the loop and the API that the fast tests run: 92% at least
	@$(PY) -m pytest -q -n 3 --cov -m "$(UNIT)" $(TESTS) $(ARGS)

attack: $(VENV)/.test ## very much that is wrong, against real processes: within an hour
	@timeout 3600 $(PY) -m pytest -q -m attack tests/attack $(ARGS)

clients: $(VENV)/.test ## other people's clients against this server: writes docs/clients.md
	@$(PY) -m tests.clients.matrix

format: $(VENV)/.test ## rewrite the code in the project's format
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

clean: ## remove what the tools made, the environment included
	rm -rf $(VENV) .clients clients/node/node_modules .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.serve: $(RECIPE)
	@$(PYTHON) -m redraft.install --venv $(VENV) $(PLATFORM)
	@touch $@

$(VENV)/.test: $(RECIPE)
	@$(PYTHON) -m redraft.install --venv $(VENV) $(PLATFORM) train bench dev
	@touch $@ $(VENV)/.serve

# The page is tested in a real Chromium, the Node client with npm. Where either is missing and
# cannot be installed, its tests are skipped and say so.
$(VENV)/.browser: | $(VENV)/.test
	@command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing Chromium" \
	&& { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y chromium; } \
	>/dev/null 2>&1; } || echo "no Chromium here: tests of the page will be skipped"
	@touch $@

$(VENV)/.node: clients/node/package.json | $(VENV)/.test
	@if command -v npm >/dev/null; then cd clients/node && \
	npm install --silent --no-audit --no-fund --no-package-lock --no-update-notifier \
	|| echo "npm install failed: tests of the Node client will be skipped"; \
	else echo "no npm here: tests of the Node client will be skipped"; fi
	@touch $@
