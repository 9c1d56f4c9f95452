//! Beside nginx: the same files or the same upstream, the same requests over raw sockets, the same answers.
//!
//! Whatever differs is listed in [`differences`] with its reason. The program is Debian's (`make test` installs it),
//! with a configuration and a directory of its own, on loopback, without touching what the system has of it.
//!
//! - [`server`]: the two programs, started and ended. [`site`]: the files that both serve.
//! - [`ask`]: a request, and an answer as it came on the wire.
//! - [`generate`]: requests from a seed.
//! - [`judge`]: what agreement is. [`differences`]: where there is none, and why.
//! - [`proxy`]: the two in front of an upstream.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what was asked is worth a line")]

mod ask;
mod differences;
mod generate;
mod judge;
mod proxy;
mod server;
mod site;

/// Requests that are generated, unless `WWWLAB_NGINX_REQUESTS` says otherwise.
const REQUESTS: u64 = 3_000;

/// `WWWLAB_NGINX_SEED` chooses other requests; `WWWLAB_NGINX_REQUESTS` how many.
#[test]
fn files_are_answered_as_nginx_does() {
    let number = |name, default| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}?")))
    };
    let seed = number("WWWLAB_NGINX_SEED", 1);
    eprintln!("WWWLAB_NGINX_SEED={seed}");
    let site = site::Site::new();
    let servers = server::Servers::start(site.path());
    let requests = generate::requests(seed, number("WWWLAB_NGINX_REQUESTS", REQUESTS));
    judge::judge(&servers, &requests);
}
