# The OpenClaw security bus. `make` alone lists what there is.
#
# Needs Go (the version in go.mod), make and git; what runs in containers needs
# Docker with compose, and no Go.

GO      ?= go
BIN     := bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/openclaw-security/bus/services/internal/daemon.version=$(VERSION)
SOURCES := $(shell git ls-files -co --exclude-standard '*.go' '*.json' go.mod go.sum 2>/dev/null)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z- ]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(BIN)/demo $(BIN)/secbus ## play a recorded attack through the real pipeline and show the alerts
	@$(BIN)/demo

.PHONY: run
run: $(BIN)/secbus ## run everything in one process on the real sensor files
	@$(BIN)/secbus up

.PHONY: build
build: $(BIN)/secbus $(BIN)/shipper $(BIN)/proxy $(BIN)/guard-stub $(BIN)/notifier $(BIN)/auditor ## build every binary into bin/

$(BIN)/secbus: $(SOURCES)
	@echo "building $@"
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./services/secbus

$(BIN)/demo: $(SOURCES)
	@echo "building $@"
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./services/testing/demo

$(BIN)/%: $(SOURCES)
	@echo "building $@"
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./services/$*/cmd/$*

# The race detector needs a C compiler on Linux; without one the tests run all
# the same, and say so.
RACE := $(if $(filter 1,$(shell CGO_ENABLED= $(GO) env CGO_ENABLED)),-race,)

.PHONY: test
test: ## run every test that needs no Docker, with the race detector
	$(if $(RACE),,@echo "no C compiler found: testing without the race detector")
	$(GO) test $(RACE) -timeout 15m ./...

# As lint builds, and so without the race detector, under which the proxy is tested
# above: the libraries take minutes to compile.
.PHONY: test-sdk
test-sdk: ## test the LLM proxy with the vendors' own client libraries
	GOFLAGS=-trimpath CGO_ENABLED=0 $(GO) -C services/testing/sdktest test -timeout 15m ./...

# What is built under the tag that .env.security names says which source it is of.
COMPOSE := docker compose
IMAGES  := SECURITY_BUILD=$(VERSION) SECURITY_REVISION=$(shell git rev-parse HEAD 2>/dev/null) SOURCE_DATE_EPOCH=$(shell git log -1 --format=%ct 2>/dev/null)

.PHONY: setup
setup: ## set the whole stack up in containers, asking for what is needed
	@./setup.sh

.PHONY: images
images: ## build the container images
	@$(IMAGES) $(COMPOSE) --profile '*' build

.PHONY: up
up: images ## start the stack in containers, as .env.security says
	@$(COMPOSE) up -d

.PHONY: down
down: ## stop the containers; what is stored stays
	@$(COMPOSE) --profile '*' down

.PHONY: logs
logs: ## follow the containers' logs
	@$(COMPOSE) logs -f --tail 20

.PHONY: tail replay status doctor
tail replay status doctor: ## look at the stack in containers; ARGS='--since 2h' are passed on
	@$(COMPOSE) run --rm secbus $@ $(ARGS)

.PHONY: test-docker
test-docker: ## test the images and the compose file in containers
	@./scripts/test-docker.sh

.PHONY: bench-compose-idle
bench-compose-idle: ## measure the memory of the idle stack, container by container
	@./scripts/bench-compose-idle.sh

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 20s) each
	@FUZZTIME=$(or $(FUZZTIME),20s) ./scripts/fuzz.sh

.PHONY: lint
lint: ## formatting, vet, staticcheck, structure, known vulnerabilities, module hygiene, cross-builds
	@GO="$(GO)" ./scripts/lint.sh

.PHONY: generate
generate: ## write the generated files (JSON Schemas, docs/configuration.md)
	$(GO) generate ./...

.PHONY: follow-table
follow-table: ## print what following a file loses and doubles, for every kind of rotation
	@table=$$(mktemp) && TEST_TABLE=$$table $(GO) test -count=1 -run '^TestScenarios$$' ./services/shipper/internal/follow >&2 && cat $$table; \
	status=$$?; rm -f $$table; exit $$status

.PHONY: llm-replay
llm-replay: ## replay recorded model traffic through the LLM proxy and compare; ARGS=folder for other recordings
	@$(GO) run ./services/testing/llmreplay $(ARGS)

.PHONY: bench-idle
bench-idle: $(BIN)/secbus ## measure the idle memory of `secbus up`
	@$(GO) run ./services/testing/bench/idle -secbus $(BIN)/secbus

.PHONY: bench-shipper
bench-shipper: ## measure file to durable storage, beside a baseline and the ceiling
	@$(GO) run ./services/testing/bench/shipper $(BENCHFLAGS)

.PHONY: bench-proxy
bench-proxy: ## measure what the LLM proxy adds, beside a bare reverse proxy
	@$(GO) run ./services/testing/bench/proxy $(BENCHFLAGS)

.PHONY: bench-notifier
bench-notifier: ## measure line to message, and a storm of 100,000 alerts, beside a naive notifier
	@$(GO) run ./services/testing/bench/notifier $(BENCHFLAGS)

.PHONY: bench-auditor
bench-auditor: ## measure the audit log: appending, verifying, reports
	@$(GO) test -run '^$$' -bench '^Benchmark(Log|Reports)$$' -benchtime 1x -timeout 1h ./services/auditor
	@$(GO) run ./services/testing/bench/auditor $(BENCHFLAGS)

.PHONY: release
release: ## build programs for every platform, SBOMs, images and checksums into dist/
	@GO="$(GO)" VERSION="$(VERSION)" ./scripts/release.sh

.PHONY: clean
clean: ## remove what the build made
	rm -rf $(BIN) .cache dist
