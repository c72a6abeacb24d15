# Development of Report Exports. `make demo` and `make test` install what they need. They require Python 3.11 or later.

PYTHON ?= python3
PORT ?= 4566
VERSION := $(shell "$(PYTHON)" -c 'import sys; v = sys.version_info; print("%d.%d" % v[:2] if v >= (3, 11) else "")' 2>/dev/null)
READY := .venv/ready-$(VERSION) .local/emulator/ready-$(VERSION) .local/runtime/ready-$(VERSION)
IN_VENV := PATH="$$PWD/.venv/bin:$$PATH" SAM_CLI_TELEMETRY=0

# The caller's own Python settings must not affect the project's environments.
unexport PYTHONPATH PYTHONHOME PYTHONSAFEPATH VIRTUAL_ENV PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-deploy test-emulator test-sam-local test-stack test-page iam test-iam mutants faults bench check check-reports audit sbom docs architecture-diff up down invoke deploy lock clean python port

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready-$(VERSION)  ## install what bin/exports-admin needs; every other command installs what it needs

demo: port $(READY)  ## export an airline's flights with the complete architecture, on the AWS emulator
	@.venv/bin/python -m local demo --port "$(PORT)"

test: port $(READY) .local/spreadsheet-readers/ready  ## run the tests: units, the workflow in process, the deployed stack on the AWS emulator
	@TEST_PORT="$(PORT)" .venv/bin/python -m pytest -n auto --dist loadgroup $(or $(ARGS),--ignore=tests/benchmarks --ignore=tests/deploy --ignore=tests/emulator --ignore=tests/iam --ignore=tests/page)

test-emulator: $(READY)  ## the corrections of the AWS emulator, when one has changed: make check asks for it
	@.venv/bin/python -m pytest -n 2 --dist loadgroup tests/emulator $(ARGS)
	@$(if $(ARGS),,.venv/bin/python -m checks.suites --passed emulator)

test-deploy: port $(READY)  ## sam deploy and make deploy, when they or the template have changed: make check asks for it
	@TEST_PORT="$(PORT)" .venv/bin/python -m pytest -n 2 --dist loadgroup tests/deploy $(ARGS)
	@$(if $(ARGS),,.venv/bin/python -m checks.suites --passed deploy)

iam: port $(READY)  ## what each role may do, which tests use it, and why: records what IAM decides in the integration tests
	@rm -f .local/iam/decisions.jsonl
	@DECISIONS="$$PWD/.local/iam/decisions.jsonl" SFN_WAIT_SCALE=0.1 TEST_PORT="$(PORT)" \
		.venv/bin/python -m pytest tests/integration tests/iam
	@.venv/bin/python -m checks.iam .local/iam/decisions.jsonl
	@.venv/bin/python -m checks.suites --passed iam

test-iam: iam

mutants: $(READY)  ## plant small faults, one at a time: which tests notice each; a trial: make mutants ARGS="--only planning"
	@.venv/bin/python -m tests.mutants $(ARGS)

test-stack: $(READY)  ## run the integration tests against a deployed stack, for example: make test-stack STACK=report-exports
	@test -n "$(STACK)" || { echo "Name a stack of your AWS account: make test-stack STACK=report-exports" >&2; exit 2; }
	@.venv/bin/python -m local run --stack "$(STACK)" -- .venv/bin/python -m pytest -n 2 --dist loadgroup tests/integration $(ARGS)

test-page: port $(READY) .local/browser/ready-$(VERSION) .local/axe/ready  ## use the page in a real browser against the stack on the AWS emulator; needs Chromium; screenshots for docs/page/: SCREENSHOTS=1
	@browser=$$(command -v chromium || command -v chromium-browser || command -v google-chrome) || \
		{ echo "make test-page was skipped: there is no Chromium. Install it, for example: apt-get install chromium"; exit 0; }; \
	BROWSER="$$browser" PYTHONPATH=$$(echo "$$PWD"/.local/browser/lib/python*/site-packages) \
		.venv/bin/python -m local run --port "$(PORT)" -- .venv/bin/python -m pytest tests/page $(ARGS) \
		$(if $(ARGS),,&& .venv/bin/python -m checks.suites --passed page)

