# Every target works on a fresh machine with Python 3.11+ and a package index; test, check and bench install Debian's
# PostgreSQL and Chromium where they are missing and they may, and skip their tests where they may not.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(abspath $(BIN)):$(PATH)
# Two at a time; the slow ones use all processors themselves.
FAST := $(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

.PHONY: help train app api demo monitor test fast lint types check format hostile bench bench-scale bench-quality lock pictures install database browser clean
help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

train: $(READY)  ## install, generate the bundled table, train, and print the winner
	$(BIN)/python flows/train.py run

app: $(READY)  ## predictions in a browser, on this machine only
	$(BIN)/streamlit run frontend/app.py

api: $(READY)  ## predictions for programs, on this machine only; then open /docs
	$(BIN)/python frontend/api.py

demo: $(READY)  ## six months of traffic, drift, labels, retraining and promotion in minutes, in build/demo
	$(BIN)/python flows/demo.py

monitor: $(READY)  ## report on the newest predictions, and send alerts
	$(BIN)/python flows/monitor.py run

test: $(READY) database browser  ## the whole test suite
	$(FAST)
	$(BIN)/python -m pytest -m slow

fast: $(READY)  ## the tests that need no whole flow, server or database
	$(FAST)

hostile: $(READY)  ## read 200 hostile tables and print how many are right, unclear and silently wrong; in a minute
	$(BIN)/python -m tests.hostile

lint: $(READY)  ## format, linter and unused code
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	@! $(BIN)/vulture | grep -v "unused variable"  # fields of dataclasses look unused; ruff finds variables

types: $(READY)  ## types of the package, in strict mode
	$(BIN)/mypy

check: lint types test  ## all of it: what has to pass before a change is merged

format: $(READY)  ## format the code and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) browser  ## measure orchestration, imports and the app; prints tables
	$(BIN)/python -m tests.bench.flow
	$(BIN)/python -m tests.bench.app
	$(BIN)/python -m tests.bench.scoring
	$(BIN)/python -m tests.bench.api
	$(BIN)/python -m tests.bench.batch

bench-scale: $(READY)  ## one run for 10,000, 100,000 and 1,000,000 generated rows: wall, memory, bytes, ROC AUC
	$(BIN)/python -m tests.bench.scale

bench-quality: $(READY)  ## ROC AUC against FLAML and AutoGluon on 31 tables; TABLES=folder BUDGET=60,180 HALF=choose; takes days
	$(BIN)/python -m tests.bench.quality $(if $(TABLES),--tables $(TABLES)) $(if $(BUDGET),--budget $(BUDGET)) \
	  $(if $(HALF),--half $(HALF)) $(if $(OUT),--out $(OUT))

pictures: $(READY) browser  ## take the pictures in README.md again, after train and demo
	$(BIN)/python -m tests.bench.pictures

install: $(READY)  ## only the virtual environment
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "expected Python 3.11 or newer, found $$($(PYTHON) --version); to do: make PYTHON=python3.12 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

lock: $(READY)  ## compile requirements.in to the pinned requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-emit-index-url requirements.in -o requirements.txt

# PostgreSQL's server programs, for the tests that read a real one. Without them those tests are skipped (not on CI).
database:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	  { run=; [ "$$(id -u)" = 0 ] || run="sudo -n"; \
	    command -v apt-get >/dev/null && $$run apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq postgresql >/dev/null; } || \
	  echo "no PostgreSQL server here and none could be installed: its tests will be skipped"

# Debian's Chromium, for the tests that walk through the app. Without one those tests are skipped (not on CI).
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { run=; [ "$$(id -u)" = 0 ] || run="sudo -n"; \
	    command -v apt-get >/dev/null && $$run apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive $$run apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no Chromium here and none could be installed: the browser tests will be skipped"

clean:  ## remove what tools left behind, and build/ with demo and benchmark results; keeps data, runs and environment
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build
