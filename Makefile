# The index of commands. `make` alone prints it.

PYTHON ?= python3.11
VENV := .venv
LOCK := requirements/lock-py311.txt
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format audit bench bench-input bench-train bench-serving soak verify-weights clean lock

help: ## Print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

setup: $(INSTALLED) ## Create .venv and install the lock, if need be

run: $(INSTALLED) ## Run the whole pipeline: $FER2013_CSV, data/raw/fer2013.csv or a drawn sample
	$(VENV)/bin/muwnet-fer run

# In the order of the folders: else the files of few tests, the longest ones, come last and alone.
test: $(INSTALLED) ## Run every test; with FER2013_CSV set, those on the real data too
	$(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations 30

lint: $(INSTALLED) ## Check style and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

format: $(INSTALLED) ## Mend style and format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(INSTALLED) ## Measure every component on the real FER2013, and with ten times the rows
	$(VENV)/bin/python -Wignore tests/benchmarks/components.py

bench-input: $(INSTALLED) ## Measure the input pipeline against the training
	$(VENV)/bin/python tests/benchmarks/input_pipeline.py

# In a venv of its own: what audits the lock is no part of it. --strict: a package that could not be
# looked up is a failure, where pip-audit would otherwise say that nothing was found.
audit: ## Hold the lock against published advisories (needs the network)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install -q 'pip-audit>=2.10,<3'
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip -r $(LOCK) \
		$$(grep -oE '^[A-Z]+-[0-9A-Za-z-]+' requirements/audit-ignore.txt | sed 's/^/--ignore-vuln /')

verify-weights: $(INSTALLED) ## Measure the package's weights again on FER2013 ($FER2013_CSV)
	$(VENV)/bin/muwnet-fer weights verify

bench-train: $(INSTALLED) ## Measure each profile's training against the processor's SGEMM peak
	$(VENV)/bin/python -Wignore tests/benchmarks/training.py

bench-serving: $(INSTALLED) ## Measure the server, the webcam loop, and `fer` beside them
	$(VENV)/bin/python -Wignore tests/benchmarks/serving.py
	$(VENV)/bin/python -Wignore tests/benchmarks/webcam.py

soak: $(INSTALLED) ## Ten minutes of requests with new versions: none fails, memory stays flat
	$(VENV)/bin/python -Wignore tests/benchmarks/soak.py

clean: ## Delete caches and build files, never output/
	rm -rf build dist .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path './output/*' -prune -exec rm -rf {} +

lock: $(INSTALLED) ## Pin requirements/lock-py311.in again
	$(VENV)/bin/python -m pip install -q uv
	$(VENV)/bin/uv pip compile -q --no-header --no-annotate --python-version 3.11 \
		requirements/lock-py311.in -o $(LOCK).tmp
	# TFX's metadata stops at Python 3.10, so that no resolver takes it for 3.11: see the .in file.
	echo 'tfx==1.16.0' >> $(LOCK).tmp
	mv $(LOCK).tmp $(LOCK)

# --no-deps: the lock is complete. --ignore-requires-python: for TFX alone, see the .in file.
$(INSTALLED): $(LOCK) setup.py pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
		{ echo "expected Python 3.11 as $(PYTHON); make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "expected Python 3.11, got " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --no-deps --ignore-requires-python -r $(LOCK)
	$(VENV)/bin/python -m pip install -q --no-deps --no-build-isolation -e .
	touch $@
