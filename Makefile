# make demo and make test set up everything they need; make help lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= config/config.yaml
THREADS ?= 2
ONLY ?=
# The name as the schema wants it, and nothing else: it stands in commands of the shell.
RUN = $(shell sed -nE "s|^run: *['\"]?([A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?)['\"]? *(\#.*)?$$|\1|p" $(CONFIG))

.DEFAULT_GOAL := help
.PHONY: help env demo test test-slurm bench lint format report aa-tools clean distclean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
	@echo "Variables: CONFIG=$(CONFIG) CORES=$(CORES) PYTHON=$(PYTHON)"

env: $(VENV)/.complete ## virtual environment .venv from requirements.lock

$(VENV)/.complete: requirements.lock requirements-pictures.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python >= 3.11 is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo missing)." \
	       "Install it (Debian: apt-get install python3 python3-venv) or set PYTHON=/path/to/python."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv module is needed (Debian: apt-get install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-pictures.lock \
	  || echo "OVITO could not be installed; matplotlib will draw the pictures of the box."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: env ## the whole workflow on CONFIG (the demo by default), then the summary
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)
	@$(BIN)/python -m cgdistill summary results/$(RUN)

test: env ## unit tests, dry runs, one small end-to-end run
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile

test-slurm: ## the Slurm profile on a real Slurm of one node (two to three minutes; installs nothing, says what is missing)
	@$(BIN)/python -c 'import snakemake_executor_plugin_slurm' 2>/dev/null \
	  || { echo "Snakemake's executor for Slurm is missing in $(VENV): make env"; exit 1; }
	@$(BIN)/python tests/slurm/cluster.py
	$(BIN)/python -m pytest tests/slurm -rs

bench: env ## speed and memory: benchmarks/results/, docs/speed.md (ONLY=md,training to choose, THREADS=2)
	$(BIN)/python -m benchmarks --threads $(THREADS) $(if $(ONLY),--only $(ONLY))

lint: env ## ruff, snakefmt, snakemake --lint, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy

format: env ## format Python and Snakemake files
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

report: env ## snakemake's own report of CONFIG: results/<run>/snakemake-report.html
	@test -n "$(RUN)" || { echo "no run named in $(CONFIG)"; exit 1; }
	$(BIN)/snakemake --configfile $(CONFIG) --report results/$(RUN)/snakemake-report.html

aa-tools: ## say which packages make all-atom data (needed only for aa.source gromacs or openmm)
	@command -v gmx >/dev/null && gmx --version 2>/dev/null | grep -m1 'GROMACS version' || echo "GROMACS: missing (Debian: apt-get install gromacs)"
	@command -v packmol >/dev/null && echo "Packmol: $$(command -v packmol)" || echo "Packmol: missing (Debian: apt-get install packmol)"
	@$(BIN)/python -c 'import openmm; print("OpenMM:", openmm.__version__)' 2>/dev/null || echo "OpenMM: missing (make env)"

clean: ## products, logs and benchmarks of CONFIG's run
	@test -n "$(RUN)" || { echo "no run named in $(CONFIG)"; exit 1; }
	rm -rf results/$(RUN) logs/$(RUN) benchmarks/$(RUN)

distclean: clean ## also the environment and caches
	rm -rf $(VENV) .snakemake .pytest_cache .ruff_cache .mypy_cache
