# Bursar: build, test and run. `make` alone prints what there is.
#
# A target is for people when its line has a "##" text; `make lint` fails if one lacks it. What make
# sets up for itself (linters, the ClickHouse engine) is made once per machine and kept in the user's
# cache folder; the linters are linked into .tools/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO      ?= go
MODULES := schemas pkg services examples
# What debuggers need costs an eighth of all compiling; stack traces and profiles do without. With GOFLAGS= in the
# environment it is kept. It is the same for every target, so that they share what was compiled.
export GOFLAGS ?= -gcflags=all=-dwarf=false
# Where `make run` keeps the ledger, the events and ClickHouse.
DATA_DIR ?= data
# Real traces for `make test-data`: the folder with traces/, transcripts/, prices/, http_fixtures/.
BURSAR_TEST_DATA ?= $(abspath ../shared/data)
# How many schedules `make sim` runs, from which seed on, and the seed of the one that it replays instead.
SCHEDULES ?= 100000
FIRST ?= 1
SEED ?=
# Flags for `make bench`, such as -clients 64 -parts throughput, and for `make bench-analytics`, such as -rows 5000000;
# `bin/bursar-bench -help` and `bin/bursar-bench-analytics -help` tell all.
BENCH_FLAGS ?=
# Semantic, as `nats micro ls` wants it: the last tag v1.2.3, or 0.0.0 and the commit.
VERSION := $(shell tag=$$(git describe --tags --match 'v[0-9]*' 2>/dev/null || true); \
	if [ -n "$$tag" ]; then echo "$${tag\#v}"; else echo "0.0.0+$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"; fi)

GOLANGCI_VERSION    := v2.15.0
GOVULNCHECK_VERSION := v1.9.0
TOOLS_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bursar/tools
GOLANGCI    := .tools/golangci-lint-$(GOLANGCI_VERSION)
GOVULNCHECK := .tools/govulncheck-$(GOVULNCHECK_VERSION)

