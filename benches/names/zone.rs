//! The zone that all servers publish, made of blocks of [`BLOCK`] records: hosts, a wildcard, a delegation with glue.
//! And the questions about it, each about a block that is drawn anew.
//!
//! Labels follow no order, so that neither the file nor the questions suit one way of keeping names.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use wwwlab::dns::message::asked::plain_query;
use wwwlab::dns::name::Name;
use wwwlab::dns::types::RecordType;

use crate::ground::trouble::{Trouble, cannot, of};

/// Its apex.
pub(crate) const ORIGIN: &str = "bench.test";
/// Records of a block: [`HOSTS`] addresses, a wildcard, a delegation, its glue.
pub(crate) const BLOCK: u32 = 10;
const HOSTS: u32 = BLOCK - 3;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A host's address.
    Hit,
    /// The address of a name that there is none of.
    Nothing,
    /// An address that a wildcard gives.
    Wildcard,
    /// A name below a delegation.
    Referral,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Hit, Self::Nothing, Self::Wildcard, Self::Referral];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hit => "hit",
            Self::Nothing => "NXDOMAIN",
            Self::Wildcard => "wildcard",
            Self::Referral => "referral",
        })
    }
}

/// Writes the zone to `file`: `records` in blocks, and the apex with its server.
pub(crate) fn write(file: &Path, records: u32) -> Result<(), Trouble> {
    let write = || -> io::Result<()> {
        let mut out = BufWriter::new(File::create(file)?);
        write!(out, "$ORIGIN {ORIGIN}.\n$TTL 3600\n@ SOA ns1 hostmaster 1 7200 900 604800 300\n@ NS ns1\n")?;
        writeln!(out, "ns1 A 192.0.2.1")?;
        for block in 0..records / BLOCK {
            let label = Label(block);
            for host in 0..HOSTS {
                let [_, b, c, d] = (block * HOSTS + host).to_be_bytes();
                writeln!(out, "h{host}-{label} A 10.{b}.{c}.{d}")?;
            }
            writeln!(out, "*.w-{label} A 192.0.2.2")?;
            writeln!(out, "d-{label} NS ns.d-{label}\nns.d-{label} A 192.0.2.3")?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.flush()
    };
    write().map_err(of(file))
}

/// `count` questions of `kind` about a zone of `records`, as a resolver asks them: with EDNS, wanting signatures.
pub(crate) fn questions(kind: Kind, records: u32, count: u32) -> Result<Vec<Vec<u8>>, Trouble> {
    let blocks = (records / BLOCK).max(1);
    (0..count)
        .map(|number| {
            let drawn = scattered(number);
            let (label, host) = (Label(drawn % blocks), number % HOSTS);
            let name = match kind {
                Kind::Hit => format!("h{host}-{label}.{ORIGIN}"),
                Kind::Nothing => format!("n{host}-{label}.{ORIGIN}"),
                Kind::Wildcard => format!("x{host}.w-{label}.{ORIGIN}"),
                Kind::Referral => format!("x{host}.d-{label}.{ORIGIN}"),
            };
            ask_for(&name)
        })
        .collect()
}

/// The question for the address of `label`.
pub(crate) fn question_for(label: &str) -> Result<Vec<u8>, Trouble> {
    ask_for(&format!("{label}.{ORIGIN}"))
}

fn ask_for(name: &str) -> Result<Vec<u8>, Trouble> {
    let name: Name = name.parse().map_err(io::Error::other).map_err(cannot("make a question"))?;
    Ok(plain_query(0, &name, RecordType::A, true))
}

/// Whether `answer` is what a question of this kind is answered with, by its head (RFC 1035 §4.1.1): response code,
/// AA, and what stands in the sections.
pub(crate) fn is_right(kind: Kind, answer: &[u8]) -> bool {
    let Some(&[_, _, high, low, _, _, _, answers, _, authority, ..]) = answer.get(..12) else {
        return false;
    };
    let (is_answer, authoritative, rcode) = (high & 0x80 != 0, high & 0x04 != 0, low & 0x0F);
    is_answer
        && match kind {
            Kind::Hit | Kind::Wildcard => rcode == 0 && authoritative && answers == 1,
            Kind::Nothing => rcode == 3 && authoritative && answers == 0 && authority == 1,
            Kind::Referral => rcode == 0 && !authoritative && answers == 0 && authority == 1,
        }
}

/// A block's label: different for each, in no order.
struct Label(u32);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", scattered(self.0))
    }
}

/// Another number for each number: an odd factor and a shift can be undone.
const fn scattered(number: u32) -> u32 {
    let number = (number ^ number >> 16).wrapping_mul(0x7FEB_352D);
    let number = (number ^ number >> 15).wrapping_mul(0x846C_A68B);
    number ^ number >> 16
}
