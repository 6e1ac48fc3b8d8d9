# Every common task. `make` or `make help` lists them; CI runs the same ones.
# Needs only make and Python 3.11; everything else is installed below .venv/ and all state is below var/.

PYTHON ?= python3.11
BIN := .venv/data/bin
PYTEST_ARGS ?=
# Processes that share the tests of the data environment, which often wait: one more than two cores. 0: none but
# pytest's own, for a debugger.
WORKERS ?= 3
UPGRADE ?=
# Of `make test-kills` and `make test-faults`.
KILLS ?= 300
FAULTS ?= 200
SEED ?=
# Of `make test-soak`.
REQUESTS ?= 1000000
# Of `make fuzz`.
FRAMES ?= binary grpc parquet tensors damaged
FUZZ_SECONDS ?= 120
# Of `make test-schema`.
CASES ?= 50000
# Of the browser tests' backfill, 2 to 12: the last day is odd.
BACKFILL_DAYS ?= 10
export LOCKSTEP_BACKFILL_DAYS = $(BACKFILL_DAYS)
# Of the benchmarks: see `make bench`.
WORKLOAD ?= mlp20 mlp200 trees text image
SYSTEM ?=
ROWS ?=
ROUNDS ?= 5
MODE ?= warm
SECONDS ?= 3
# Of `make docs-serve`.
DOCS_PORT ?= 8000

# No program that is started here reports home.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export GX_ANALYTICS_ENABLED := false
export SCARF_ANALYTICS := false
export SCARF_NO_ANALYTICS := true
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED := false

# What is wrong with this machine, where a command fails.
OR_DOCTOR = '$(PYTHON)' tools/or_doctor.py

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-data setup-training setup-control setup-dev setup-text setup-drift setup-browser setup-foreign \
	setup-gateway setup-deploy setup-docs python java data train text drift \
	demo up test test-unit test-publish test-spark test-integration test-browser pictures recording test-gpu test-cluster test-deploy test-package test-dags test-training test-kills test-faults \
	test-operations test-swaps test-schema test-clients test-overload test-soak test-parity fuzz setup-clients \
	bench bench-table bench-scaling bench-cores bench-serving bench-serving-table setup-bench setup-bench-serving \
	lint fmt type lock docs docs-serve errors mistakes hooks clean distclean

help: ## List the targets
	@printf 'Lockstep. First: make demo\n\n'
	@awk -F ':.*## ' '/^## /{printf "\n%s\n", substr($$0, 4)} /^[a-z-]+:.*## /{printf "  %-19s %s\n", $$1, $$2}' Makefile
	@printf '\nVariables: PYTHON=%s, PYTEST_ARGS="-k name -x", WORKERS=3, UPGRADE=1 (for lock)\n' '$(PYTHON)'

## Set up (again and again: what is done is not done twice)

setup: setup-control setup-data setup-training java ## Install all three environments and find a Java

setup-control: python ## Airflow's environment
	@$(OR_DOCTOR) '$(PYTHON)' tools/environment.py control

setup-data: python ## Environment of Spark, torch, MLflow, checks and endpoint
	@$(OR_DOCTOR) '$(PYTHON)' tools/environment.py data

setup-training: python ## Petastorm's environment
	@$(OR_DOCTOR) '$(PYTHON)' tools/environment.py training

setup-dev: python setup-data ## Tools for tests and checks, into the data environment
	@$(OR_DOCTOR) '$(PYTHON)' tools/environment.py dev

setup-bench: python ## Environment of the benchmarks: the data environment's versions and the peers
	@$(PYTHON) tools/environment.py bench

setup-bench-serving: python setup-data setup-text ## Environments of the servers that the endpoint is measured against
	@$(PYTHON) tools/environment.py serving serving-text mlserver mlserver-text

setup-clients: python ## Environments of other people's clients of the endpoint
	@$(PYTHON) tools/environment.py client-triton client-kserve

setup-text: python setup-data ## Weights of the text model, into the data environment
	@$(OR_DOCTOR) '$(PYTHON)' tools/environment.py text

setup-foreign: python setup-data ## XGBoost and LightGBM, into the data environment, for the tests of the first hour
	@$(OR_DOCTOR) '$(PYTHON)' tools/environment.py foreign

setup-drift: python setup-data ## Flights of 2023, into the data environment
	@$(OR_DOCTOR) '$(PYTHON)' tools/environment.py drift

setup-browser: python ## Find Chromium for the browser tests, or install it (root on Debian), or say what to install
	@$(PYTHON) tools/browser.py