test-sam-local: port $(READY)  ## run every event in real containers: sam local invoke, start-api, start-lambda; needs Docker
	@.venv/bin/python -m tests.sam_local.engine || { echo "make test-sam-local was skipped."; exit 0; }; \
	way=$$(.venv/bin/python -m tests.sam_local.host) && \
	$(IN_VENV) .venv/bin/sam build --cached --cache-dir .local/sam-local/cache --build-dir .local/sam-local/build \
		--parameter-overrides PythonRuntime=python$(VERSION) && \
	SAM_LOCAL="$$way" .venv/bin/python -m local run --port "$(PORT)" -- \
		.venv/bin/python -m pytest -n 2 --dist loadgroup tests/sam_local $(ARGS)

faults: .venv/ready-$(VERSION)  ## test the fault matrix of docs/operations.md: inject each fault and check the documented result
	@.venv/bin/python -m pytest -n 2 tests/faults $(ARGS)

bench: $(READY) .local/bench/ready-$(VERSION)  ## measure every performance claim and write docs/performance.md; for a trial run: make bench ROWS=20000 ARGS=csv
	@.venv/bin/python -m pytest tests/benchmarks
	@.local/bench/bin/python -m benchmarks $(if $(ROWS),--rows "$(ROWS)") $(ARGS)

check: $(READY) .local/checkov/ready-$(VERSION) .local/asl-validator/ready .local/typescript/ready  ## check lint, format, types, reports, workflow, template
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/python -m checks
	@$(IN_VENV) AWS_DEFAULT_REGION=us-east-1 .venv/bin/sam validate --lint

check-reports: .venv/ready-$(VERSION)  ## check only the reports, in seconds
	@.venv/bin/python -m checks reports

