# Ratchet: the verbs, in the order of the loop. `make` prints them.

SHELL := /bin/sh
PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready

# What a person types goes to the program as it is: never expanded by make, never read by a shell.
export RATCHET_TEXT := $(value TEXT)
export RATCHET_LABEL := $(value LABEL)
export RATCHET_GROUP := $(value GROUP)
export RATCHET_TASK := $(value TASK)
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
export RATCHET_VERSION := $(value VERSION)
export RATCHET_DATA := $(value DATA)
export RATCHET_ID := $(value ID)
export RATCHET_N := $(value N)
unexport TEXT LABEL GROUP TASK NAME SOURCE ADD MERGE WITHDRAW EXAMPLE FILE OUT MODEL TO FROM DAYS CONFIRM VERSION DATA ID N
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup run data build evaluate deploy optimise up serve ui predict traffic rollback approve status history \
        lineage trace backup restore prune move services \
        test test-long test-mutants check format docs clean bench bench-loop bench-serve bench-validate bench-text bench-quality \
        bench-drift bench-feedback bench-gate bench-coverage bench-labels bench-scale bench-trial bench-year lock
.DEFAULT_GOAL := help
.DEFAULT:
	$(error There is no verb `$@`; `make` alone lists them)

help:
	@if [ -t 1 ] && [ -z "$$NO_COLOR" ]; then bold=$$(printf '\033[1m'); plain=$$(printf '\033[0m'); fi; \
	  awk -v bold="$$bold" -v plain="$$plain" 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s%s%s\n", bold, substr($$0, 5), plain } \
	  /^#  / { printf "  %s\n", substr($$0, 4) } \
	  /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo

$(READY): requirements.lock
	@$(PYTHON) -m ratchet.setup_venv && touch $(READY)

setup: $(READY)

##@ Turn the loop
run: $(READY) ## A model that earns its place: the five stages below, once
	@$(PY) -m ratchet run
status: $(READY) ## What is live, since when, how good; what waits, what is next
	@$(PY) -m ratchet status

##@ One stage at a time, in the order of the loop
data: $(READY) ## The data that data.dvc pins, or another: see below
	@$(PY) -m ratchet data
build: $(READY) ## The best model that this data gives (MODEL=linear: that one)
	@$(PY) -m ratchet build
evaluate: $(READY) ## Is it better than what is live? On rows neither has seen
	@$(PY) -m ratchet evaluate
deploy: $(READY) ## The winner goes live, after a smoke test
	@$(PY) -m ratchet deploy
optimise: $(READY) ## Has the world moved? What the next turn should learn
	@$(PY) -m ratchet optimise

##@ Bring data
#  make data SOURCE=file   your own table [TEXT=column LABEL=column GROUP=column]
#  make data ADD=file      more rows, or mended ones of state/quarantine/
#  make data EXAMPLE=name  film_reviews, chinese_reviews, newsgroups, fine_foods

##@ Use it
predict: $(READY) ## An answer: TEXT="..." or FILE=in.csv OUT=out.csv
	@$(PY) -m ratchet predict
up: $(READY) ## All of it: the service, both UIs, the flows; Ctrl-C ends
	@$(PY) -m ratchet up
serve: $(READY) ## The prediction service: a page for people, HTTP for programs
	@$(PY) -m ratchet serve
ui: $(READY) ## Both UIs in the browser: see it all, start it
	@$(PY) -m ratchet ui

traffic: $(READY) ## Made-up texts for the service, half labelled (N=200), to see it
	@$(PY) -m ratchet traffic

##@ Know and undo
history: $(READY) ## The story: which version was live when, on which data, and why
	@$(PY) -m ratchet history
lineage: $(READY) ## What a VERSION=n came from; what a DATA=hash became
	@$(PY) -m ratchet lineage
trace: $(READY) ## What one prediction came from: its ID=... is in each answer
	@$(PY) -m ratchet trace
