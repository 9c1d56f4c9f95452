//! What TLS needs: a certificate that all servers but the lab show, which has its own, and who believes it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore, version};
use tokio_rustls::TlsConnector;

use crate::ground::trouble::{Trouble, cannot, of};
use crate::way::Way;

/// The authority's certificate, in the bench's place.
pub(crate) const AUTHORITY: &str = "ca.pem";
/// The site's key and certificate, there too.
pub(crate) const SITE: &str = "site.pem";

/// Makes both: ECDSA on P-256, as the lab's are.
pub(crate) fn make(place: &Path) -> Result<(), Trouble> {
    let made = || -> Result<_, rcgen::Error> {
        let mut authority = CertificateParams::new([])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let site = CertificateParams::new(["www.foobar.com".to_owned()])?.signed_by(&key, &authority)?;
        Ok((authority.pem(), key.serialize_pem() + &site.pem()))
    };
    let (authority, site) = made().map_err(io::Error::other).map_err(cannot("make a certificate"))?;
    for (name, text) in [(AUTHORITY, authority), (SITE, site)] {
        let file = place.join(name);
        fs::write(&file, text).map_err(of(&file))?;
    }
    Ok(())
}

/// What shakes hands in this `way`, and believes the authority of `file` alone; nothing where there is no TLS.
pub(crate) fn connector(way: Way, file: &Path) -> Result<Option<TlsConnector>, Trouble> {
    if way == Way::Plain {
        return Ok(None);
    }
    let mut believed = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(file)
        .map_err(io::Error::other)
        .map_err(cannot("read the authority"))?;
    believed.add(authority).map_err(io::Error::other).map_err(cannot("believe the authority"))?;
    let mut client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(io::Error::other)
        .map_err(cannot("speak TLS"))?
        .with_root_certificates(believed)
        .with_no_client_auth();
    if way != Way::Resumed {
        client.resumption = Resumption::disabled();
    }
    Ok(Some(TlsConnector::from(Arc::new(client))))
}