setup-gateway: python ## Find nginx and Envoy for the gateway's tests, or install them, or say what to install
	@$(PYTHON) tools/gateway.py

setup-deploy: python ## Linters and validators of deploy/; helm and promtool where they can be had
	@$(PYTHON) tools/environment.py deploy
	@$(PYTHON) tools/deploy_tools.py

setup-docs: python ## What builds the site of docs/
	@$(PYTHON) tools/environment.py docs

java: setup-data ## Say which Java Spark will get, or what to install
	@$(OR_DOCTOR) $(BIN)/python tools/show_java.py

python:
	@command -v '$(PYTHON)' >/dev/null 2>&1 || { \
		printf '%s was not found. Lockstep needs Python 3.11: install it, or name one:\n  make PYTHON=/path/to/python3.11 ...\n' '$(PYTHON)' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		printf '%s is %s. Lockstep needs Python 3.11: install it, or name one:\n  make PYTHON=/path/to/python3.11 ...\n' \
			'$(PYTHON)' "$$('$(PYTHON)' --version 2>&1)" >&2; exit 1; }

## Run

demo: setup ## From nothing to a backfilled week, published and served; ends by itself
	@$(OR_DOCTOR) $(BIN)/lockstep demo

data: setup-data java ## Only the demo's source tables
	@$(OR_DOCTOR) $(BIN)/lockstep demo --only data

train: setup-data setup-training java ## Only the demo's model: train, log, register as champion
	@$(OR_DOCTOR) $(BIN)/lockstep demo --only train

text: setup-data setup-text java ## The text model: write its texts, register the published weights as champion
	@$(OR_DOCTOR) $(BIN)/lockstep demo --only text

drift: setup-data setup-training setup-drift java ## Ten years later: flights of 2023, scored by the model of 2013, and what drifted
	@$(OR_DOCTOR) $(BIN)/lockstep demo --only drift

up: setup ## MLflow, Airflow and the endpoint together, until Ctrl-C
	@$(OR_DOCTOR) $(BIN)/lockstep up

## Test

# The browser's backfill of `make test` is short; `make test-browser` has ten days. Long files first: short ones even out.
test: BACKFILL_DAYS = 3
test: setup setup-dev setup-text setup-drift setup-foreign setup-browser setup-gateway setup-deploy setup-docs ## All tests; COVERAGE=1 also says what of lockstep/ they run, and takes longer
	@failed=''; \
	printf '\n== browser, integration, spark, publish, deploy, package, tutorials, unit (data environment)\n'; \
	$(BIN)/python -m pytest tests/browser tests/tutorials tests/integration tests/spark tests/publish tests/deploy tests/package tests/unit --timeout 600 \
		--numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(if $(COVERAGE),--cov --cov-report term) $(PYTEST_ARGS) \
		|| failed="$$failed data"; \
	printf '\n== dags (control environment)\n'; \
	.venv/control/bin/python -m pytest tests/dags $(PYTEST_ARGS) || failed="$$failed dags"; \
	printf '\n== training (training environment)\n'; \
	.venv/training/bin/python -m pytest tests/training $(PYTEST_ARGS) || failed="$$failed training"; \
	if [ -n "$$failed" ]; then printf '\ntests failed in:%s\n' "$$failed"; $(OR_DOCTOR) false; exit 1; fi; \
	printf '\nall tests passed\n'

test-unit: setup-dev ## Without JVM, socket or GPU; some minutes
	@$(OR_DOCTOR) $(BIN)/python -m pytest tests/unit --timeout 60 $(PYTEST_ARGS)

test-publish: setup-dev ## Every warehouse against the same promises: DuckDB, PostgreSQL, Iceberg, Delta, emulators of Snowflake and BigQuery
	@$(OR_DOCTOR) $(BIN)/python -m pytest tests/publish --timeout 600 $(PYTEST_ARGS)

test-spark: setup-dev java ## On a local Spark session
	@$(OR_DOCTOR) $(BIN)/python -m pytest tests/spark --timeout 600 $(PYTEST_ARGS)

test-integration: setup java setup-dev setup-gateway setup-docs ## Real components together
	@$(OR_DOCTOR) $(BIN)/python -m pytest tests/integration --timeout 600 $(PYTEST_ARGS)

test-browser: setup java setup-dev setup-browser setup-docs ## Airflow's pages in Chromium, as an operator uses them
	@$(BIN)/python -m pytest tests/browser --timeout 900 $(PYTEST_ARGS)

