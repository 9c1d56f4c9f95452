//! What the authority issues to a site, as it should be or wrong on purpose.

use std::net::IpAddr;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
};

use super::super::config::Network;
use super::authority::Authority;
use super::told::Told;
use super::{BACKDATED, CertsError, DAY, Kind, LEAF_LIVES, Site, date, serial};

/// What a certificate of the wrong name is for: a name for which the authority may vouch, and at which nothing is.
const WRONG_NAME: &str = "wrong.foobar.com";

/// What a certificate is to say.
#[derive(Debug)]
pub(super) struct Subject {
    kind: Kind,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    from: u64,
    until: u64,
}

impl Subject {
    /// For `site`, of this `kind`, from `now` on; never longer than the authority lives.
    pub(super) fn of(site: &Site, kind: Kind, authority: &Authority, now: u64) -> Self {
        let (mut names, mut addresses) = (site.names.clone(), Vec::new());
        if site.is_first {
            names.push("localhost".into());
        }
        // The same for both networks: who moves from one to the other needs no other.
        for network in Network::ALL {
            addresses.extend(site.hosts.iter().flat_map(|host| host.addresses(network)));
        }
        if kind == Kind::WrongName {
            (names, addresses) = (vec![WRONG_NAME.into()], Vec::new());
        }
        let (from, until) = match kind {
            Kind::Expired => (now.saturating_sub(LEAF_LIVES + DAY), now.saturating_sub(DAY)),
            _ => (now.saturating_sub(BACKDATED), authority.until().min(now + LEAF_LIVES)),
        };
        Self { kind, names, addresses, from, until }
    }

    /// A new key and a certificate for it, as PEM.
    pub(super) fn make(&self, authority: &Authority) -> Result<String, CertsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.clone())?;
        params.subject_alt_names.extend(self.addresses.iter().map(|address| SanType::IpAddress(*address)));
        params.distinguished_name = DistinguishedName::new();
        // A common name has 64 characters at most (RFC 5280, appendix A); nobody looks for the host there.
        if let Some(name) = self.names.first().filter(|name| name.len() <= 64) {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        params.serial_number = Some(serial()?);
        params.not_before = date!(self.from);
        params.not_after = date!(self.until);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = self.kind != Kind::SelfSigned;
        let certificate = match self.kind {
            Kind::SelfSigned => params.self_signed(&key)?,
            _ => params.signed_by(&key, authority.issuer())?,
        };
        Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
    }

    /// Whether `there` is such a certificate, and will be for a while.
    pub(super) fn is_met_by(&self, there: &Told, authority: &Authority, now: u64) -> bool {
        let is_of = match self.kind {
            Kind::SelfSigned => there.issuer == there.subject,
            _ => there.issuer == authority.name(),
        };
        let in_time = match self.kind {
            Kind::Expired => there.until < now,
            // A third of its time is left, or as much as the authority has.
            _ => there.from <= now && there.until > now + LEAF_LIVES / 3,
        };
        let mut wanted = self.names.clone();
        wanted.extend(self.addresses.iter().map(IpAddr::to_string));
        is_of && in_time && there.names == wanted
    }
}
