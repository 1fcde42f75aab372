# Two commands for a fresh machine: `make demo` and `make test`. Each makes what it needs in .venv.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
OLDEST_PYTHON ?= python3.9

# The first Python that can make a virtual environment, from 3.9 on; of those that MXNet 1.9.1 has,
# up to 3.12, where there is one. Name another with `make PYTHON=...`.
PYTHON ?= $(shell for newest in 12 99; do \
	for python in python3.11 python3.12 python3.10 python3.9 python3 python \
	$$HOME/.pyenv/versions/3.1*/bin/python $$HOME/.pyenv/versions/3.9*/bin/python; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, '$$newest'))' \
	2>/dev/null && echo $$python && break 2; done; done)

.PHONY: demo serve test test-oldest lint docs bench clean

demo: $(VENV)/.base
	$(BIN)/gluon-enhance demo -o demo

# A page on this machine, http://localhost:8000, until Ctrl-C.
serve: $(VENV)/.web
	$(BIN)/gluon-enhance serve

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --max-worker-restart 0

# The oldest versions that setup.py allows, on the oldest Python: without MXNet.
test-oldest: $(OLDEST)/.test
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -q -p no:cacheprovider tests/photos \
		tests/imaging tests/engines tests/commands tests/rasters tests/weights tests/inference \
		tests/fuzz/test_fuzz.py tests/test_without_mxnet.py \
		tests/test_shipped_models.py tests/test_kinds_of_pictures.py tests/test_errors.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then $(BIN)/mypy; \
	else echo "mypy is left out: it needs Python 3.10 or newer"; fi

# The site, in site/: the notebooks are run, warnings are errors, and no page may have a browser ask
# another host for anything. Look at it with `python -m http.server -d site`.
docs: $(VENV)/.docs
	OMP_NUM_THREADS=1 $(BIN)/python docs/prepare.py
	$(BIN)/zensical build --clean --strict
	! grep -rlE '<(script|link|img|iframe)[^>]+(src|href)="?(https?:)?//' site --include='*.html'

bench: $(VENV)/.test
	$(BIN)/pip install -q "torch==2.13.0"
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/command.py start
	$(BIN)/python benchmarks/command.py folder
	$(BIN)/python benchmarks/command.py folder --ext jpg
	$(BIN)/python benchmarks/command.py sizes
	$(BIN)/python benchmarks/command.py sizes --model dped_resnet
	$(BIN)/python benchmarks/matching.py
	$(BIN)/python benchmarks/rasters.py

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: no Python from 3.9 on with venv was found." >&2; \
		echo "Install one (Debian: apt-get install python3.11-venv), or name it:" \
			"make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

$(VENV)/.base: $(BIN)/python setup.py
	PYTHONWARNINGS=ignore $(BIN)/pip install -q -e .
	touch $@

$(VENV)/.web: $(BIN)/python setup.py
	PYTHONWARNINGS=ignore $(BIN)/pip install -q -e ".[web,heif]"
	touch $@ $(VENV)/.base

$(VENV)/.test: $(BIN)/python setup.py
	@$(BIN)/python -c 'import sys; sys.version_info < (3, 13) or sys.exit("error: the tests train" \
		" with MXNet, which has no Python from 3.13 on: make clean test PYTHON=/path/to/python3.11")'
	PYTHONWARNINGS=ignore $(BIN)/pip install -q -e ".[cpu,test]"
	touch $@ $(VENV)/.base

$(VENV)/.docs: $(VENV)/.test
	PYTHONWARNINGS=ignore $(BIN)/pip install -q -e ".[cpu,docs]"
	touch $@

$(OLDEST)/.test: setup.py tests/oldest.py
	$(OLDEST_PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install -q --upgrade pip packaging
	$(OLDEST)/bin/python tests/oldest.py > $(OLDEST)/constraints.txt
	PYTHONWARNINGS=ignore $(OLDEST)/bin/pip install -q -c $(OLDEST)/constraints.txt -e . \
		pytest scikit-image tifffile h5py safetensors
	touch $@

clean:
	rm -rf $(VENV) $(OLDEST) build dist site *.egg-info demo
