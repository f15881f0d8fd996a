# The words: build, test, race, lint, fuzz, sim, drill, suites, bench, scale, calm.
GO ?= go
export CGO_ENABLED = 0

.PHONY: build test race lint fuzz sim drill drill-short suites bench scale calm
build: ## one static binary: bin/trine
	$(GO) build -trimpath -ldflags '-s -w' -o bin/trine ./cmd/trine

test: build ## everything that a change must pass, under 20 minutes on two cores
	./tests/run

race:
	CGO_ENABLED=1 $(GO) test -race -timeout 20m ./internal/front/... ./internal/node/... ./internal/journal/... ./cmd/...

lint:
	test -z "$$(gofmt -l cmd internal tests)"
	$(GO) vet ./...
	$(GO) test ./internal/layout

fuzz: ## a minute for each codec
	./tests/fuzz 60s

sim: ## many more seeds than the tests run
	SIM_SEEDS=10000 $(GO) test -timeout 0 -run Seeds ./internal/sim

drill: build ## the whole table, real processes, about half an hour
	bin/trine drill run --all --runs 20

drill-short: ## what every change passes, real processes, about a minute
	$(GO) test -count=1 ./internal/drill

suites: ## what the authors of RabbitMQ's clients test with; SUITES, PIKA, TUTORIALS: see tests/suites/run
	./tests/suites/run

bench: build
	./bench/run

scale: ## 10,000 streams of each kind on three nodes: at rest, and led elsewhere after a kill
	./bench/run streams

calm: ## ten minutes while others keep every processor busy: no elections
	./bench/run calm
