# h3push: every command a contributor needs. `make help` lists them.
PYTHON ?= python3
PROFILE ?= release
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check conformance install install-test format rust-test fuzz clean bench bench-page-loads

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/pip:
	@command -v cargo >/dev/null || { echo 'Rust is needed to build the native module: https://rustup.rs' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@echo 'Making $(VENV)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

RUST := rust/Cargo.toml rust/build.rs $(wildcard rust/Cargo.lock) $(wildcard rust/src/*.rs rust/src/*/*.rs rust/src/*/*/*.rs)

# The stamp carries the profile, so that a change of profile builds again.
$(VENV)/.installed-$(PROFILE): $(BIN)/pip pyproject.toml $(RUST)
	@echo 'Building the native module and installing h3push (about a minute the first time)'
	@$(BIN)/pip install --quiet --disable-pip-version-check 'maturin>=1.16,<2'
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable . \
		--config-settings=build-args="--profile $(PROFILE)"
	@rm -f $(VENV)/.installed-*
	@touch $@

install: $(VENV)/.installed-$(PROFILE) ## build the native module and install h3push into .venv

$(VENV)/.groups: $(VENV)/.installed-$(PROFILE) pyproject.toml
	@echo 'Installing what the tests and checks need'
	@$(BIN)/pip install --quiet --disable-pip-version-check --group test --group check
	@touch $@

install-test: $(VENV)/.groups ## the same, with what the tests and checks need

demo: install ## serve the bundled site over HTTP/3, fetch it with pushes, print the waterfall
	@$(BIN)/h3push demo

test: install-test ## run every test
	$(BIN)/pytest

check: install-test ## ruff, mypy strict, layers, the native stub, clippy and the Rust tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layers.py
	$(BIN)/python -m mypy.stubtest h3push._quic
	cargo fmt --manifest-path rust/Cargo.toml --check
	cargo clippy --manifest-path rust/Cargo.toml --all-targets -- -D warnings
	cargo test --manifest-path rust/Cargo.toml --no-default-features --features ring

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= server client qpack wire fields

fuzz: install-test ## coverage-guided fuzzing, FUZZ_SECONDS (60) for each of FUZZ_TARGETS; what it finds stays in fuzz/corpus
	$(BIN)/pip install --quiet --disable-pip-version-check --group fuzz
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target fuzz/found && \
		$(BIN)/python -m fuzz.run $$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -max_len=4096 \
			-artifact_prefix=fuzz/found/$$target- -print_final_stats=1 fuzz/corpus/$$target || exit 1; \
	done

conformance: install-test ## count which rules of the checklist have tests, and write docs/conformance.md
	$(BIN)/python tools/conformance.py

format: install-test ## rewrite the sources in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cargo fmt --manifest-path rust/Cargo.toml

$(VENV)/.bench: $(VENV)/.installed-$(PROFILE) pyproject.toml
	@echo 'Installing the peers that are measured'
	@$(BIN)/pip install --quiet --disable-pip-version-check --group bench
	@touch $@

bench: $(VENV)/.bench ## measure beside the peers and write docs/benchmarks.md (Linux, two cores, ten minutes)
	cargo build --quiet --release --manifest-path bench/load/Cargo.toml
	$(BIN)/python bench/run.py

bench-page-loads: install ## compute page loads with and without push into docs/benchmarks.md
	$(BIN)/python bench/page_loads.py

clean: ## remove what was built
	rm -rf $(VENV) rust/target bench/load/target
