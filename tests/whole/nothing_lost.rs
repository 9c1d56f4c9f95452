//! Nothing lost: while the guestbook is signed through the web server, the application, the database and the whole lab are
//! killed (`kill -9`) at random moments, two hundred times. What was acknowledged is there afterwards, each entry once and
//! letter by letter; what was not is there wholly or not at all.
//!
//! `WWWLAB_KILLS_SEED` has the same be killed in the same order after as many entries, `WWWLAB_KILLS` says how often with each
//! engine.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::stage::{Stage, free_port, signal, until};
use super::writer::{Signed, Writers, messages};

/// Kills with each engine.
const KILLS: u64 = 100;

/// Those who sign at once: some wait for the disk while others arrive.
const WRITERS: usize = 4;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    App,
    Database,
    /// The supervisor, and by its guard everything.
    Lab,
}

#[test]
fn with_an_embedded_database() {
    // It has no process but the application's.
    nothing_is_lost("sqlite", &[Victim::App, Victim::App, Victim::Lab]);
}

#[test]
fn with_a_database_server() {
    nothing_is_lost("mysql", &[Victim::App, Victim::Database, Victim::Database, Victim::App, Victim::Lab]);
}

fn nothing_is_lost(engine: &str, victims: &[Victim]) {
    let mut chance =
        Chance(number("WWWLAB_KILLS_SEED").unwrap_or_else(|| RandomState::new().hash_one(engine)));
    eprintln!("WWWLAB_KILLS_SEED={}", chance.0);
    let stage = Stage::new();
    // Those who sign must find the lab again that comes up after a kill.
    let port = free_port();
    stage.set_ports(&format!("[ports]\ndns = 0\nhttp = {port}\napp = 0\ndb = 0\n"));
    let up = || {
        stage.wwwlab(["up", "-d", "--db", engine]).ok();
    };
    up();
    let writers = Writers::start(port, WRITERS);
    let mut killed = BTreeMap::new();
    for _ in 0..number("WWWLAB_KILLS").unwrap_or(KILLS) {
        let enough = writers.acknowledged() + 1 + chance.below(16);
        until("the guestbook is signed", || writers.acknowledged() >= enough);
        let victim = victims[chance.below(victims.len())];
        let pid = match victim {
            Victim::App => stage.pid("app"),
            Victim::Database => stage.pid("db"),
            Victim::Lab => stage.supervisor(),
        };
        // Somewhere within what it takes to sign.
        let moment = Duration::from_micros(u64::try_from(chance.below(8_000)).unwrap());
        let start = Instant::now();
        while start.elapsed() < moment {
            std::thread::yield_now();
        }
        signal(pid, "KILL");
        match victim {
            // Not before its death is seen.
            Victim::App => until("it starts", || stage.wwwlab(["start", "app"]).code == 0),
            Victim::Database => until("it starts", || stage.wwwlab(["start", "db"]).code == 0),
            Victim::Lab => {
                until("the guard has ended the rest", || !stage.state().join("lock").exists());
                up();
            }
        }
        *killed.entry(victim).or_insert(0) += 1;
    }
    let enough = writers.acknowledged() + 1;
    until("the guestbook is signed after all", || writers.acknowledged() >= enough);
    let signed = writers.stop();
    let kept = compare(&signed, messages(port));
    eprintln!(
        "{engine}: killed {killed:?}; {} entries acknowledged, all kept; {} not, of which {kept} are there, wholly",
        signed.acknowledged.len(),
        signed.uncertain.len()
    );
}

/// How many are there of those that were not acknowledged.
fn compare(signed: &Signed, there: Vec<String>) -> usize {
    let many = there.len();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for message in there {
        *times.entry(message).or_default() += 1;
    }
    for message in &signed.acknowledged {
        assert_eq!(times.remove(message), Some(1), "an acknowledged entry: {message}");
    }
    for message in &signed.uncertain {
        assert!(times.remove(message).is_none_or(|times| times == 1), "an entry more than once: {message}");
    }
    assert!(times.is_empty(), "what nobody signed: {times:?}");
    many - signed.acknowledged.len()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().expect("a number"))
}

/// Numbers by chance, the same for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(most).unwrap()).unwrap()
    }
}
