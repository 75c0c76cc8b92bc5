# The commands of this repository. `make help` lists them; the steps behind them are in tests/run.

.DEFAULT_GOAL := help
.PHONY: help build setup test fmt lint web judges fuzz deny bench soak clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## target/release/gaugecast (Rust and a C compiler are enough)
	cargo build --release --locked

setup: ## install what the tests need (Debian packages, tests/.venv, node modules)
	tests/setup

test: ## everything: formatting, lints, unit tests, page, judges; installs what is missing
	tests/run

fmt: ## format Rust and Python
	cargo fmt --all
	tests/setup
	tests/.venv/bin/ruff format --quiet tests

lint: ## formatting and lints only
	tests/run fmt clippy doc python web-lint

web: ## check, test and build the page into web/dist
	tests/run web

judges: ## other people's programs judge the real binary
	tests/run build judges

fuzz: ## fuzz every target for FUZZ_SECONDS each (60)
	tests/fuzz

deny: ## licences, bans and sources of the dependencies (installs cargo-deny)
	tests/deny

bench: ## all benchmarks, some 45 minutes; prints the tables of docs/benchmarks.md
	tests/bench/run

soak: build ## a thousand clients that come, go and misbehave, for SOAK_SECONDS (1800)
	cargo run --release --locked --quiet --example soak

clean: ## remove what was built or installed inside the tree
	cargo clean
	rm -rf tests/.venv tests/grafana/node_modules web/node_modules
