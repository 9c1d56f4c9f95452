//! By which certificates users were served, and when all strangers met the new one: pure.
//!
//! A certificate is met in handshakes. Who keeps a connection goes on with the one that it began with, also when that has long
//! been renewed; both are counted, and never together.

use serde::Serialize;

use super::account::Account;
use super::{Probe, Sealed};
use crate::ground::event::Micros;

/// One certificate, as it was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Its number, hexadecimal with colons.
    pub serial: String,
    /// Handshakes in which it was shown.
    pub handshakes: u64,
    /// When the first of them was begun, in microseconds since the first request.
    pub first_micros: u64,
    /// The same of the last.
    pub last_micros: u64,
    /// Requests over connections that were kept since such a handshake, answered or not.
    pub over_kept: u64,
}

/// Those that `probes` met, the one that was met first at the beginning.
pub(super) fn of(probes: &[Probe]) -> Vec<Certificate> {
    let mut all: Vec<Certificate> = Vec::new();
    for (serial, shaken) in handshakes(probes) {
        match all.iter_mut().find(|one| *one.serial == *serial) {
            Some(one) => {
                one.handshakes += 1;
                one.first_micros = one.first_micros.min(shaken);
                one.last_micros = one.last_micros.max(shaken);
            }
            None => all.push(Certificate {
                serial: serial.into(),
                handshakes: 1,
                first_micros: shaken,
                last_micros: shaken,
                over_kept: 0,
            }),
        }
    }
    for Sealed { serial, shaken_micros } in probes.iter().filter_map(|probe| probe.sealed.as_ref()) {
        if let (None, Some(one)) = (shaken_micros, all.iter_mut().find(|one| *one.serial == **serial)) {
            one.over_kept += 1;
        }
    }
    all.sort_by_key(|one| one.first_micros);
    all
}

/// From when on all handshakes of `probes` showed the one of `certificates` that was met last.
pub(super) fn renewed(probes: &[Probe], certificates: &[Certificate]) -> Option<u64> {
    let new = newest(certificates)?;
    let former = certificates.iter().filter(|one| one.serial != new.serial);
    let until = former.map(|one| one.last_micros).max()?;
    let with_new = handshakes(probes).filter(|(serial, _)| *serial == new.serial);
    with_new.map(|(_, shaken)| shaken).filter(|&shaken| shaken > until).min()
}

/// The one that was met last.
pub(super) fn newest(certificates: &[Certificate]) -> Option<&Certificate> {
    certificates.iter().max_by_key(|one| one.last_micros)
}

/// Each handshake: the number that was shown, and when it was begun.
fn handshakes(probes: &[Probe]) -> impl Iterator<Item = (&str, u64)> {
    let sealed = probes.iter().filter_map(|probe| probe.sealed.as_ref());
    sealed.filter_map(|sealed| Some((&*sealed.serial, sealed.shaken_micros?)))
}

/// Each certificate in a line, `5B:0C:1F:…: 1000 handshakes from 412.0 ms on, 12 requests over kept connections`, and when all
/// met the new one.
pub fn in_words(account: &Account) -> Vec<String> {
    let new = newest(&account.certificates).map(|one| &one.serial);
    let each = account.certificates.iter().map(|one| {
        let Certificate { serial, handshakes, first_micros, last_micros, over_kept } = one;
        let is_new = account.certificates.len() > 1 && new == Some(serial);
        let when = match is_new {
            true => format!("from {} on", Micros(*first_micros)),
            false => format!("until {}", Micros(*last_micros)),
        };
        let kept = match over_kept {
            0 => String::new(),
            kept => format!(", {} over kept connections", counted(*kept, "request")),
        };
        format!("{}: {} {when}{kept}", short(serial), counted(*handshakes, "handshake"))
    });
    let renewed = account.renewed_micros.map(|renewed| {
        let after = Micros(renewed.saturating_sub(account.change.begins_micros));
        format!("all handshakes with the new one from {} on, {after} after it was asked for", Micros(renewed))
    });
    each.chain(renewed).collect()
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The first octets of a number: enough to tell two apart.
fn short(serial: &str) -> String {
    match serial.match_indices(':').nth(2) {
        Some((end, _)) => format!("{}…", &serial[..=end]),
        None => serial.to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::account::Span;
    use super::*;

    /// One a millisecond: a handshake that shows the `o`ld or the `n`ew certificate, a request over a connection kept since an
    /// old (`k`) or a new one (`m`), one that `f`ailed before.
    pub(in crate::measure::downtime) fn sealed(story: &str) -> Vec<Probe> {
        let mut probes = super::super::account::tests::probes(story);
        for (probe, what) in probes.iter_mut().zip(story.chars()) {
            let (serial, is_kept) = match what {
                'o' | 'k' => ("0A:0B:0C:0D:0E", what == 'k'),
                'n' | 'm' => ("1A", what == 'm'),
                _ => continue,
            };
            let shaken_micros = (!is_kept).then_some(probe.sent);
            probe.sealed = Some(Sealed { serial: serial.into(), shaken_micros });
        }
        probes
    }

    fn account(story: &str) -> Account {
        Account::of(&sealed(story), 50_000, Span { begins_micros: 2_000, ends_micros: 6_000 })
    }

    #[test]
    fn handshakes_are_told_from_connections_that_were_kept() {
        let account = account("okokffnknm");
        let old = &account.certificates[0];
        assert_eq!((old.handshakes, old.first_micros, old.last_micros, old.over_kept), (2, 0, 2_000, 3));
        let new = &account.certificates[1];
        assert_eq!((new.handshakes, new.first_micros, new.last_micros, new.over_kept), (2, 6_000, 8_000, 1));
        assert_eq!((account.renewed_micros, account.failed), (Some(6_000), 2));
        assert_eq!(
            in_words(&account),
            [
                "0A:0B:0C:…: 2 handshakes until 2.0 ms, 3 requests over kept connections",
                "1A: 2 handshakes from 6.0 ms on, 1 request over kept connections",
                "all handshakes with the new one from 6.0 ms on, 4.0 ms after it was asked for"
            ]
        );
    }

    #[test]
    fn all_is_from_after_the_last_that_showed_the_former() {
        assert_eq!(account("oonoonn").renewed_micros, Some(5_000));
        assert_eq!(account("ooooo").renewed_micros, None, "there was one");
        assert_eq!(account("ssfss").renewed_micros, None, "there was none");
        assert_eq!(account("ssfss").certificates, []);
    }
}
