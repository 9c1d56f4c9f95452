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
use crate::dns::zone::sign::{self, SignError, Signing};
use crate::dns::zone::{Zone, serial_is_raised};
use crate::ground::channel::ZoneSigned;
use crate::ground::dnssec::key::{Key, KeyError, tag};
use crate::ground::dnssec::{Denial, Wanted, Wrong};
use crate::ground::{chance, clock};

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;
/// How long signatures live, in seconds.
const LIFETIME: u32 = 14 * DAY;
/// They count as made so long ago, for machines whose clocks differ a little.
const BACKDATED: u32 = HOUR;
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
    key: Key,
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
    /// Why it is not signed, although it should be.
    pub(super) problem: Option<String>,
}

impl Signer {
    /// One that does what is wanted.
    pub(super) fn of(wanted: &Wanted) -> Result<Self, SignerError> {
        let name = |text: &str| text.parse().map_err(|cause| SignerError::Origin(text.into(), cause));
        let zones = wanted.zones.iter().map(|zone| {
            let key = Key::read(&zone.key).map_err(|cause| SignerError::Key(zone.origin.clone(), cause))?;
            Ok(Keyed { origin: name(&zone.origin)?, key, wrong: zone.wrong })
        });
        let children = wanted.children.iter().map(|child| {
            let origin = name(&child.origin)?;
            let mut ds = sign::ds(&origin, &child.key.0);
            if let Some(last) = ds.last_mut().filter(|_| child.is_wrong) {
                *last = !*last;
            }
            Ok((origin, ds))
        });
        let (zones, children) = (zones.collect::<Result<_, _>>()?, children.collect::<Result<_, _>>()?);
        Ok(Self { zones, children, denial: wanted.denial })
    }

    /// `zone` as it is to be served at the time `now`, after one of the serial `served`.
    pub(super) fn publish(&self, zone: Arc<Zone>, served: Option<u32>, now: u32) -> Published {
        let keyed = self.zones.iter().find(|keyed| keyed.origin == *zone.origin());
        match keyed.map(|keyed| (keyed, self.sign(keyed, &zone, served, now))) {
            None => Published { zone, signed: None, renew_at: None, problem: None },
            Some((_, Err(error))) => {
                let problem = Some(format!("zone {} is not signed: {error}", zone.origin()));
                Published { zone, signed: None, renew_at: None, problem }
            }
            Some((keyed, Ok((zone, until)))) => {
                let signed = ZoneSigned {
                    algorithm: keyed.key.algorithm(),
                    tag: tag(&keyed.key.dnskey()),
                    until,
                    wrong: keyed.wrong,
                };
                let jitter = u32::try_from(chance::random_u64() % RENEWED_JITTER).unwrap_or_default();
                // Whose time is over on purpose is left so.
                let renew_at =
                    (keyed.wrong != Some(Wrong::Expired)).then_some(until - RENEWED_BEFORE - jitter);
                Published { zone: Arc::new(zone), signed: Some(signed), renew_at, problem: None }
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
            Some(Wrong::Expired) => now - DAY,
            _ => now + LIFETIME - BACKDATED,
        };
        let serial = zone.serial().wrapping_add(now.saturating_sub(SERIALS_SINCE));
        let how = Signing {
            key: &keyed.key,
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
