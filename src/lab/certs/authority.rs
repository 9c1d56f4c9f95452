//! The lab's own authority: its key, its certificate, and for what it may vouch.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::super::config::Network;
use super::super::hosts::Host;
use super::{AUTHORITY_LIVES, BACKDATED, CertsError, date, serial, told};
use crate::ground::chance;

/// For these the lab vouches in any case: its domain, and this machine.
const ALWAYS: [&str; 2] = ["foobar.com", "localhost"];

/// The authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    name: String,
    from: u64,
    until: u64,
    /// Domains, each with all below it.
    permitted: Vec<String>,
    /// Networks, each as its octets and those of its mask (RFC 5280 §4.2.1.10).
    networks: Vec<Vec<u8>>,
}

impl Authority {
    /// A new one for the lab's own domain and `names`: a key and its certificate as PEM.
    pub(super) fn make(names: &[String], now: u64) -> Result<String, CertsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // Each has another name: whoever has two is not told that one of them did not sign.
        let [a, b, c, d] = chance::secret::<4>().map_err(CertsError::Chance)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "wwwlab");
        params
            .distinguished_name
            .push(DnType::CommonName, format!("wwwlab lab CA {a:02x}{b:02x}{c:02x}{d:02x}"));
        params.serial_number = Some(serial()?);
        params.not_before = date!(now.saturating_sub(BACKDATED));
        params.not_after = date!(now + AUTHORITY_LIVES);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut domains: Vec<String> = ALWAYS.map(str::to_owned).into();
        for name in names {
            if !domains.iter().any(|domain| is_within(name, domain)) {
                domains.push(name.to_ascii_lowercase());
            }
        }
        let domains = domains.into_iter().map(GeneralSubtree::DnsName);
        let addresses = permitted_addresses()
            .into_iter()
            .map(|(address, bits)| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits)));
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: domains.chain(addresses).collect(),
            excluded_subtrees: Vec::new(),
        });
        let certificate = params.self_signed(&key)?;
        Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
    }

    /// What [`Self::make`] made; nothing if this is something else.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (_, certificate) = text.split_at_checked(text.find("-----BEGIN CERTIFICATE-----")?)?;
        let key = KeyPair::from_pem(text).ok()?;
        let der = told::certificate(text)?;
        let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&der).ok()?;
        if !parsed.is_ca() || parsed.public_key().subject_public_key.data != key.public_key_raw() {
            return None;
        }
        let (mut permitted, mut networks) = (Vec::new(), Vec::new());
        for subtree in parsed.name_constraints().ok()??.value.permitted_subtrees.iter().flatten() {
            match subtree.base {
                GeneralName::DNSName(domain) => permitted.push(domain.to_owned()),
                GeneralName::IPAddress(octets) => networks.push(octets.to_vec()),
                _ => {}
            }
        }
        Some(Self {
            permitted,
            networks,
            name: parsed.subject().to_string(),
            from: u64::try_from(parsed.validity().not_before.timestamp()).ok()?,
            until: u64::try_from(parsed.validity().not_after.timestamp()).ok()?,
            issuer: Issuer::from_ca_cert_pem(certificate, key).ok()?,
            certificate: certificate.to_owned(),
        })
    }

    /// Who signs.
    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// Its certificate, as PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its name, as a certificate says it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Since when it is valid, in seconds since the Unix epoch.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// Until when it is.
    pub(super) fn until(&self) -> u64 {
        self.until
    }

    /// Whether it may vouch for `name`; what it signs beyond that, nobody believes.
    pub(super) fn may_vouch_for(&self, name: &str) -> bool {
        self.permitted.iter().any(|domain| is_within(name, domain))
    }

    /// Whether it may vouch for all addresses of a lab: one that an older wwwlab made may not.
    pub(super) fn may_vouch_for_addresses(&self) -> bool {
        permitted_addresses()
            .into_iter()
            .all(|(address, bits)| self.networks.contains(&octets(address, bits)))
    }
}

/// The addresses at which a lab can be: this machine's own, and those of the servers and of the resolvers.
fn permitted_addresses() -> Vec<(IpAddr, u8)> {
    let this_machine = [(IpAddr::from([127, 0, 0, 0]), 8), (IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 128)];
    let hosts = Host::ALL.into_iter().filter(|&host| is_server(host) || host.is_resolver());
    let hosts = hosts.flat_map(|host| host.addresses(Network::Hosts));
    let hosts = hosts.map(|address| (address, if address.is_ipv4() { 32 } else { 128 }));
    this_machine.into_iter().chain(hosts).collect()
}

fn is_server(host: Host) -> bool {
    matches!(host, Host::Server | Host::Server2)
}

/// A network as a certificate has it: the octets of its address, and behind them those of its mask.
fn octets(address: IpAddr, bits: u8) -> Vec<u8> {
    let mut octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    // All masks here end at an octet's end.
    let whole = usize::from(bits / 8);
    octets.extend((0..octets.len()).map(|place| if place < whole { 0xFF } else { 0 }).collect::<Vec<u8>>());
    octets
}

fn is_within(name: &str, domain: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}
