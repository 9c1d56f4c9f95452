//! What a certificate says, for whoever wants to see it. Pure.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Where it lies.
    pub file: PathBuf,
    /// Whose it is.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// For which names and addresses, in its order; none for the authority.
    pub names: Vec<String>,
    /// Since when it is valid, in seconds since the Unix epoch.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// Its number, hexadecimal with colons.
    pub serial: String,
    /// The SHA-256 of all of it, as browsers show it.
    pub sha256: String,
    /// Whether it is the authority's own.
    pub is_authority: bool,
    /// Whether the authority has taken it back.
    pub revoked: bool,
}

/// What the first certificate in `text`, which came from `file`, says; nothing if there is none.
pub(super) fn read(file: &Path, text: &str) -> Option<Told> {
    let der = certificate(text)?;
    let (_, parsed) = X509Certificate::from_der(&der).ok()?;
    let alternatives = parsed.subject_alternative_name().ok()?;
    let names = alternatives.iter().flat_map(|names| &names.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
        _ => None,
    });
    Some(Told {
        file: file.into(),
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        names: names.collect(),
        from: u64::try_from(parsed.validity().not_before.timestamp()).ok()?,
        until: u64::try_from(parsed.validity().not_after.timestamp()).ok()?,
        serial: colons(parsed.raw_serial()),
        sha256: colons(&Sha256::digest(&der)),
        is_authority: parsed.is_ca(),
        revoked: false,
    })
}

/// The first certificate in `text`, as DER.
pub(super) fn certificate(text: &str) -> Option<Vec<u8>> {
    section(text, "CERTIFICATE")
}

/// The first section of this kind in `text` (RFC 7468).
pub(super) fn section(text: &str, label: &str) -> Option<Vec<u8>> {
    let sections = x509_parser::pem::Pem::iter_from_buffer(text.as_bytes());
    sections.flatten().find(|section| section.label == label).map(|section| section.contents)
}

/// The octets of a number that [`Told`] shows.
pub(super) fn serial_bytes(serial: &str) -> Vec<u8> {
    serial.split(':').filter_map(|octet| u8::from_str_radix(octet, 16).ok()).collect()
}

fn colons(bytes: &[u8]) -> String {
    let octets: Vec<String> = bytes.iter().map(|byte| HEXUPPER.encode(&[*byte])).collect();
    octets.join(":")
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}
