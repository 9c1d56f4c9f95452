//! Any octets are a zone or a list of problems; a zone that is printed and read again is the same zone.

#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use wwwlab_fuzz::dns::master::Severity;
use wwwlab_fuzz::dns::zone::canonical;
use wwwlab_fuzz::{load, name};

fuzz_target!(|text: &[u8]| {
    // What the machine has in its files is not ours to read.
    if text.windows(8).any(|word| word.eq_ignore_ascii_case(b"$include")) {
        return;
    }
    let origin = name("foobar.com");
    let first = load(&origin, text);
    let Some(zone) = first.zone else {
        assert!(first.problems.iter().any(|problem| problem.severity == Severity::Error));
        return;
    };
    let mut shown = String::new();
    for line in canonical::lines(&zone) {
        writeln!(shown, "{line}").expect("a String takes everything");
    }
    let second = load(&origin, shown.as_bytes());
    let again = second.zone.unwrap_or_else(|| panic!("{:?}\n{shown}", second.problems));
    assert!(canonical::are_same(&zone, &again), "{shown}");
});
