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
    mod streams;
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
