# The one entry to the project. `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/airssys

# In CI the compiled dependencies outlive the clone, so that the next run reuses them.
ifdef CI
export CARGO_TARGET_DIR ?= $(CACHE)/target
endif
export UV_PYTHON_DOWNLOADS := never
export PYTHONWARNINGS :=

RUST_SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find crates wit -name '*.rs' -o -name 'Cargo.toml' -o -name '*.wit' 2>/dev/null)
# Tests prove durability by killing processes, which memory survives too and without waiting for a disk.
MEMORY := $(firstword $(wildcard /dev/shm) /tmp)
say = @printf '\033[1m==> %s\033[0m\n' "$(1)"

.PHONY: help setup demo test check bench bench-peers soak fuzz guests wheel docs clean lock

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.native ## make .venv with the tools, the libraries and the native module

$(VENV)/.python: requirements/bootstrap.txt requirements/dev.txt
	@tools/prerequisites.sh $(PYTHON)
	$(call say,environment: $(VENV))
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --require-hashes -r requirements/bootstrap.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.native: $(VENV)/.python $(RUST_SOURCES)
	$(call say,native module (a first build takes some minutes))
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --uv
	@touch $@

test: setup guests ## run the test suite
	$(call say,tests: python)
	@TMPDIR=$(MEMORY) $(BIN)/python -m pytest -q -n 2 --dist worksteal --durations=10
	$(call say,tests: rust)
	@PYO3_PYTHON=$(CURDIR)/$(BIN)/python cargo test --release --quiet -p airssys-host --lib --test wasi --test fuzz_corpus

test-native: setup guests ## run every test of the Rust crates, governed WASI by real guests included
	$(call say,tests: rust)
	@PYO3_PYTHON=$(CURDIR)/$(BIN)/python cargo test --release --quiet -p airssys-host

check: setup ## formatters, linters, types, layers, stubs; nothing is changed
	$(call say,python: ruff, mypy, layers, stubs)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m mypy.stubtest airssys._core --allowlist tools/stubtest-allow.txt
	$(call say,rust: rustfmt, clippy)
	@cargo fmt --check
	@PYO3_PYTHON=$(CURDIR)/$(BIN)/python cargo clippy --release --all-targets --quiet -- -D warnings
	$(call say,tree: sizes, licences)
	@$(BIN)/python tools/tree.py

guests: $(VENV)/.python ## build the guest components of components/
	@$(BIN)/python tools/guests.py $(foreach name,$(ONLY),--only $(name))

demo: setup guests ## the whole story: serve, canary, rollback, hand-over, faults, rights (about 40 s)
	@$(BIN)/python -m examples.demo

# As fast as the one that is published, without the parts that `serve` has no use for. What was compiled stays until
# all of it is: an interrupted build goes on.
PEER_FEATURES := run,serve,cranelift,pooling-allocator,parallel-compilation,component-model-async,threads,gc,gc-drc,backtrace,logging

bench-peers: ## install what the http suite measures against (takes long; into the cache)
	@mkdir -p $(CACHE)/peers
	@version=$$(sed -n '/^name = "wasmtime"$$/{n;s/.*"\(.*\)"/\1/p}' Cargo.lock) && cd $(CACHE)/peers && \
		cargo install --locked --root . --target-dir build wasmtime-cli --version $$version \
		--no-default-features --features $(PEER_FEATURES)
	@rm -rf $(CACHE)/peers/build

bench: setup guests ## measure, print ratios to peers, fail when one falls (SUITE=wasm for one suite)
	@$(BIN)/python -m benchmarks $(foreach name,$(SUITE),--suite $(name))

soak: setup guests ## use hosts, actors, the system layer and storage hard and check that the books add up (SECONDS=600, GIGABYTES=10)
	$(call say,soak: hosts)
	@$(BIN)/python -m benchmarks.soak $(SECONDS)
	$(call say,soak: actors)
	@$(BIN)/python -m benchmarks.rt.soak
	$(call say,soak: component actors)
	@$(BIN)/python -m benchmarks.actors.soak
	$(call say,soak: the operating-system layer)
	@$(BIN)/python -m benchmarks.osl.soak
	$(call say,soak: ways in)
	@$(BIN)/python -m benchmarks.wasm.ways_in
	$(call say,soak: live delivery)
	@$(BIN)/python -m benchmarks.delivery
	$(call say,soak: scripts)
	@$(BIN)/python -m benchmarks.authoring.scripts
	$(call say,soak: guest libraries)
	@$(BIN)/python -m benchmarks.authoring.libraries
	$(call say,soak: storage)
	@$(BIN)/python -m benchmarks.storage.soak --gigabytes $(or $(GIGABYTES),10)

fuzz: setup ## feed hostile bytes to all that reads them (SECONDS=60 each, TARGET=name, INPUT=file, KEEP=1)
	@PYO3_PYTHON=$(CURDIR)/$(BIN)/python $(BIN)/python fuzz/run.py --seconds $(or $(SECONDS),60) --types $(or $(TYPES),5000) \
		$(if $(TARGET),--target $(TARGET)) $(if $(INPUT),--input $(abspath $(INPUT))) $(if $(KEEP),--keep)

wheel: setup ## build the wheels into dist/, install them into an empty environment, run the README's example
	@$(BIN)/python tools/notices.py --check
	$(call say,wheel)
	@rm -rf dist
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin build --release --strip --locked --out dist
	$(call say,wheel: what runs scripts)
	@$(BIN)/python tools/scripts_wheel.py
	$(call say,wheel: installed without Rust)
	@$(BIN)/python tools/check_wheel.py

docs: setup guests ## check the documents: links resolve, code runs, tables are current
	@$(BIN)/python -m pytest -q tests/docs tests/integration/osl/test_osl_docs.py

lock: $(VENV)/.python ## renew the requirement files from pyproject.toml
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements/bootstrap.in -o requirements/bootstrap.txt
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra otel --extra server --extra uvloop --group dev --group bench pyproject.toml -o requirements/dev.txt

clean: ## remove what was built, the environment included
	@rm -rf $(VENV) target dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
