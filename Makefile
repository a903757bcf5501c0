# Firstlight's commands, for Linux and macOS. `make help` lists them; README.md has the plain pip way.

VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
ARGS ?=

# What the site is made from; when one of these is newer than the site, the site is built again.
SITE_SOURCES := $(shell find firstlight authoring site solutions notebooks -type f \
	-not -path '*/__pycache__/*' -not -path 'firstlight/serve/*' 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help learn test lessons site bench clean

help: ## list these commands
	@echo "Firstlight: hands-on PyTorch"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18
	@echo
	@echo '  Options go through ARGS: make learn ARGS="--no-browser --port 8899"'

learn: $(VENV)/.learn build/.site ## open the course in your browser
	@$(BIN)/firstlight start $(ARGS)

test: $(VENV)/.test ## run every test there is
	@.ci/checks $(BIN)

lessons: $(VENV)/.learn ## make the notebooks and solutions that are out of date
	@$(BIN)/python -m authoring build $(ARGS)

site: $(VENV)/.learn ## build the site into build/site
	@$(BIN)/python -m authoring site $(ARGS)
	@touch build/.site

bench: $(VENV)/.test build/.site ## measure what the design promises about speed
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove what can be made again; your workspace stays
	rm -rf build .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# The environment. A stamp is newer than what it was made from, so the second run skips it.

$(VENV)/.python:
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
		{ python=$$(.ci/python) && "$$python" -m venv $(VENV); }
	@touch $@

$(VENV)/.learn: $(VENV)/.python pyproject.toml $(CONSTRAINTS)
	@echo "Installing the course. The first time takes some minutes: PyTorch is large."
	@$(BIN)/python -m pip install --disable-pip-version-check -e ".[app]" -c $(CONSTRAINTS)
	@touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml $(CONSTRAINTS)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet -e ".[dev]" -c $(CONSTRAINTS)
	@touch $@ $(VENV)/.learn

build/.site: $(SITE_SOURCES) | $(VENV)/.learn
	@$(BIN)/python -m authoring site
	@mkdir -p build && touch $@
