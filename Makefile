# Everything that is done with wwwlab's source; `make` alone lists it.

PROGRAM := target/release/wwwlab
# PHP-FPM's program has its version in its name, which each release of Debian and Ubuntu has its own of.
PHP_FPM := $(or $(notdir $(lastword $(sort $(wildcard /usr/sbin/php-fpm[0-9]*)))),php-fpm)
DEB_TEST := c++:g++ dig:bind9-dnsutils curl:curl openssl:openssl setpriv:util-linux mount:mount ip:iproute2 tc:iproute2 nft:nftables ping:iputils-ping tcpdump:tcpdump tshark:tshark script:bsdutils zsh:zsh \
	named:bind9 named-checkzone:bind9-utils dnssec-signzone:bind9-utils ldns-verify-zone:ldnsutils nsd:nsd knotd:knot unbound:unbound \
	nginx:nginx chromium:chromium chromedriver:chromium-driver python3:python3 node:nodejs \
	$(PHP_FPM):php-fpm,php-sqlite3 mariadbd:mariadb-server mariadb:mariadb-client sqlite3:sqlite3
# Asks the application's API what its OpenAPI document says that it answers.
PIP_TEST := schemathesis:pip:schemathesis==4.32.5
DEB_UNPACK := lib/systemd/systemd-resolved systemd-resolved libsystemd-shared libkmod2 libip4tc2 libseccomp2
# promtool checks what a collector is told; installed, its package would start Prometheus.
DEB_PROMTOOL := usr/bin/promtool prometheus
DEB_BENCH := named:bind9 nginx:nginx $(PHP_FPM):php-fpm,php-mysql mariadbd:mariadb-server mn:mininet brctl:bridge-utils

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: ## Build wwwlab and bring www.foobar.com up; ^C ends it
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs"; exit 1; }
	@cargo build --release --locked
	@exec $(PROGRAM) up

.PHONY: test
test: ## Prove it: every test, with the real dig, curl, BIND, NSD, Knot, unbound, systemd-resolved and nginx; and a glance by the fuzzers
	@tests/need $(DEB_TEST) $(PIP_TEST)
	@tests/unpack $(DEB_UNPACK)
	@tests/unpack $(DEB_PROMTOOL)
	cargo test --locked
	fuzz/run 5

.PHONY: check
check: ## Format, lints and docs, all without warnings
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

.PHONY: bench
bench: ## Measure: first answers, memory, what an answer costs; beside the programs it stands for
	@tests/need $(DEB_TEST) $(DEB_BENCH)
	cargo bench --locked --bench '*'

.PHONY: fuzz
fuzz: ## Search for what breaks: libFuzzer, FUZZ_SECONDS (60) a target, then a million cases a property (PROPTEST_CASES)
	@tests/need c++:g++
	fuzz/run $${FUZZ_SECONDS:-60}
	PROPTEST_CASES=$${PROPTEST_CASES:-1000000} cargo test --locked --release --lib

.PHONY: clean
clean: ## End the lab here, remove what was built and what its runs left
	-@[ ! -x $(PROGRAM) ] || $(PROGRAM) down 2>/dev/null
	cargo clean
	rm -rf .wwwlab
