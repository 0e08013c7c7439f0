# Tools are pinned in tools/go.mod; Go, gcc (for the race detector) and git are all that is needed.

VERSION  = $(shell git describe --tags --always --dirty)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(shell git rev-parse HEAD)
LINT     = go tool -modfile=$(CURDIR)/tools/go.mod golangci-lint
FUZZTIME ?= 10s
# What computes for long in one goroutine: packages, and tests of packages that
# have goroutines, too.
ALONE    = ./exporter/collector/conntrack/analysis ./parsers ./parsers/conntrack ./parsers/ovs ./samples/simulation/antreametrics
HEAVY    = _Memory$$|BetweenLooks$$|^TestLoadBalancer|^TestParts$$|^TestSwitch_Stories$$
ARGS     ?=

.PHONY: help
help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/corkline, static.
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/corkline ./cmd/corkline

.PHONY: test
test: race integration ## Run the unit tests with the race detector, and the integration tests.

.PHONY: unit
unit: ## Run the unit tests.
	go test ./...

.PHONY: race
race: ## Run the unit tests, with the race detector where there are goroutines.
	$(MAKE) --no-print-directory -j 2 alone raced

.PHONY: alone
alone:
	go test $(ALONE)
	go test -run '$(HEAVY)' ./exporter/collector/conntrack ./exporter/source/... ./samples/simulation/...

.PHONY: raced
raced:
	CGO_ENABLED=1 go test -race -skip '$(HEAVY)' $$(go list ./... | grep -vxF "$$(go list $(ALONE))")

.PHONY: integration
integration: ## Run the binary against the real servers, in tests.
	cd tests/expressions && go test ./...
	CGO_ENABLED=0 go build -o bin/tested ./cmd/corkline
	CORKLINE_BINARY=$(CURDIR)/bin/tested $(MAKE) --no-print-directory -j 2 real-parts short-faults # they wait more than they compute

.PHONY: real-parts
real-parts:
	cd tests && go test -p 4 -count 1 -timeout 45m $$(go list ./... | grep -v /faults$$)

.PHONY: short-faults
short-faults: # of one package, so that go test shows which rows were not run
	cd tests/faults && go test -count 1 -timeout 45m

.PHONY: faults
faults: ## Put the built agent through all faults, and publish what became of the lines in docs/reliability.md; LONG=1 takes about two hours.
	cd tests && go test -count 1 -timeout 3h -v ./faults -args -publish ../../docs/reliability.md $(if $(LONG),-long)

.PHONY: fuzz
fuzz: ## Fuzz every fuzz target for FUZZTIME (10s).
	@grep -ro --include='*_test.go' --exclude-dir=tests --exclude-dir=tools '^func Fuzz\w*' . | while IFS=': ' read -r file _ name; do \
		echo "$$name in $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
	done

.PHONY: bench
bench: ## Run the benchmarks; that of the definitions as a table, with how much longer the standard library takes.
	go test -run '^$$' -bench . -skip '^BenchmarkDefinition$$' -benchmem ./...
	@go test -run '^$$' -bench '^BenchmarkDefinition$$' ./parsers | awk ' \
		/^Benchmark/ { sub(/-[0-9]+$$/, "", $$1); split($$1, name, "/"); for (i = 3; i < NF; i += 2) value[$$(i+1)] = $$i; \
			printf "%-22s %-14s %8.0f ns %8.1f MB/s %3d allocs", name[2], name[3], value["ns/record"], value["MB/s"], value["allocs/op"]; \
			printf value["x-regexp"] ? "  regexp x %5.1f" : "", value["x-regexp"]; print value["x-json"] ? sprintf("  encoding/json x %5.1f", value["x-json"]) : ""; \
			split("", value) } \
		/^(FAIL|panic:|--- FAIL)/ { print; failed = 1 } END { exit failed }'

.PHONY: lint
lint: ## Lint every module, and test that the linter keeps the rooms apart.
	$(LINT) run
	cd tests && $(LINT) run
	cd tests/expressions && $(LINT) run
	cd deploy/image && $(LINT) run
	cd tools && $(LINT) run && go test ./...

.PHONY: generate
generate: ## Write everything that is generated, the goldens too.
	go generate ./...
	cp deploy/alerts/*.yaml deploy/helm/corkline/rules/
	go test ./parsers ./exporter ./dashboards ./deploy/local -run Golden -update

.PHONY: generate-web
generate-web: ## Build the viewer's page from dashboards/view/web, with Node.js and npm; make generate needs neither.
	cd dashboards/view/web && npm ci --ignore-scripts --no-audit --no-fund && npm run --silent check && npm run --silent build

.PHONY: web-check
web-check: generate-web ## Fail when the viewer's page is not, byte for byte, what its sources give.
	git diff --exit-code dashboards/view

.PHONY: generate-check
generate-check: generate ## Fail when what is generated is not what is committed.
	git diff --exit-code

.PHONY: image
image: ## Build the image bin/corkline-image.tar, without Docker (docker load, ctr image import).
	go run -C deploy/image -trimpath . -tarball $(CURDIR)/bin/corkline-image.tar -tag '$(VERSION)' -ldflags '$(LDFLAGS)'

.PHONY: quickstart
quickstart: build ## Run everything on this machine; flags in ARGS.
	bin/corkline quickstart $(ARGS)

.PHONY: clean
clean: ## Remove what was built.
	rm -rf bin
