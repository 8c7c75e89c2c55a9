# make demo   environment, installation, the lesson on real digits, and its report
# make test   the same environment, then lint, types and all tests
# make bench  the benchmarks, side by side with their rivals

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
BROWSER := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

.PHONY: demo test bench clean

demo: .venv/.installed
	$(BIN)/shrinkage demo

test: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder
ifeq ($(BROWSER),)
	@echo "Browser tests were left out: no Chromium found. On Debian: apt-get install chromium"
endif

bench: .venv/.installed-dev
	$(BIN)/python benchmarks/step_cost.py
	$(BIN)/python benchmarks/truth.py
	$(BIN)/python benchmarks/convex.py
	$(BIN)/python benchmarks/explore.py

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	@echo "Installing (the first time downloads PyTorch) …"
	$(PIP) --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
