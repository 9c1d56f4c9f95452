//! Our name servers behind unbound, and our resolver behind unbound and systemd-resolved: whoever asks through them
//! hears what our own resolver says.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::alone::{alone, put};
use super::ask::{Answer, Question, Transport, ask};
use super::server::program;
use super::worlds::World;

/// Nothing that is waited for here takes this long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

const WWWLAB: &str = env!("CARGO_BIN_EXE_wwwlab");
const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const UNBOUND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 50)), 53);
/// Its stub, at the address that /etc/resolv.conf names on many machines.
const RESOLVED: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)), 53);

/// Types that the shipped zones have beside those that are asked of every name.
const MORE: [(&str, &str); 5] = [
    ("_xmpp-client._tcp.foobar.com", "SRV"),
    ("foobar.com", "CAA"),
    ("web.foobar.com", "HTTPS"),
    ("1.0.0.127.in-addr.arpa", "PTR"),
    ("2.0.0.127.in-addr.arpa", "PTR"),
];

/// unbound walks from the root as strictly as it can: minimal questions (RFC 9156), names in random case, UDP.
#[test]
fn unbound_walks_our_servers() {
    alone("behind::unbound_walks_our_servers", || {
        let lab = Lab::up();
        lab.compare(&lab.unbound(&["use-caps-for-id: yes"], WALK), &lab.questions());
    });
}

#[test]
fn unbound_walks_our_servers_over_tcp() {
    alone("behind::unbound_walks_our_servers_over_tcp", || {
        let lab = Lab::up();
        lab.compare(&lab.unbound(&["tcp-upstream: yes"], WALK), &lab.questions());
    });
}

/// unbound validates by itself, from the key that the lab writes down for it; `dig` shows what it came to.
#[test]
fn unbound_believes_our_signed_zones_and_refuses_broken_ones() {
    alone("behind::unbound_believes_our_signed_zones_and_refuses_broken_ones", || {
        let lab = Lab::up();
        let place = lab.directory.path().join("lab");
        wwwlab(&place, &["zone", "sign"]);
        let anchor = place.join(".wwwlab/loopback/dnssec/anchor.key");
        let validating =
            format!("module-config: \"validator iterator\"\n trust-anchor-file: \"{}\"", anchor.display());
        // A new one each time, since it remembers.
        let said = |name: &str| {
            let unbound = lab.unbound(&[&validating], WALK);
            let server = format!("@{}", unbound.address.ip());
            let dig =
                Command::new(program("dig", "bind9-dnsutils")).args([&server, "+dnssec", name]).output();
            String::from_utf8(dig.unwrap().stdout).unwrap()
        };
        for (name, code) in [
            ("www.foobar.com", "NOERROR"),
            ("anything.wild.foobar.com", "NOERROR"),
            ("nosuch.foobar.com", "NXDOMAIN"),
        ] {
            let answer = said(name);
            let is_believed = answer.contains(&format!("status: {code},")) && answer.contains(" ad;");
            assert!(is_believed, "{answer}");
        }
        wwwlab(&place, &["zone", "roll", "foobar.com"]);
        assert!(said("www.foobar.com").contains(" ad;"), "with two keys");
        for wrong in ["expired", "wrong-ds", "missing-rrsig"] {
            wwwlab(&place, &["zone", "break", "foobar.com", wrong]);
            let answer = said("www.foobar.com");
            assert!(answer.contains("status: SERVFAIL,"), "{wrong}: {answer}");
            wwwlab(&place, &["zone", "mend"]);
        }
        wwwlab(&place, &["zone", "roll", "foobar.com", "--now"]);
        assert!(said("www.foobar.com").contains(" ad;"), "with another key");
    });
}

#[test]
fn unbound_forwards_to_our_resolver() {
    alone("behind::unbound_forwards_to_our_resolver", || {
        let lab = Lab::up();
        let unbound = lab.unbound(&["use-caps-for-id: yes"], FORWARD);
        lab.compare(&unbound, &lab.questions());
        drop(unbound);
        lab.compare(&lab.unbound(&["tcp-upstream: yes"], FORWARD), &lab.questions());
    });
}

