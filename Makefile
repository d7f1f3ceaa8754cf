# The commands of this repository. `make help` lists them.
.DEFAULT_GOAL := help
CARGO ?= cargo

.PHONY: help setup demo serve test bench fmt lint clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing (PostgreSQL, Redis ...); starts no service
	@scripts/setup

demo: setup ## run the marketplace under a real traffic trace, print and write its report
	@$(CARGO) run --release --example marketplace

serve: setup ## run the marketplace until Ctrl-C, on 127.0.0.1:8080
	@$(CARGO) run --release --example marketplace -- --serve --listen 127.0.0.1:8080

test: setup lint ## fmt, clippy, docs, every test, every example that ends by itself
	@scripts/test

bench: setup ## every bench, ours beside its floor and peers; writes target/bench/*.json
	@$(CARGO) bench -p seawall-benches

fmt: ## format the code
	@$(CARGO) fmt --all

lint: ## check format, clippy and docs, warnings denied
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	@RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --all-features

clean: ## remove what the builds and runs made
	@$(CARGO) clean
