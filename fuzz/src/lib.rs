//! The parts of wwwlab that read strangers' octets, compiled from their own files: `dns`, `ground` and what is in
//! `services` are links to them.
//!
//! To build all of wwwlab with libFuzzer's instruments takes minutes, most of them for libraries that no stranger's
//! octet reaches (a database, a web server). These parts know nothing of those: the house's floors keep it so.

#![allow(dead_code, unused_imports, reason = "each target uses some of the parts")]

pub mod dns;
pub mod ground;

/// Of the services, what an authoritative server answers.
pub mod services {
    /// The answer, without its sockets.
    pub mod authoritative {
        mod about;
        pub mod answer;
        pub mod cookies;
        pub mod zones;

        /// The answer to a signed question: [`answer::answer`] leaves no room for a signature of `reserved` octets.
        pub fn answer_signed(question: &crate::dns::message::question::Question, reserved: usize) -> Vec<u8> {
            let arrival = answer::Arrival { transport: crate::ground::bind::Transport::Tcp, cookies: None };
            let mut reply = Vec::new();
            answer::answer_question(&crate::ZONES, question, arrival, reserved, &mut reply);
            reply
        }
    }
    mod faults;
    mod streams;
    mod tally;
    /// Of the web server, what reads a request, without its sockets.
    pub mod web {
        mod conditional;
        mod range;
        mod target;
        mod wire {
            mod chunks;
            mod framing;
            mod head;
            mod violation;

            /// How a connection's bytes go on that arrive cut at these places.
            pub fn passed(bytes: &[u8], cuts: &[usize]) -> super::Passed {
                let mut framing = framing::Framing::new();
                let mut passed = super::Passed::default();
                for end in cuts.iter().copied().chain([bytes.len()]) {
                    let arrived = &bytes[..end.clamp(passed.clear, bytes.len())];
                    let look = framing.look(&arrived[passed.clear..]);
                    assert!(passed.clear + look.clear <= arrived.len());
                    passed.clear += look.clear;
                    passed.heads += look.heads;
                    passed.wrong = look.wrong.map(|wrong| format!("{wrong:?}"));
                    if passed.wrong.is_some() {
                        break;
                    }
                }
                passed
            }
        }

        use std::path::PathBuf;
        use std::time::{Duration, SystemTime};

        use hyper::header::HeaderMap;

        pub use wire::passed;

        /// What became of a connection's bytes.
        #[derive(Debug, Default, PartialEq, Eq)]
        pub struct Passed {
            /// So many go on.
            pub clear: usize,
            /// Heads among them.
            pub heads: u64,
            /// What is wrong with what comes next, if anything is.
            pub wrong: Option<String>,
        }

        /// The path below the site that a target's path names, if it is one of a file or a directory.
        pub fn named(path: &str) -> Option<PathBuf> {
            target::is_for_files_only(path);
            match target::place(path) {
                target::Place::File(file) | target::Place::Directory(file) => Some(file),
                target::Place::Dynamic | target::Place::Hidden | target::Place::Malformed(_) => None,
            }
        }

        /// The first byte and the one after the last of each range that a request with these headers gets of so many
        /// bytes: nothing where it gets all, an empty list where it gets 416.
        pub fn spans(headers: &HeaderMap, length: u64) -> Option<Vec<(u64, u64)>> {
            match range::asked(headers, length) {
                range::Asked::Whole => None,
                range::Asked::Nothing => Some(Vec::new()),
                range::Asked::Spans(spans) => Some(spans.iter().map(|span| (span.from, span.to)).collect()),
            }
        }

        /// The status to which the conditions of a request with these headers come, of a file with this entity tag and
        /// time, 200 where they hold; and whether its ranges are of this version.
        pub fn verdict(headers: &HeaderMap, tag: &str, is_weak: bool, modified: SystemTime) -> (u16, bool) {
            let validators = conditional::Validators::new(tag, is_weak, Some(modified));
            let status = match validators.verdict(headers) {
                conditional::Verdict::Holds => 200,
                conditional::Verdict::NotModified => 304,
                conditional::Verdict::Fails(_) => 412,
            };
            // Long after, when its time can no more be that of two versions.
            (status, validators.allow_ranges(headers, modified + Duration::from_secs(3_600)))
        }
    }
}

use std::path::Path;
use std::sync::{Arc, LazyLock};

use dns::master;
use dns::name::Name;
use dns::zone::Load;
use services::authoritative::zones::{Served, ZoneSet};

/// What is served: the zones that wwwlab ships, one that is signed, and one that is broken.
pub static ZONES: LazyLock<ZoneSet> = LazyLock::new(|| {
    let mut zones = ZoneSet::of("fuzz");
    for (origin, text) in [
        (".", &include_bytes!("../../zones/loopback/root.zone")[..]),
        ("com", include_bytes!("../../zones/loopback/com.zone")),
        ("foobar.com", include_bytes!("../../zones/loopback/foobar.com.zone")),
        ("signed", include_bytes!("../signed.zone")),
    ] {
        let origin = name(origin);
        let load = load(&origin, text);
        let zone = load.zone.unwrap_or_else(|| panic!("{origin}: {:?}", load.problems));
        zones.put(&origin, Served::Zone(Arc::new(zone)));
    }
    zones.put(&name("broken"), Served::Broken);
    zones
});

/// A name that is one.
pub fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Reads `text` as the file of the zone `origin`.
pub fn load(origin: &Name, text: &[u8]) -> Load {
    Load::from_records(origin, master::read_text(Path::new("/nonexistent/zone"), text, origin))
}
