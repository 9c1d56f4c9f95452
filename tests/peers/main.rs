//! Beside BIND, NSD and Knot DNS: the same zones, the same questions, the same answers.
//!
//! Wherever the three agree, ours equals theirs; every other difference is listed in [`differences`] with its
//! reason. The programs are Debian's (`make test` installs them), each with a configuration and a directory of its
//! own, on loopback, without touching what the system has of them.
//!
//! - [`server`]: the four programs, started and ended.
//! - [`ask`]: questions, and answers as another decoder than ours reads them.
//! - [`judge`]: what agreement is.
//! - [`differences`]: where the peers differ, and whom we follow.
//! - [`odd`]: messages that are no plain question.
//! - [`behind`]: our name servers behind unbound, our resolver behind unbound and systemd-resolved. [`alone`]: where
//!   those run.
//! - [`signed`]: the zones signed, and asked with DO.
//! - [`transfers`]: whole zones from one to another.
//! - [`worlds`]: zones by RFC section. [`generate`]: zones and questions from a seed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what generated questions were asked is worth a line")]

mod alone;
mod ask;
mod behind;
mod cookies;
mod differences;
mod generate;
mod judge;
mod odd;
mod server;
mod signed;
mod transfers;
mod worlds;

use judge::Bench;

/// Worlds that are generated, each of a seed of its own.
const GENERATED_WORLDS: u64 = 40;

#[test]
fn the_shipped_zones() {
    for world in [worlds::shipped("foobar.com.zone"), worlds::shipped("foobar.com.cname.zone")] {
        Bench::start(&world).judge();
    }
}

#[test]
fn the_shipped_root_and_com_alone() {
    for world in [worlds::shipped_alone(".", "root.zone"), worlds::shipped_alone("com", "com.zone")] {
        Bench::start(&world).judge();
    }
}

#[test]
fn rfc1034_section_6_the_root_and_its_referrals() {
    Bench::start(&worlds::rfc1034()).judge();
}

#[test]
fn zones_by_rfc_section() {
    Bench::start(&worlds::by_section()).judge();
}

#[test]
fn rfc6891_and_9471_answers_of_all_sizes() {
    Bench::start(&worlds::sizes()).judge();
}

/// `WWWLAB_PEERS_SEED` chooses other zones and questions; `WWWLAB_PEERS_WORLDS` how many.
#[test]
fn generated_zones() {
    let number = |name, default| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}?")))
    };
    let first = number("WWWLAB_PEERS_SEED", 1);
    for seed in first..first + number("WWWLAB_PEERS_WORLDS", GENERATED_WORLDS) {
        eprintln!("WWWLAB_PEERS_SEED={seed}");
        Bench::start(&generate::world(seed)).judge();
    }
}
