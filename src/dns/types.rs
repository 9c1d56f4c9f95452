//! The registries: record types, classes, response codes, with the words that people write for them.
//!
//! Numbers without a word are written as RFC 3597 §5 says: `TYPE65280`, `CLASS32`.

use std::fmt;

/// The type of a record or of a question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

macro_rules! record_types {
    ($($word:ident = $number:literal, $doc:literal;)*) => {
        impl RecordType {
            $(#[doc = $doc] pub const $word: Self = Self($number);)*

            /// Its word, where it has one.
            pub const fn word(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($word)),)*
                    _ => None,
                }
            }
        }

        /// Every type with a word.
        const WORDS: &[(&str, u16)] = &[$((stringify!($word), $number)),*];
    };
}

record_types! {
    A = 1, "An IPv4 address (RFC 1035).";
    NS = 2, "A name server of the zone (RFC 1035).";
    CNAME = 5, "An alias: the name whose records hold (RFC 1035).";
    SOA = 6, "The start of a zone (RFC 1035).";
    MB = 7, "A mailbox host (RFC 1035, obsolete).";
    MG = 8, "A mail group member (RFC 1035, obsolete).";
    MR = 9, "A renamed mailbox (RFC 1035, obsolete).";
    NULL = 10, "Any octets (RFC 1035).";
    WKS = 11, "Well-known services (RFC 1035, obsolete).";
    PTR = 12, "The name of an address (RFC 1035).";
    HINFO = 13, "The kind of a host (RFC 1035).";
    MINFO = 14, "Mailing list addresses (RFC 1035).";
    MX = 15, "A mail exchanger (RFC 1035).";
    TXT = 16, "Text (RFC 1035).";
    RP = 17, "A responsible person (RFC 1183).";
    AFSDB = 18, "An AFS database (RFC 1183).";
    SIG = 24, "An old signature (RFC 2535).";
    KEY = 25, "An old key (RFC 2535).";
    AAAA = 28, "An IPv6 address (RFC 3596).";
    LOC = 29, "A place on Earth (RFC 1876).";
    SRV = 33, "Where a service is (RFC 2782).";
    NAPTR = 35, "A rewriting rule (RFC 3403).";
    KX = 36, "A key exchanger (RFC 2230).";
    CERT = 37, "A certificate (RFC 4398).";
    DNAME = 39, "An alias for all names below (RFC 6672).";
    OPT = 41, "The pseudo-record of EDNS (RFC 6891).";
    APL = 42, "Address prefixes (RFC 3123).";
    DS = 43, "The digest of a child zone's key (RFC 4034).";
    SSHFP = 44, "The fingerprint of an SSH key (RFC 4255).";
    IPSECKEY = 45, "An IPsec key (RFC 4025).";
    RRSIG = 46, "A signature (RFC 4034).";
    NSEC = 47, "The next name, signed (RFC 4034).";
    DNSKEY = 48, "A zone's key (RFC 4034).";
    DHCID = 49, "A DHCP client (RFC 4701).";
    NSEC3 = 50, "The next hashed name, signed (RFC 5155).";
    NSEC3PARAM = 51, "How names are hashed (RFC 5155).";
    TLSA = 52, "A TLS certificate's association (RFC 6698).";
    SMIMEA = 53, "An S/MIME certificate's association (RFC 8162).";
    HIP = 55, "Host identity (RFC 8005).";
    CDS = 59, "The DS that a child wishes for (RFC 7344).";
    CDNSKEY = 60, "The key that a child wishes for (RFC 7344).";
    OPENPGPKEY = 61, "An OpenPGP key (RFC 7929).";
    CSYNC = 62, "What a child wishes to have copied (RFC 7477).";
    ZONEMD = 63, "The digest of a zone (RFC 8976).";
    SVCB = 64, "How to reach a service (RFC 9460).";
    HTTPS = 65, "How to reach a web site (RFC 9460).";
    SPF = 99, "Obsolete: sender policy is written as TXT (RFC 7208).";
    EUI48 = 108, "A 48-bit interface address (RFC 7043).";
    EUI64 = 109, "A 64-bit interface address (RFC 7043).";
    TKEY = 249, "A key agreement (RFC 2930); never in a zone.";
    TSIG = 250, "A message's signature (RFC 8945); never in a zone.";
    IXFR = 251, "A question for a zone's changes (RFC 1995).";
    AXFR = 252, "A question for a whole zone (RFC 5936).";
    MAILB = 253, "An obsolete question (RFC 1035).";
    MAILA = 254, "An obsolete question (RFC 1035).";
    ANY = 255, "A question for any type (RFC 8482).";
    URI = 256, "A URI (RFC 7553).";
    CAA = 257, "Who may issue certificates (RFC 8659).";
}

