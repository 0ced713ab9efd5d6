# Everything a person or a CI needs, one word each. `make` alone prints this list.
# Needs: make, git, python3 >= 3.11 with venv. The rest is fetched into .venv (from uv.lock) and, for the tests,
# installed as Debian packages. Steps that are done already are skipped.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BENCH_ARGS ?= --page
PYTEST_ARGS ?= -n 3 --dist worksteal
UV := .venv-uv/bin/uv
BIN := .venv/bin
RUNTIME := .venv/.synced-runtime
DEVELOPMENT := .venv/.synced-development
TYPED_TESTS := tests/conftest.py tests/servers tests/campaigns tests/architecture

export UV_PYTHON_DOWNLOADS := never
# The tests start a thousand processes; without bytecode on the disk each of them compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv

.PHONY: help demo test check lint format docs bench campaign torture servers chroot-test unit-test unit-here clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: $(RUNTIME) ## a sample office, read and explained; needs no server, no account, no system package
	@$(BIN)/quietcrm demo

test: $(DEVELOPMENT) servers ## install what is missing (Dovecot, PostgreSQL), then run every test
	@$(BIN)/pytest $(PYTEST_ARGS)

check: lint test ## lint, then test: what must pass before a change goes in

lint: $(DEVELOPMENT) ## ruff, mypy --strict and the layer contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@MYPYPATH=tests $(BIN)/mypy --explicit-package-bases $(TYPED_TESTS)
	@$(BIN)/lint-imports

format: $(DEVELOPMENT) ## let ruff mend the style of every file
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(DEVELOPMENT) ## write docs/reference anew from the commands and settings
	@$(BIN)/python -m daemon.cli.reference docs/reference
	@$(BIN)/python -m config.reference docs/reference
	@$(BIN)/python -m rules.reference docs/reference

bench: $(DEVELOPMENT) servers ## the figures of docs/speed.md, measured here (BENCH_ARGS=--quick only shows that it runs)
	@$(BIN)/python -m bench.run $(BENCH_ARGS)

campaign: $(DEVELOPMENT) servers ## the hard lines in their long form, with a scorecard, under an hour (CAMPAIGN_ARGS="--only kills")
	@PYTHONPATH=tests $(BIN)/python -m campaigns.scorecard $(CAMPAIGN_ARGS)

torture: $(DEVELOPMENT) servers ## the same before a release: hours
	@PYTHONPATH=tests $(BIN)/python -m campaigns.scorecard --release $(CAMPAIGN_ARGS)

servers: ## the real servers that the tests talk to: Dovecot and PostgreSQL from Debian
	@tests/servers/install.sh

chroot-test: ## `make test` in a fresh Debian of its own (root and debootstrap; SUITE=trixie for another)
	@tests/servers/chroot.sh $(SUITE)

unit-test: ## docs/how-to/debian.md, word for word, in a fresh Debian of its own (as chroot-test)
	@tests/servers/chroot.sh $(or $(SUITE),bookworm) root unit-here

unit-here: $(UV)
	@apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends systemd >/dev/null 2>&1
	@rm -rf dist && $(UV) build --quiet --wheel --out-dir dist
	@$(PYTHON) tests/campaigns/unit.py

clean: ## forget the environments and caches (not the Debian packages)
	@rm -rf .venv .venv-uv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist demo-out

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "quietcrm needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .venv-uv \
	  || { rm -rf .venv-uv; echo "python3 has no venv; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'

$(RUNTIME): uv.lock pyproject.toml | $(UV)
	@$(UV) sync --quiet --frozen --no-dev --inexact --python $(PYTHON)
	@touch $@

$(DEVELOPMENT): uv.lock pyproject.toml | $(UV)
	@$(UV) sync --quiet --frozen --all-extras --python $(PYTHON)
	@touch $(RUNTIME) $@
