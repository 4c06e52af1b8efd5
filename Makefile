# Everything a newcomer needs: `make run` and `make test`. Each sets up first, and does nothing twice.

PYTHON ?= python3
DATA ?=
PRESET ?= quick
WORKSPACE ?= workspace
PYTEST ?=
MELANOSIZER := .venv/bin/melanosizer

# Without bytecode every process would compile TFX for a minute.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

.PHONY: help setup run test test-slow test-containers lint clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup:  ## make .venv ready (nothing to do when it is)
	@$(PYTHON) -m pipeline.bootstrap

run: setup  ## data -> pipeline -> served model -> one answer; DATA=folder-or-table uses your images
	@$(MELANOSIZER) quickstart --workspace $(WORKSPACE) --preset $(PRESET) $(if $(DATA),--data "$(DATA)")

test: setup  ## run the tests; PYTEST="-k name" chooses
	@.venv/bin/python -m pytest -m "not slow and not container" $(PYTEST)

test-slow: setup  ## run the tests that take minutes: large networks, the cluster double, Flink, manifests
	@.venv/bin/python -m pytest -m slow $(PYTEST)

test-containers: setup  ## build the images and run them as a cluster would; needs a Docker Engine, else skips
	@.venv/bin/python -m pytest -m container --durations=0 $(PYTEST) tests/containers

lint: setup  ## ruff, mypy, import rules, YAML
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/yamllint --strict .

clean:  ## remove what `make run` made; the environment stays
	@rm -rf workspace
