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
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Where it is set, every kernel and server compiles again what it imports, which takes more time than anything else.
unexport PYTHONDONTWRITEBYTECODE

# An environment with the oldest packages that pyproject.toml allows.
LOWEST := .venv-lowest

.PHONY: serve smoke test test-fast test-faults test-hostile test-programs test-differential test-lowest check bench wheel-test generate format clean

# What is wrong with the Python is said before anything is installed, and an environment that could not be made is not left behind.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 15))' 2>/dev/null || { \
		found="$$($(PYTHON) --version 2>&1)" || found="not there"; \
		echo "polyrepl needs Python 3.11 to 3.15, and $(PYTHON) is $$found. Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) could not make a virtual environment at $(VENV)." >&2; exit 1; }

$(VENV)/.serve: pyproject.toml | $(BIN)/python
	@echo "Installing polyrepl and its packages into $(VENV). This takes a minute or two, once."
	@$(BIN)/python -m pip install --disable-pip-version-check -e '.[data]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) uv
	$(BIN)/uv pip install -q --python $(BIN)/python -e $(DEV) || $(PIP) -e $(DEV)
	@touch $@ $(VENV)/.serve

serve: $(VENV)/.serve
	$(BIN)/polyrepl serve --host $(HOST) --port $(PORT)

# What needs only the packages that make installs. A failure of the fast tests ends the run.
test: test-fast
	$(PYTEST) tests/real runtimes/typescript/test

# Scripted kernels, no processes.
test-fast: $(VENV)/.dev
	$(PYTEST) tests/unit

# What faults and bad luck do: malformed input, dying processes, load, and every order of events.
test-faults: $(VENV)/.dev
	$(PYTEST) tests/faults

# Programs of other projects, chromium, R and Java. A test whose program is not installed is skipped.
test-programs: $(VENV)/.dev
	$(PYTEST) tests/programs

# The same cells here and on stock ipykernel.
test-differential: $(VENV)/.dev
	$(PYTEST) tests/differential

# What hostile code does, at every tier of isolation that the machine has; as root also as an ordinary user.
test-hostile: $(VENV)/.dev
	$(BIN)/python -m tests.hostile -n 4 --dist loadfile
	if [ "$$(id -u)" = 0 ]; then $(BIN)/python -m tests.hostile --as-user -n 4 --dist loadfile; fi

# A real server, checked from outside: both languages, a plot, a timeout, a fork. Needs no more than `make serve`.
smoke: $(VENV)/.serve
	$(BIN)/python tests/smoke.py

# Old packages have no wheels for new versions of Python: meant for the oldest that is supported.
$(LOWEST)/.made: pyproject.toml | $(VENV)/.dev
	$(BIN)/uv venv -q --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install -q --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[client,data,dev,jupyter,mcp]'
	@touch $@

test-lowest: $(LOWEST)/.made
	$(LOWEST)/bin/python -m pytest -n $(WORKERS) tests/unit
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
	$(BIN)/python -m tests.wheel_install

clean:
	rm -rf $(VENV) $(LOWEST) dist build benchmarks/.venv-peers
