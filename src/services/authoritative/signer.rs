//! Which zones are signed here, with what, and when they are to be signed anew.
//!
//! How a zone is signed is said in `dns/zone/sign`; here are its times. Signatures live for two weeks and are made anew when
//! about a quarter of that is left, each zone at a moment of its own, so that several servers do not all do it at once
//! (RFC 6781 §4.4.2). Who edits a zone has all of it signed anew.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::shelf::Shelf;
use crate::dns::name::{Name, NameError};
use crate::dns::types::RecordType;
use crate::dns::zone::sign::{self, SignError, Signing};
use crate::dns::zone::{Zone, serial_is_raised};
use crate::ground::channel::{Rolling, ZoneSigned};
use crate::ground::dnssec::key::{Key, KeyError, tag};
use crate::ground::dnssec::{Denial, Wanted, Wrong};
use crate::ground::{chance, clock};

/// In seconds.
pub(super) const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;
/// How long signatures live, in seconds.
const LIFETIME: u32 = 14 * DAY;
/// They count as made so long ago, for machines whose clocks differ a little.
const BACKDATED: u32 = HOUR;
/// Those that are to have expired did so long ago, in seconds: unbound overlooks a day.
const EXPIRED_FOR: u32 = 2 * DAY;
/// They are made anew when this is left, in seconds, and up to so much more.
const RENEWED_BEFORE: u32 = 3 * DAY;
const RENEWED_JITTER: u64 = 2 * DAY as u64;
/// From when the seconds are counted that a signed zone's serial is ahead of its file's: 2026-01-01, in seconds since the
/// Unix epoch.
const SERIALS_SINCE: u32 = 1_767_225_600;
/// How often it is looked at the clock, which a machine that slept may find far ahead.
const LOOK: Duration = Duration::from_secs(3600);

/// Why zones cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// A zone has no proper name.
    #[error("`{0}` is no zone's name")]
    Origin(String, #[source] NameError),
    /// A key cannot be had.
    #[error("zone {0} cannot be signed")]
    Key(String, #[source] KeyError),
}

/// What signs the zones of a server.
#[derive(Debug, Default)]
pub(super) struct Signer {
    zones: Vec<Keyed>,
    children: Vec<(Name, Vec<u8>)>,
    denial: Denial,
}

#[derive(Debug)]
struct Keyed {
    origin: Name,
    /// The one that it has, and perhaps the one that is to take its place: never none.
    keys: Vec<Key>,
    wrong: Option<Wrong>,
}

/// A zone as it is to be served.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) zone: Arc<Zone>,
    /// How it is signed, if it is.
    pub(super) signed: Option<ZoneSigned>,
    /// When it is to be signed anew, in seconds since the Unix epoch.
    pub(super) renew_at: Option<u32>,
}

impl Signer {
    /// One that does what is wanted.
    pub(super) fn of(wanted: &Wanted) -> Result<Self, SignerError> {
        let name = |text: &str| text.parse().map_err(|cause| SignerError::Origin(text.into(), cause));
        let mut zones: Vec<Keyed> = Vec::new();
        for zone in &wanted.zones {
            let key = Key::read(&zone.key).map_err(|cause| SignerError::Key(zone.origin.clone(), cause))?;
            let origin: Name = name(&zone.origin)?;
            match zones.iter_mut().find(|keyed| keyed.origin == origin) {
                Some(keyed) => keyed.keys.push(key),
                None => zones.push(Keyed { origin, keys: vec![key], wrong: zone.wrong }),
            }
        }
        let children = wanted.children.iter().map(|child| {
            let origin = name(&child.origin)?;
            let mut ds = sign::ds(&origin, &child.key.0);
            if let Some(last) = ds.last_mut().filter(|_| child.is_wrong) {
                *last = !*last;
            }
            Ok((origin, ds))
        });
        Ok(Self { zones, children: children.collect::<Result<_, _>>()?, denial: wanted.denial })
    }

    /// `zone` as it is to be served at the time `now`, after one of the serial `served`; why it cannot be signed, where it should
    /// be. It is not to be served without then: its parent vouches for the key with which it is not signed.
    pub(super) fn publish(
        &self,
        zone: Arc<Zone>,
        served: Option<u32>,
        now: u32,
    ) -> Result<Published, String> {
        let keyed = self.zones.iter().find(|keyed| keyed.origin == *zone.origin());
        match keyed.map(|keyed| (keyed, self.sign(keyed, &zone, served, now))) {
            None => Ok(Published { zone, signed: None, renew_at: None }),
            Some((_, Err(error))) => {
                let origin = zone.origin();
                Err(format!(
                    "{origin} is to be signed, and cannot be: {error} (`wwwlab zone unsign {origin}` has it served as it is)"
                ))
            }
            Some((keyed, Ok((zone, until)))) => {
                let signed = keyed.told(&zone, until);
                let jitter = u32::try_from(chance::random_u64() % RENEWED_JITTER).unwrap_or_default();
                // Whose time is over on purpose is left so.
                let renew_at =
                    (keyed.wrong != Some(Wrong::Expired)).then_some(until - RENEWED_BEFORE - jitter);
                Ok(Published { zone: Arc::new(zone), signed, renew_at })
            }
        }
    }

