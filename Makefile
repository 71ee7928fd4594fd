# Two commands for newcomers: `make run` opens the studio, `make test` checks it. Both set themselves up.

PYTHON ?= $(shell for python in python3.11 python3.12 python3; do $$python -c '' 2>/dev/null && break; done; echo $$python)
VENV := .venv
BIN := $(VENV)/bin
SETTINGS := GOMP_SPINCOUNT=1000 GRADIO_ANALYTICS_ENABLED=False HF_HUB_DISABLE_TELEMETRY=1

.PHONY: run test check bench atlas fuzz load faults pocket ray-demo clean

run: $(VENV)/installed                    ## the studio on http://127.0.0.1:7860
	$(SETTINGS) $(BIN)/python app.py $(ARGS)

TESTED := $(SETTINGS) OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest
ALONE := tests/browser tests/benchmark # each of these has processes of its own, or measures time

test: $(VENV)/installed-dev               ## all tests that need no GPU
ifdef ARGS
	$(TESTED) $(ARGS)
else
	$(TESTED) tests $(ALONE:%=--ignore=%) -n 2 --dist loadfile
	$(TESTED) $(ALONE)
endif

check: $(VENV)/installed-dev              ## lint, types, import direction, known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -f studio/ui/*.pyi # Gradio writes them beside classes of components; old ones would hide the modules
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/unit/test_import_direction.py
	$(BIN)/python -m tests.vulnerabilities $(VENV)/audit

bench: $(VENV)/installed-dev              ## tables of speed and quality, one JSON line each
	$(SETTINGS) $(BIN)/python -m tests.benchmark $(ARGS)

atlas: $(VENV)/installed                  ## the recorded comparisons that are missing, and docs/index.html
	$(SETTINGS) HF_HUB_OFFLINE=1 $(BIN)/python -m studio atlas $(ARGS)

fuzz: $(VENV)/installed-dev               ## 10,000 damaged files for each parser of what strangers hand in
	$(SETTINGS) OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmark.fuzz $(ARGS)

load: $(VENV)/installed-dev               ## 50 visitors for 5 minutes over HTTP
	$(SETTINGS) $(BIN)/python -m tests.benchmark.load $(ARGS)

faults: $(VENV)/installed-dev             ## kill, fill, damage, remove: what survives
	$(SETTINGS) OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmark.faults $(ARGS)

pocket: $(VENV)/installed-dev             ## train every pocket weight again, from nothing (hours on two cores)
	$(SETTINGS) OMP_NUM_THREADS=1 $(BIN)/python -m models.pocket.recipes $(ARGS)

$(VENV)/installed: requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 13) else "Quintet needs Python 3.11 or 3.12, this is %d.%d. Set PYTHON=/path/to/python3.11." % v[:2])'
	@echo "The first time, the packages are installed into $(VENV): some minutes, with nothing to see."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	touch $@

ray-demo: $(VENV)/installed               ## two workers under Ray, forty jobs, one worker killed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-ray.txt -c constraints.txt
	$(SETTINGS) OMP_NUM_THREADS=1 $(BIN)/python -m studio.executors.ray_demo

clean:                                    ## forget the virtual environment
	rm -rf $(VENV)
