# Every target works as the first command on a machine with Python 3.11+, make and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
# The tests need many packages: uv takes seconds for what takes pip minutes. Where it cannot, pip does it.
DEV := '.[data,dev,bun,deno]'
# Processes that run the tests. Most tests wait for kernels, so that two on two cores take little more than half the time of one.
WORKERS ?= 2
# Where it is set, every kernel and server compiles again what it imports, which takes more time than anything else.
unexport PYTHONDONTWRITEBYTECODE

# Tests that need no kernel, and an environment with the oldest packages that pyproject.toml allows.
FAST := tests/unit
LOWEST := .venv-lowest

.PHONY: serve smoke test test-lowest check bench wheel-test generate format clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serve: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[data]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) uv
	$(BIN)/uv pip install -q --python $(BIN)/python -e $(DEV) || $(PIP) -e $(DEV)
	@touch $@ $(VENV)/.serve

serve: $(VENV)/.serve
	$(BIN)/polyrepl serve --host $(HOST) --port $(PORT)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# A real server, checked from outside: both languages, a plot, a timeout, a fork. Needs no more than `make serve`.
smoke: $(VENV)/.serve
	$(BIN)/python tests/smoke.py

# Old packages have no wheels for new versions of Python: meant for the oldest that is supported.
# test_openapi takes as long as all the others together, and needs nothing else of the packages.
$(LOWEST)/.made: pyproject.toml | $(VENV)/.dev
	$(BIN)/uv venv -q --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install -q --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[client,data,dev,jupyter,mcp]'
	@touch $@

test-lowest: $(LOWEST)/.made
	$(LOWEST)/bin/python -m pytest -n $(WORKERS) $(FAST) --ignore=tests/unit/api/test_openapi.py
	$(LOWEST)/bin/python tests/smoke.py

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is made from other files: the Python client's plain half, its values and its errors.
generate: $(VENV)/.dev
	$(BIN)/python clients/python/generate.py

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

wheel-test: $(VENV)/.dev
	$(BIN)/python tests/wheel_install.py

clean:
	rm -rf $(VENV) $(LOWEST) dist build benchmarks/.venv-peers
