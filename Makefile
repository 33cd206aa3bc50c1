# `make demo` and `make test` are the commands of the README; `make test JOBS=4` runs the tests in four processes instead of
# one a core. `make check` is the quick check before a commit: style, types, and the unit tests that need no browser and
# start no process.
# `make mutate` puts errors into a copy of the code, one by one, and checks that the tests find them, in about five minutes.
# `make docs` builds the documentation into site/ and fails on any warning.
# `make results` fills docs/benchmarks/results.md, in hours where nothing is trained yet (`-j2` trains two at once).
# `make matrix` tests the wheel with each Python of this machine and the lowest and newest dependencies, which it downloads:
# gigabytes for each Python. `make matrix MATRIX='--python 3.13 --newest'` limits it.
# `make test-tools` installs the programs that tests need: ffmpeg, and Chromium for the tests of the Studio's page.
PYTHON ?= python3
VENV ?= .venv
STAMP ?= stamp
# The tests of `make check`: packages of unit tests.
FAST ?= tests/test_architecture.py tests/test_public_api.py tests/docs/test_reference.py tests/docs/test_datasets_doc.py \
	tests/utils tests/modeling tests/outputs tests/data tests/media tests/evaluation
BASELINES = gavs sama gavs-words sama-words
STAGE = runs/stampavs-mini-semantic/best
MASKS = runs/mini-masks
IN = $(VENV)/bin

# Processes of the tests; each takes up to 5 GB of memory.
JOBS ?= auto
PYTEST = $(IN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

# Seconds for each step that asks the network.
PATIENCE ?= 120
APT = apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o DPkg::Lock::Timeout=60

.PHONY: demo test check mutate docs test-tools lint matrix results clean $(BASELINES:%=trained-%) trained-semantic

demo: $(VENV)/installed
	$(IN)/auralsam2 demo --out out

test: $(VENV)/installed-test
	$(PYTEST)

check: lint
	$(PYTEST) -q -m "not slow and not browser" $(FAST)

mutate: $(VENV)/installed-test
	$(IN)/python dev/mutate.py

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(IN)/mkdocs build --strict --quiet

# Never fails: without these programs the other tests still run. The time limit is for downloads, not for installing.
test-tools:
	@missing=" ffmpeg chromium"; \
	command -v ffmpeg >/dev/null && missing=" chromium"; \
	for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && missing="$${missing%% chromium}"; done; \
	test -z "$$missing" && exit 0; \
	{ test "$$(id -u)" = 0 && command -v apt-get \
	&& timeout $(PATIENCE) $(APT) update \
	&& timeout $(PATIENCE) $(APT) install --yes --no-install-recommends --download-only $$missing \
	&& DEBIAN_FRONTEND=noninteractive $(APT) install --yes --no-install-recommends --no-download $$missing; \
	} </dev/null >/dev/null \
	|| echo "Missing for some tests:$$missing. Install with (as root): apt-get install$$missing"

lint: $(VENV)/installed-dev
	$(IN)/ruff check .
	$(IN)/ruff format --check .
	$(IN)/pyright --pythonpath $(IN)/python

matrix:
	$(PYTHON) dev/matrix.py $(MATRIX)

results: $(BASELINES:%=trained-%) trained-semantic
	$(IN)/python experiments/tables.py --root $(STAMP) --table 1,2,3,4,5,7,fig3,combine,fusion --write docs/benchmarks/results.md \
		--second-stage $(STAGE) --model $(foreach name,$(BASELINES),$(name)=runs/stampavs-mini-$(name)/best)
	$(IN)/python experiments/ablations.py --tables "contrast frames,modalities" --seeds 1 \
		--text src/auralsam2/bundled/mini/text --set data.root=$(STAMP) --write docs/benchmarks/results.md
	$(IN)/python experiments/stage_speed.py --write docs/benchmarks/results.md
	$(IN)/python experiments/speed_and_quality.py docs/benchmarks/results.md docs/images/figure-1.png
	$(IN)/python experiments/separation.py $(STAMP) --write docs/benchmarks/results.md
	$(IN)/python experiments/names.py $(STAMP) --second-stage $(STAGE) --write docs/benchmarks/results.md
	$(IN)/python experiments/panels.py $(STAMP) docs/images/panels.jpg --clips test-seen:2,test-unseen:1 \
		--models GAVS=runs/stampavs-mini-gavs/best SAMA-AVS=runs/stampavs-mini-sama/best AuralSAM2=mini
	$(IN)/python experiments/panels.py $(STAMP) docs/images/panels-words.jpg --clips test-seen:2,test-unseen:1 \
		--dataset stampavs-ref --models GAVS=runs/stampavs-mini-gavs-words/best \
		SAMA-AVS=runs/stampavs-mini-sama-words/best AuralSAM2=mini

$(BASELINES:%=trained-%): trained-%: $(VENV)/installed-test
	$(IN)/auralsam2 train recipes/stampavs-mini-$*.yaml --resume --set data.root=$(STAMP)

# The recipe of the second stage validates with the masks of the bundled model.
trained-semantic: $(VENV)/installed-test
	$(IN)/auralsam2 evaluate --dataset stampavs --root $(STAMP) --split val --save-masks $(MASKS)
	$(IN)/auralsam2 train recipes/stampavs-mini-semantic.yaml --resume --set data.root=$(STAMP) --set data.masks=$(MASKS)

clean:
	rm -rf $(VENV) out site

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# The package is installed in place: what is edited is what runs.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(IN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test $(VENV)/installed-dev $(VENV)/installed-docs: $(VENV)/installed-%: pyproject.toml | $(VENV)/bin/python
	$(IN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
