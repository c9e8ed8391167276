# Ratchet: the verbs, in the order of the loop. `make` prints them.

SHELL := /bin/sh
PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready

# What a person types goes to the program as it is: never expanded by make, never read by a shell.
export RATCHET_TEXT := $(value TEXT)
export RATCHET_LABEL := $(value LABEL)
export RATCHET_GROUP := $(value GROUP)
export RATCHET_NAME := $(value NAME)
export RATCHET_SOURCE := $(value SOURCE)
export RATCHET_ADD := $(value ADD)
export RATCHET_MERGE := $(value MERGE)
export RATCHET_WITHDRAW := $(value WITHDRAW)
export RATCHET_EXAMPLE := $(value EXAMPLE)
export RATCHET_FILE := $(value FILE)
export RATCHET_OUT := $(value OUT)
export RATCHET_MODEL := $(value MODEL)
export RATCHET_TO := $(value TO)
export RATCHET_FROM := $(value FROM)
export RATCHET_DAYS := $(value DAYS)
export RATCHET_CONFIRM := $(value CONFIRM)
unexport TEXT LABEL GROUP NAME SOURCE ADD MERGE WITHDRAW EXAMPLE FILE OUT MODEL TO FROM DAYS CONFIRM
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup run data build evaluate deploy optimise ui predict rollback status history backup restore prune move services \
        test test-long check format clean bench bench-loop bench-validate bench-text bench-quality bench-scale lock
.DEFAULT_GOAL := help

help:
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

$(READY): requirements.lock
	@$(PYTHON) -m ratchet.environment && touch $(READY)

setup: $(READY)

##@ Turn the loop
run: $(READY) ## Everything below once: data, build, evaluate, deploy, optimise
	@$(PY) -m ratchet run

##@ One stage at a time
data: $(READY) ## Fetch the pinned data; SOURCE=file brings your table, ADD=file more rows, EXAMPLE=name another
	@$(PY) -m ratchet data
build: $(READY) ## Validate, prepare, train; the best becomes the challenger (MODEL=name: that one)
	@$(PY) -m ratchet build
evaluate: $(READY) ## Hold the challenger against the champion, on rows that neither has seen
	@$(PY) -m ratchet evaluate
deploy: $(READY) ## Put the winner live, after a smoke test
	@$(PY) -m ratchet deploy
optimise: $(READY) ## See whether what the champion meets has drifted from what it was judged on
	@$(PY) -m ratchet optimise

##@ Use it
predict: $(READY) ## Ask the champion: TEXT="..." or FILE=in.csv OUT=out.csv [TEXT=column]
	@$(PY) -m ratchet predict
ui: $(READY) ## Open both UIs and serve the flows, so that a run started there runs (Ctrl-C ends it)
	@$(PY) -m ratchet ui

##@ Know and undo
status: $(READY) ## What is live, since when, how good; what waits, what runs
	@$(PY) -m ratchet status
history: $(READY) ## Which version was champion when, on which data, and why; since when rows are withdrawn
	@$(PY) -m ratchet history
rollback: $(READY) ## Make the previous champion live again
	@$(PY) -m ratchet rollback

##@ Keep it
backup: $(READY) ## All state into one archive, whatever runs meanwhile (TO=file.tar.zst)
	@$(PY) -m ratchet backup
restore: $(READY) ## Back to what an archive holds: FROM=file.tar.zst; what is there now is kept
	@$(PY) -m ratchet restore
prune: $(READY) ## Show what nothing needs any more, older than DAYS=30; CONFIRM=yes removes it
	@$(PY) -m ratchet prune
move: $(READY) ## Take the registry in state/ to where MLflow's own variables point: PostgreSQL, a bucket
	@$(PY) -m ratchet move
services: $(READY) ## Unit files that keep the UIs running after log-out and restart, with a backup a day
	@$(PY) -m ratchet services

##@ Work on Ratchet itself
test: $(READY) ## The tests, in under 15 minutes on 2 cores
	@$(PY) -m pytest
test-long: $(READY) ## The long ones: every example data set, more of everything
	@$(PY) -m pytest -m long
check: $(READY) ## Format, lint, types
	@$(PY) -m ruff format --check . && $(PY) -m ruff check . && $(PY) -m mypy
format: $(READY) ## Put the code into its format
	@$(PY) -m ruff format . && $(PY) -m ruff check --fix .
bench: bench-text bench-validate bench-loop ## The quick benchmarks, one after the other
bench-loop: $(READY) ## What the loop costs over a bare script with the same fits and scores
	@$(PY) -m benchmarks.bench_loop
bench-validate: $(READY) ## How many row-checks a second the validation does
	@$(PY) -m benchmarks.bench_validate
bench-text: $(READY) ## How many megabytes of text a second the linear model reads, on one core
	@$(PY) -m benchmarks.bench_text
bench-quality: $(READY) ## How good the models are on the example sets, against a plain baseline
	@$(PY) -m benchmarks.quality film && $(PY) -m benchmarks.quality chinese
bench-scale: $(READY) ## What 10 thousand to 10 million rows take in time and memory (MOST=1000000: up to there)
	@$(PY) -m benchmarks.bench_scale
lock: $(READY) ## Resolve requirements.lock anew from pyproject.toml
	@.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --extra dev pyproject.toml -o requirements.lock
clean: ## Remove what can be rebuilt: .venv, caches, scratch; never data, models or history
	@rm -rf .venv state/cache state/work state/keras state/matplotlib state/pytest state/ruff state/mypy \
	  state/hypothesis state/logs
