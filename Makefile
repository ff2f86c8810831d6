# Every target does its own set-up: an environment in .venv with the pinned versions,
# made when it is missing and renewed when a pin or pyproject.toml has changed.

PYTHON ?= python3
JOBS ?= $(shell $(PYTHON) -c "import os; print(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count())")
RUN := .venv/bin/
FASHION := /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench bench-full bench-explain gpu gpu-dry docs dist clean

help:
	@echo "make demo        embed real data, explain a network, and write pictures"
	@echo "make test        run the tests"
	@echo "make lint        ruff and mypy"
	@echo "make bench       benchmarks against other packages (under 30 minutes)"
	@echo "make bench-full  ... with the million points and the slowest packages"
	@echo "make bench-explain  the rows on explanations (40 minutes, 5.5 GB of other packages)"
	@echo "make gpu         check, time and record everything on a CUDA device (nothing is installed)"
	@echo "make gpu-dry     ... without one, tiny, in Triton's interpreter"
	@echo "make docs        build the documentation"
	@echo "make dist        build the wheel and the source archive"

.venv/.ready: requirements/run.txt requirements/dev.txt requirements/networks.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed')"
	test -x $(RUN)python || $(PYTHON) -m venv .venv
	$(RUN)python -m pip install --quiet --disable-pip-version-check -r requirements/dev.txt
	$(RUN)python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/networks.txt
	$(RUN)python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv-peers/.ready: requirements/peers.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/peers.txt
	touch $@

.venv-explain-peers/.ready: requirements/explain-peers.txt
	test -x .venv-explain-peers/bin/python || $(PYTHON) -m venv .venv-explain-peers
	.venv-explain-peers/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/explain-peers.txt
	touch $@

.venv/.docs: .venv/.ready requirements/docs.txt
	$(RUN)python -m pip install --quiet --disable-pip-version-check -r requirements/docs.txt
	touch $@

demo: .venv/.ready
	$(RUN)fastxai demo
	$(RUN)fastxai demo --photos
	$(RUN)fastxai demo --set
	$(RUN)fastxai demo --network
	@if [ -e $(FASHION) ]; then $(RUN)fastxai demo --data fashion-mnist; \
	else echo "For 70,000 images: sudo apt-get install dataset-fashion-mnist, then make demo again"; fi

# The kernels of the GPU run in Triton's interpreter, which a process has or has not from its start.
test: .venv/.ready
	$(RUN)python -m pytest -n $(JOBS) $(TESTS)
	$(if $(TESTS),,TRITON_INTERPRET=1 $(RUN)python -m pytest -n $(JOBS) tests/gpu)

lint: .venv/.ready
	$(RUN)ruff check
	$(RUN)ruff format --check
	$(RUN)mypy -p fastxai -p fastxai_kernels

format: .venv/.ready
	$(RUN)ruff check --fix
	$(RUN)ruff format

bench: .venv/.ready .venv-peers/.ready
	$(RUN)python -m benchmarks

bench-full: .venv/.ready .venv-peers/.ready .venv-explain-peers/.ready
	$(RUN)python -m benchmarks --full

bench-explain: .venv/.ready .venv-explain-peers/.ready
	$(RUN)python -m benchmarks --explain

# The machine's own Python, with its PyTorch for CUDA and its Triton; nothing is downloaded.
gpu:
	PYTHONPATH=.:kernels $(PYTHON) -m benchmarks.gpu

gpu-dry: .venv/.ready
	$(RUN)python -m benchmarks.gpu --dry --out .gpu-dry

docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(RUN)mkdocs build --strict

dist: .venv/.ready
	$(RUN)python -m hatchling build

clean:
	rm -rf .venv .venv-peers .venv-explain-peers .gpu-dry .mypy_cache .ruff_cache .pytest_cache .hypothesis dist site