rollback: $(READY) ## The previous champion is live again
	@$(PY) -m ratchet rollback
approve: $(READY) ## What passed and waits goes live: for a person, or on trial
	@$(PY) -m ratchet approve

##@ Keep it
backup: $(READY) ## All state in one archive, whatever runs (TO=file.tar.zst)
	@$(PY) -m ratchet backup
restore: $(READY) ## Back to an archive: FROM=file.tar.zst; what is there is kept
	@$(PY) -m ratchet restore
prune: $(READY) ## What nothing needs, older than DAYS=30; CONFIRM=yes removes it
	@$(PY) -m ratchet prune
move: $(READY) ## The registry goes on in PostgreSQL and a bucket: docs/guide.md
	@$(PY) -m ratchet move
services: $(READY) ## Unit files: all of it stays up, with a backup a day
	@$(PY) -m ratchet services

##@ Work on Ratchet itself
test: $(READY) ## The tests, one worker a core: about 9 minutes on 2
	@$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations=25
test-long: $(READY) ## The long ones: every example, more of everything
	@$(PY) -m pytest -m long -n auto --dist worksteal --durations=25
test-mutants: $(READY) ## Can the tests fail? They are run on changed code (N=60)
	@$(PY) -m tests.mutants
check: $(READY) ## Format, lint, types
	@$(PY) -m ruff format --check . && $(PY) -m ruff check . && $(PY) -m mypy
format: $(READY) ## Put the code into its format
	@$(PY) -m ruff format . && $(PY) -m ruff check --fix .
docs: $(READY) ## Draw docs/architecture.svg, the rooms, from the imports
	@$(PY) -m tests.support.drawing
bench: bench-text bench-validate bench-loop bench-serve bench-feedback ## The quick benchmarks, one after the other
bench-loop: $(READY) ## What the loop costs over a bare script of the same fits
	@$(PY) -m benchmarks.bench_loop
bench-serve: $(READY) ## The service: over MLflow's own, under load, swaps, overload
	@$(PY) -m benchmarks.bench_serve
bench-feedback: $(READY) ## Seconds from feedback to the next version, and where they go
	@$(PY) -m benchmarks.bench_feedback
bench-trial: $(READY) ## How soon a trial sees a bad challenger
	@$(PY) -m benchmarks.bench_trial
bench-validate: $(READY) ## Row-checks a second of the validation
	@$(PY) -m benchmarks.bench_validate
bench-text: $(READY) ## Megabytes of text a second the linear model reads
	@$(PY) -m benchmarks.bench_text
bench-quality: $(READY) ## How good the models are, against a plain baseline
	@$(PY) -m benchmarks.quality film && $(PY) -m benchmarks.quality chinese
bench-labels: $(READY) ## Labels that choosing saves, against labels at random
	@$(PY) -m benchmarks.bench_labels
bench-drift: $(READY) ## False alarms of a month's watching; how soon it sees (MOST=n)
	@$(PY) -m benchmarks.bench_drift $(MOST)
bench-scale: $(READY) ## Time and memory of 10 thousand to 10 million rows (MOST=n)
	@$(PY) -m benchmarks.bench_scale
bench-gate: $(READY) ## The gate's two promises over simulated lifetimes
	@$(PY) -m benchmarks.bench_gate
bench-coverage: $(READY) ## Is the accuracy shown of a champion true? Simulated
	@$(PY) -m benchmarks.bench_coverage
bench-year: $(READY) ## A year in production on real text, policy by policy (SEEDS=n)
	@$(PY) -m benchmarks.bench_year
lock: $(READY) ## Resolve requirements.lock anew from pyproject.toml
	@.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --extra dev pyproject.toml -o requirements.lock
clean: ## Remove what can be rebuilt; never data, models or history
	@rm -rf .venv state/cache state/work state/keras state/matplotlib state/pytest state/ruff state/mypy \
	  state/hypothesis state/logs