DEPLOYED := functions/requirements.txt $(wildcard layers/*/requirements.txt)

# pip-audit writes its output only after it has audited every package. Without --strict it would skip those that it cannot
# look up, and find no vulnerability in them.
audit: .local/audit/ready-$(VERSION)  ## compare the packages that are deployed with the known vulnerabilities
	@mkdir -p out && rm -f out/audit.txt
	@.local/audit/bin/pip-audit --strict --disable-pip --progress-spinner off $(DEPLOYED:%=--requirement %) \
		--output out/audit.txt 2>out/audit.log && echo "No known vulnerability in $(DEPLOYED)." || { \
		test -s out/audit.txt && cat out/audit.txt && exit 1; \
		echo "Nothing was audited: the vulnerability service of PyPI did not answer for every package (out/audit.log)." >&2; exit 2; }

sbom: .local/audit/ready-$(VERSION)  ## write the CycloneDX bill of materials of the functions and of each layer into out/sbom/
	@mkdir -p out/sbom
	@for file in $(DEPLOYED); do \
		name=$$(basename "$$(dirname "$$file")") && PYTHONWARNINGS=ignore .local/audit/bin/cyclonedx-py requirements "$$file" \
		--pyproject pyproject.toml --short-PURLs --output-reproducible --validate -o "out/sbom/$$name.cdx.json" || exit 1; \
	done
	@ls out/sbom/*.cdx.json

docs: .venv/ready-$(VERSION)  ## generate openapi.json, docs/problems.md and docs/architecture.md from the code and the template
	@.venv/bin/python -m generated

architecture-diff: .venv/ready-$(VERSION)  ## what this checkout changes in the architecture since it left BASE (main), the most dangerous first
	@.venv/bin/python -m architecture --base="$${BASE:-main}" --head="$$HEAD"

up: port $(READY)  ## start the AWS emulator, deploy the stack on it, and leave it running
	@.venv/bin/python -m local up --port "$(PORT)"

down: $(READY)  ## stop the AWS emulator
	@.venv/bin/python -m local down

invoke: $(READY)  ## run sam local invoke, for example: make invoke FUNCTION=ListReports EVENT=events/list_reports/typical.json
	@test -n "$(FUNCTION)" -a -n "$(EVENT)" || { echo "Name a function and an event: make invoke FUNCTION=ListReports EVENT=events/list_reports/typical.json" >&2; exit 2; }
	@test -f "$(EVENT)" || { echo "There is no file $(EVENT). The events are in events/<function>/." >&2; exit 2; }
	@.venv/bin/python -m tests.sam_local.engine
	@rm -f .aws-sam/digest
	@$(IN_VENV) .venv/bin/sam build --parameter-overrides PythonRuntime=python$(VERSION)
	@$(IN_VENV) .venv/bin/sam local invoke $(FUNCTION) --event $(EVENT) --env-vars events/environment.json \
		--skip-pull-image --parameter-overrides PythonRuntime=python$(VERSION) SenderEmail=exports@example.com $(ARGS)

deploy: .venv/ready-$(VERSION) .local/checkov/ready-$(VERSION) .local/asl-validator/ready .local/typescript/ready  ## check, build and deploy to your AWS account; asks once, or never with CI=1
	@$(IN_VENV) .venv/bin/python -m exports_admin.deploy

lock: .venv/ready-$(VERSION)  ## pin every requirement again, with hashes
	@lock() { .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet "$$@"; }; \
	lock requirements/uv.in -o requirements/uv.txt && \
	lock requirements/dev.in -c requirements/uv.txt -o requirements/dev.txt && \
	lock functions/requirements.in -c requirements/dev.txt -o functions/requirements.txt && \
	lock layers/engine/requirements.in -c requirements/dev.txt -o layers/engine/requirements.txt && \
	lock layers/query/requirements.in -c requirements/dev.txt -o layers/query/requirements.txt && \
	lock layers/tokens/requirements.in -c requirements/dev.txt -o layers/tokens/requirements.txt && \
	lock requirements/runtime.in -c requirements/dev.txt -o requirements/runtime.txt && \
	lock requirements/emulator.in -o requirements/emulator.txt && \
	lock requirements/bench.in -c requirements/dev.txt -o requirements/bench.txt && \
	lock requirements/checkov.in -o requirements/checkov.txt && \
	lock requirements/audit.in -o requirements/audit.txt && \
	lock requirements/browser.in -c requirements/dev.txt -o requirements/browser.txt

clean:  ## stop the emulator and remove everything that make created
	@rm -f .local/own.json
	@test ! -x .venv/bin/python || .venv/bin/python -m local down
	rm -rf .venv .local .aws-sam out .mypy_cache .pytest_cache .ruff_cache .hypothesis

python:
	@test -n "$(VERSION)" || { echo "This project needs Python 3.11 or later, but '$(PYTHON)' is not. Set PYTHON: make … PYTHON=/path/to/python3.13" >&2; exit 1; }

port: | python
	@"$(PYTHON)" -m local.port "$(PORT)"

# Separate environments: the emulator and checkov pin their own botocore, and functions run with only the packages that
# they have on Lambda. uv installs them in seconds. If uv fails, pip does: for example, only pip may be set up for a mirror.
install = $(1)/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $(2)
sync = .venv/bin/uv pip install --quiet --python $(1)/bin/python --require-hashes --requirement $(2) 2>/dev/null \
	|| $(install)

# Two make commands may start in a new clone: the second waits until the first has installed the environment.
ifndef ALONE
.venv/ready-$(VERSION): requirements/uv.txt requirements/dev.txt | python
	@"$(PYTHON)" -m exports_admin.locks $(MAKE) --silent ALONE=1 $@

.local/%/ready-$(VERSION): requirements/%.txt | .venv/ready-$(VERSION)
	@"$(PYTHON)" -m exports_admin.locks $(MAKE) --silent ALONE=1 $@
else
.venv/ready-$(VERSION): requirements/uv.txt requirements/dev.txt | python
	@echo "• Installing the development environment (.venv)"
	@test ! -L .venv || rm .venv  # a link: --clear would empty another checkout's environment
	@"$(PYTHON)" -m venv --clear .venv
	@$(call install,.venv,requirements/uv.txt)
	@$(call sync,.venv,requirements/dev.txt)
	@touch $@

.local/%/ready-$(VERSION): requirements/%.txt | .venv/ready-$(VERSION)
	@echo "• Installing the $* environment (.local/$*)"
	@"$(PYTHON)" -m venv --clear .local/$*
	@$(call sync,.local/$*,requirements/$*.txt)
	@touch $@
endif

# Node is optional. Without it, or if npm cannot install these packages, the check and the test say that they did not run.
.local/asl-validator/ready: checks/asl-validator/package-lock.json
.local/spreadsheet-readers/ready: tests/spreadsheet-readers/package-lock.json
.local/typescript/ready: checks/typescript/package-lock.json
.local/axe/ready: tests/page/package-lock.json
.local/asl-validator/ready .local/spreadsheet-readers/ready .local/typescript/ready .local/axe/ready:
	@mkdir -p $(@D) && cp $(<D)/package*.json $(<D)/.npmrc $(@D)
	@cd $(@D) && npm ci >/dev/null 2>&1 && touch ready || true
