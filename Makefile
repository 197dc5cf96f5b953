# Two commands on a fresh machine: `make demo` and `make test`. Needs git, make and Python >= 3.11; see CONTRIBUTING.md.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench flood fuzz attacks setup lock format clean \
	test-parallel test-serial test-attacks test-processes check-format check-lint check-types check-floors \
	check-tests check-unit check-hands check-stores

BIN := .venv/bin
REPORTS := .reports
export PYTHON
# The tests start hundreds of processes: each would compile anew what it imports, which takes longer than its start.
unexport PYTHONDONTWRITEBYTECODE

# Folders that exist, in the order of a newcomer's interest. Serial: real processes, browsers and clocks on two cores.
FAST := $(wildcard $(addprefix tests/,unit vectors conversations architecture stores property))
PARALLEL := $(FAST) $(wildcard tests/doors)
ATTACKS := $(wildcard tests/security $(addprefix tests/integration/,admin asgi autobahn cluster frameworks gateway slow_http tls_scan verify))
PROCESSES := $(wildcard tests/integration/proxies tests/integration/test_*.py tests/browser)
told = --junitxml=$(REPORTS)/$(1).xml -o cache_dir=$(REPORTS)/cache-$(1)

help:
	@echo "make demo    the gateway with a chat to try it on, on this machine"
	@echo "make test    every test; installs what they need"
	@echo "make check   format, lint, types, floors and the fast tests: about a minute"
	@echo "make bench   the numbers, against nginx, Envoy and HAProxy: a quarter of an hour"
	@echo "make conformance   Autobahn, TLS scanners, slow attacks: about an hour"
	@echo "also: setup  lock  format  clean"

demo:
	@tools/setup runtime
	@$(BIN)/doorward demo $(DEMO)

setup:
	@tools/setup dev

# All of it runs even if some fails: one run shows everything. Each part remembers what failed in it, for .ci/run.
test: setup
	@tools/setup scan
	@tools/debian chromium nginx haproxy redis-server postgresql
	@$(MAKE) --no-print-directory -k test-parallel test-serial

test-parallel: setup
	$(BIN)/pytest -n 2 $(call told,parallel) $(PARALLEL)

# Real servers wait more than they work: two rows of them side by side, each in its own order.
test-serial: setup
	@$(MAKE) --no-print-directory -k -j2 test-attacks test-processes

test-attacks: setup
	$(BIN)/pytest -q $(call told,attacks) $(ATTACKS)

test-processes: setup
	$(BIN)/pytest -q $(call told,processes) $(PROCESSES)

check: setup
	@$(MAKE) --no-print-directory -k -j2 --output-sync=target \
		check-types check-unit check-stores check-hands check-format check-lint check-floors

check-format: setup
	$(BIN)/ruff format --check .

check-lint: setup
	$(BIN)/ruff check .

check-types: setup
	$(BIN)/mypy

check-floors: setup
	$(BIN)/lint-imports --no-logo

# The fast tests in three rows, each in a process of its own: one that deals them out to others takes a fifth more.
HANDS := tests/unit/adapters tests/unit/service
STORES := $(wildcard tests/stores tests/property)
fast = $(BIN)/pytest -q -m "not servers" -o faulthandler_timeout=0 --hypothesis-profile=quick $(call told,check-$(1))

check-tests: check-unit check-stores check-hands

check-unit: setup
	$(call fast,unit) $(filter-out $(STORES),$(FAST)) $(addprefix --ignore=,$(HANDS))

check-stores: setup
	$(call fast,stores) $(STORES)

check-hands: setup
	$(call fast,hands) $(HANDS)

# Autobahn's 517 cases through everything, TLS scanners, slowhttptest; docs/explain/conformance.md is made from it.
conformance: setup
	@tools/setup scan
	@tools/debian slowhttptest testssl.sh
	@rm -rf $(REPORTS)/conformance
	@failed=; for part in autobahn tls_scan slow_http; do \
		$(BIN)/python -m tests.integration.$$part || failed=1; done; \
	PYTHONPATH=. $(BIN)/python tools/conformance.py && [ -z "$$failed" ]

bench:
	@tools/setup dev
	@tools/setup bench
	@tools/debian nginx haproxy redis-server postgresql
	@PYTHONPATH=. .venv-bench/bin/python -m bench $(BENCH)

flood:
	@tools/setup runtime
	@tools/setup bench
	@PYTHONPATH=. .venv-bench/bin/python -m bench.flood $(FLOOD)

# Each target for 20 s; FUZZ="--seconds 600 head" for one of them and longer.
fuzz:
	@tools/setup fuzz
	@PYTHONPATH=. .venv-fuzz/bin/python -m tests.fuzz $(FUZZ)

# Who refuses what under each ASGI server, measured anew, and the page made of it.
attacks: setup
	ATTACKS_WRITE=1 $(BIN)/pytest -q tests/security/servers
	$(BIN)/python -m tools.generate

lock: setup
	@UPGRADE=$(UPGRADE) tools/lock

format: setup
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Environments, caches, reports. What the demo wrote stays: it is the user's.
clean:
	rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(REPORTS) dist build
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
