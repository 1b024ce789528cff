# `make` alone prints this project's targets.
SHELL := /bin/bash
BIN := .venv/bin
SEEDS ?= 50
FOR ?= 60
TARGETS ?= url sieve forward mime cluster
DATA ?= .quell
SETUP := .venv/.ready

.PHONY: help demo run test bench simulate fuzz deb test-deb test-boot lint proto lock setup format clean
.DEFAULT_GOAL := help

help:  ## print this help
	@echo "Quell: the remediation control plane that follows automated security investigations"
	@echo
	@echo "use"
	@grep -hE '^(demo|run):.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "test"
	@grep -hE '^(test|test-deb|test-boot|simulate|fuzz|bench):.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "make"
	@grep -hE '^(setup|proto|lock|deb|format|clean):.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo "check"
	@grep -hE '^(lint):.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(SETUP)  ## run the main job once on real input, step by step (ARGS=--yes does not ask)
	@$(BIN)/quell demo $(ARGS)

run: $(SETUP)  ## start all services and this machine's agent; Ctrl-C stops (DATA=folder)
	@$(BIN)/quell up --data $(DATA) $(ARGS)

test: $(SETUP) .venv/.lab  ## pass the tests (ARGS='-k word' picks some)
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

simulate: $(SETUP)  ## run the deterministic simulation over fresh seeds (SEEDS=1000)
	$(BIN)/python -m pytest -q tests/simulation --seeds $(SEEDS) $(if $(FIRST),--first $(FIRST)) -p no:cacheprovider -k fresh

fuzz: $(SETUP)  ## look for mail, scripts and URLs that break a parser (FOR=60 seconds each, TARGETS='url mime')
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r tests/fuzz/requirements.txt
	@for target in $(TARGETS); do $(BIN)/python tests/fuzz/fuzz.py $$target $(FOR) || exit 1; done

bench: $(SETUP)  ## measure speed and memory, each beside its limit
	$(BIN)/python benchmarks/run.py $(ARGS)

lint: $(SETUP) protos/node_modules/.ready  ## style, types, contracts, generated code, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/status.py --check
	$(BIN)/python tools/generate.py --image .venv/contracts.binpb
	protos/node_modules/.bin/buf lint .venv/contracts.binpb --config protos/buf.yaml
	cd protos && node_modules/.bin/buf format --diff --exit-code --path quell

format: $(SETUP) protos/node_modules/.ready  ## format code and contracts
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	cd protos && node_modules/.bin/buf format -w --path quell

proto: $(SETUP)  ## generate the Python code of the contracts
	$(BIN)/python tools/generate.py

lock: $(SETUP)  ## choose the newest allowed versions of everything and pin them by hash
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --python-version 3.11 --python-platform linux \
	  --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade -q -o requirements.lock

# As root on Debian it installs what tests of real effects need, and says so; it never fails.
.venv/.lab: tools/lab.py $(SETUP)
	@python3 tools/lab.py
	@touch $@

setup: $(SETUP)  ## make the virtual environment with all that the project needs

$(SETUP): pyproject.toml requirements.lock
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "python3 >= 3.11 is needed: apt install python3"; exit 1; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "python3's venv module is missing: apt install python3-venv"; exit 1; }
	@test -x $(BIN)/python || python3 -m venv .venv
	@echo "setting up .venv: a minute or so, once"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

protos/node_modules/.ready: protos/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed to lint the contracts: apt install npm"; exit 1; }
	@cd protos && npm ci --no-audit --no-fund --silent
	@touch $@

deb: $(SETUP)  ## build the agent's Debian package into dist
	$(BIN)/python tools/deb.py

test-deb: $(SETUP) .venv/.lab  ## install, upgrade, remove and purge the package in a Debian in a folder (minutes)
	$(BIN)/pytest -q tests/packaging/deb.py

test-boot: $(SETUP) .venv/.lab  ## boot a Debian in QEMU, isolated and restricted, as root (many minutes)
	@python3 tools/boot.py
	$(BIN)/pytest -q tests/boot/boot.py

clean:  ## remove what was made here: environment, caches, the data of make run
	rm -rf .venv protos/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .quell dist
