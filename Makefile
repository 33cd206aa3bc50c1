# The two commands of the README: `make demo` and `make test`; `make lint` is what a change must pass beside the tests.
PYTHON ?= python3
VENV ?= .venv
IN = $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/installed
	$(IN)/auralsam2 demo --out out

test: $(VENV)/installed-test
	$(IN)/python -m pytest

lint: $(VENV)/installed-dev
	$(IN)/ruff check .
	$(IN)/ruff format --check .
	$(IN)/pyright

clean:
	rm -rf $(VENV) out

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The package is installed in place: what is edited is what runs.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(IN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test $(VENV)/installed-dev: $(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	$(IN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
