# The one task runner: people, hooks and CI all call it. `make help` lists the targets.
# It needs Python >= 3.11, a Rust toolchain and make; everything else it installs into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
# One thing at a time also under -j: the steps share .venv and target, and each compiler uses all cores by itself.
.NOTPARALLEL:
.DEFAULT_GOAL := help

# The interpreter that .venv is made with; the default is the first CPython >= 3.11 that is found.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
# The engines that the Python tests run on, one pass each; `once` tests run in the first pass only.
ENGINES ?= native python
# The interpreters of test-all, instead of all that scripts/pythons finds.
PYTHONS ?=
# More arguments for the benches, as in: make bench BENCH="--only chain --quick"
BENCH ?=
# More arguments for pytest, as in: make test-python ENGINES=native PYTEST="tests/test_readme.py -k hello"
PYTEST ?=

# How many processes `crash` kills on each kind of database.
KILLS ?= 300

TOOLS := $(VENV)/.tools
EXTENSION := $(VENV)/.extension
BARE := $(VENV)/.bare
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)

# Without it, clippy and cargo would ask the first Python on PATH which PyO3 to build.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
# The extension is imported from the work tree; what a caller's environment says about Python has no say in it.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile

# --- Environment and extension

.PHONY: venv
venv: $(TOOLS) ## Make .venv with the pinned development tools (PYTHON=... picks the interpreter)

$(TOOLS): requirements-dev.txt
	@if [ ! -x $(BIN)/python ]; then \
	    python="$(PYTHON)"; \
	    [ -n "$$python" ] || python=$$(scripts/pythons --first); \
	    [ -n "$$python" ] || { echo "make: no CPython >= 3.11 (with ensurepip) found; say PYTHON=/path/to/python" >&2; exit 1; }; \
	    echo "make: $(VENV) with $$python"; \
	    "$$python" -m venv $(VENV); \
	fi
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.PHONY: develop
develop: $(EXTENSION) ## Build the release extension and install cnstra into .venv, editable

$(EXTENSION): $(TOOLS) pyproject.toml $(RUST_SOURCES)
	@command -v cargo >/dev/null || { echo "make: no cargo on PATH; install a Rust toolchain" >&2; exit 1; }
	PIP_QUIET=1 VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/maturin develop --release
	@touch $@

.PHONY: lock
lock: $(TOOLS) ## Pin the development tools anew, at their newest versions, in requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --group dev --all-extras \
	    --no-header --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements-dev.txt

# --- Running and checking

.PHONY: demo
demo: develop ## Run the main job: 69,659 real orders through a CQRS application
	$(BIN)/cnstra demo orders

.PHONY: test
test: lint test-rust test-python ## Check everything: lint, the Rust tests, the Python tests on both engines

.PHONY: lint
lint: lint-python lint-rust ## Check style and types, Python and Rust; warnings are errors

.PHONY: lint-python
lint-python: $(TOOLS) ## ruff, mypy --strict, pyright in its strict mode
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright

.PHONY: lint-rust
lint-rust: $(TOOLS) ## rustfmt, clippy; warnings are errors
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

.PHONY: format
format: $(TOOLS) ## Format the sources, and fix what ruff can fix safely
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	cargo fmt --all

.PHONY: test-rust
test-rust: ## The tests of the scheduler by itself
	cargo test --locked --package cnstra-core

.PHONY: test-python
test-python: develop $(BARE) ## The Python tests, the engines side by side (ENGINES=native for one, PYTEST=... for pytest)
	@# The first pass is seen as it goes, the others when it is done; `once` tests, and their database, are the first's.
	@passes=$$(mktemp -d); trap 'kill $$(jobs -p) 2>/dev/null || true; rm -rf "$$passes"' EXIT; \
	run() { CNSTRA_ENGINE=$$1 $(BIN)/python -m pytest -o cache_dir=.pytest_cache/$$1 "$${@:2}" $(PYTEST); }; \
	set -- $(ENGINES); first=$$1; shift; \
	for engine in "$$@"; do \
	    (run $$engine -m "not once" >"$$passes/$$engine" 2>&1; echo $$? >"$$passes/$$engine.status") & \
	done; \
	status=0; echo "== pytest on the engine: $$first"; run $$first || status=$$?; wait; \
	for engine in "$$@"; do \
	    echo "== pytest on the engine: $$engine"; cat "$$passes/$$engine"; \
	    [ "$$(cat "$$passes/$$engine.status")" = 0 ] || status=1; \
	done; exit $$status

.PHONY: test-all
test-all: ## The Python tests on every CPython >= 3.11 that is found (PYTHONS=... names them), each in its own environment
	@failed=""; while IFS= read -r python; do \
	    version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2] + getattr(sys, "abiflags", ""))'); \
	    echo "== $$version: $$python"; \
	    CARGO_TARGET_DIR="$(CURDIR)/target/python-$$version" \
	        $(MAKE) test-python VENV=".venvs/$$version" PYTHON="$$python" </dev/null || failed+=" $$version"; \
	done < <(if [ -n "$(PYTHONS)" ]; then printf '%s\n' $(PYTHONS); else scripts/pythons; fi); \
	[ -z "$$failed" ] || { echo "make: the tests failed on:$$failed" >&2; exit 1; }

.PHONY: crash
crash: develop ## Kill processes with durable runs, hundreds of times on each database (KILLS=... times)
	CNSTRA_KILLS=$(KILLS) $(BIN)/python -m pytest tests/durable/test_kill.py tests/durable/test_disasters.py $(PYTEST)

# --- Measuring: benches/README.md tells how to read it

