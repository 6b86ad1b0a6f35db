# Mayfly's tasks. `make help` lists them. Each target installs what it needs itself (scripts/need.sh); only make and Go
# must be there.
.DEFAULT_GOAL := help
.PHONY: build demo test sim sim-ci bench-boot bench-startup e2e crash soak lint fuzz release release-check release-test clean help

# Tools at exact versions; a new version is a change like any other.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT       := mvdan.cc/gofumpt@v0.12.0
NFPM          := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.1

# What `mayfly version` prints, and the variable it prints.
VERSION_VARIABLE := mayfly/internal/cli.version
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# How long each fuzz target runs.
FUZZTIME ?= 10s
# Ends a hanging run with every goroutine's stack; what a whole run takes is far below.
TEST_TIMEOUT ?= 40m
E2E_TIMEOUT  ?= 60m
CRASH_TIMEOUT ?= 20m
BENCH_TIMEOUT ?= 3h
# What a release is built for, by Go's names.
ARCHES ?= amd64 arm64

# Git is asked for the version above; Go's own stamping fails in checkouts that another user owns.
export GOFLAGS := -buildvcs=false $(filter-out -buildvcs=%,$(GOFLAGS))

# Static, so that mayfly bootstrap can put it into a container.
build: ## build bin/mayfly
	@scripts/need.sh go certs
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X $(VERSION_VARIABLE)=$(VERSION)' -o bin/mayfly ./cmd/mayfly

demo: build ## serve a few jobs on stand-ins of Proxmox VE and GitHub, then a summary
	bin/mayfly demo --once

test: ## all tests but those with virtual machines, with the race detector
	@scripts/need.sh go certs cc git jq python3
	CGO_ENABLED=1 go test -race -timeout $(TEST_TIMEOUT) ./...

e2e: ## jobs in real virtual machines, the dispatcher in a real container; builds the guests first
	@scripts/need.sh go certs lxc-start zstd ssh-keygen
	@sh test/guest/packages.sh
	go test -tags e2e -count=1 -timeout $(E2E_TIMEOUT) -v ./test/e2e/...

crash: ## kill -9 in every window between two calls, and at random through 500 jobs; what comes right, and how fast
	@scripts/need.sh go certs
	go test -tags crash -count=1 -timeout $(CRASH_TIMEOUT) -v ./test/crash/...

soak: ## 10,000 jobs through one process: goroutines, open files and memory of the first and last thousand
	@scripts/need.sh go certs
	go test -tags soak -count=1 -timeout $(E2E_TIMEOUT) -v ./test/soak/...

# HOURS of virtual time over as many worlds as it takes (MINUTES ends it earlier); or the one world of SEED.
sim: ## the controller in simulated worlds where everything goes wrong: 2,000 hours, or HOURS=, or one world SEED=
	@scripts/need.sh go certs
	@HOURS=$(or $(HOURS),$(if $(SEED),,2000)) MINUTES=$(MINUTES) SEED=$(SEED) STORY=$(STORY) FAULTS="$(FAULTS)" TRACE=$(TRACE) GOGC=1000 \
		go test -C test/sim -count=1 -timeout 3h -run TestWorldsStayWithinTheRules

# No more than HOURS, so that a fast machine tells the same stories as others.
sim-ci: ## 150 hours of make sim or five minutes, a few worlds with the race detector, and one world 20 times: the same trace each time
	@scripts/need.sh go certs cc
	HOURS=150 MINUTES=5 GOGC=1000 go test -C test/sim -count=1 -timeout 30m -run TestWorldsStayWithinTheRules
	CGO_ENABLED=1 HOURS=1 STORY=20 SEED=2001 go test -C test/sim -race -count=1 -timeout 30m -run TestWorldsStayWithinTheRules
	RUNS=20 STORY=20 go test -C test/sim -count=1 -timeout 30m -run TestSameSeedSameTrace -v

bench-boot: ## how long guests take from power-on to ready, with each boot trick and without; writes docs/performance.md
	@scripts/need.sh go certs
	@sh test/guest/packages.sh
	go test -tags bench -count=1 -timeout $(BENCH_TIMEOUT) -v ./test/boot/...

bench-startup: ## how long the dispatcher takes from its exec to the first look at both sides; writes docs/performance.md
	@scripts/need.sh go certs
	go test -tags bench -count=1 -timeout $(TEST_TIMEOUT) -v ./test/startup/...

bench: ## how long a job waits for the dispatcher itself, in fleets of 10 to 1,000 runners; writes docs/performance.md
	@scripts/need.sh go certs
	go test -tags bench -count=1 -timeout $(BENCH_TIMEOUT) -v ./test/bench/...

lint: ## formatting, vet, golangci-lint, shellcheck, cloud-init schema, go.mod
	@scripts/need.sh go certs git shellcheck /usr/bin/python3
	@scripts/lint.sh $(GOFUMPT) $(GOLANGCI_LINT)

fuzz: ## every fuzz target for FUZZTIME (10s)
	@scripts/need.sh go certs
	@scripts/fuzz.sh $(FUZZTIME)

release: ## binaries, .deb, .rpm, OCI images, SBOMs and checksums in dist/; the same commit gives the same bytes
	@scripts/need.sh go certs git
	@nfpm=$$(scripts/tool.sh $(NFPM)) && scripts/release.sh "$$nfpm" $(VERSION_VARIABLE) $(ARCHES)

release-check: ## make release twice, in two clones, and compare every byte
	@scripts/need.sh go certs git
	@scripts/release-check.sh

release-test: release ## install, start, upgrade and purge the .deb in a container with systemd; as root
	@scripts/need.sh go certs dpkg-deb mmdebstrap systemd-nspawn
	go test -tags release -count=1 -timeout $(E2E_TIMEOUT) -v ./test/release/...

clean: ## remove what build made
	rm -rf bin dist

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-13s %s\n' "$$name" "$$text"; done
