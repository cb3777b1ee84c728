# make build    the library, header and command in build/, the Python package in .venv/
# make test     all tests, C and Python; ends with `N passed, N failed, N skipped`
# make demo     worker processes share one copy of a real model   (MODEL=path.safetensors: yours instead)
# make bench    the benchmarks       make lint   formatters and analysers       make model   the protocol models
# make storm    kills without end (KILLS=20000)       make sweep   every kill of every kill (hours)
# make docs     the site, from the repository's own Markdown, the header and the docstrings: build/docs
# make core     the C library, command and C tests alone, without Python: build/meson
# make install  the C library and the command into PREFIX (default /usr/local)
#
# BUILD and VENV say where things go, PYTHON which interpreter .venv is made with.

PYTHON ?= python3
BUILD ?= build
VENV ?= .venv
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PREFIX ?= /usr/local
MESON_OPTIONS ?=

MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

builddir := $(BUILD)/meson
meson := $(VENV)/bin/meson
ninja := $(VENV)/bin/ninja
python := $(VENV)/bin/python
with_tools := PATH="$(abspath $(VENV))/bin:$$PATH"

.PHONY: all build core test check storm sweep demo bench lint format model docs install clean distclean FORCE

all: build

# ---- tools ----

$(VENV)/.build-tools: tools/setup tools/requirements-build.txt
	@PYTHON="$(PYTHON)" tools/setup build "$(VENV)"

$(VENV)/.test-tools: $(VENV)/.build-tools tools/requirements-test.txt
	@PYTHON="$(PYTHON)" tools/setup test "$(VENV)"

$(VENV)/.model-tools: $(VENV)/.build-tools
	@PYTHON="$(PYTHON)" tools/setup model "$(VENV)"

$(VENV)/.docs-tools: $(VENV)/.build-tools tools/requirements-docs.txt
	@PYTHON="$(PYTHON)" tools/setup docs "$(VENV)"

$(VENV)/.lint-tools: $(VENV)/.build-tools tools/requirements-lint.txt
	@PYTHON="$(PYTHON)" tools/setup lint "$(VENV)"

# ---- build ----

# The list of sources; its time changes only when a file came or went, and then Meson looks again.
$(BUILD)/sources.txt: FORCE
	@mkdir -p $(BUILD)
	@{ for d in src cli python tests; do tools/list-files $$d '*.c' '*.h' '*.py' '*.pyi' py.typed meson.build; done; \
	   echo "$(MESON_OPTIONS)"; } > $@.new
	@if cmp -s $@.new $@; then rm -f $@.new; else mv -f $@.new $@; fi

$(builddir)/.configured: $(BUILD)/sources.txt $(VENV)/.build-tools meson.build meson.options
	@if [ -f $(builddir)/build.ninja ]; then again=--reconfigure; else again=; fi; \
	$(with_tools) $(meson) setup $$again $(builddir) --prefix="$(abspath $(BUILD))" --libdir=lib \
	    -Dpkgconfig.relocatable=true -Dtests=true $(MESON_OPTIONS) > $(BUILD)/configure.log 2>&1 || \
	    { cat $(BUILD)/configure.log; echo "make: Meson could not configure the build; its report is above."; exit 1; }
	@touch $@

core: $(builddir)/.configured
	@$(with_tools) $(ninja) -C $(builddir) -k 0 -j $(JOBS)

$(BUILD)/.library: FORCE $(builddir)/.configured
	@$(with_tools) $(ninja) -C $(builddir) -j $(JOBS)
	@$(with_tools) $(meson) install -C $(builddir) --no-rebuild --only-changed --quiet
	@touch $@

# The package is built again when one of its sources is newer than the installed one.
package_sources := $(wildcard meson.build meson.options pyproject.toml include/zct/*.h src/*/*.[ch] cli/*.[ch] vendor/*/*.[ch] \
    cli/meson.build python/meson.build python/core.map python/src/*.[ch] python/zero_copy_tensor_ipc/* python/zero_copy_tensor_ipc/*/*)

$(VENV)/.package: $(VENV)/.build-tools $(package_sources) $(BUILD)/sources.txt
	@tools/install-package "$(VENV)" "$(BUILD)"
	@touch $@

build: $(BUILD)/.library $(VENV)/.package

# ---- run ----

test: build $(VENV)/.test-tools
	@$(with_tools) $(python) tools/run_tests.py --build $(BUILD) --jobs $(JOBS) $(TESTS)

check: test

# The long runs: a storm of kills, and every second kill of the crash sweep (hours).
KILLS ?= 20000
storm: core
	@ZCT_STORM_KILLS=$(KILLS) $(builddir)/tests/crash-test_storm

sweep: core
	@ZCT_SWEEP_FULL=1 $(builddir)/tests/crash-test_sweep

demo: build
	@$(with_tools) tools/demo "$(VENV)" $(if $(MODEL),--model "$(MODEL)")

bench: build
	@$(with_tools) ZCT_BUILD="$(abspath $(BUILD))" $(python) bench/run.py $(BENCH)

# MODELS="" runs the large sizes too, which takes hours; MODELS="name --quick" chooses.
MODELS ?= --quick
model: $(VENV)/.model-tools
	@$(python) models/run.py $(MODELS)

lint: $(VENV)/.lint-tools
	@$(with_tools) tools/lint

format: $(VENV)/.lint-tools
	@$(with_tools) tools/lint --fix

# Warnings are errors: a link that leads nowhere is one. LINKS=1 asks the web for the others, too.
docs: build $(VENV)/.docs-tools
	@$(with_tools) $(VENV)/bin/sphinx-build -q -W -E --keep-going -c docs -b html -d $(BUILD)/docs-cache . $(BUILD)/docs
	@$(if $(LINKS),$(VENV)/bin/sphinx-build -q -c docs -b linkcheck -d $(BUILD)/docs-cache . $(BUILD)/docs-links)
	@echo "make: the site is $(BUILD)/docs/index.html"

install: $(VENV)/.build-tools
	@$(with_tools) $(meson) setup --reconfigure $(BUILD)/release --prefix="$(PREFIX)" --buildtype=release -Doptimization=2 \
	    > /dev/null || $(with_tools) $(meson) setup $(BUILD)/release --prefix="$(PREFIX)" --buildtype=release -Doptimization=2
	@$(with_tools) $(meson) install -C $(BUILD)/release

clean:
	rm -rf $(BUILD) $(VENV)

distclean: clean
	rm -rf dist .pytest_cache .ruff_cache .mypy_cache
