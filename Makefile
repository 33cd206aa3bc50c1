# The two commands of the README: `make demo` and `make test`; `make lint` is what a change must pass beside the tests.
# `make results` fills docs/results.md, in hours where nothing is trained yet.
PYTHON ?= python3
VENV ?= .venv
STAMP ?= stamp
IN = $(VENV)/bin

.PHONY: demo test lint results clean

demo: $(VENV)/installed
	$(IN)/auralsam2 demo --out out

test: $(VENV)/installed-test
	$(IN)/python -m pytest

lint: $(VENV)/installed-dev
	$(IN)/ruff check .
	$(IN)/ruff format --check .
	$(IN)/pyright

results: $(VENV)/installed-dev $(VENV)/installed-train
	$(IN)/auralsam2 train recipes/stampavs-mini-gavs.yaml --resume --set data.root=$(STAMP)
	$(IN)/auralsam2 train recipes/stampavs-mini-sama.yaml --resume --set data.root=$(STAMP)
	$(IN)/python benchmarks/methods.py $(STAMP) --gavs runs/stampavs-mini-gavs/best \
		--sama runs/stampavs-mini-sama/best --write docs/results.md
	$(IN)/python benchmarks/ablations.py recipes/stampavs-mini-ablations.yaml --tables pyramid,prompts,contrast \
		--seeds 1 --set data.root=$(STAMP) --write docs/results.md

clean:
	rm -rf $(VENV) out

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The package is installed in place: what is edited is what runs.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(IN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test $(VENV)/installed-dev $(VENV)/installed-train: $(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	$(IN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