# What the engine is compared with, beside the sources of the benches, which import it.
$(BARE): $(TOOLS) Cargo.toml Cargo.lock $(shell find benches/bare -name '*.rs' -o -name Cargo.toml)
	@command -v cargo >/dev/null || { echo "make: no cargo on PATH; install a Rust toolchain" >&2; exit 1; }
	PYO3_BUILD_EXTENSION_MODULE=1 cargo build --locked --release --package cnstra-bare
	@suffix=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))'); \
	for library in "$${CARGO_TARGET_DIR:-target}"/release/libbare.{so,dylib}; do \
	    if [ -f "$$library" ]; then cp "$$library" "benches/bare$$suffix"; fi; \
	done
	@touch $@

# `--only` names cases of the engine here, and then those of durable runs are not meant.
.PHONY: bench
bench: develop $(BARE) ## Measure the engine, and durable runs, as ratios to what is bare (BENCH="--only chain" for less)
	$(BIN)/python -m benches.ratios --json benches/results/ratios.json $(BENCH)
	$(if $(findstring --only,$(BENCH)),,@$(MAKE) bench-durable BENCH="$(filter --quick,$(BENCH))")
	$(if $(findstring --only,$(BENCH)),,@$(MAKE) bench-cqrs BENCH="$(filter --quick,$(BENCH))")

.PHONY: bench-durable
bench-durable: develop ## Measure a turn of a durable run beside a raw INSERT and commit (BENCH="--only sqlite" for less)
	$(BIN)/python -m benches.durable.turns --json benches/results/durable.json $(BENCH)

.PHONY: bench-cqrs
bench-cqrs: develop ## Measure a command on an event store beside the eventsourcing package alone
	$(BIN)/python -m benches.cqrs.commands --json benches/results/cqrs.json $(BENCH)

.PHONY: bench-pgo
bench-pgo: $(BARE) ## The same for the profile-guided wheel, in an environment of its own
	$(MAKE) wheel-pgo
	$(BIN)/python -m venv .venvs/pgo
	.venvs/pgo/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall \
	    "$$(ls -t dist/*.whl | head -n 1)"
	.venvs/pgo/bin/python -m benches.ratios --json benches/results/ratios-pgo.json $(BENCH)

.PHONY: bench-growth
bench-growth: develop ## What grows with what: cost per hop, memory; and the time of the import
	$(BIN)/python -m benches.growth --out benches/results $(BENCH)

.PHONY: bench-times
bench-times: develop $(BARE) ## Absolute times of the same cases, by pytest-benchmark
	$(BIN)/python -m pytest benches/test_times.py --benchmark-columns=min,median,iqr,rounds $(BENCH)

.PHONY: bench-counts
bench-counts: develop ## CPU instructions of the core cases, compared with those kept (BENCH=--update keeps them)
	@command -v valgrind >/dev/null || { echo "make: no valgrind on PATH, which counts the instructions; install it" >&2; exit 1; }
	$(BIN)/python -m benches.counts $(BENCH)

.PHONY: bench-core
bench-core: ## The scheduler by itself, by criterion
	cargo bench --locked --package cnstra-core

.PHONY: bench-abi3
bench-abi3: develop $(BARE) ## What the stable ABI would cost: the bare loop, built for it, beside the bare loop
	PYO3_BUILD_EXTENSION_MODULE=1 CARGO_TARGET_DIR=target/abi3 \
	    cargo build --locked --release --package cnstra-bare --features pyo3/abi3-py311
	$(BIN)/python -m benches.stable_abi target/abi3/release

.PHONY: bench-peers
bench-peers: $(TOOLS) ## cnstra beside other libraries, in an environment of its own; the page and the plot go to docs
	$(BIN)/python -m venv .venvs/peers
	.venvs/peers/bin/python -m pip install --quiet --disable-pip-version-check -r benches/peers/requirements.txt
	$(MAKE) wheel
	.venvs/peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall \
	    "$$(ls -t dist/*.whl | head -n 1)"
	.venvs/peers/bin/python benches/peers/compare.py --out docs/benchmarks

.PHONY: bench-durable-peers
bench-durable-peers: develop ## Durable steps beside other libraries, in an environment of its own; the page goes to docs
	$(BIN)/python -m venv .venvs/durable-peers
	.venvs/durable-peers/bin/python -m pip install --quiet --disable-pip-version-check \
	    -r benches/durable/peers/requirements.txt
	PYTHONPATH=python .venvs/durable-peers/bin/python -m benches.durable.peers.compare --out docs/benchmarks $(BENCH)

# --- Distribution

.PHONY: wheel
wheel: $(TOOLS) ## Build the wheel for the Python of .venv into dist/
	$(BIN)/maturin build --release --out dist --interpreter $(BIN)/python

.PHONY: wheel-pgo
wheel-pgo: $(TOOLS) ## Build the wheel for releases: profile-guided (needs an llvm-profdata that fits the compiler)
	@tools=$$(scripts/llvm-profdata); \
	PATH="$$tools:$(CURDIR)/$(BIN):$$PATH" CARGO_TARGET_DIR="$(CURDIR)/target/pgo" \
	    $(BIN)/maturin build --release --pgo --out dist --interpreter $(BIN)/python

.PHONY: sdist
sdist: $(TOOLS) ## Build the source distribution into dist/
	$(BIN)/maturin sdist --out dist

.PHONY: check-wheel
check-wheel: $(TOOLS) ## Build sdist, then the wheel from it, and try the wheel in a fresh environment without Rust
	@scripts/check-wheel $(VENV)

.PHONY: clean
clean: ## Remove everything that was built, environments included
	rm -rf .venv .venvs target dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks benches/results
	rm -f python/cnstra/_native*.so python/cnstra/_native*.pyd benches/bare*.so
	find benches python tests -name __pycache__ -type d -prune -exec rm -rf {} +
