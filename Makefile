# Every target makes .venv itself; PYTHON chooses the interpreter it is made with.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
SMALL := --trials=8 --timeout=3600 --epochs=3 --final_epochs=5 --wandb=offline --runs_dir=$(DEMO)
ART := --images=960 --held_out=200 --eval_images=200 --epochs=5 --eval_every=5 --test=True \
	--wandb=offline --runs_dir=$(DEMO)

.PHONY: help install demo test lint report bench bench-full bench-check screenshots soak study reproduce

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 13

install: .venv/installed  ## make .venv with genbench and its tools

.venv/installed: setup.cfg pyproject.toml
	@echo "Installing genbench into .venv (torch is large: some minutes the first time)"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --editable '.[dev]' --progress-bar on
	@touch $@

demo: install  ## search AE and VAE on the bundled digits, train a small GAN, report: offline
	@echo "Hyper-parameters on real digits: two studies of 8 trials, then the best over 3 seeds"
	$(BIN)/python experiments/optuna_ae.py $(SMALL)
	$(BIN)/python experiments/optuna_vae.py $(SMALL)
	@echo "A small GAN on painted art: 300 steps"
	$(BIN)/python experiments/gan.py $(ART)
	$(BIN)/genbench report --runs_dir=$(DEMO) --out=$(DEMO)/report

lint: install  ## style, types and the direction of the imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint, then run the test suite in two processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist=worksteal

report: install  ## write reports/ from the records in runs/
	$(BIN)/genbench report --runs_dir=runs --out=reports

study: install  ## the report's trainings, then reports/: hours, goes on (STUDY="--art_dir=… --scale=…")
	$(BIN)/python experiments/study.py $(STUDY)

reproduce: .venv/bench  ## published likelihoods trained again: reports/reproduced.md, goes on (REPRODUCE="--fraction=…")
	$(BIN)/python experiments/reproduce.py $(REPRODUCE)

.venv/bench: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

bench: .venv/bench  ## speed beside a bare loop, Ignite's examples, pythae and others: a quarter of an hour
	PYTHONPATH=tests $(BIN)/python -m bench

bench-full: .venv/bench  ## the same at length, goes on where it was stopped; writes reports/benchmarks.md
	PYTHONPATH=tests $(BIN)/python -m bench --full

bench-check: .venv/bench  ## name what got slower than reports/benchmarks.md says
	PYTHONPATH=tests $(BIN)/python -m bench --check

screenshots: install  ## README's pictures of genbench ui and wandb leet over runs/demo (Chromium, tmux)
	PYTHONPATH=tests $(BIN)/python tests/screenshots.py $(DEMO) reports

soak: install  ## kill, signal, fill disks, break W&B and damage inputs, by the hundred: under 15 minutes
	PYTHONPATH=tests $(BIN)/python -m soak
