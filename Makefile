# What people type. Everything else is cargo's own; see README.md.

.DEFAULT_GOAL := help
SHELL := /bin/sh

# Where rustup puts cargo when the shell has not been started anew since.
CARGO := $(or $(shell command -v cargo 2>/dev/null),$(wildcard $(HOME)/.cargo/bin/cargo))
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: packages-build ## Build Sekisho and try it out on this machine (options: make demo ARGS="--fresh")
	@$(CARGO) build --release --locked
	@exec $(TARGET)/release/sekisho demo $(ARGS)

.PHONY: build
build: packages-build ## Build the release binary, target/release/sekisho
	@$(CARGO) build --release --locked

.PHONY: deb
deb: build ## Build a Debian package, target/debian/sekisho_*.deb
	@packaging/build-deb $(TARGET)/release/sekisho $(TARGET)/debian

.PHONY: test
test: packages-test ## Run every test; installs what they need first, a browser among it
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked $(ARGS); \
	else \
		$(CARGO) test --locked $(ARGS); \
	fi

.PHONY: bench
bench: packages-bench ## Measure the gateway against a bare proxy, nginx and Caddy (six minutes)
	@$(CARGO) bench --locked --bench proxy $(ARGS)

.PHONY: bench-limits
bench-limits: packages-build ## Measure what a decision of the limits costs (a minute; see docs/limits.md)
	@$(CARGO) bench --locked --bench limits $(ARGS)

.PHONY: fuzz
fuzz: packages-build ## Fuzz what reads imports, requests and configurations, ten minutes each (options: make fuzz ARGS="paths 60")
	@PATH="$(dir $(CARGO)):$$PATH" tests/fuzz/run $(ARGS)

.PHONY: lint
lint: packages-build ## Check formatting, lints and documentation
	@$(CARGO) fmt --check
	@$(CARGO) clippy --locked --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

.PHONY: cargo packages-build packages-test packages-bench
cargo:
	@[ -n "$(CARGO)" ] || { \
		echo "There is no cargo here. Install Rust (stable) from https://rustup.rs and try again." >&2; exit 1; }

packages-build: cargo
	@packaging/install-packages build

packages-test: cargo
	@packaging/install-packages build test

packages-bench: cargo
	@packaging/install-packages build bench
