# The two commands of the README. Both work on a fresh machine: they make .venv and install into it what is missing.
PYTHON ?= python3
BIN := .venv/bin
DEMO := demo-$(shell date +%Y%m%d-%H%M%S)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The tests of formats whose packages are large, or do not install beside the others: an environment for each extra, 3 GB.
# Of constraints.txt only what the files depend on: LiteRT's converter wants an older typing_extensions than other pins allow.
FORMATS := litert-export executorch

formats: $(FORMATS:%=formats-%)

$(FORMATS:%=formats-%): formats-%: .formats/%/installed
	.formats/$*/bin/python -m pytest tests/export/test_$(*:-export=)*.py tests/export/test_damage.py \
		tests/export/test_label_sets.py tests/cli/test_golden_runtimes.py

.formats/%/installed: pyproject.toml constraints.txt
	test -x .formats/$*/bin/python || $(PYTHON) -m venv .formats/$*
	grep -E '^(torch|onnx|numpy|litert|ai-edge|executorch)' constraints.txt > .formats/$*/constraints.txt
	.formats/$*/bin/python -m pip install --quiet --constraint .formats/$*/constraints.txt torch
	.formats/$*/bin/python -m pip install --quiet --constraint .formats/$*/constraints.txt --editable ".[train,$*]" \
		pytest pytest-timeout hypothesis
	touch $@

NEWEST_PYTHON ?= python3.13

.PHONY: install demo test lint types-here types-win32 browser devices formats $(FORMATS:%=formats-%) floors newest clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch # first: a CPU build stays where one is pinned
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Chromium, Node.js and npm packages for the tests of the browser page, where they are missing and can be had.
browser:
	@sh web/install.sh

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory --jobs 2 types-here types-win32 # a core each
	@if test -x web/node_modules/.bin/tsc; then npm run --silent --prefix web check; else echo "page not checked: no tsc"; fi

types-here: install
	$(BIN)/mypy

types-win32: install
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32 # one cache would be rewritten by each in turn

test:
	@$(MAKE) --no-print-directory --jobs 2 browser install # one waits for packages, the other unpacks them
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder # on two cores: tests wait a quarter of their time

# The main job, end to end in about a minute, on faces drawn by code: train, evaluate, export, verify, predict.
demo: install
	$(BIN)/python cli.py train --data sample --architecture tiny --epochs 20 --batch-size 64 --max-lr 0.2 \
		--augment-strength 0.5 --name $(DEMO)
	$(BIN)/python cli.py evaluate --checkpoint runs/$(DEMO) --split test
	$(BIN)/python cli.py export --checkpoint runs/$(DEMO) --data sample --folder runs/$(DEMO)/exported
	$(BIN)/python cli.py data sample --count 42 --seed 1 --out runs/$(DEMO)/faces
	$(BIN)/python cli.py predict --model runs/$(DEMO)/exported/$(DEMO).onnx runs/$(DEMO)/faces/test

# The shipped INT8 models on emulated devices (Linux x86-64 with apt); DATA=FOLDER for real faces.
devices: install
	tools/devices.sh || true
	rm -f benchmarks/results/devices/*-devices.*
	failed=0; for model in exported/*-int8.onnx; do \
		$(BIN)/python cli.py verify $$model --devices --data $(or $(DATA),sample) --out benchmarks/results/devices || failed=$$?; \
	done; exit $$failed

# The tests with the lowest versions that pyproject.toml allows, and with the newest: benchmarks/results/versions/. Each makes
# an environment of some 6 GB and takes as long as 'make test'; stopped, it goes on where it was.
floors: install
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python tools/check_versions.py lowest --python $(PYTHON)

newest: install
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python tools/check_versions.py newest --python $(NEWEST_PYTHON)

clean:
	rm -rf .venv .floors .formats web/node_modules build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
