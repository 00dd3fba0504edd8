# All commands of the project. A stamp in .venv says which extras are installed, so a second run starts at once.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: montecarlo demo test lint fuzz zoo bench clean

demo: $(VENV)/.installed-torch
	$(RUN)/foveal analyze torchvision:resnet50

test: lint
	$(RUN)/pytest -n 2

lint: $(VENV)/.installed-dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

fuzz: $(VENV)/.installed-dev
	$(RUN)/python tests/fuzz.py

zoo: $(VENV)/.installed-torch
	$(RUN)/python benchmarks/zoo.py

bench: $(VENV)/.installed-bench
	$(RUN)/python benchmarks/speed.py

montecarlo: $(VENV)/.installed-torch
	$(RUN)/python benchmarks/montecarlo.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-torch: pyproject.toml | $(VENV)/bin/pip
	@echo 'Installing into $(VENV): a few minutes the first time.'
	$(RUN)/pip install --quiet -e '.[torch]'
	touch $@

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/bin/pip
	$(RUN)/pip install --quiet -e '.[torch,bench]'
	touch $@ $(VENV)/.installed-torch

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/pip
	@echo 'Installing into $(VENV): a few minutes the first time.'
	$(RUN)/pip install --quiet -e '.[torch,dev]'
	touch $@ $(VENV)/.installed-torch
