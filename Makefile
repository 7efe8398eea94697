# Everything sets itself up: a machine needs Python 3.11 or later, pip and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test check static docs bench browser tools clean

setup: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Regraft needs Python 3.11 or later.")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)

# The main job, on a data set that comes along.
demo: setup
	$(BIN)/regraft finetune digits --workspace .demo

test: setup browser tools
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

# A browser for the tests that look at pages; without root or apt-get those tests say that they are skipped.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 \
	       && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	  || echo "No browser here: the tests that need one are skipped."

# strace and mkfs.ext4 for the tests that kill at system calls and cut the power; without root or apt-get those
# tests say that they are skipped, and where CI is set, they fail.
tools:
	@{ command -v strace && command -v mkfs.ext4; } >/dev/null 2>&1 \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 \
	       && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends strace e2fsprogs >/dev/null; } \
	  || echo "No strace or no mkfs.ext4 here: the tests that need them are skipped."

static: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: static test

bench: setup
	$(BIN)/python bench/run.py
	$(BIN)/python bench/run.py peers
	$(BIN)/python bench/run.py auto

clean:
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