pictures: setup java setup-dev setup-browser ## The same, and take the pictures of docs/ anew
	@LOCKSTEP_PICTURES=docs/images/airflow $(BIN)/python -m pytest tests/browser --timeout 900 $(PYTEST_ARGS)

recording: setup-data java setup-dev ## Record the first tutorial's commands as docs/images/demo.svg; some minutes
	@$(BIN)/python -m tools.recording.tutorial

test-faults: setup-dev ## FAULTS publications for each warehouse, each hurt at another point (SEED repeats them)
	@LOCKSTEP_FAULTS=$(FAULTS) LOCKSTEP_FAULT_SEED=$(SEED) $(BIN)/python -m pytest -s tests/publish/test_faults.py \
		--timeout 7200 $(PYTEST_ARGS)

test-gpu: setup-dev ## On a GPU, and the same lines on the processor; without a GPU it says which lines were not run
	@$(BIN)/python -m pytest tests/gpu --timeout 600 $(PYTEST_ARGS)

test-clients: setup-dev setup-clients ## Triton's and KServe's clients, unmodified, against the endpoint over REST and gRPC
	@$(BIN)/python -m pytest tests/integration/test_clients.py --timeout 600 $(PYTEST_ARGS)

fuzz: setup-dev ## What clients send as bytes, coverage-guided: FRAMES="binary grpc parquet tensors damaged", FUZZ_SECONDS
	@$(BIN)/python -m pip install --quiet --upgrade --target var/fuzz -r requirements/fuzz.lock
	@for frames in $(FRAMES); do \
		PYTHONPATH=.:var/fuzz $(BIN)/python tests/fuzz/frames.py $$frames -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

test-kills: java setup-dev ## kill -9 at KILLS random moments (SEED repeats them), each run resumed and compared
	@LOCKSTEP_KILLS=$(KILLS) LOCKSTEP_KILL_SEED=$(SEED) $(BIN)/python -m pytest tests/integration/test_kills.py \
		--timeout 7200 $(PYTEST_ARGS)

test-swaps: setup java setup-dev ## A hundred hot swaps of the endpoint's model under load
	@LOCKSTEP_SWAPS=100 $(BIN)/python -m pytest -s tests/integration/test_swaps.py --timeout 600 $(PYTEST_ARGS)

test-schema: setup-dev ## CASES requests made from the endpoint's OpenAPI page, none answered wrongly (SEED repeats them)
	@LOCKSTEP_SCHEMA_CASES=$(CASES) $(if $(SEED),LOCKSTEP_SCHEMA_SEED=$(SEED)) $(BIN)/python -m pytest -s \
		tests/integration/test_openapi_fuzz.py --timeout 14400 $(PYTEST_ARGS)

test-overload: WORKLOAD = trees minilm
test-overload: SECONDS = 10
test-overload: ROUNDS = 3
test-overload: setup-dev setup-text ## Three times the load that the endpoint can bear: WORKLOAD, SECONDS, ROUNDS
	@$(BIN)/python -m benchmarks.promises.overload --workload $(WORKLOAD) --seconds $(SECONDS) --rounds $(ROUNDS)

test-soak: setup-dev ## REQUESTS of all kinds to the endpoint; memory, files and threads stay what they were
	@$(BIN)/python -m benchmarks.promises.soak --requests $(REQUESTS)

test-parity: ROWS = 100000
test-parity: setup-dev java ## ROWS real rows through Spark and, in every form, through the endpoint, by each backend: no bit differs
	@$(BIN)/python -m benchmarks.promises.parity --rows $(ROWS) $(if $(SEED),--seed $(SEED))

test-operations: setup java setup-dev ## kill -9, outages and people at the buttons, on a real stack; half an hour
	@$(BIN)/python -m pytest tests/operations --timeout 1800 $(PYTEST_ARGS)

test-cluster: setup java setup-dev ## Three Spark hosts in network namespaces, a store, Airflow; hosts crash, are cut off, are slow (root on Linux)
	@$(BIN)/python -m pytest -s tests/cluster --timeout 900 $(PYTEST_ARGS)

test-deploy: setup-dev setup-deploy ## Images, manifests and alert rules by their own linters and validators; under a minute
	@$(BIN)/python -m pytest tests/deploy tests/unit/deploy --timeout 120 $(PYTEST_ARGS)

test-dags: setup-control ## Airflow's view of the generated DAGs
	@.venv/control/bin/python -m pytest tests/dags $(PYTEST_ARGS)

test-package: setup java setup-dev ## The built wheel in environments of its own, beside a plain Airflow: a whole night
	@$(BIN)/python -m pytest tests/package --timeout 600 $(PYTEST_ARGS)