    fn sign(
        &self,
        keyed: &Keyed,
        zone: &Zone,
        served: Option<u32>,
        now: u32,
    ) -> Result<(Zone, u32), SignError> {
        let expiration = match keyed.wrong {
            Some(Wrong::Expired) => now - EXPIRED_FOR,
            _ => now + LIFETIME - BACKDATED,
        };
        let serial = zone.serial().wrapping_add(now.saturating_sub(SERIALS_SINCE));
        let how = Signing {
            keys: &keyed.keys,
            // As the real root does; and the recursor's validation cannot read NSEC3 records right below the root.
            denial: if zone.origin().is_root() { Denial::Nsec } else { self.denial },
            children: &self.children,
            inception: expiration - LIFETIME,
            expiration,
            serial: match served {
                // Twice in one second.
                Some(served) if !serial_is_raised(served, serial) && served.wrapping_sub(serial) < DAY => {
                    served.wrapping_add(1)
                }
                _ => serial,
            },
            wrong: keyed.wrong,
        };
        Ok((sign::sign(zone, &how)?, expiration))
    }
}

impl Keyed {
    /// How `zone` is signed, whose signatures hold until `until`.
    fn told(&self, zone: &Zone, until: u32) -> Option<ZoneSigned> {
        let (first, others) = self.keys.split_first()?;
        let tag_of = |key: &Key| tag(&key.dnskey());
        let sets = || zone.nodes().flat_map(|node| node.sets().collect::<Vec<_>>());
        Some(ZoneSigned {
            algorithm: first.algorithm(),
            tag: tag_of(first),
            rolling: others.first().map(|key| Rolling { tag: tag_of(key), until: None }),
            until,
            longest_ttl: sets().map(|set| set.ttl()).max().unwrap_or_default(),
            ds_ttl: sets()
                .filter(|set| set.record_type() == RecordType::DS)
                .map(|set| set.ttl())
                .max()
                .unwrap_or_default(),
            wrong: self.wrong,
        })
    }
}