/// systemd-resolved in front of our resolver: it tries what its server can do, and takes answers only as it likes them.
#[test]
fn systemd_resolved_asks_our_resolver() {
    alone("behind::systemd_resolved_asks_our_resolver", || {
        let lab = Lab::up();
        let resolved = lab.resolved();
        // Of these it knows better: the root's own data, and who has a loopback address.
        let questions = lab.questions().into_iter().filter(|question| {
            let name = question.name.to_string();
            name.ends_with("foobar.com.")
        });
        lab.compare(&resolved, &questions.collect::<Vec<_>>());
        let log = fs::read_to_string(lab.directory.path().join("resolved.log")).unwrap();
        assert!(log.contains("Verified we get a response at feature level UDP+EDNS0"), "{log}");
        assert!(log.contains("Reply truncated, retrying via TCP"), "the long answer came over TCP: {log}");
    });
}

/// Asks from the root down, and knows of the lab only where the root is.
const WALK: &str =
    "server:\n root-hints: \"root.hints\"\n qname-minimisation: yes\n qname-minimisation-strict: yes\n";
/// Asks our resolver alone.
const FORWARD: &str = "forward-zone:\n name: \".\"\n forward-addr: 127.0.0.2\n";

/// A lab that is up, at the real ports.
struct Lab {
    directory: TempDir,
    world: World,
}

/// A resolver that asks the lab; it ends with this value.
struct Behind {
    name: &'static str,
    address: SocketAddr,
    child: Child,
    log: PathBuf,
    /// Whether it asks our name servers itself.
    walks: bool,
}

impl Lab {
    fn up() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lab = directory.path().join("lab");
        wwwlab(directory.path(), &["new", "lab"]);
        // An answer that no datagram holds.
        let zone = lab.join("zones/loopback/foobar.com.zone");
        let long: String = (0..20).map(|n| format!("long TXT \"{n} {}\"\n", "x".repeat(200))).collect();
        fs::write(&zone, fs::read_to_string(&zone).unwrap() + "\n" + &long).unwrap();
        let text = |file: &str| fs::read_to_string(lab.join("zones/loopback").join(file)).unwrap();
        let zones = [
            (".", "root.zone"),
            ("com", "com.zone"),
            ("foobar.com", "foobar.com.zone"),
            ("127.in-addr.arpa", "127.in-addr.arpa.zone"),
        ];
        let zones = zones.map(|(origin, file)| (origin.to_owned(), text(file)));
        let world = World::suggested("the lab", zones.to_vec());
        wwwlab(&lab, &["up", "-d"]);
        Self { directory, world }
    }

    fn questions(&self) -> Vec<Question> {
        let more = MORE.map(|(name, record_type)| Question::new(name, record_type, Transport::Udp));
        let long = [Transport::Udp, Transport::Tcp].map(|way| Question::new("long.foobar.com", "TXT", way));
        let all = [self.world.questions.as_slice(), &more, &long].concat();
        all.into_iter().map(|question| Question { recursion: true, ..question }).collect()
    }

    /// With these lines in its configuration, in a directory of its own.
    fn unbound(&self, server: &[&str], rest: &str) -> Behind {
        let directory = self.directory.path().join("unbound");
        fs::create_dir_all(&directory).unwrap();
        fs::write(
            directory.join("root.hints"),
            ". 3600 NS a.root-servers.test.\na.root-servers.test. 3600 A 127.0.0.3\n",
        )
        .unwrap();
        let (folder, server) = (directory.display(), server.join("\n "));
        let text = format!(
            "server:\n directory: \"{folder}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no
 do-daemonize: no\n interface: {}\n do-ip6: no\n module-config: \"iterator\"\n do-not-query-localhost: no
 local-zone: \"127.in-addr.arpa.\" nodefault\n local-zone: \"test.\" nodefault\n {server}\n{rest}",
            UNBOUND.ip()
        );
        fs::write(directory.join("conf"), text).unwrap();
        let mut command = Command::new(program("unbound", "unbound"));
        command.args(["-d", "-p", "-c"]).arg(directory.join("conf"));
        let mut unbound = Behind::start("unbound", command, UNBOUND, directory.join("log"));
        unbound.walks = rest == WALK;
        unbound
    }

    /// As the machine's own one would be: its settings, its state, its stub; all of it only in here. The user that it
    /// becomes is the only one there is in here.
    fn resolved(&self) -> Behind {
        let place = |name: &str| self.directory.path().join(name);
        fs::create_dir_all(place("systemd")).unwrap();
        fs::create_dir_all(place("run/systemd/resolve")).unwrap();
        let settings = "[Resolve]\nDNS=127.0.0.2\nFallbackDNS=\nLLMNR=no\nMulticastDNS=no\nDNSSEC=no\nCache=no\n\
                        ReadEtcHosts=no\nDNSStubListener=yes\n";
        fs::write(place("systemd/resolved.conf"), settings).unwrap();
        fs::write(place("passwd"), "root:x:0:0::/:/bin/sh\nsystemd-resolve:x:0:0::/:/bin/sh\n").unwrap();
        put(&place("passwd"), "/etc/passwd");
        put(&place("run"), "/run");
        if !Path::new("/etc/systemd").exists() {
            fs::create_dir("/etc/systemd").unwrap();
        }
        put(&place("systemd"), "/etc/systemd");
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debian");
        let program = [Path::new("/"), &unpacked]
            .map(|root| root.join("lib/systemd/systemd-resolved"))
            .into_iter()
            .find(|file| file.is_file())
            .expect("systemd-resolved is missing: `make test` unpacks it");
        let mut command = Command::new(program);
        let libraries = ["usr/lib", "lib"].iter().flat_map(|folder| {
            let machine = unpacked.join(folder).join(format!("{}-linux-gnu", env::consts::ARCH));
            [machine.join("systemd"), machine]
        });
        let there = env::join_paths(libraries.filter(|folder| folder.is_dir())).unwrap();
        command.env("LD_LIBRARY_PATH", there);
        command.env("SYSTEMD_LOG_LEVEL", "debug").env("SYSTEMD_LOG_TARGET", "console");
        Behind::start("systemd-resolved", command, RESOLVED, place("resolved.log"))
    }

    /// Each question to our resolver and to the one that asks us: the same code and the same answer.
    fn compare(&self, behind: &Behind, questions: &[Question]) {
        let mut different = Vec::new();
        let mut positive = 0;
        for question in questions {
            let ours = ask((RESOLVER, 53).into(), question, PATIENCE).unwrap();
            let theirs = ask(behind.address, question, PATIENCE)
                .unwrap_or_else(|error| panic!("{} on {question}: {error}\n{}", behind.name, behind.log()));
            if behind.walks && question.name.to_string().ends_with("dept.foobar.com.") {
                // It is delegated to a server that does not have it, and refers to itself. unbound takes that for a
                // denial without an SOA; our resolver for what it is, lame.
                assert!(ours.answer.is_empty() && theirs.answer.is_empty(), "{question}\n{ours}\n{theirs}");
                continue;
            }
            positive += u32::from(!ours.answer.is_empty());
            if behind.substance(&ours) != behind.substance(&theirs) {
                different.push(format!("{question}\n  wwwlab {ours}\n  {} {theirs}", behind.name));
            }
        }
        assert!(positive >= 80, "most of what the zones say was asked: {positive} of {}", questions.len());
        assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = Command::new(WWWLAB).arg("down").current_dir(self.directory.path().join("lab")).output();
    }
}

