# Everything runs in $(VENV), which is made anew whenever pyproject.toml changes.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check
CODE    = gupsim $(wildcard benchmarks)
# On all processors; whoever has nothing to do takes over, as a few tests take minutes. TESTS: files, all of them.
PYTEST  = -n auto --dist worksteal
TESTS   =

.PHONY: demo test test-full test-long test-newest options lint lock bench bench-short docs clean
.DELETE_ON_ERROR:

# S01 ends in a violation, and gupsim says so with exit status 1: that is the story, not a failure.
demo: $(VENV)/.run
	@$(BIN)/gupsim run S01 || test $$? -eq 1

test: $(VENV)/.test
	@$(BIN)/python -m pytest $(PYTEST) --durations=10 $(TESTS)

test-full: $(VENV)/.test
	@$(BIN)/python -m pytest $(PYTEST) --durations=20 -m "" $(TESTS)

# Only what `make test` leaves out.
test-long: $(VENV)/.test
	@$(BIN)/python -m pytest $(PYTEST) --durations=10 -m long $(TESTS)

# The newest versions that pyproject.toml allows, in an environment of their own.
test-newest:
	@$(MAKE) --no-print-directory test VENV=$(VENV)-newest LOCKED=

# The reference of all options, from the code.
options: $(VENV)/.dev
	@$(BIN)/python -m typer gupsim.cli.main utils docs --name gupsim --output docs/reference/options.md >/dev/null

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
	@rm -rf $(VENV) $(VENV)-newest build dist site .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp per set of packages, in the environment, so that a new environment forgets them all. locks/NAME.txt says
# which versions, with their hashes; with LOCKED= the newest that pyproject.toml allows are taken.
LOCKED = yes
$(VENV)/.run:  EXTRAS =
$(VENV)/.test: EXTRAS = [test]
$(VENV)/.dev:  EXTRAS = [test,lint,bench]
$(VENV)/.docs: EXTRAS = [docs]

$(VENV)/.%: $(VENV)/.made locks/%.txt
	@echo "installing gupsim$(EXTRAS) into $(VENV)" >&2
ifeq ($(LOCKED),yes)
	@$(PIP) install --require-hashes --requirement locks/$*.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
else
	@$(PIP) install --editable ".$(EXTRAS)"
endif
	@touch $@

# Renews the locks, for all systems and all Pythons from 3.11 on. hatchling and editables: a locked install builds the
# checkout itself, without fetching anything.
lock: $(VENV)/.made
	@$(PIP) install 'uv>=0.13'
	@for set in run: test:test dev:test,lint,bench docs:docs; do \
	  extras=$$(echo "$${set#*:}" | tr ',' ' '); set -- ; for extra in $$extras; do set -- "$$@" --extra $$extra; done; \
	  echo "locks/$${set%%:*}.txt" >&2; \
	  printf 'hatchling\neditables\n' | $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	    --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	    --output-file "locks/$${set%%:*}.txt" "$$@" pyproject.toml - ; \
	done

$(VENV)/.made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gupsim needs Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) lacks venv or ensurepip: install them (Debian, Ubuntu: the package python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@
