# Every verb that people and CI use. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

# A folder of one's own may be given: CARGO_TARGET_DIR=/elsewhere make test
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help setup demo run test soak check lint lint-packages manifests prove-image doc deny bench bench-load bench-balancers bench-reload bench-instructions bench-instructions-stages changing release release-test dist clean

help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-26s %s\n", $$1, $$2 }'

setup: ## Install what the build needs (cmake), or say what to install
	@scripts/setup.sh build

demo: setup ## The gateway with six small services on http://127.0.0.1:8080, and what to try
	@cargo run --quiet -- demo $(ARGS)

run: setup ## Serve with conf/edgeway.yaml (needs JWT_SECRET_KEY in the environment or in .env)
	@cargo run --quiet -- run $(ARGS)

test: ## All tests; installs what they need (cmake, Chromium, Redis, Prometheus, wrk, systemd's tools)
	@scripts/setup.sh test
	cargo test --all-targets --no-fail-fast
	cargo test --doc

soak: ## A million good and bad requests side by side: memory stays flat, every good one is answered (SOAK=1000000)
	@scripts/setup.sh build
	EDGEWAY_SOAK=$(or $(SOAK),1000000) cargo test --test it soak -- --nocapture

check: lint doc deny test ## All that CI asks for: format, lints, docs, dependencies, tests

lint: setup ## Format and lints
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

lint-packages: ## Dockerfile, compose file, chart, manifests, ECS task, workflows, scripts (ARGS='helm timetable' for some)
	@scripts/packages.sh lint $(ARGS)

manifests: ## Renew deploy/kubernetes and the chart's copies of conf/
	@scripts/packages.sh manifests

# Any binary will do; it takes the place of the stage of the Dockerfile that compiles.
BINARY ?= $(TARGET)/debug/edgeway

prove-image: setup ## Build the image without a container engine, run it read-only, take the README's tour (BINARY=…)
	@scripts/setup.sh image
	$(if $(filter $(TARGET)/debug/edgeway,$(BINARY)),cargo build --quiet --bin edgeway)
	@tests/packaging/image.py $(BINARY)

doc: setup ## The documentation of the code, without warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

deny: ## Licences, sources and known faults of dependencies
	@scripts/deny.sh

bench: setup ## How long single stages take (criterion)
	cargo bench -- $(ARGS)

# `release`, as users have it, takes minutes to build; `bench` is quicker to build and a little slower.
PROFILE ?= release

bench-load: setup ## CPU, latency and memory beside HAProxy, nginx, Envoy, Traefik and Caddy (ARGS='--quick --work plain,hs256', PROFILE=bench)
	@benches/load/setup.sh $(TARGET)/bench-tools
	$(if $(filter release,$(PROFILE)),@scripts/setup.sh release && scripts/release.sh $(TARGET),cargo build --profile $(PROFILE) --bin edgeway)
	@benches/load/run.py --edgeway $(TARGET)/$(if $(filter release,$(PROFILE)),dist,$(if $(filter bench,$(PROFILE)),release,$(PROFILE)))/edgeway --tools $(TARGET)/bench-tools --json $(TARGET)/bench-load.json $(ARGS)

bench-balancers: setup ## Latency of each balancer with one slow endpoint of three, under open-loop load (ARGS=--quick)
	cargo build --release --bin edgeway
	@benches/balancers/run.py --edgeway $(TARGET)/release/edgeway --json $(TARGET)/bench-balancers.json $(ARGS)

bench-reload: setup ## What a reload of 10,000 routes costs: its time, and what callers notice (ARGS='--reloads 5')
	cargo build --profile count --bin edgeway --example reload-callers
	@benches/reload/run.py --edgeway $(TARGET)/count/edgeway --callers $(TARGET)/count/examples/reload-callers --json $(TARGET)/bench-reload.json $(ARGS)

bench-instructions: setup ## Instructions per request and stage, held against benches/instructions.toml (ARGS=--record)
	@benches/load/setup.sh $(TARGET)/bench-tools count
	cargo build --profile count --bin edgeway --example stages
	@benches/instructions/run.py --edgeway $(TARGET)/count/edgeway --stages $(TARGET)/count/examples/stages $(ARGS)

bench-instructions-stages: setup ## The same for single stages only: a quarter of a minute
	@benches/load/setup.sh $(TARGET)/bench-tools count
	cargo build --profile count --example stages
	@benches/instructions/run.py --stages $(TARGET)/count/examples/stages $(ARGS)

# An example too: without one the dependencies of tests do not count, and all crates are compiled once more.
changing: ## Whatever can be changed under load, on an optimised binary: no request may fail
	@scripts/setup.sh test
	cargo build --profile count --bin edgeway --example stages
	EDGEWAY_BINARY=$(abspath $(TARGET)/count/edgeway) cargo test --test it changing:: -- --nocapture --test-threads=1

release: setup ## The binary for users, in target/dist: optimised by the compiler and by BOLT; takes minutes
	@scripts/setup.sh release
	@benches/load/setup.sh $(TARGET)/bench-tools train
	@scripts/release.sh $(TARGET)
	@ls -lh $(TARGET)/dist/edgeway

release-test: release ## The integration tests against that binary
	@scripts/setup.sh test
	EDGEWAY_BINARY=$(abspath $(TARGET)/dist/edgeway) cargo test --test it

# Another binary that was built from this commit may be packed: make dist BINARY=target/release/edgeway
dist: $(if $(BINARY),setup,release) ## That binary stripped, with SBOM, archive and checksums, in target/dist
	@scripts/dist.sh $(TARGET) $(or $(BINARY),$(TARGET)/dist/edgeway)

clean: ## Remove everything that was built
	cargo clean
