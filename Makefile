# Everything a newcomer needs: `make run` and `make test`. Each sets up first, and does nothing twice.

PYTHON ?= python3
DATA ?=
PRESET ?= quick
WORKSPACE ?= workspace
PYTEST ?=
# Processes that share the tests: three, as a quarter of the time is waiting, but each takes up to 3 GB. A machine of 8 GB has
# 7.8 million kB for them.
WORKERS ?= $(shell awk '/MemTotal/ {n = int($$2 / 3500000); print (n > 3 ? 3 : n < 1 ? 1 : n)}' /proc/meminfo 2>/dev/null || echo 2)
# Large networks take more memory, and little of the slow tests is waiting: two processes at most.
SLOW_WORKERS = $(if $(filter 1,$(WORKERS)),1,2)
# Where tests write: most files are small, and many are copied and removed, so into memory where there are 10 GB of it to spare.
SCRATCH ?= $(shell grep -q ' /dev/shm [^ ]* [^ ]*noexec' /proc/mounts || df -k --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 > 10000000 {print "/dev/shm"}')
# A number: the order of the test files is drawn from it. Without one it is always the same.
ORDER ?=
ARCHITECTURES ?= linux/amd64,linux/arm64
# Where images are pushed, such as ghcr.io/you/
REGISTRY ?=
VERSION ?=
PUSH ?=
ROOMS := core serving components pipeline studies dashboard edge
MELANOSIZER := .venv/bin/melanosizer
PYTESTS := .venv/bin/python -m pytest
SHARED = $(PYTESTS) -n $(WORKERS)
SHORT := not slow and not container and not cluster

# Without bytecode every process would compile TFX for a minute.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

.PHONY: help setup run test test-random test-order coverage test-slow test-containers test-cluster test-wheel lint docs serve-docs \
	licences wheel images release clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup:  ## make .venv ready (nothing to do when it is)
	@$(PYTHON) -m pipeline.bootstrap

# A gate that refuses ends `melanosizer` with 3, and make, like after any failure, with 2.
run: setup  ## data -> pipeline -> served model -> one answer; DATA=folder-or-table uses your images
	@$(MELANOSIZER) quickstart --workspace $(WORKSPACE) --preset $(PRESET) $(if $(DATA),--data "$(DATA)")

test: setup  ## run the tests in WORKERS processes; PYTEST="-k name" chooses, ORDER=7 draws an order of the files
	@$(if $(SCRATCH),TMPDIR=$(SCRATCH)) MELANOSIZER_TEST_ORDER=$(ORDER) $(SHARED) -m "$(SHORT)" $(PYTEST)

test-random: setup  ## run the property tests with other examples than `make test`, and a thousand of each
	@MELANOSIZER_HYPOTHESIS=random $(SHARED) -m "hypothesis and $(SHORT)" $(PYTEST)

test-order: setup  ## run the files, and the tests in each, in an order drawn at random; it is printed, to repeat with ORDER
	@$(SHARED) --random-order --random-order-seed=$(or $(ORDER),$(shell date +%s)) -m "$(SHORT)" $(PYTEST)

coverage: setup  ## measure which lines and branches of the product `test` and `test-slow` reach (three quarters of an hour); may not fall
	@rm -rf .build/coverage && mkdir -p .build/coverage
	@.venv/bin/python -m coverage run -m pytest -n $(WORKERS) -m "$(SHORT)" $(PYTEST)
	@.venv/bin/python -m coverage run -m pytest -n $(SLOW_WORKERS) -m slow $(PYTEST) || [ $$? -eq 5 ]  # none of PYTEST is slow
	@.venv/bin/python -m coverage combine --quiet
	@.venv/bin/python -m coverage report --sort=cover > .build/coverage/report.txt; code=$$?; \
		tail -1 .build/coverage/report.txt; echo "each file: .build/coverage/report.txt"; exit $$code

test-slow: setup  ## run the tests that take minutes: large networks, the cluster double, Flink, manifests, the wheel
	@$(PYTESTS) -n $(SLOW_WORKERS) -m slow $(PYTEST)

test-containers: setup  ## build the images and run them as a cluster would; needs a Docker Engine, else skips
	@$(PYTESTS) -m container --durations=0 $(PYTEST) tests/containers

test-cluster: setup  ## apply the overlays to a real API server, which Go builds once (7 minutes), else skips
	@$(PYTESTS) -m cluster --durations=5 $(PYTEST) tests/cluster

test-wheel: setup  ## build the wheel, install each extra of it in a fresh environment, start its command
	@$(PYTESTS) -m slow $(PYTEST) tests/test_wheel.py

lint: setup  ## ruff, mypy, import rules, YAML, unused code, lines that stand twice
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/yamllint --strict .
	@! .venv/bin/vulture | grep -vE "^(tests|benchmarks|docs)/" | grep -E "unused (function|method|class|property|import)|unreachable"
	@! .venv/bin/symilar --duplicates=12 --ignore-comments --ignore-docstrings --ignore-imports --ignore-signatures \
		$$(git ls-files $(ROOMS) | grep '\.py$$' | grep -v _pb2) | grep -A 40 "similar lines in"

docs: setup  ## build the documentation site into .build/site, strictly and without network
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --quiet
	@echo "open .build/site/index.html"

serve-docs: docs  ## show the site while you write, on http://127.0.0.1:8000
	@NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs serve

licences: setup  ## check that every dependency of the product may be distributed with it
	@$(PYTESTS) -q tests/test_licences.py

wheel: setup  ## build the wheel into .build/dist
	@.build/installer/bin/uv build --wheel --quiet --out-dir .build/dist
	@ls .build/dist/*.whl

images:  ## build the four images for ARCHITECTURES, each with its list of contents (SBOM); PUSH=1 pushes
	@for room in serving pipeline dashboard edge; do \
		docker buildx build --file docker/$$room.Dockerfile --platform \
			$$([ $$room = pipeline ] && echo linux/amd64 || echo $(ARCHITECTURES)) \
			--sbom=true --provenance=true --tag $(REGISTRY)melanosizer-$$room:$(or $(VERSION),latest) \
			$(if $(PUSH),--push,--output type=oci,dest=.build/$$room.oci.tar) . || exit 1; \
	done

release: lint test docs licences  ## check everything, then tag VERSION=x.y.z, and build wheel and notes (docs/releasing.md)
	@.venv/bin/python -m docs.release "$(VERSION)"
	@$(MAKE) --no-print-directory wheel

clean:  ## remove workspace/, where `make run` writes; other workspaces and the environment stay
	@rm -rf workspace
