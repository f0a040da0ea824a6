# The one door. `make up` runs Triad on this machine, `make test` proves it, `make lint` is what CI adds.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run walk up demo down test drills bench scale compare chaos soak lint fmt

WHAT ?= audit
SECONDS ?= 60
SEED ?= 1
SEEDS ?= 20
# What is measured is what its users run: one process as `cargo run --release` builds it, services as they are shipped.
MEASURED := $(if $(filter standalone,$(WHAT)),standalone,ingest authz-edge identity-admin)
PROFILE := $(if $(filter standalone,$(WHAT)),release,dist)

# CI works in a fresh clone every time: what it builds is kept beside the engines, by toolchain and
# dependencies.
ifdef CI
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/triad
export CARGO_TARGET_DIR ?= $(CACHE)/target-$(shell cat rust-toolchain.toml Cargo.lock | sha256sum | cut -c1-12)
endif

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## All of Triad in one process, on ./triad-data
	cargo run --release --locked

walk: ## README from a fresh clone, in an empty folder, with cargo and a C compiler only (ten minutes)
	tests/fresh

up: ## Start the engines and the services here, and wait until they are ready
	deploy/local/services up

demo: ## Put load on what `make up` started, for dashboards to show: SECONDS=60
	deploy/local/demo $(SECONDS)

down: ## Stop what `make up` started; data stays
	deploy/local/services down

test: ## All tests, on real engines of their own; leaves nothing running
	tests/run

drills: ## Every fault drill, on real engines of their own (a quarter of an hour)
	tests/drills

bench: ## Measure against the goals: WHAT=audit, authz, identity or standalone (up to 45 min, idle machine)
	cargo build --profile $(PROFILE) --locked $(addprefix -p ,$(MEASURED) loadtest)
	$(or $(CARGO_TARGET_DIR),target)/$(PROFILE)/loadtest bench $(WHAT)

scale: ## Measure what grows with what: WHAT=audit, graph or month (one to two hours, idle machine)
	cargo build --profile dist --locked -p ingest -p authz-edge -p loadtest
	$(or $(CARGO_TARGET_DIR),target)/dist/loadtest scale $(WHAT) --report $(or $(CARGO_TARGET_DIR),target)/scale-$(WHAT).html

compare: ## Beside Bento, OpenFGA, SpiceDB, Keycloak and MySQL: WHAT=audit, authz, identity, monolith (all without; up to 3 h)
	cargo build --profile dist --locked -p ingest -p authz-edge -p identity-admin -p loadtest
	$(or $(CARGO_TARGET_DIR),target)/dist/loadtest compare $(if $(filter file,$(origin WHAT)),all,$(WHAT))

# Services and their load as they are shipped, on engines that are there before the network is cut.
TRIO = deploy/local/engines install --install-packages --only kafka,cassandra,mysql,dgraph && \
	cargo build --profile dist --locked -p ingest -p authz-edge -p identity-admin -p loadtest && \
	$(or $(CARGO_TARGET_DIR),target)/dist/loadtest

chaos: ## Faults by seed on engines of its own: SEED=1 SEEDS=20 (75 minutes); cuts in the network want root
	$(TRIO) chaos --seed $(SEED) --seeds $(SEEDS)

soak: SECONDS = 1800
soak: ## Work for SECONDS=1800 on engines of its own, after which nothing may have grown
	$(TRIO) soak --seconds $(SECONDS) --report $(or $(CARGO_TARGET_DIR),target)/soak.html

lint: ## Format, clippy, docs, licences and sources, shell, dashboards
	deploy/ci/lint

fmt: ## Format everything
	cargo fmt --all