/// Has the zones of `shelf` signed anew in time, until `stop`.
pub(super) async fn keep(shelf: Arc<Shelf>, stop: CancellationToken) {
    loop {
        let now = clock::unix_seconds();
        let rest =
            shelf.next_renewal().map(|at| Duration::from_secs(at.saturating_sub(now).into()).min(LOOK));
        tokio::select! {
            () = stop.cancelled() => return,
            () = shelf.signed.notified() => {}
            () = tokio::time::sleep(rest.unwrap_or(LOOK)), if rest.is_some() => {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = shelf.renew(clock::unix_seconds()) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::ground::dnssec::key::Algorithm;
    use crate::ground::dnssec::{Child, PublicKey, Zone as ZoneWanted};
    use crate::ground::event::Happened;
    use crate::ground::journal::journal;
    use crate::services::authoritative::ZoneFile;
    use crate::services::authoritative::zones::Served;

    const NOW: u32 = SERIALS_SINCE + 1000;
    const TEXT: &str = "$TTL 60\n@ SOA ns h 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nkid NS ns\n";

    fn place() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), Key::draw(Algorithm::Ed25519).unwrap()).unwrap();
        std::fs::write(folder.path().join("zone"), TEXT).unwrap();
        folder
    }

    fn wanted(folder: &Path, wrong: Option<Wrong>, is_wrong: bool) -> Wanted {
        let zones = vec![ZoneWanted { origin: "example".into(), key: folder.join("key"), wrong }];
        let key = PublicKey(vec![1, 1, 3, 15, 9]);
        Wanted {
            zones,
            children: vec![Child { origin: "kid.example".into(), key, is_wrong }],
            denial: Denial::Nsec,
        }
    }

    fn plain(folder: &Path) -> Arc<Zone> {
        let origin = "example".parse().unwrap();
        Arc::new(crate::dns::zone::load(&origin, &folder.join("zone")).zone.unwrap())
    }

    fn until(zone: &Zone) -> u32 {
        let data = zone.apex().signatures(RecordType::SOA).unwrap().first().unwrap();
        u32::from_be_bytes(data[8..12].try_into().unwrap())
    }

    #[test]
    fn signatures_hold_for_two_weeks_and_are_made_anew_before_each_at_its_own_time() {
        let folder = place();
        let signer = Signer::of(&wanted(folder.path(), None, false)).unwrap();
        let publish = |served| signer.publish(plain(folder.path()), served, NOW).unwrap();
        let first = publish(None);
        let end = NOW + LIFETIME - BACKDATED;
        assert_eq!((until(&first.zone), first.signed.unwrap().until), (end, end));
        let times: Vec<u32> = (0..8).map(|_| publish(None).renew_at.unwrap()).collect();
        assert!(times.iter().all(|at| (end - 5 * DAY..=end - 3 * DAY).contains(at)), "{times:?}");
        assert!(times.iter().any(|at| *at != times[0]), "{times:?}");
        // The serial is the file's and the time; twice in one second it is one more.
        assert_eq!(first.zone.serial(), 7 + 1000);
        assert_eq!(publish(Some(1007)).zone.serial(), 1008);
        assert_eq!(publish(Some(7)).zone.serial(), 1007);
    }

    #[test]
    fn what_is_wrong_on_purpose_is() {
        let folder = place();
        let publish = |wrong, is_wrong| {
            let signer = Signer::of(&wanted(folder.path(), wrong, is_wrong)).unwrap();
            signer.publish(plain(folder.path()), None, NOW).unwrap()
        };
        let expired = publish(Some(Wrong::Expired), false);
        assert!(until(&expired.zone) < NOW && expired.renew_at.is_none());
        let ds = |published: &Published| {
            let kid: Name = "kid.example".parse().unwrap();
            published
                .zone
                .exact(kid.as_wire())
                .unwrap()
                .set(RecordType::DS)
                .unwrap()
                .first()
                .unwrap()
                .to_vec()
        };
        let (right, wrong) = (ds(&publish(None, false)), ds(&publish(None, true)));
        assert_eq!(right[..right.len() - 1], wrong[..wrong.len() - 1], "the tag is the same");
        assert_ne!(right, wrong);
    }

    #[test]
    fn a_zone_that_cannot_be_signed_is_refused_and_so_is_a_key_that_is_none() {
        let folder = place();
        let file = folder.path().join("zone");
        std::fs::write(&file, TEXT.to_owned() + "@ DNSKEY 257 3 15 AAAA\n").unwrap();
        let signer = Signer::of(&wanted(folder.path(), None, false)).unwrap();
        let why = signer.publish(plain(folder.path()), None, NOW).unwrap_err();
        assert!(why.contains("of its own") && why.contains("`wwwlab zone unsign example.`"), "{why}");
        let unsigned = Signer::default().publish(plain(folder.path()), None, NOW).unwrap();
        assert!(unsigned.signed.is_none() && unsigned.zone.serial() == 7);
        std::fs::write(folder.path().join("key"), "no key").unwrap();
        assert!(matches!(Signer::of(&wanted(folder.path(), None, false)), Err(SignerError::Key(..))));
    }

    /// The serial and whether it is signed; nothing where it is not in service.
    fn served(shelf: &Shelf) -> Option<(u32, bool)> {
        match shelf.snapshot().get(&"example".parse().unwrap()) {
            Some(Served::Zone(zone)) => {
                Some((zone.serial(), zone.apex().signatures(RecordType::SOA).is_some()))
            }
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_signed_replaces_nothing_until_it_need_not_be() {
        let folder = place();
        let file = folder.path().join("zone");
        let stock = || {
            let zones = vec![ZoneFile { origin: "example".parse().unwrap(), file: file.clone() }];
            let signer = Signer::of(&wanted(folder.path(), None, false)).unwrap();
            Shelf::stock("test", zones, signer, journal().0)
        };
        let with_a_key = TEXT.replace(" 7 ", " 8 ") + "@ DNSKEY 257 3 15 AAAA\n";
        // What is in service stays, signed, and its signatures are made anew.
        let shelf = stock();
        let before = served(&shelf).unwrap();
        assert!(before.1);
        let other = folder.path().join("other");
        std::fs::write(&other, &with_a_key).unwrap();
        let why = shelf.replace("example", other).await.unwrap_err();
        assert!(why.join(": ").contains("of its own") && served(&shelf) == Some(before), "{why:?}");

        // With nothing before it, there is nothing in service, and why is told; when it need not be signed, it is served.
        std::fs::write(&file, &with_a_key).unwrap();
        let shelf = stock();
        assert_eq!(served(&shelf), None);
        let state = shelf.list().remove(0);
        assert!(state.serial.is_none() && state.problems.join(": ").contains("of its own"), "{state:?}");
        shelf.sign(Signer::default(), NOW).await;
        assert_eq!(served(&shelf), Some((8, false)));
        assert!(shelf.list()[0].problems.is_empty());
        // And stays so when it is to be signed again: that it cannot be is told to who wants it.
        shelf.sign(Signer::of(&wanted(folder.path(), None, false)).unwrap(), NOW).await;
        let state = shelf.list().remove(0);
        assert_eq!(served(&shelf), Some((8, false)));
        assert!(state.signed.is_none() && state.problems.join(": ").contains("of its own"), "{state:?}");
    }

    #[tokio::test]
    async fn what_is_served_stays_signed_where_it_cannot_be_signed_otherwise_and_that_is_tried_again() {
        let folder = place();
        // A hash before it makes a name that is too long.
        let origin = vec!["a".repeat(60); 4].join(".");
        let mut wanted = wanted(folder.path(), None, false);
        wanted.zones[0].origin.clone_from(&origin);
        let zones = vec![ZoneFile { origin: origin.parse().unwrap(), file: folder.path().join("zone") }];
        let (journal, mut told) = journal();
        let shelf = Shelf::stock("test", zones, Signer::of(&wanted).unwrap(), journal);
        let before = shelf.list().remove(0);
        assert!(before.signed.is_some() && before.problems.is_empty(), "{before:?}");
        let mut hear = async || loop {
            let mut one = Vec::new();
            assert!(told.hear(&mut one, 1).await);
            match one.first() {
                Some((_, Happened::ZoneRefused { old_one_kept, .. })) => break Some(*old_one_kept),
                Some((_, Happened::ZoneLoaded { .. })) => break None,
                _ => {}
            }
        };
        assert_eq!(hear().await, None, "the first");
        wanted.denial = Denial::Nsec3;
        shelf.sign(Signer::of(&wanted).unwrap(), NOW).await;
        for tried in [NOW, NOW + HOUR] {
            shelf.renew(tried).await;
            let state = shelf.list().remove(0);
            assert_eq!((state.serial, &state.signed), (before.serial, &before.signed));
            assert_eq!(state.problems.len(), 1, "{state:?}");
            assert_eq!(shelf.next_renewal(), Some(tried + HOUR));
            assert_eq!(hear().await, Some(true), "what is served stays");
        }
        // What could not be signed is in service again when it can be, and whoever heard that it was refused hears of it.
        wanted.denial = Denial::Nsec;
        shelf.sign(Signer::of(&wanted).unwrap(), NOW + HOUR).await;
        assert!(shelf.list()[0].problems.is_empty() && shelf.next_renewal() > Some(NOW + DAY));
        assert_eq!(hear().await, None);
    }

    #[test]
    fn a_zone_that_is_named_twice_has_both_keys_and_says_how_long_it_is_remembered() {
        let folder = place();
        std::fs::write(folder.path().join("next"), Key::draw(Algorithm::Ed25519).unwrap()).unwrap();
        let mut wanted = wanted(folder.path(), None, false);
        let told = |wanted: &Wanted| {
            Signer::of(wanted).unwrap().publish(plain(folder.path()), None, NOW).unwrap().signed.unwrap()
        };
        let one = told(&wanted);
        assert_eq!((one.rolling, one.longest_ttl, one.ds_ttl), (None, 60, 60));
        wanted.zones.push(ZoneWanted { key: folder.path().join("next"), ..wanted.zones[0].clone() });
        let next = Key::read(&folder.path().join("next")).unwrap();
        let two = told(&wanted);
        assert_eq!(two.tag, one.tag);
        assert_eq!(two.rolling, Some(Rolling { tag: tag(&next.dnskey()), until: None }));
    }

    #[tokio::test]
    async fn zones_are_signed_anew_when_their_time_has_come_and_not_before() {
        let folder = place();
        let zones = vec![ZoneFile { origin: "example".parse().unwrap(), file: folder.path().join("zone") }];
        let (journal, _told) = journal();
        let shelf = Shelf::stock("test", zones, Signer::default(), journal);
        assert_eq!(shelf.next_renewal(), None);
        shelf.sign(Signer::of(&wanted(folder.path(), None, false)).unwrap(), NOW).await;
        let served = || match shelf.snapshot().get(&"example".parse().unwrap()) {
            Some(Served::Zone(zone)) => (zone.serial(), until(zone)),
            _ => panic!("not served"),
        };
        let (before, at) = (served(), shelf.next_renewal().unwrap());
        shelf.renew(at - 1).await;
        assert_eq!(served(), before);
        shelf.renew(at).await;
        assert!(served().0 > before.0 && served().1 > before.1 && shelf.next_renewal() > Some(at));
        shelf.sign(Signer::default(), at).await;
        let list = shelf.list();
        assert!(list[0].signed.is_none() && list[0].serial == Some(7) && shelf.next_renewal().is_none());
    }
}
