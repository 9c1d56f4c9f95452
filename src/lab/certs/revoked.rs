//! What the authority has taken back (RFC 5280 §5): a list, signed by it.
//!
//! Nobody has to ask for it, and hardly anybody does: a revoked certificate goes on being believed by whoever is not handed the
//! list (`curl --crlfile certs/ca.crl`). That is the lesson, and why certificates are to be short-lived.

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::authority::Authority;
use super::{BACKDATED, CertsError, LEAF_LIVES, date, told};

/// Entries, at most; what was taken back first goes first, which is over by then.
const ENTRIES_MOST: usize = 1024;

/// The list.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Numbers, and when each was taken back.
    entries: Vec<(Vec<u8>, u64)>,
    number: u64,
    /// Until when the list that was read is good.
    until: u64,
}

impl List {
    /// The one in `text`, if it is of `authority`; else an empty one.
    pub(super) fn read(text: &str, authority: &Authority) -> Self {
        let read = || {
            let der = told::section(text, "X509 CRL")?;
            let (_, list) = CertificateRevocationList::from_der(&der).ok()?;
            if list.issuer().to_string() != authority.name() {
                return None;
            }
            let entries = list.iter_revoked_certificates().map(|entry| {
                let when = u64::try_from(entry.revocation_date.timestamp()).unwrap_or_default();
                (bare(entry.raw_serial()).to_vec(), when)
            });
            let number = list.crl_number().and_then(|number| u64::try_from(number).ok());
            Some(Self {
                entries: entries.take(ENTRIES_MOST).collect(),
                number: number.unwrap_or_default(),
                until: u64::try_from(list.next_update()?.timestamp()).ok()?,
            })
        };
        read().unwrap_or_default()
    }

    /// Whether `serial`, hexadecimal with colons, is on it.
    pub(super) fn has(&self, serial: &str) -> bool {
        let wanted = told::serial_bytes(serial);
        self.entries.iter().any(|(there, _)| *there == wanted)
    }

    /// Puts `serial` on it.
    pub(super) fn add(&mut self, serial: &str, now: u64) {
        if !self.has(serial) {
            self.entries.push((told::serial_bytes(serial), now));
        }
        let over = self.entries.len().saturating_sub(ENTRIES_MOST);
        self.entries.drain(..over);
    }

    /// Whether less than a third of its time is left.
    pub(super) fn is_old(&self, now: u64) -> bool {
        self.until <= now + LEAF_LIVES / 3
    }

    /// The list as PEM, signed anew.
    pub(super) fn sign(&self, authority: &Authority, now: u64) -> Result<String, CertsError> {
        let entry = |(serial, when): &(Vec<u8>, u64)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date!(*when),
            reason_code: Some(RevocationReason::Superseded),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date!(now.saturating_sub(BACKDATED)),
            next_update: date!(now + LEAF_LIVES),
            crl_number: SerialNumber::from(self.number + 1),
            issuing_distribution_point: None,
            revoked_certs: self.entries.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(authority.issuer())?.pem()?)
    }
}

/// A number without the zero that keeps it positive.
fn bare(serial: &[u8]) -> &[u8] {
    match serial {
        [0, rest @ ..] if !rest.is_empty() => rest,
        serial => serial,
    }
}