impl RecordType {
    /// The type that `word` means, in any case: `A`, `TYPE65280`.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        if let Some(&(_, number)) =
            WORDS.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(word))
        {
            return Some(Self(number));
        }
        numbered(word, b"TYPE").map(Self)
    }

    /// Whether it stands only in questions or messages, never in a zone (RFC 6895 §3.1).
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 0 | 41 | 128..=255)
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.word() {
            Some(word) => f.write_str(word),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The class of a record or of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class(pub u16);

impl Class {
    /// The Internet.
    pub const IN: Self = Self(1);
    /// Chaos.
    pub const CH: Self = Self(3);
    /// Hesiod.
    pub const HS: Self = Self(4);

    /// The class that `word` means, in any case: `IN`, `CLASS1`.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        const WORDS: [(&[u8], u16); 4] = [(b"IN", 1), (b"CS", 2), (b"CH", 3), (b"HS", 4)];
        WORDS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word))
            .map(|&(_, number)| number)
            .or_else(|| numbered(word, b"CLASS"))
            .map(Self)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IN => f.write_str("IN"),
            Self::CH => f.write_str("CH"),
            Self::HS => f.write_str("HS"),
            Self(number) => write!(f, "CLASS{number}"),
        }
    }
}

/// What came of a question (RFC 1035 §4.1.1, RFC 6895 §2.3), extended by EDNS to 12 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// Answered.
    pub const NOERROR: Self = Self(0);
    /// The question cannot be read.
    pub const FORMERR: Self = Self(1);
    /// The server fails.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist.
    pub const NXDOMAIN: Self = Self(3);
    /// The server does not do that.
    pub const NOTIMP: Self = Self(4);
    /// The server will not do that, or does not serve that name.
    pub const REFUSED: Self = Self(5);
    /// A DNAME makes the name too long (RFC 6672 §2.2).
    pub const YXDOMAIN: Self = Self(6);
    /// The server is not authoritative for the zone, or does not take the signature (RFC 2136 §2.2, RFC 8945 §5.3.2).
    pub const NOTAUTH: Self = Self(9);
    /// An EDNS version that the server does not speak (RFC 6891 §6.1.3).
    pub const BADVERS: Self = Self(16);
    /// The cookie is not the server's (RFC 7873 §5.2.3).
    pub const BADCOOKIE: Self = Self(23);
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            6 => "YXDOMAIN",
            7 => "YXRRSET",
            8 => "NXRRSET",
            9 => "NOTAUTH",
            10 => "NOTZONE",
            16 => "BADVERS",
            23 => "BADCOOKIE",
            other => return write!(f, "RCODE{other}"),
        })
    }
}

/// The number behind `prefix`, both in any case.
fn numbered(word: &[u8], prefix: &[u8]) -> Option<u16> {
    let (start, digits) = word.split_at_checked(prefix.len())?;
    if !start.eq_ignore_ascii_case(prefix) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_meet() {
        for &(word, number) in WORDS {
            assert_eq!(RecordType::from_word(word.as_bytes()), Some(RecordType(number)));
            assert_eq!(RecordType(number).to_string(), word);
        }
        assert_eq!(RecordType::from_word(b"aaaa"), Some(RecordType::AAAA));
        assert_eq!(RecordType::from_word(b"type1"), Some(RecordType::A));
        assert_eq!(RecordType::from_word(b"TYPE65280").unwrap().to_string(), "TYPE65280");
        for word in [&b"TYPE"[..], b"TYPE65536", b"TYPE+1", b"www", b""] {
            assert_eq!(RecordType::from_word(word), None);
        }
        assert_eq!(Class::from_word(b"in"), Some(Class::IN));
        assert_eq!(Class::from_word(b"CLASS1"), Some(Class::IN));
        assert_eq!([Class::CH, Class(32)].map(|class| class.to_string()), ["CH", "CLASS32"]);
        assert_eq!(Rcode::NXDOMAIN.to_string(), "NXDOMAIN");
    }
}