test-training: setup-training ## Petastorm and the training script
	@.venv/training/bin/python -m pytest tests/training $(PYTEST_ARGS)

## Measure

bench: setup-bench ## Lockstep beside its peers: WORKLOAD, SYSTEM, ROWS, ROUNDS, MODE="warm cold"; see docs/benchmarks.md
	@.venv/bench/bin/python -m benchmarks.compare --workload $(WORKLOAD) $(if $(SYSTEM),--system $(SYSTEM)) \
		$(if $(ROWS),--rows $(ROWS)) --rounds $(ROUNDS) --mode $(MODE)

bench-serving: WORKLOAD = mlp20 trees minilm
bench-serving: CLIENTS = 1 32 64
bench-serving: ROUNDS = 3
bench-serving: setup-bench-serving ## The endpoint beside its peers: WORKLOAD, SYSTEM, CLIENTS, SECONDS, ROUNDS
	@$(BIN)/python -m benchmarks.serving --workload '$(WORKLOAD)' $(if $(SYSTEM),--system '$(SYSTEM)') \
		--clients '$(CLIENTS)' --seconds $(SECONDS) --rounds $(ROUNDS) --results benchmarks/results/serving.json

bench-serving-table: setup-data ## Write docs/benchmarks-endpoint.md from benchmarks/results/serving.json
	@$(BIN)/python -m benchmarks.serving.page

bench-scaling: SIZES = 1000 10000 100000 1000000
bench-scaling: PARTITIONS = 100 1000 10000
bench-scaling: SCRATCH = var/bench/scaling
bench-scaling: setup-dev ## Simulate runs of up to a million units, then write docs/scaling.md: SIZES, PARTITIONS, SCRATCH
	@PYTHONPATH=. $(BIN)/python -m benchmarks.scaling.simulate --sizes $(SIZES) --partitions $(PARTITIONS) --scratch $(SCRATCH)
	@PYTHONPATH=. $(BIN)/python -m benchmarks.scaling.page

bench-cores: WORKLOAD = mlp20 trees image
bench-cores: ROUNDS = 3
bench-cores: setup-dev java ## What a second core adds, on one machine and on two executors: WORKLOAD, ROUNDS; some twenty minutes
	@PYTHONPATH=. $(BIN)/python -m benchmarks.scaling.cores --workload $(WORKLOAD) --rounds $(ROUNDS)
	@PYTHONPATH=. $(BIN)/python -m benchmarks.scaling.page

bench-table: setup-bench ## Write docs/benchmarks.md and its plots from benchmarks/results/
	@.venv/bench/bin/python -m benchmarks.table

## Check and change

lint: setup-dev ## Everything that is checked without running: style, types, layers, sizes, locks, links
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(MAKE) --no-print-directory type
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/check_sizes.py
	@$(BIN)/python tools/check_locks.py
	@$(BIN)/python tools/check_text.py
	@$(BIN)/python tools/check_links.py

fmt: setup-dev ## Format, and repair what can be repaired
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

type: setup-dev ## Types, strict
	@$(BIN)/mypy

lock: setup-dev ## Write requirements/*.lock from *.in; UPGRADE=1 takes the newest versions that fit
	@$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)
	@$(BIN)/python tools/check_locks.py

docs: setup-docs ## Build the site of docs/ into build/site, offline; a link or an anchor that leads nowhere fails it
	@.venv/docs/bin/python -m tools.docs.build

docs-serve: setup-docs ## The same, and show it on 127.0.0.1 (DOCS_PORT) until Ctrl-C
	@.venv/docs/bin/python -m tools.docs.build --serve --port $(DOCS_PORT)

errors: setup-dev ## Bring the errors index, docs/errors.md and the exit codes of docs/commands.md up to date with the code
	@$(BIN)/python -m tools.errors_page
	@$(BIN)/python -m tools.commands_page

mistakes: setup setup-dev ## Make every mistake of a newcomer and write docs/mistakes.md anew (root on Linux)
	@PYTHONPATH=.:tests/integration $(BIN)/python -m newcomers.page

hooks: setup-dev ## Run the checks before every commit
	@$(BIN)/pre-commit install

clean: ## Remove caches and build products; environments and state stay
	@rm -rf build dist lockstep.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov var/coverage \
		spark-warehouse metastore_db derby.log
	@find . \( -path ./.venv -o -path ./.git -o -path ./var \) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean ## Remove environments and all state as well: data, models, runs, warehouse
	@rm -rf .venv var
