# Run `make help` for the list.
.DEFAULT_GOAL := help
.PHONY: help build release install dist demo lint fmt test faults fuzz bench tools clean

PREFIX ?= /usr/local
FUZZ_SECONDS ?= 600
# What make dist makes, and make install takes.
DIST = dist/ao

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## Debug build: target/debug/ao
	cargo build --locked

release: ## Optimized build: target/release/ao
	cargo build --release --locked

# The one that is given away: others load libraries, and what waits beside each agent has twice as much in memory.
install: dist ## Install ao, its manual pages and completions below PREFIX (default /usr/local; DESTDIR is honoured)
	scripts/install "$(DIST)" "$(DESTDIR)$(PREFIX)"

dist: ## Static binary: dist/ao, checked to be static
	scripts/dist

demo: ## The main job in a temporary directory, narrated; leaves nothing behind
	scripts/demo

lint: ## Format, clippy, docs and scripts, warnings are errors
	scripts/lint

fmt: ## Format the code
	cargo fmt
	cargo fmt --manifest-path fuzz/Cargo.toml

tools: ## Install what the tests need and this machine lacks, into a cached directory
	@scripts/tools >/dev/null

test: ## Everything the tests need, every test, and a check for processes left behind
	scripts/test

faults: ## Only the faults: every point, the surroundings, and hundreds of actions at random
	scripts/test --test faults

fuzz: ## Each fuzz target for 10 minutes (FUZZ_SECONDS=…), from what the last run came to
	scripts/fuzz $(FUZZ_SECONDS)

bench: ## What messages, hooks, followers of events and lists of sessions cost, in figures; needs the tests' tools
	scripts/bench

clean: ## Remove what was built here (the cached tools stay)
	cargo clean
	rm -rf dist
