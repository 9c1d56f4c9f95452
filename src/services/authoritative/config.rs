//! What the server is told on its command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::access::{self, Allowed, Peer};
use super::{cookies, limit};
use crate::dns::name::{Name, NameError};
use crate::ground::dnssec;
use crate::services::private;

/// What the server must be told to start.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Where to listen, over UDP and TCP; port 0 takes a free one; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", required = true)]
    pub listen: Vec<SocketAddr>,
    /// A zone and the master file that it is read from; may be repeated
    #[arg(long = "zone", value_name = "ORIGIN=FILE")]
    pub zones: Vec<ZoneFile>,
    /// Where to answer in private as well, and with which certificates
    #[command(flatten)]
    pub private: private::Arguments,
    /// A zone that is signed, and the file with its key; may be repeated
    #[arg(long = "sign", value_name = "ORIGIN=FILE")]
    pub sign: Vec<dnssec::Zone>,
    /// A signed zone below, and its DNSKEY in base64, for the DS in its parent; may be repeated
    #[arg(long = "child", value_name = "ORIGIN=KEY")]
    pub children: Vec<dnssec::Child>,
    /// How signed zones deny
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub denial: dnssec::Denial,
    /// What the server calls itself when asked which one it is (NSID, `id.server`); without it, its first address
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// Who may have whole zones (AXFR): an address, a prefix, `key NAME`, or a prefix and `key NAME`; may be repeated
    #[arg(long = "transfer-to", value_name = "WHO")]
    pub transfer_to: Vec<Allowed>,
    /// A zone that is copied from its primary, with `key NAME` if they share one; may be repeated
    #[arg(long = "follow", value_name = "ORIGIN=ADDRESS:PORT", requires = "copies")]
    pub follow: Vec<FollowedZone>,
    /// The directory in which copies of zones are kept for the next start
    #[arg(long, value_name = "DIRECTORY")]
    pub copies: Option<PathBuf>,
    /// A name server that is told when a zone changes (NOTIFY), with `key NAME` if they share one; may be repeated
    #[arg(long = "notify", value_name = "ADDRESS:PORT")]
    pub notify: Vec<Peer>,
    /// A file with keys for signed messages, as tsig-keygen writes it; may be repeated
    #[arg(long = "keys", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Equal answers to one network that are sent over UDP, a second; 0 limits nothing
    #[arg(long, value_name = "ANSWERS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(limit::MOST)))]
    pub rate_limit: u32,
    /// What is done about DNS cookies: `answer` gives one to whoever shows one, `require` answers over UDP only who
    /// shows a good one, `off` passes them over
    #[arg(long, value_enum, value_name = "POLICY", default_value_t)]
    pub cookies: cookies::Policy,
}

impl Default for Config {
    /// At a free port of this machine, without zones.
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            zones: Vec::new(),
            private: private::Arguments::default(),
            sign: Vec::new(),
            children: Vec::new(),
            denial: dnssec::Denial::default(),
            identity: None,
            transfer_to: Vec::new(),
            notify: Vec::new(),
            follow: Vec::new(),
            copies: None,
            keys: Vec::new(),
            rate_limit: 0,
            cookies: cookies::Policy::default(),
        }
    }
}

/// A zone and the file that it is read from, as the command line writes it: `foobar.com=zones/foobar.com.zone`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFile {
    /// The zone's apex.
    pub origin: Name,
    /// Its master file.
    pub file: PathBuf,
}

/// A zone and the primary that it is copied from, as the command line writes it: `foobar.com=127.0.0.1:53 key NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedZone {
    /// The zone's apex.
    pub origin: Name,
    /// Its primary.
    pub primary: Peer,
}

impl FromStr for FollowedZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "write the zone, `=`, and its primary: foobar.com=127.0.0.1:53";
        let (origin, primary) = text.split_once('=').ok_or(SHAPE)?;
        let origin = origin.parse().map_err(|cause| format!("`{origin}` is no zone's name: {cause}"))?;
        Ok(Self { origin, primary: primary.parse().map_err(|cause: access::AccessError| cause.to_string())? })
    }
}

/// Why text names no zone and file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneFileError {
    /// There is no `=` with something on both sides.
    #[error("write the zone, `=`, and its file: foobar.com=zones/foobar.com.zone")]
    Shape,
    /// What stands before `=` is no name.
    #[error("`{0}` is no zone's name")]
    Origin(String, #[source] NameError),
}

impl FromStr for ZoneFile {
    type Err = ZoneFileError;

    fn from_str(text: &str) -> Result<Self, ZoneFileError> {
        let (origin, file) = text
            .split_once('=')
            .filter(|(origin, file)| !origin.is_empty() && !file.is_empty())
            .ok_or(ZoneFileError::Shape)?;
        Ok(Self {
            origin: origin.parse().map_err(|cause| ZoneFileError::Origin(origin.into(), cause))?,
            file: file.into(),
        })
    }
}
