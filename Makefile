# make demo          the example project, materialised through Dagster, and what the registry knows of it
# make ui            the Dagster UI on what the demo made
# make test          all tests; no network is needed once the libraries are installed
# make test-all      with each database on each storage, and killed at every step instead of some: takes long
# make storm         processes that save, change, delete, collect and repair are killed for ten minutes on each database
#                    and storage: make storm ARGS="--on sqlite-local,postgres-s3 --seconds 60 --seed 7"
# make lint          ruff, pyright, import contracts, docs
# make migration     the next database migration, from what the models say: make migration M="What it adds."
# make benchmarks    measurements beside the floor and beside lamindb (installs lamindb apart, on first use)
# make requirements  the requirements of docs/specification.md that no passing test proves
# make clean         removes everything that these commands made, the virtual environment included
#
# The first call makes .venv; a Python of 3.11 or newer is all that must be there: make PYTHON=python3.12 test

PYTHON ?= python3
VENV   ?= .venv
PORT   ?= 3000
CORES  := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
ARGS   ?=
M      ?=

RUN     := $(VENV)/bin/python -m
RESULTS := build/requirements.json

export DAGSTER_DISABLE_TELEMETRY := yes
# Tests start many processes, and each would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help benchmarks demo ui test test-all storm lint format migration requirements clean azurite

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^$$/q'

# One stamp per extra: a second call is instant, a changed pyproject.toml installs again.
$(VENV)/installed-%: pyproject.toml constraints.txt
	@$(PYTHON) scripts/bootstrap.py $(VENV) $*
	@touch $@

demo: $(VENV)/installed-example
	@$(RUN) example_project.demo $(ARGS)

ui: $(VENV)/installed-example
	@$(RUN) example_project.ui --port $(PORT)

# A server for the tests of Azure; where there is no npm, they are skipped.
azurite: $(VENV)/installed-test
	@$(VENV)/bin/python scripts/azurite.py $(VENV)

test: $(VENV)/installed-test azurite
	@$(RUN) pytest -n $(CORES) --requirements-results=$(RESULTS) $(ARGS)

test-all: export LAMART_FULL := 1
test-all: test

storm: $(VENV)/installed-test
	@$(RUN) tests.storm $(ARGS)

lint: $(VENV)/installed-dev
	@PATH="$(abspath $(VENV))/bin:$$PATH" scripts/lint

format: $(VENV)/installed-dev
	@$(RUN) ruff check --fix-only . && $(RUN) ruff format .

migration: $(VENV)/installed-dev
	@$(RUN) scripts.new_migration "$(M)"

benchmarks: $(VENV)/installed-test
	@$(RUN) benchmarks $(ARGS)

requirements: $(VENV)/installed-test azurite
	@$(RUN) pytest -n $(CORES) -q -m req --requirements-results=$(RESULTS) $(ARGS)
	@$(RUN) tests.requirements_report $(RESULTS)

clean:
	rm -rf $(VENV) build dist .demo *.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
