# Everything runs in $(VENV), which is made anew whenever pyproject.toml changes.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
CODE    = protocol actors gupsim $(wildcard benchmarks)

.PHONY: demo test test-full lint bench bench-short docs clean
.DELETE_ON_ERROR:

# S01 ends in a violation, and gupsim says so with exit status 1: that is the story, not a failure.
demo: $(VENV)/.run
	@$(BIN)/gupsim run S01 || test $$? -eq 1

test: $(VENV)/.test
	@$(BIN)/python -m pytest -n auto --durations=10

test-full: $(VENV)/.test
	@$(BIN)/python -m pytest -n auto --durations=20 -m ""

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict $(CODE)
	@$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks

bench-short: $(VENV)/.dev
	@$(BIN)/python -m benchmarks --short

docs: $(VENV)/.docs
	@$(BIN)/mkdocs build --strict

clean:
	@rm -rf $(VENV) build dist site .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of extras. They live in the environment, so that a new environment forgets them all.
$(VENV)/.run:  EXTRAS =
$(VENV)/.test: EXTRAS = [test]
$(VENV)/.dev:  EXTRAS = [test,bench,dask]
$(VENV)/.docs: EXTRAS = [docs]

$(VENV)/.run $(VENV)/.test $(VENV)/.dev $(VENV)/.docs: $(VENV)/.made
	@echo "installing gupsim$(EXTRAS) into $(VENV)" >&2
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable ".$(EXTRAS)"
	@touch $@

$(VENV)/.made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gupsim needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) lacks venv or ensurepip: install them (Debian, Ubuntu: the package python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@