BINARIES := $(notdir $(wildcard services/*/cmd/*))
LDFLAGS  := -s -w -X main.version=$(VERSION)

.PHONY: help
help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Start everything in one process, with its data in DATA_DIR
	@$(MAKE) --no-print-directory -j 2 setup bursar
	@echo 'In other terminals: export PATH="$(CURDIR)/bin:$$PATH"'
	@exec bin/bursar up --data-dir "$(DATA_DIR)"

.PHONY: bursar
bursar: ## Compile the command into bin/
	@test -e bin/bursar || echo 'compiling bursar; the first time, about two minutes'
	@$(GO) build -ldflags "$(LDFLAGS)" -o bin/ ./services/cli/cmd/bursar

.PHONY: setup
setup: ## Install the ClickHouse engine into the user's cache folder
	@scripts/install-clickhouse.sh

.PHONY: build
build: ## Compile every binary into bin/
	@mkdir -p bin
	@$(GO) build -ldflags "$(LDFLAGS)" -o bin/ $(patsubst %,./%,$(wildcard services/*/cmd/*))
	@echo "built: $(addprefix bin/,$(BINARIES))"

.PHONY: nats-conf
nats-conf: ## Make nats.conf and the keys of its users (deployments/secrets)
	$(GO) run ./services/cli/cmd/bursar-nkeys -dir deployments

.PHONY: test
test: setup ## Run every test with the race detector
	$(GO) test -race -timeout 20m work
	cd tools && GOWORK=off $(GO) test -tags dashboards -count 1 -timeout 15m ./dashboards

.PHONY: test-fault
test-fault: setup ## Kill, pause and cut off running processes (minutes)
	cd services && $(GO) test -tags fault -count 1 -timeout 20m -v ./allocator | (grep -v ' level=' || true)
	cd services && $(GO) test -tags fault -count 1 -timeout 20m -parallel 4 -v -run Killed ./cli
	cd services && $(GO) test -tags fault -count 1 -timeout 20m -v -run FarBehind ./analytics

.PHONY: test-page
test-page: setup ## Run the tests that look at the page in a real Chromium
	axe=$$(scripts/install-axe.sh) && cd services && BURSAR_AXE="$$axe" $(GO) test -tags page -count 1 -timeout 10m -run Page ./cli

.PHONY: test-compose
test-compose: setup build ## Run what docker-compose.yml describes, as processes
	@cd services && $(GO) build -o ../bin/ github.com/nats-io/nats-server/v2
	cd tools && GOWORK=off $(GO) test -tags compose -count 1 -timeout 5m ./compose

.PHONY: test-data
test-data: setup ## Run the tests that read real traces (BURSAR_TEST_DATA)
	BURSAR_TEST_DATA="$(BURSAR_TEST_DATA)" GO="$(GO)" scripts/test-data

.PHONY: sim
sim: ## Simulate 100,000 schedules of faults; SEED=n replays one
	cd pkg && $(GO) run ./writer/sim/cmd/sim $(if $(SEED),-seed $(SEED),-first $(FIRST) -schedules $(SCHEDULES))

.PHONY: simulate
simulate: ## Simulate days of many tenants: ours must beat the baseline
	cd services && $(GO) run ./cli/cmd/bursar simulate --first-seed 1001 --seeds 20 --check

SERVEGEN := $(BURSAR_TEST_DATA)/traces/servegen/m-large_client
.PHONY: simulate-real
simulate-real: ## The same with real clients of a week (BURSAR_TEST_DATA)
	cd services && $(GO) run ./cli/cmd/bursar simulate --clients "$(SERVEGEN)_windows.dev.csv,$(SERVEGEN)_tokens.dev.csv" \
		--first-seed 2001 --seeds 21 --days 1 --load 0.7,1.0 --check

.PHONY: mutants
mutants: ## Seed known bugs, each alone; the tests must find each
	cd tools && GOWORK=off $(GO) run ./mutants

.PHONY: examples
examples: build setup ## Run the example agents against a Bursar of their own
	GO="$(GO)" scripts/examples

.PHONY: bench
bench: setup build ## Compare with an echo, Redis, PostgreSQL; lag and recovery
	bin/bursar-bench $(BENCH_FLAGS)

.PHONY: bench-analytics
bench-analytics: setup build ## Measure ClickHouse at 100 M usage rows (some 30 GB of disk)
	bin/bursar-bench-analytics $(BENCH_FLAGS)

.PHONY: lint
lint: $(GOLANGCI) ## Check formatting, style, vet, structure and module tidiness
	$(GOLANGCI) run --allow-serial-runners $(foreach module,$(MODULES),./$(module)/...)
	cd tools && GOWORK=off ../$(GOLANGCI) run --allow-serial-runners ./... && GOWORK=off $(GO) test -count 1 ./...

.PHONY: tidy-check
tidy-check: ## Check that each module is tidy and builds without the workspace
	@for module in $(MODULES) tools; do \
		echo "$$module: go mod tidy -diff, go vet"; \
		(cd "$$module" && GOWORK=off $(GO) mod tidy -diff && GOWORK=off $(GO) vet ./...); \
	done

.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## Look for known vulnerabilities, where the database is reachable
	scripts/vulncheck $(GOVULNCHECK) $(MODULES)

.PHONY: fmt
fmt: $(GOLANGCI) ## Format every Go file
	$(GOLANGCI) fmt $(foreach module,$(MODULES),./$(module)/...)

.PHONY: clean
clean: ## Remove what was built; keeps data/ and the ClickHouse engine
	rm -rf bin .tools
	$(GO) clean -testcache

# A tool is built once per machine and version, outside the checkout, and linked here.
$(GOLANGCI): TOOL := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
$(GOVULNCHECK): TOOL := golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
$(GOLANGCI) $(GOVULNCHECK):
	@mkdir -p .tools "$(TOOLS_CACHE)/$(@F)"
	@if [ -z "$$(ls -A "$(TOOLS_CACHE)/$(@F)")" ]; then \
		echo "building $(@F) (once per machine; golangci-lint takes some minutes)"; \
		GOWORK=off GOBIN="$(TOOLS_CACHE)/$(@F)" $(GO) install $(TOOL); \
	fi
	@ln -sf "$(TOOLS_CACHE)/$(@F)"/* $@
