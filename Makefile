# `make` lists the targets. CI runs .ci/run, which is deps, verify and test.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULE  := github.com/heddle-net/heddle
VERSION ?= $(shell sed -n 's/^appVersion: //p' charts/heddle/Chart.yaml)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X $(MODULE)/version.Version=$(VERSION) -X $(MODULE)/version.Commit=$(COMMIT)

# Tools are pinned in a module of their own and built on first use.
TOOL := go tool -modfile=tools/go.mod
# Tests run two packages at a time: many of them measure, on machines that may have no more cores.
GOTEST = $(TOOL) gotestsum --format pkgname --format-hide-empty-pkg --jsonfile dist/test-$@.json -- -p 2
FUZZTIME ?= 30s
COUNT    ?= 6

##@ Try

sandbox: deps bin image ## A real cluster with Heddle on this machine; takes root
	go run ./e2e/sandbox up

sandbox-down: ## Remove it
	go run ./e2e/sandbox down

##@ Build

deps: ## Install what is missing from Debian
	.ci/deps

bin: ## Programs, static, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/cni/ \
	    github.com/containernetworking/plugins/plugins/main/loopback github.com/containernetworking/plugins/plugins/meta/portmap

image: bin ## Container image as dist/heddle-image.tar, without a container engine
	go run ./image --version $(VERSION) --commit $(COMMIT)

generate: ## Generated Go, CRDs and the chart's copy of them
	go generate ./...
	cp crds/manifests/*.yaml charts/heddle/files/crds/
	cp crds/policy/*.yaml charts/heddle/files/policy-crds/

golden: ## Rewrite the wanted results of golden tests; read the diff
	grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u | xargs -I{} go test {} -update

##@ Test

test: unit fuzz e2e e2e-kernel ## Everything

unit: dist dist/root ## All but the sandbox, a few minutes
	$(GOTEST) $$(go list ./... | grep -v /e2e)

e2e: dist bin image ## On the sandbox
	$(GOTEST) -count=1 -timeout 60m -parallel 3 $$(go list ./e2e/... | grep -v /e2e/kernel)

e2e-kernel: deps dist dist/root ## On the kernel's datapath, in an emulated machine
	$(GOTEST) -count=1 -timeout 40m ./e2e/kernel

# Go before 1.27 may call the end of the time a failure: "context deadline exceeded", go.dev/issue/75804.
fuzz: export GOTOOLCHAIN = go1.27.1
fuzz: ## Every fuzz target for FUZZTIME
	grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u | while read -r pkg; do \
	    for target in $$(go test -list '^Fuzz' "$$pkg" | grep ^Fuzz); do \
	        echo "fuzz $$pkg $$target"; \
	        go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$pkg"; \
	    done; \
	done

bench: dist/root ## Benchmarks, COUNT times, for benchstat
	HEDDLE_TEST_ROOT=$(CURDIR)/dist/root go test -run '^$$' -bench . -benchmem -count $(COUNT) -timeout 60m ./... | tee dist/bench.txt

# The image's Debian: the benchmarks of the node run its OVN, one test its nft.
dist/root:
	$(MAKE) --no-print-directory image
	mkdir -p $@.unfinished
	tar -C $@.unfinished --exclude=./dev -xf "$$(ls -t "$${XDG_CACHE_HOME:-$$HOME/.cache}"/heddle/image/base-*.tar | head -1)"
	mv $@.unfinished $@

summary: ## Count the results of the last run of tests
	@passed=$$(cat dist/test-*.json | grep '"Action":"pass"' | grep -c '"Test":') || true; \
	failed=$$(cat dist/test-*.json | grep '"Action":"fail"' | grep -c '"Test":') || true; \
	skipped=$$(cat dist/test-*.json | grep '"Action":"skip"' | grep -c '"Test":') || true; \
	echo "$$passed passed, $$failed failed, $$skipped skipped"

##@ Verify

verify: verify-format verify-generated verify-chart lint ## Formats, generated files, lint

verify-format:
	@bad=$$(gofmt -l .); [ -z "$$bad" ] || { echo "not formatted by gofmt: $$bad"; exit 1; }
	go mod tidy -diff

# Compares before with after, so that it can be run on a tree with other changes.
verify-generated:
	@state() { git diff HEAD; git ls-files -o --exclude-standard -z | xargs -0 -r sha256sum; }; before=$$(state | sha256sum); \
	$(MAKE) --no-print-directory generate; \
	[ "$$before" = "$$(state | sha256sum)" ] || { git status --short; echo "generated files were not up to date: commit what make generate changed"; exit 1; }

verify-chart:
	$(TOOL) helm lint --strict charts/heddle
	shellcheck -x -P SCRIPTDIR image/entrypoint/* e2e/kernel/init .ci/*

lint:
	go vet ./...
	$(TOOL) golangci-lint run ./...

dist:
	mkdir -p dist

help:
	@awk -F':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

.PHONY: sandbox sandbox-down deps bin image generate golden test unit e2e e2e-kernel fuzz bench summary verify verify-format verify-generated verify-chart lint help
