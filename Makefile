# Each target does its own set-up: Python 3.11 or newer and make are all that is needed.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
BENCH_VENV = .venv-bench
BENCH_STAMP = $(BENCH_VENV)/.installed
BENCH ?=
DEMO_STAMP = $(VENV)/.installed-for-demo
SUPPORTED = 3.11 3.12 3.13 3.14
PYTEST_ARGS ?= --numprocesses auto --dist worksteal
FILES ?=

.PHONY: help demo check test test-long test-all-pythons test-sqlalchemy-2.0 lint clean bench bench-check

help:
	@echo "make demo              log some calls, read them back, replay a small file"
	@echo "make check             lint, type-check and the quick tests that need no server: the inner loop"
	@echo "make test              lint, type-check and run all tests; FILES=tests/storage runs some of them alone"
	@echo "make test-long         the tests that take minutes"
	@echo "make test-all-pythons  the tests on every supported Python that is here"
	@echo "make test-sqlalchemy-2.0  the tests with the newest SQLAlchemy 2.0"
	@echo "make bench             what it costs, beside others, as one table; BENCH='caller --quick' runs some of it"
	@echo "make bench-check       fails where a ratio is a third worse than the committed baseline"
	@echo "make clean             remove what these made"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(DEMO_STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[examples]'
	@touch $@

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(DEMO_STAMP)
	@mkdir -p .demo
	$(BIN)/python examples/quickstart.py .demo/quickstart.db
	$(BIN)/python examples/replay.py examples/sample_aider.jsonl --connection sqlite:///.demo/aider.db
	$(BIN)/python examples/replay.py examples/sample_sessions.jsonl --connection sqlite:///.demo/sessions.db
	@rm -rf .demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not long and not slow and not server" --durations 5 --durations-min 2 $(FILES)

test: $(if $(FILES),$(STAMP),lint)
	$(BIN)/python -m pytest $(PYTEST_ARGS) $(FILES)

test-long: $(STAMP)
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

test-all-pythons:
	@for version in $(SUPPORTED); do \
		python=$$(ls -d $$HOME/.pyenv/versions/$$version.*/bin/python3 2>/dev/null | tail -1); \
		python=$${python:-$$(command -v python$$version)}; \
		if [ -z "$$python" ] || ! $$python -c '' 2>/dev/null; then echo "Python $$version: not on this machine"; continue; fi; \
		echo "Python $$version: $$($$python --version)"; \
		$$python -m venv .venvs/$$version && \
		.venvs/$$version/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' && \
		.venvs/$$version/bin/python -m pytest $(PYTEST_ARGS) || exit 1; \
	done

test-sqlalchemy-2.0:
	$(PYTHON) -m venv .venvs/sqlalchemy-2.0
	.venvs/sqlalchemy-2.0/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' 'sqlalchemy[asyncio]<2.1'
	.venvs/sqlalchemy-2.0/bin/python -m pytest $(PYTEST_ARGS)

# Each peer in an environment of its own: their versions exclude one another. One that cannot be installed is named
# in the table.
$(BENCH_STAMP): pyproject.toml $(wildcard benchmarks/peers/*.txt)
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@for peer in aicore mlflow llm; do \
		$(PYTHON) -m venv $(BENCH_VENV)/peers/$$peer && $(BENCH_VENV)/peers/$$peer/bin/python -m pip install --quiet \
			--disable-pip-version-check -r benchmarks/peers/$$peer.txt || rm -rf $(BENCH_VENV)/peers/$$peer; \
	done
	@touch $@

bench: $(BENCH_STAMP)
	$(BENCH_VENV)/bin/python -m benchmarks --json $(BENCH_VENV)/table.json --markdown $(BENCH_VENV)/table.md $(BENCH)

bench-check: $(BENCH_STAMP)
	$(BENCH_VENV)/bin/python -m benchmarks --check $(BENCH)

clean:
	rm -rf $(VENV) $(BENCH_VENV) .venvs .demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