impl Behind {
    fn start(name: &'static str, mut command: Command, address: SocketAddr, log: PathBuf) -> Self {
        let file = fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut behind = Self { name, address, child, log, walks: false };
        let start = Instant::now();
        let probe = Question::new("www.foobar.com", "A", Transport::Udp);
        let probe = Question { recursion: true, ..probe };
        while ask(address, &probe, Duration::from_millis(500)).is_err() {
            let ended = behind.child.try_wait().unwrap();
            assert!(ended.is_none() && start.elapsed() < PATIENCE, "{name} {ended:?}:\n{}", behind.log());
            std::thread::yield_now();
        }
        behind
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What must be equal of an answer: the code, whether it is cut and, if it is not, the records without
    /// their TTLs, which count down.
    fn substance(&self, answer: &Answer) -> (u16, bool, BTreeSet<String>) {
        let resolved = self.address == RESOLVED;
        let mut records = answer.answer.clone();
        if resolved {
            // It sets apart what is of another type than was asked for.
            records.extend(answer.additional.iter().cloned());
        }
        let substance = |line: &String| {
            let words: Vec<&str> = line.split(' ').collect();
            // It compresses the target of a DNAME, which RFC 3597 §4 forbids; this test's decoder cannot read that.
            let data = if resolved && words[2] == "DNAME" { &[] } else { &words[3..] };
            [&words[..1], &words[2..3], data].concat().join(" ")
        };
        let records = if answer.tc { BTreeSet::new() } else { records.iter().map(substance).collect() };
        (answer.rcode, answer.tc, records)
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

fn wwwlab(directory: &Path, arguments: &[&str]) {
    let output = Command::new(WWWLAB).args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
