# Every target works in a fresh clone with nothing but Python 3.11 or later, make and a package index.
#   make demo [MEDIA=photo.jpg]     make test [ARGS="-k merkle"]     make bench [ONLY="append proof"]
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
SPREAD := -n 2 --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint bench soak docs clean

help:
	@echo 'make demo      the whole path on real media, left in build/demo (MEDIA=FILE takes your own file too)'
	@echo 'make test      all tests'
	@echo 'make coverage  the same, with branch coverage, which takes half as long again and more'
	@echo 'make lint      ruff, mypy --strict, import-linter'
	@echo 'make bench     every figure with its bound; fails when one falls short'
	@echo 'make soak      the long runs; writes benchmarks/soak.md'
	@echo 'make docs      the reference of events from the models, and all pages in build/docs, links checked'
	@echo 'make clean     removes what the targets above made'

# Written last, so that an interrupted installation starts over. The first installation brings a pip that knows
# dependency groups and pins build backends too; the last one leaves out a dependency that builds on no Python of today.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python %d.%d is too old, want 3.11 or later: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --build-constraint constraints.txt --editable '.[all]' --group dev
	$(PIP) --build-constraint constraints.txt --no-deps merkletools==1.0.3
	@touch $@

demo: $(READY)
	$(BIN)/provenance demo build/demo $(if $(MEDIA),--media "$(MEDIA)")

test: $(READY)
	$(BIN)/python -m pytest $(SPREAD) $(ARGS)

coverage: $(READY)
	$(BIN)/python -m pytest $(SPREAD) --cov --cov-report=term $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks.run $(ONLY)

# No look at the stacks of a test that takes long: many do here, and a look at a thread that runs can crash it.
soak: $(READY)
	$(BIN)/python -m pytest -p tests.soak -m 'soak or hypothesis' --hypothesis-profile=soak -o faulthandler_timeout=0 $(ARGS)

docs: $(READY)
	$(BIN)/python docs/events.py docs/reference/events.md
	$(BIN)/python docs/build.py build/docs

clean:
	rm -rf build dist $(VENV) .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
