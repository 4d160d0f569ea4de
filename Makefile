# diffenc: `make demo` and `make test` set up all that they need. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' envs/requirements.lock)
BIN := $(CURDIR)/.venv/bin
FASHION_MNIST_CACHE := .cache/fashion-mnist
SITE := site

export PATH := $(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help env demo study docs test test-only test-long guard test-slurm slurm chromium lint lock schema clean fashion-mnist

help:  ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | column -t -s'|'

# scripts in an environment name its interpreter by its full path: one that was made elsewhere is made anew
ifneq ($(shell cat .venv/.installed 2>/dev/null),)
ifneq ($(shell cat .venv/.installed),$(CURDIR))
$(shell rm -rf .venv)
endif
endif

env: .venv/.installed  ## the environment, .venv, from envs/requirements.lock

# uv comes by pip and installs everything, hashes checked, itself included
.venv/.installed: envs/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "diffenc needs Python 3.11 or newer; name one: make PYTHON=python3.12 env"; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv || \
	  { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	@test -x .venv/bin/uv || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	uv pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes envs/requirements.lock
	uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@.venv/bin/python -m compileall -q diffenc  # jobs start in half the time
	@echo $(CURDIR) > $@

demo: env  ## the whole chain on scikit-learn's digits, report included; three to four minutes on two cores
	snakemake --cores all --rerun-incomplete --show-failed-logs all report
	@cat results/demo/tables/digits/components.md
	@echo "tables: results/demo/tables/digits, figures: results/demo/figures, page: results/demo/index.html"

study: env  ## tables, p-values, figures and page of the published study, from its small files; a minute on two cores
	snakemake --cores all --configfile results/fashion8/study.yaml
	@cat results/fashion8/tables/fashion_mnist8/seeds.md
	@echo "tables: results/fashion8/tables/fashion_mnist8, page: results/fashion8/index.html"

docs: env  ## the pages of docs/, the Python reference and the demo's page as one site, site/index.html; ten seconds
	@rm -rf $(SITE)
	python -m sphinx --fail-on-warning --keep-going --quiet -c docs/site . $(SITE)
	@rm -r $(SITE)/.doctrees $(SITE)/.buildinfo
	@test -f results/demo/index.html || echo "without the demo's page: results/demo/index.html is not there (make demo)"
	@echo "pages: $(SITE)/index.html"

test: env fashion-mnist chromium test-only  ## all tests, but for those that need a cluster

test-only: env
	python -m pytest --numprocesses 2 --dist loadfile --ignore tests/slurm

test-long: env fashion-mnist  ## the tests that take minutes each, by hand before a release (docs/testing.md)
	python -m pytest -m long --ignore tests/slurm

guard: env  ## whether a training step is as fast as it was, for this machine
	python benchmarks/guard.py

test-slurm: env slurm  ## studies on a SLURM cluster that is started on this machine for them; needs root
	python -m pytest --exitfirst tests/slurm

# SLURM with its accounting, started by the tests alone: no service of the system is enabled
slurm:
	@(for program in slurmctld slurmd slurmdbd munged mariadbd; do command -v $$program || exit 1; done) > /dev/null || \
	  (apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm slurmdbd munge mariadb-server > /dev/null)

# the browser that the page is tested in
chromium:
	@command -v chromium > /dev/null || (apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null)

lint: env  ## ruff, snakefmt, import-linter, snakemake --lint
	ruff check .
	ruff format --check .
	lint-imports --no-logo --no-cache
	snakefmt --check workflow
	snakemake --lint
	for study in paper tiny mini; do snakemake --lint --configfile config/$$study.yaml || exit 1; done

schema: env  ## renew config/study.schema.json, and the tables of config/README.md, from the settings
	diffenc schema > config/study.schema.json
	sed -i '/^<!-- made by/q' config/README.md && diffenc schema --markdown >> config/README.md

lock: env  ## renew envs/requirements.lock from pyproject.toml
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-header \
	  --quiet --output-file envs/requirements.lock

# Debian's package has the original IDX files; it is unpacked here, not installed
fashion-mnist: $(FASHION_MNIST_CACHE)/usr

$(FASHION_MNIST_CACHE)/usr:
	@mkdir -p $(FASHION_MNIST_CACHE)
	cd $(FASHION_MNIST_CACHE) && (apt-get download -qq dataset-fashion-mnist || \
	  (apt-get update -qq && apt-get download -qq dataset-fashion-mnist))
	cd $(FASHION_MNIST_CACHE) && dpkg -x dataset-fashion-mnist_*.deb . && rm dataset-fashion-mnist_*.deb

clean:  ## remove results and caches, keep the environment, and results that are git's
	rm -rf .snakemake .cache .pytest_cache .ruff_cache site
	git clean -qfdX results
