//! DNS cookies: a server's proof to itself that an asker's address is its own (RFC 7873, made as RFC 9018 says).
//!
//! Whoever forges the address of a datagram never sees the answer, and so never learns the cookie that this server
//! made for that address. Nothing is kept for it: the cookie is a keyed hash that can be made again. Time and secret
//! come in as values.

use std::net::{IpAddr, SocketAddr};

use siphasher::sip::SipHasher24;

use super::answer::Arrival;
use crate::dns::message::cookie::{Cookie, SERVER_LENGTH, ServerCookie};
use crate::ground::bind::Transport;

/// Version, three reserved octets, the time in seconds, and the hash (RFC 9018 §4).
const VERSION: u8 = 1;

/// A cookie is good for an hour, and where clocks differ from five minutes before its time (RFC 9018 §4.3).
const LIFE_SECONDS: u32 = 3600;
const EARLY_SECONDS: u32 = 300;

/// An older one is answered with a new one, so that one in use never ends (RFC 9018 §4.3).
const RENEWED_AFTER_SECONDS: u32 = 1800;

/// What is done about cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Policy {
    /// Nothing: they are passed over.
    Off,
    /// Whoever shows a cookie is given one.
    #[default]
    Answer,
    /// Over UDP only whoever shows a good cookie is answered; others are given one, or sent to TCP.
    Require,
}

/// Makes cookies and knows its own again.
#[derive(Clone, Copy)]
pub struct Baker {
    hash: SipHasher24,
}

impl Baker {
    /// Makes cookies with `secret`, which nobody else has.
    pub fn new(secret: &[u8; 16]) -> Self {
        Self { hash: SipHasher24::new_with_key(secret) }
    }

    /// The cookie of an asker at `address`, made at `now`, in seconds since 1970 modulo 2³².
    pub fn bake(&self, asker: [u8; 8], address: IpAddr, now: u32) -> ServerCookie {
        self.sealed(asker, [VERSION, 0, 0, 0], address, now)
    }

    /// Whether `cookie` was made for an asker at `address` by this server, or another with its secret, not too long
    /// before `now`.
    fn is_own(&self, cookie: &Cookie, address: IpAddr, now: u32) -> bool {
        let Ok(server) = ServerCookie::try_from(cookie.server()) else {
            return false;
        };
        let [version, one, two, three, rest @ ..] = server;
        let [t1, t2, t3, t4, ..] = rest;
        let age = now.wrapping_sub(u32::from_be_bytes([t1, t2, t3, t4]));
        let is_in_time = age <= LIFE_SECONDS || age.wrapping_neg() <= EARLY_SECONDS;
        let made = self.sealed(cookie.asker, [version, one, two, three], address, now.wrapping_sub(age));
        // How many octets of a guess are right is not to be learned from the time that this takes.
        let differences = server.iter().zip(&made).fold(0, |all, (one, other)| all | one ^ other);
        version == VERSION && is_in_time && differences == 0
    }

    /// The reserved octets are those of the cookie that is compared (RFC 9018 §4.2).
    fn sealed(&self, asker: [u8; 8], head: [u8; 4], address: IpAddr, time: u32) -> ServerCookie {
        let mut sealed = [0; 8 + 8 + 16];
        sealed[..8].copy_from_slice(&asker);
        sealed[8..12].copy_from_slice(&head);
        sealed[12..16].copy_from_slice(&time.to_be_bytes());
        let length = match address {
            IpAddr::V4(address) => {
                sealed[16..20].copy_from_slice(&address.octets());
                20
            }
            IpAddr::V6(address) => {
                sealed[16..].copy_from_slice(&address.octets());
                32
            }
        };
        let hash = self.hash.hash(&sealed[..length]);
        let mut cookie = [0; SERVER_LENGTH];
        cookie[..8].copy_from_slice(&sealed[8..16]);
        cookie[8..].copy_from_slice(&hash.to_le_bytes());
        cookie
    }
}

/// Without its secret.
impl std::fmt::Debug for Baker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Baker")
    }
}

/// What a question's cookie is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Counter {
    /// What is done about cookies.
    pub policy: Policy,
    /// Who makes them.
    pub baker: Baker,
    /// Where the question came from.
    pub client: IpAddr,
    /// When, in seconds since 1970 modulo 2³².
    pub now: u32,
}

/// What a question's cookie is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    /// Whether it is this server's: nobody forged the question's address.
    pub(super) is_good: bool,
    /// What the answer carries.
    pub(super) given: Option<ServerCookie>,
    pub(super) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The question is answered.
    Answered,
    /// The asker is to ask again with the cookie that it is given (RFC 7873 §5.2.3).
    BadCookie,
    /// The asker knows no cookies: TCP proves its address as well.
    OverTcp,
}

impl Counter {
    pub(super) fn judge(&self, cookie: Option<&Cookie>, transport: Transport) -> Judged {
        let judged = |is_good, given, verdict| Judged { is_good, given, verdict };
        if self.policy == Policy::Off {
            return judged(false, None, Verdict::Answered);
        }
        let is_required = self.policy == Policy::Require && transport == Transport::Udp;
        let Some(cookie) = cookie else {
            return judged(false, None, if is_required { Verdict::OverTcp } else { Verdict::Answered });
        };
        let is_good = self.baker.is_own(cookie, self.client, self.now);
        let made = match cookie.server() {
            &[_, _, _, _, t1, t2, t3, t4, ..] => u32::from_be_bytes([t1, t2, t3, t4]),
            _ => 0,
        };
        let given = match ServerCookie::try_from(cookie.server()) {
            Ok(shown) if is_good && self.now.wrapping_sub(made) <= RENEWED_AFTER_SECONDS => shown,
            _ => self.baker.bake(cookie.asker, self.client, self.now),
        };
        let verdict = if is_required && !is_good { Verdict::BadCookie } else { Verdict::Answered };
        judged(is_good, Some(given), verdict)
    }
}

/// What makes a question's circumstances: the cookie's secret is drawn once, the time is read for each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jar {
    policy: Policy,
    baker: Baker,
}

impl Jar {
    pub(super) fn new(policy: Policy, secret: &[u8; 16]) -> Self {
        Self { policy, baker: Baker::new(secret) }
    }

    /// Of a question from `client` at `now`, in seconds since 1970 modulo 2³².
    pub(super) fn arrival(&self, transport: Transport, client: SocketAddr, now: u32) -> Arrival {
        let counter = Counter { policy: self.policy, baker: self.baker, client: client.ip(), now };
        Arrival { transport, cookies: Some(counter) }
    }
}

#[cfg(test)]
mod tests;
