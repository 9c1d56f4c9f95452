//! The rules that zone files are held to, each with its name for scripts and the document that states it.

use std::fmt;

/// A rule of zone files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The file can be read.
    File,
    /// An entry has the form of an entry, and its data the form of its type.
    Syntax,
    /// A word with `$` is a directive.
    Directive,
    /// A name without its final dot is completed with the origin, and so must not have it already.
    DoubledOrigin,
    /// Where a name belongs there is no address.
    AddressForName,
    /// A zone has one SOA, at its apex.
    Soa,
    /// A zone names its servers.
    Servers,
    /// A zone has only names at or below its apex.
    Outside,
    /// An alias stands alone and has one target.
    Alias,
    /// A name has one DNAME.
    OneDname,
    /// The records of one name and type have one TTL.
    OneTtl,
    /// A record stands once.
    Duplicate,
    /// A host that a record names is no alias.
    TargetIsAlias,
    /// A host of this zone that a record names has an address.
    TargetWithoutAddress,
    /// A delegation whose server is below it gives that server's address.
    MissingGlue,
    /// An address below a delegation is that of a name server.
    UselessGlue,
    /// Below a delegation or a DNAME nothing of this zone is seen.
    Occluded,
    /// Hosts have names of letters, digits and hyphens.
    HostName,
    /// NS does not stand at a wildcard.
    WildcardServers,
    /// What denies in a signed zone can be used.
    Denial,
    /// What denies is remembered no longer than the zone's SOA says.
    DenialTtl,
    /// An edit raises the serial.
    Serial,
    /// Everything has a limit.
    Limit,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 23] = [
        Self::File,
        Self::Syntax,
        Self::Directive,
        Self::DoubledOrigin,
        Self::AddressForName,
        Self::Soa,
        Self::Servers,
        Self::Outside,
        Self::Alias,
        Self::OneDname,
        Self::OneTtl,
        Self::Duplicate,
        Self::TargetIsAlias,
        Self::TargetWithoutAddress,
        Self::MissingGlue,
        Self::UselessGlue,
        Self::Occluded,
        Self::HostName,
        Self::WildcardServers,
        Self::Denial,
        Self::DenialTtl,
        Self::Serial,
        Self::Limit,
    ];

    /// Its name for scripts: `missing-glue`.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Syntax => "syntax",
            Self::Directive => "directive",
            Self::DoubledOrigin => "doubled-origin",
            Self::AddressForName => "address-for-name",
            Self::Soa => "soa",
            Self::Servers => "servers",
            Self::Outside => "outside",
            Self::Alias => "alias",
            Self::OneDname => "one-dname",
            Self::OneTtl => "one-ttl",
            Self::Duplicate => "duplicate",
            Self::TargetIsAlias => "target-is-alias",
            Self::TargetWithoutAddress => "target-without-address",
            Self::MissingGlue => "missing-glue",
            Self::UselessGlue => "useless-glue",
            Self::Occluded => "occluded",
            Self::HostName => "host-name",
            Self::WildcardServers => "wildcard-servers",
            Self::Denial => "denial",
            Self::DenialTtl => "denial-ttl",
            Self::Serial => "serial",
            Self::Limit => "limit",
        }
    }

    /// The document that states it; empty where that is wwwlab alone.
    pub fn source(self) -> &'static str {
        match self {
            Self::File | Self::Limit => "",
            Self::Syntax | Self::Directive | Self::DoubledOrigin => "RFC 1035 §5.1",
            Self::AddressForName => "RFC 1035 §3.3",
            Self::Soa | Self::Outside => "RFC 1035 §5.2",
            Self::Servers => "RFC 1034 §4.2.1",
            Self::Alias => "RFC 1034 §3.6.2, RFC 2181 §10.1",
            Self::OneDname => "RFC 6672 §2.4",
            Self::OneTtl => "RFC 2181 §5.2",
            Self::Duplicate => "RFC 2181 §5",
            Self::TargetIsAlias => "RFC 2181 §10.3, RFC 2782",
            Self::TargetWithoutAddress => "RFC 1912 §2.8",
            Self::MissingGlue => "RFC 1034 §4.2.1, RFC 9471",
            Self::UselessGlue => "RFC 1912 §2.3",
            Self::Occluded => "RFC 2136 §7.18, RFC 6672 §2.4",
            Self::HostName => "RFC 952, RFC 1123 §2.1",
            Self::WildcardServers => "RFC 4592 §4.2",
            Self::Denial => "RFC 5155 §7.3, §10.3, RFC 9276 §3.1",
            Self::DenialTtl => "RFC 9077 §3",
            Self::Serial => "RFC 1982, RFC 1912 §2.2",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
