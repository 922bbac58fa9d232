# One word each; a bare `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help run test lint schema bench soak fuzz screenshots lock audit widget typescript venv widget-if-possible
.SILENT:
MAKEFLAGS += --no-print-directory

PYTHON_IN_VENV := .venv/bin/python
# At least two, so that tests in parallel are the normal case everywhere.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); \
	[ "$$n" -ge 2 ] || n=2; [ "$$n" -le 8 ] || n=8; echo "$$n")
# Addresses where nobody answers, for commands that read the settings and no data.
WITHOUT_SERVERS := DATABASE_URL=postgresql://unused@127.0.0.1:1/unused REDIS_URL=redis://127.0.0.1:1/0 \
	PUBLIC_URL=http://localhost

help: ## list what there is to do
	echo 'Conversations. What there is to do:'
	awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	echo 'Variables: PORT=8001 HOST=0.0.0.0 DEMO=0 make run; ARGS="-k unread -x" make test; PYTHON=python3.12.'

run: venv widget-if-possible ## start the service with PostgreSQL, Redis and demo data; Ctrl-C stops it all
	exec $(PYTHON_IN_VENV) -m config.run

test: venv widget-if-possible ## run the tests in parallel (ARGS="-k name")
	exec $(PYTHON_IN_VENV) -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: venv ## check format, style, types, missing migrations, openapi.yaml and what it breaks
	set -e; \
	echo 'ruff'; $(PYTHON_IN_VENV) -m ruff format --check .; $(PYTHON_IN_VENV) -m ruff check .; \
	echo 'mypy'; $(PYTHON_IN_VENV) -m mypy; \
	echo 'migrations'; $(WITHOUT_SERVERS) $(PYTHON_IN_VENV) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run; \
	echo 'openapi.yaml'; \
	current=$$(mktemp); trap 'rm -f "$$current"' EXIT; \
	$(WITHOUT_SERVERS) $(PYTHON_IN_VENV) manage.py spectacular --validate --fail-on-warn --file "$$current"; \
	diff -u openapi.yaml "$$current" || { echo 'openapi.yaml is not current: run `make schema` and commit it.'; exit 1; }; \
	echo 'compatibility'; $(PYTHON_IN_VENV) -m tests.compatibility

schema: venv ## write openapi.yaml anew
	$(WITHOUT_SERVERS) $(PYTHON_IN_VENV) manage.py spectacular --validate --fail-on-warn --file openapi.yaml

bench: venv ## measure the service beside its references (ONLY=list, ARGS="--tickets 20000")
	exec $(PYTHON_IN_VENV) -m bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

soak: venv ## kill everything for a minute, and count what was lost (ARGS="--seconds 20")
	exec $(PYTHON_IN_VENV) -m bench.soak $(ARGS)

fuzz: venv ## hold the running service to openapi.yaml for 5 minutes (ARGS="--seconds 600 --seed 1")
	exec $(PYTHON_IN_VENV) -m bench.fuzz $(ARGS)

screenshots: venv ## take the README's pictures of the inbox anew (needs Chromium)
	exec $(PYTHON_IN_VENV) -m tests.screenshots

LOCK := uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header $(ARGS) pyproject.toml

lock: venv ## pin the dependencies anew after a change of pyproject.toml (ARGS=--upgrade: all of them)
	set -e; \
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	echo 'Fetching uv ...'; \
	$(PYTHON_IN_VENV) -m venv "$$folder"; "$$folder/bin/python" -m pip install -q uv; \
	echo 'Resolving ...'; \
	"$$folder/bin/"$(LOCK) -o requirements.lock; \
	"$$folder/bin/"$(LOCK) --extra dev -o requirements-dev.lock

WIDGET := conversations/widget/js

audit: venv ## look the dependencies up among the known vulnerabilities (needs the internet)
	set -e; \
	folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	echo 'Fetching pip-audit ...'; \
	$(PYTHON_IN_VENV) -m venv "$$folder"; "$$folder/bin/python" -m pip install -q pip-audit; \
	failed=; \
	echo 'Python'; "$$folder/bin/pip-audit" --strict --disable-pip --require-hashes -r requirements-dev.lock || failed=1; \
	for package in $(WIDGET) tests/clients; do echo "npm: $$package"; (cd $$package && npm audit) || failed=1; done; \
	[ -z "$$failed" ]

widget: ## install posthog-js, the customer's side, from npm
	cd $(WIDGET) && npm ci --ignore-scripts
	cp $(WIDGET)/package-lock.json $(WIDGET)/node_modules/installed

typescript: ## install what the tests make a TypeScript client with, from npm
	cd tests/clients && npm ci --ignore-scripts

# The service works without it, so whatever is missing is told, and no reason to stop.
widget-if-possible:
	if cmp -s $(WIDGET)/package-lock.json $(WIDGET)/node_modules/installed; then exit 0; fi; \
	if ! command -v npm >/dev/null; then \
		echo 'No npm here, so no posthog-js and no chat at /demo; with Node.js: make widget'; exit 0; \
	fi; \
	echo 'Installing posthog-js from npm ...'; \
	log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	$(MAKE) widget >"$$log" 2>&1 || \
		echo "posthog-js could not be installed, so no chat at /demo: $$(grep -m 1 'npm error' "$$log"); again: make widget"

# An environment that works is kept, so that a service which runs from it goes on running.
# The stamp holds the interpreter and the whole lock, and is written last: an interrupted
# installation is never taken for a finished one, and a new date of the lock alone changes nothing.
venv:
	set -e; \
	python=; \
	if [ -n "$(PYTHON)" ] && ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo 'PYTHON=$(PYTHON) is no Python 3.11 or newer.'; exit 1; \
	fi; \
	for candidate in $(or $(PYTHON),.venv/bin/python) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo 'No Python 3.11 or newer found (looked for $(PYTHON) python3 and python3.11 to python3.14).'; \
		echo 'Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv), or name it:'; \
		echo 'PYTHON=/path/to/python3 make run'; exit 1; \
	fi; \
	stamp() { "$$python" -c 'import sys; print(sys.version, sys.base_prefix)'; pwd; cat requirements-dev.lock; }; \
	if [ -f .venv/installed ] && stamp | cmp -s - .venv/installed && $(PYTHON_IN_VENV) -c '' 2>/dev/null; then exit 0; fi; \
	if [ "$$python" != .venv/bin/python ] && ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python has no module venv (or ensurepip). Debian and Ubuntu: apt-get install python3-venv"; exit 1; \
	fi; \
	echo "Making .venv with $$("$$python" --version) and installing what requirements-dev.lock names ..."; \
	rm -f .venv/installed; \
	if [ "$$python" != .venv/bin/python ]; then "$$python" -m venv --clear .venv; fi; \
	$(PYTHON_IN_VENV) -m pip --disable-pip-version-check install --root-user-action=ignore \
		--require-hashes --no-deps -r requirements-dev.lock || { \
		echo; echo 'The installation failed, see above. It needs the Python package index: check the'; \
		echo 'network, and pip'"'"'s configuration behind a proxy (pip config list), then try again.'; exit 1; }; \
	stamp > .venv/installed.new; mv .venv/installed.new .venv/installed
