# Everything a clone needs: Python 3.11 and make. Each target does its own set-up in .venv and reuses it.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCH := .venv-bench
export PREFECT_HOME ?= $(CURDIR)/.prefect
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-datasets test-ray bench check format clean

demo: $(INSTALLED)
	$(BIN)/imagen-batch run prompts/demo.csv --provider simulator --out outputs/demo
	@echo
	@echo "Look at outputs/demo/images, outputs/demo/manifest.csv and outputs/demo/summary.md"

test: $(INSTALLED)
	$(BIN)/python -m pytest

# Needs a few hundred megabytes more: loads a run's folder with the `datasets` library.
test-datasets: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[datasets]"
	$(BIN)/python -m pytest tests/test_datasets.py

# The same for Ray.
test-ray: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[ray]"
	$(BIN)/python -m pytest tests/test_flow.py -k ray

# Nine minutes, with FULL=1 forty. Google's own client, which a run is held against, gets an environment of its own.
bench: $(INSTALLED) $(BENCH)
	$(BIN)/python benchmarks/table.py $(if $(FULL),full)

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(BENCH) .prefect .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,vertex,s3,dask]"
	$(BIN)/python -m compileall -q $(VENV)/lib || true
	touch $@

$(BENCH):
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet google-genai || echo "google-genai can't be had: it is left out"
