# Every target makes .venv itself; PYTHON chooses the interpreter it is made with.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
SMALL := --trials=6 --timeout=30 --epochs=4 --final_epochs=6 --wandb=offline --runs_dir=$(DEMO)
ART := --images=2000 --held_out=300 --eval_images=300 --minutes=1 --epochs=1000 --test=True \
	--wandb=offline --runs_dir=$(DEMO)

.PHONY: help install demo test lint report bench soak

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

install: .venv/installed  ## make .venv with genbench and its tools

.venv/installed: setup.cfg pyproject.toml
	@echo "Installing genbench into .venv (torch is large: some minutes the first time)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --editable '.[dev]' --progress-bar on
	@touch $@

demo: install  ## search AE and VAE on the bundled digits, train a small GAN, report: offline
	@echo "Searching hyper-parameters on real digits: two small studies, about 3 minutes"
	$(BIN)/python experiments/optuna_ae.py $(SMALL)
	$(BIN)/python experiments/optuna_vae.py $(SMALL)
	@echo "Training a small GAN on painted art: about 2 minutes"
	$(BIN)/python experiments/gan.py $(ART)
	$(BIN)/genbench report --runs_dir=$(DEMO) --out=$(DEMO)/report

lint: install  ## style, types and the direction of the imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint, then run the test suite in two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

report: install  ## write reports/ from the records in runs/
	$(BIN)/genbench report --runs_dir=runs --out=reports

bench: install  ## speed of training, scoring and searching
	$(BIN)/python tests/bench.py

soak: install  ## kill, signal, fill disks, break W&B and damage inputs, by the hundred: under 15 minutes
	PYTHONPATH=tests $(BIN)/python -m soak
