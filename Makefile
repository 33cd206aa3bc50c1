# The two commands of the README: `make demo` and `make test`; `make lint` is what a change must pass beside the tests.
# `make results` fills docs/results.md, in hours where nothing is trained yet.
# `make browser` installs what the tests of the Studio's page need beside; without it they are skipped, and say so.
PYTHON ?= python3
VENV ?= .venv
STAMP ?= stamp
IN = $(VENV)/bin

# Seconds for each step that asks the network.
PATIENCE ?= 120
APT = apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o DPkg::Lock::Timeout=60

.PHONY: demo test browser lint results clean

demo: $(VENV)/installed
	$(IN)/auralsam2 demo --out out

test: $(VENV)/installed-test
	$(IN)/python -m pytest

# Never fails: who cannot install a browser tests the rest. Only downloading is cut short, never installing.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	{ test "$$(id -u)" = 0 && command -v apt-get \
	&& timeout $(PATIENCE) $(APT) update \
	&& timeout $(PATIENCE) $(APT) install --yes --no-install-recommends --download-only chromium \
	&& DEBIAN_FRONTEND=noninteractive $(APT) install --yes --no-install-recommends --no-download chromium; \
	} </dev/null >/dev/null \
	|| echo "No Chromium, so the Studio's page will not be tested. To have it: apt-get install chromium (as root)"

lint: $(VENV)/installed-dev
	$(IN)/ruff check .
	$(IN)/ruff format --check .
	$(IN)/pyright

results: $(VENV)/installed-test
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

$(VENV)/installed-test $(VENV)/installed-dev: $(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	$(IN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
