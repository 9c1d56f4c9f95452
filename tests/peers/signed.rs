//! Zones signed by BIND's own tools, and asked with DO: with NSEC, with NSEC3, and with NSEC3 that leaves insecure
//! delegations out (RFC 4035, RFC 5155).

use std::fs;
use std::path::Path;
use std::process::Command;

use super::ask::Question;
use super::judge::Bench;
use super::server::{Kind, Server};
use super::worlds::{self, World};
use super::{generate, server};

/// How absence is proved.
#[derive(Debug, Clone, Copy)]
pub(super) enum Denial {
    Nsec,
    Nsec3,
    Nsec3OptOut,
    Nsec3Salted,
}

impl Denial {
    /// What `dnssec-signzone` is told: the salt, the iterations, and whether insecure delegations are left out.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nsec => &[],
            Self::Nsec3 => &["-3", "-", "-H", "0"],
            Self::Nsec3OptOut => &["-3", "-", "-H", "0", "-A"],
            Self::Nsec3Salted => &["-3", "AABBCCDD", "-H", "12"],
        }
    }
}

/// Worlds whose zones are drawn, for each way to deny.
const GENERATED_WORLDS: u64 = 3;

/// Asked for besides, of every name: what only signed zones have.
const TYPES: [&str; 4] = ["DNSKEY", "NSEC", "NSEC3PARAM", "RRSIG"];

#[test]
fn rfc4035_zones_with_nsec() {
    judge(Denial::Nsec);
}

#[test]
fn rfc5155_zones_with_nsec3() {
    judge(Denial::Nsec3);
}

#[test]
fn rfc5155_zones_with_nsec3_and_opt_out() {
    judge(Denial::Nsec3OptOut);
}

#[test]
fn rfc5155_zones_with_nsec3_salted_and_iterated() {
    judge(Denial::Nsec3Salted);
}

/// Without DO a signed zone is answered from as if it were not signed, but for what is asked for by its type.
#[test]
fn rfc3225_signed_zones_without_do() {
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let mut world = signed(worlds::by_section(), denial);
        world.questions.iter_mut().for_each(|question| question.dnssec = false);
        Bench::start(&world).judge();
    }
}

/// A validator that trusts the zone's key takes each kind of answer (RFC 4035 §5): `delv`, which is BIND's. What opt-out
/// covers is never secure (RFC 5155 §9.2), so that it would say nothing of those.
#[test]
fn rfc4035_section_5_a_validator_is_content() {
    for denial in [Denial::Nsec, Denial::Nsec3, Denial::Nsec3Salted] {
        let world = signed(worlds::validated(), denial);
        let ours = Server::start(Kind::Wwwlab, &world);
        let folder = tempfile::tempdir().unwrap();
        let anchors = folder.path().join("anchors");
        fs::write(&anchors, trust_anchor(&world)).unwrap();
        for (name, record_type, expected) in worlds::VALIDATED {
            let said = delv(&ours, &anchors, &world.zones[0].0, name, record_type);
            assert!(
                said.contains(expected),
                "{denial:?}, {name} {record_type}: {expected} is not in\n{said}"
            );
        }
    }
}

fn delv(server: &Server, anchors: &Path, origin: &str, name: &str, record_type: &str) -> String {
    let at = format!("@{}", server.address.ip());
    let output = Command::new(server::program("delv", "bind9-dnsutils"))
        .args([&at, "-p", &server.address.port().to_string(), "-a"])
        .arg(anchors)
        .args([&format!("+root={origin}"), name, record_type])
        .output()
        .unwrap();
    [output.stdout, output.stderr].iter().map(|said| String::from_utf8_lossy(said)).collect()
}

/// The key of the world's first zone, as `delv` reads it.
fn trust_anchor(world: &World) -> String {
    let (origin, text) = &world.zones[0];
    let key = text.lines().find_map(|line| {
        let mut words =
            line.split(';').next()?.split_whitespace().skip_while(|word| *word != "DNSKEY").skip(1);
        let numbers = [words.next()?, words.next()?, words.next()?].join(" ");
        let key: String = words.collect();
        numbers.starts_with("257 ").then(|| format!("{numbers} \"{key}\""))
    });
    format!("trust-anchors {{ {origin}. static-key {}; }};", key.unwrap())
}

#[track_caller]
fn judge(denial: Denial) {
    Bench::start(&signed(worlds::by_section(), denial)).judge();
    Bench::start(&signed(worlds::shipped("foobar.com.zone"), denial)).judge();
    let draw = match denial {
        Denial::Nsec3OptOut => generate::world_with_flat_delegations,
        _ => generate::world,
    };
    for seed in 1..=GENERATED_WORLDS {
        Bench::start(&signed(draw(seed), denial)).judge();
    }
}

/// The world with its zones signed, and every question asked with DO.
fn signed(mut world: World, denial: Denial) -> World {
    let folder = tempfile::tempdir().unwrap();
    for (origin, text) in &mut world.zones {
        *text = sign(folder.path(), origin, text, denial).unwrap_or_else(|error| panic!("{origin}: {error}"));
    }
    let names: std::collections::BTreeSet<_> =
        world.questions.iter().map(|question| question.name.to_string()).collect();
    for (name, record_type) in names.iter().flat_map(|name| TYPES.map(|record_type| (name, record_type))) {
        world.questions.push(Question::new(name, record_type, super::ask::Transport::Udp));
    }
    world.questions.iter_mut().for_each(|question| question.dnssec = true);
    world.name = format!("{} signed with {denial:?}", world.name);
    world
}

/// Signs a zone with a key of its own, and returns the text.
pub(super) fn sign(folder: &Path, origin: &str, text: &str, denial: Denial) -> Result<String, String> {
    let run = |program: &str, arguments: &[&str]| {
        let path = server::program(program, "bind9-utils");
        let output = Command::new(path).args(arguments).current_dir(folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(format!("{program}: {said}"))
    };
    fs::write(folder.join("plain"), text).unwrap();
    run("dnssec-keygen", &["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", origin])?;
    let common = ["-q", "-S", "-z", "-x", "-P", "-O", "full", "-o", origin, "-f", "signed"];
    run("dnssec-signzone", &[&common[..], denial.arguments(), &["plain"]].concat())?;
    Ok(fs::read_to_string(folder.join("signed")).unwrap())
}
