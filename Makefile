# Every target sets up what it needs. Python 3.11 or newer is all it takes, but for the collector tests, which need
# Go (to build a collector once, into a cache folder outside the tree) or OTELCOL_BIN=/path/to/a/built/one.

PYTHON ?= python3
VENV ?= .venv
OLDEST ?= .venv-oldest
OLDEST_SDK := 1.39.0
# The longest first, so that both are at work to the end.
ENVIRONMENTS := sdks agents genai classic together java javascript adk
# What these test imports no SDK.
WITHOUT_SDK := tests/unit/outcome tests/unit/run tests/unit/ledger
DEMO_OUT ?= demo-out
STRESS ?= all
SOAK ?= all
SECONDS ?= 60
SEED ?= 1
# Three processes on two cores, as some tests wait for minutes; a module's tests stay together for the fixtures they share.
PARALLEL ?= --numprocesses=3 --dist=loadfile --no-loadscope-reorder

# Tests start hundreds of programs, each of which would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

RUN := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: stack stress soak help demo test built built-collector test-newest test-oldest test-framework check lint unit frameworks bench bench-peers gate generate collector clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## run three example agents and print their outcomes (ENDPOINT=http://127.0.0.1:4317 FOR=10m SEED=7 LEDGER=sqlite:///demo.db)
	$(RUN) examples/demo.py --out $(DEMO_OUT) $(if $(ENDPOINT),--endpoint $(ENDPOINT)) $(if $(PROTOCOL),--protocol $(PROTOCOL)) \
		$(if $(FOR),--for $(FOR)) $(if $(SEED),--seed $(SEED)) $(if $(LEDGER),--ledger $(LEDGER))

test: lint test-newest test-oldest test-framework ## linters, types, all tests on the newest SDK, on the oldest supported one what it can change, one framework

built-collector: $(VENV)/.dev
	-@$(RUN) -m tests.tools.build_otelcol >/dev/null

built: built-collector ## the collector and the backends that tests start, built once; what cannot be built, the tests that need it say
	-@$(RUN) -m tests.tools.build_backends >/dev/null

test-newest: $(VENV)/.dev built ## all tests on the newest SDK
	$(RUN) -m pytest $(PARALLEL)

test-oldest: $(OLDEST)/.dev built-collector ## the tests that an SDK can change, on the oldest supported one
	$(OLDEST)/bin/python -m pytest $(PARALLEL) -m "not backends" $(addprefix --ignore=,$(WITHOUT_SDK))

test-framework: $(VENV)/.dev ## one agent framework of those that `make frameworks` runs
	PATH="$(abspath $(VENV))/bin:$$PATH" nox --session "frameworks(genai)" -- -k pydantic

check: lint unit ## the fast checks: linters, types, unit tests

lint: $(VENV)/.dev ## linters, types, import contracts, generated files
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy src tests examples collector-config/grafana/outcome_dashboards
	$(VENV)/bin/pyright --pythonpath $(RUN) --threads 2
	$(VENV)/bin/lint-imports --no-logo
	$(RUN) tests/tools/generate_vocabulary.py --check
	$(RUN) -m tests.tools.generate_metrics_only --check
	$(RUN) -m tests.tools.generate_compatibility --check
	$(RUN) -m tests.tools.generate_settings --check
	$(RUN) -m tests.tools.generate_openapi --check

unit: $(VENV)/.dev ## unit tests
	$(RUN) -m pytest $(PARALLEL) tests/unit

stack: $(VENV)/.dev ## collector, Prometheus, Loki, Jaeger and VictoriaMetrics on loopback, built once; prints the URLs
	$(RUN) -m tests.tools.stack

frameworks: $(VENV)/.dev ## agent frameworks against a fake model provider, two environments at once, each made once, into a cache folder
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(addprefix frameworks-,$(ENVIRONMENTS))

frameworks-%: $(VENV)/.dev
	@echo "frameworks($*)" >&2
	PATH="$(abspath $(VENV))/bin:$$PATH" nox --session "frameworks($*)" -- $(FRAMEWORKS_ARGS)

bench: $(VENV)/.dev ## what the package costs in CPU time, beside doing without it (ROUNDS=10 ONLY=plain,pipeline)
	$(RUN) -m tests.bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(ONLY),--only $(ONLY))

bench-peers: $(VENV)/.dev ## the same of other span processors, each environment made once (PEERS="langfuse logfire" PEERS_ARGS="--rounds 10")
	PATH="$(abspath $(VENV))/bin:$$PATH" nox --session $(if $(PEERS),$(patsubst %,"peers(%)",$(PEERS)),peers) -- $(PEERS_ARGS)

gate: $(VENV)/.dev ## instructions counted by Valgrind, held against the committed figures (ONLY=plain,model; UPDATE=1 rewrites them)
	$(RUN) -m tests.bench.gate $(if $(ONLY),--only $(ONLY)) $(if $(filter 1,$(UPDATE)),--update)

stress: $(VENV)/.dev ## does anything hang, is every run counted once (STRESS=signals SECONDS=600 SEED=7; all by default)
	$(RUN) -m tests.stress $(STRESS) --seconds $(SECONDS) --seed $(SEED)

soak: $(VENV)/.dev ## what the ledger promises, at length, with the figures (SOAK=kills ARGS="--kills 200 --seed 7"; all by default)
	$(RUN) -m tests.soak $(SOAK) $(ARGS)

generate: $(VENV)/.dev ## rewrite what is generated from the registry
	$(RUN) tests/tools/generate_vocabulary.py
	$(VENV)/bin/ruff format src/agent_outcomes/semconv.py
	$(RUN) -m tests.tools.generate_metrics_only
	PYTHONPATH=collector-config/grafana $(RUN) -m outcome_dashboards
	$(RUN) -m tests.tools.generate_compatibility
	$(RUN) -m tests.tools.generate_settings
	$(RUN) -m tests.tools.generate_openapi

collector: $(VENV)/.dev ## build the collector that the tests use, and print where it is
	$(RUN) -m tests.tools.build_otelcol

clean: ## remove environments, caches and output
	rm -rf $(VENV) $(OLDEST) $(DEMO_OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(VENV)/bin/python $(OLDEST)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(dir $(@D))

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[ledger]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(OLDEST)/.dev: $(OLDEST)/bin/python pyproject.toml
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' \
		opentelemetry-api==$(OLDEST_SDK) opentelemetry-sdk==$(OLDEST_SDK) opentelemetry-exporter-otlp==$(OLDEST_SDK)
	@touch $@
