# Two commands for a fresh machine: `make demo` and `make test`. Each makes what it needs in .venv.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin

# The first Python from 3.9 to 3.12 that runs and can make a virtual environment: MXNet 1.9.1 has
# no others. Name another with `make PYTHON=...`.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.10 python3.9 python3 python \
	$$HOME/.pyenv/versions/3.1[0-2]*/bin/python $$HOME/.pyenv/versions/3.9*/bin/python; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' \
	2>/dev/null && echo $$python && break; done)

.PHONY: demo test lint bench clean

demo: $(VENV)/.base
	$(BIN)/gluon-enhance demo -o demo

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .
	$(BIN)/python -m pytest -q

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check -q .

bench: $(VENV)/.test
	$(BIN)/pip install -q "torch==2.13.0"
	$(BIN)/python benchmarks/engines.py --memory
	$(BIN)/python benchmarks/command.py

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: no Python 3.9, 3.10, 3.11 or 3.12 with venv was found." >&2; \
		echo "Install one (Debian: apt-get install python3.11-venv), or name it:" \
			"make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip

$(VENV)/.base: $(BIN)/python setup.py
	PYTHONWARNINGS=ignore $(BIN)/pip install -q -e .
	touch $@

$(VENV)/.test: $(BIN)/python setup.py
	PYTHONWARNINGS=ignore $(BIN)/pip install -q -e ".[cpu,test]"
	touch $@ $(VENV)/.base

clean:
	rm -rf $(VENV) build dist *.egg-info demo
