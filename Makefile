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
demo: $(BIN)/secbus ## play a recorded attack through the real pipeline and show the alerts
	@$(BIN)/secbus demo

.PHONY: run
run: $(BIN)/secbus ## run everything in one process on the real sensor files
	@$(BIN)/secbus up

.PHONY: build
build: $(BIN)/secbus $(BIN)/shipper $(BIN)/proxy $(BIN)/guard-stub $(BIN)/notifier $(BIN)/auditor ## build every binary into bin/

$(BIN)/secbus: $(SOURCES)
	@echo "building $@"
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./services/secbus

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
lint: ## formatting, vet, staticcheck, module hygiene, generated files, cross-builds
	@GO="$(GO)" ./scripts/lint.sh

.PHONY: generate
generate: ## write the generated files (JSON Schemas, docs/configuration.md)
	$(GO) generate ./...

.PHONY: bench-idle
bench-idle: $(BIN)/secbus ## measure the idle memory of `secbus up`
	@$(GO) run ./services/secbus/internal/benchidle -secbus $(BIN)/secbus

.PHONY: bench-shipper
bench-shipper: ## measure file to durable storage, beside a baseline and the ceiling
	@$(GO) run ./services/shipper/internal/benchshipper $(BENCHFLAGS)

.PHONY: bench-proxy
bench-proxy: ## measure what the LLM proxy adds, beside a bare reverse proxy
	@$(GO) run ./services/proxy/internal/benchproxy $(BENCHFLAGS)

.PHONY: bench-notifier
bench-notifier: ## measure line to message, and a storm of 100,000 alerts, beside a naive notifier
	@$(GO) run ./services/notifier/internal/benchnotifier $(BENCHFLAGS)

.PHONY: bench-auditor
bench-auditor: ## measure the audit log: appending, verifying, reports
	@$(GO) run ./services/auditor/internal/benchauditor $(BENCHFLAGS)

.PHONY: clean
clean: ## remove what the build made
	rm -rf $(BIN) .cache
