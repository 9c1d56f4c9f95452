//! What a zone should be beyond what makes it one: hosts that exist, glue that is there and of use, nothing that
//! cannot be seen, names that hosts may have.
//!
//! The measure is BIND: what its `named-checkzone` refuses is an error, what it loads is a warning.

use super::compile::shown;
use super::{Found, Node, Set, Zone};
use crate::dns::master::{Place, Records, Rule, Severity};
use crate::dns::name::{is_suffix, labels};
use crate::dns::rdata;
use crate::dns::types::RecordType;

/// Looks at all of `zone`, which was compiled from `records`.
pub(super) fn lint(zone: &Zone, records: &mut Records) {
    // Targets may stand in lines that cannot be read: what is missing is not known then.
    let linter = Linter { zone, all_is_read: records.errors == 0, servers: servers(zone) };
    for (index, row) in zone.nodes.iter().enumerate() {
        let node = Node { zone, row };
        match zone.covered(node) {
            Some(cover) => linter.covered(node, cover, linter.servers[index], records),
            None => linter.seen(node, linter.servers[index], records),
        }
    }
    denial_ttl(zone, records);
}

/// RFC 9077 §3: what denies has the TTL of the negative answer, else a resolver that uses it by itself (RFC 8198) denies
/// for longer than the zone allows. Only whoever signs can mend it: its RRSIG has the same TTL, and has the signed one in
/// its data (RFC 4034 §3.1.4); so it is served as the file says, as other servers do, and told once.
fn denial_ttl(zone: &Zone, records: &mut Records) {
    let Some(expected) = zone.negative_ttl() else {
        return;
    };
    let sets = zone.nodes.iter().flat_map(|row| Node { zone, row }.sets());
    let odd = sets
        .filter(|set| matches!(set.record_type(), RecordType::NSEC | RecordType::NSEC3))
        .filter(|set| set.ttl() != expected)
        .filter_map(|set| Some((place(records, set, 0)?, set.record_type(), set.ttl())));
    let Some((place, record_type, ttl)) = odd.min_by_key(|(place, ..)| (place.source, place.at)) else {
        return;
    };
    records.report(place, Severity::Warning, Rule::DenialTtl, |_| {
        format!(
            "the TTL of this {record_type} is {ttl}, but negative answers of this zone have {expected}, the lower of its \
             SOA's TTL and last number: sign the zone anew with a signer that knows this"
        )
    });
}

struct Linter<'z> {
    zone: &'z Zone,
    all_is_read: bool,
    /// For each node, whether an NS record names it.
    servers: Vec<bool>,
}

fn servers(zone: &Zone) -> Vec<bool> {
    let mut servers = vec![false; zone.nodes.len()];
    let sets = zone.nodes.iter().filter_map(|row| Node { zone, row }.set(RecordType::NS));
    for index in sets.flat_map(Set::data).filter_map(|target| zone.index(target)) {
        servers[index as usize] = true;
    }
    servers
}

impl Linter<'_> {
    /// A name above which nothing ends the zone.
    fn seen(&self, node: Node<'_>, is_server: bool, records: &mut Records) {
        for set in node.sets() {
            let record_type = set.record_type();
            match record_type {
                RecordType::NS | RecordType::MX | RecordType::SRV => self.targets(node, set, records),
                RecordType::SOA => {
                    let primary = set.first().unwrap_or_default();
                    self.host_name(name_of(primary), set, "a primary server", records);
                }
                _ => {}
            }
            let at_cut =
                node.is_cut() && !may_be_at_cut(record_type) && !(is_server && is_address(record_type));
            if at_cut {
                let name = shown(node.name());
                report(records, set, 0, Severity::Warning, Rule::Occluded, || {
                    format!(
                        "`{name}` is delegated by its NS records, so nobody is told of this {record_type}: put it into \
                         the child's zone"
                    )
                });
            } else if matches!(record_type, RecordType::A | RecordType::AAAA | RecordType::MX) {
                let name = node.name();
                let name = name.strip_prefix(b"\x01*").unwrap_or(name);
                let what =
                    if record_type == RecordType::MX { "a mail domain" } else { "the owner of an address" };
                self.host_name(name, set, what, records);
            } else if record_type == RecordType::NS && node.name().starts_with(b"\x01*") {
                report(records, set, 0, Severity::Warning, Rule::WildcardServers, || {
                    "NS at a wildcard: no two servers agree on what it means; delegate each name by itself"
                        .into()
                });
            }
        }
    }

    /// A name below a delegation or a DNAME.
    fn covered(&self, node: Node<'_>, cover: Found<'_>, is_server: bool, records: &mut Records) {
        let (Found::Cut(above) | Found::Dname(above)) = cover else {
            return;
        };
        let below_cut = matches!(cover, Found::Cut(_));
        for set in node.sets() {
            let record_type = set.record_type();
            let signs = matches!(record_type, RecordType::RRSIG | RecordType::NSEC | RecordType::NSEC3);
            if signs || below_cut && is_server && is_address(record_type) {
                continue;
            }
            let (name, above) = (shown(node.name()), shown(above.name()));
            let (rule, message) = if !below_cut {
                let message = format!(
                    "`{name}` is below the DNAME of `{above}`, which answers for all names there: delete one of the two"
                );
                (Rule::Occluded, message)
            } else if is_address(record_type) {
                let message = format!(
                    "`{name}` is below the delegation of `{above}`, but no NS record names it: delete it, or name it"
                );
                (Rule::UselessGlue, message)
            } else {
                let message = format!(
                    "`{name}` is below the delegation of `{above}`, so nobody is told of this {record_type}: put it \
                     into the child's zone"
                );
                (Rule::Occluded, message)
            };
            report(records, set, 0, Severity::Warning, rule, || message);
        }
    }

    /// The hosts that NS, MX and SRV records name.
    fn targets(&self, node: Node<'_>, set: Set<'_>, records: &mut Records) {
        let record_type = set.record_type();
        // Without a server of its own that has an address, a zone is not loaded by BIND.
        let needed = record_type == RecordType::NS && std::ptr::eq(node.row, self.zone.apex().row);
        let severity = if needed { Severity::Error } else { Severity::Warning };
        for (index, target) in set
            .data()
            .enumerate()
            .filter_map(|(index, data)| rdata::target(record_type, data).map(|target| (index, target)))
        {
            // The root stands for "none" (RFC 7505, RFC 2782).
            if target == b"\0" {
                continue;
            }
            let what = match record_type {
                RecordType::NS => "a name server",
                RecordType::MX => "a mail exchanger",
                _ => "the host of a service",
            };
            if let Some(message) = no_host_name(target, what) {
                report_target(records, set, index, Severity::Warning, Rule::HostName, || message);
            }
            if !is_suffix(target, self.zone.origin().as_wire()) || is_like_address(target) && !needed {
                continue;
            }
            let name = shown(target);
            match self.zone.find(target) {
                Found::Node(found) | Found::Wildcard(found) if has_address(found) => {}
                Found::Node(found) | Found::Wildcard(found) if found.set(RecordType::CNAME).is_some() => {
                    report_target(records, set, index, severity, Rule::TargetIsAlias, || {
                        format!(
                            "`{name}` is an alias (CNAME), but {what} must not be one: name the host itself"
                        )
                    });
                }
                Found::Cut(cut) => {
                    let has_glue = self.zone.exact(target).is_some_and(has_address);
                    if record_type == RecordType::NS && !has_glue && self.all_is_read {
                        self.missing_glue(node, cut, target, set, index, records);
                    }
                }
                Found::Dname(_) => {}
                _ if self.all_is_read => {
                    report_target(records, set, index, severity, Rule::TargetWithoutAddress, || {
                        format!(
                            "`{name}` has no address in this zone, so {what} cannot be reached there: give it an A or \
                             AAAA record, or look for a typing error"
                        )
                    });
                }
                _ => {}
            }
        }
    }

    fn missing_glue(
        &self,
        node: Node<'_>,
        cut: Node<'_>,
        target: &[u8],
        set: Set<'_>,
        index: usize,
        records: &mut Records,
    ) {
        let name = shown(target);
        let message = if is_suffix(target, node.name()) {
            format!(
                "`{name}` is below the delegation that it serves, and has no glue: nobody can find it; give it an A or \
                 AAAA record here"
            )
        } else {
            let cut = shown(cut.name());
            format!(
                "`{name}` is below the delegation of `{cut}`, and has no glue here: give it an A or AAAA record"
            )
        };
        report_target(records, set, index, Severity::Warning, Rule::MissingGlue, || message);
    }

    fn host_name(&self, name: &[u8], set: Set<'_>, what: &str, records: &mut Records) {
        if let Some(message) = no_host_name(name, what) {
            report(records, set, 0, Severity::Warning, Rule::HostName, || message);
        }
    }
}

/// Why `name` is no name for a host; nothing if it is one.
fn no_host_name(name: &[u8], what: &str) -> Option<String> {
    let label = String::from_utf8_lossy(labels(name).find(|label| !is_host_label(label))?);
    let name = shown(name);
    Some(format!(
        "`{name}` is {what}, but no name for a host: `{label}` should be letters, digits and hyphens, with no hyphen at \
         its ends"
    ))
}

/// Reports at the last word of the record of `set` with the number `index`: the host that an NS, MX or SRV names.
fn report_target(
    records: &mut Records,
    set: Set<'_>,
    index: usize,
    severity: Severity,
    rule: Rule,
    message: impl FnOnce() -> String,
) {
    if let Some(place) = place(records, set, index) {
        let place = records.sources.last_word(place);
        records.report(place, severity, rule, |_| message());
    }
}

/// Reports at the record of `set` with the number `index`.
fn report(
    records: &mut Records,
    set: Set<'_>,
    index: usize,
    severity: Severity,
    rule: Rule,
    message: impl FnOnce() -> String,
) {
    if let Some(place) = place(records, set, index) {
        records.report(place, severity, rule, |_| message());
    }
}

/// Where a record is written. Entries were added in the order of their data, so it is found by halving.
fn place(records: &Records, set: Set<'_>, index: usize) -> Option<Place> {
    let start = set.row.data as usize;
    let data = *set.zone.data.get(start..start + set.row.count as usize)?.get(index)?;
    let entry = records.entries.binary_search_by_key(&data, |entry| entry.data).ok()?;
    Some(records.entries[entry].place)
}

/// What the parent says at a cut (RFC 4035 §2.4).
const fn may_be_at_cut(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::NS | RecordType::DS | RecordType::NSEC | RecordType::RRSIG)
}

const fn is_address(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::A | RecordType::AAAA)
}

fn has_address(node: Node<'_>) -> bool {
    node.sets().any(|set| is_address(set.record_type()))
}

/// The name at the start of data.
fn name_of(data: &[u8]) -> &[u8] {
    let length = crate::dns::name::wire_length(data).unwrap_or(0);
    &data[..length]
}

fn is_host_label(label: &[u8]) -> bool {
    let inside = label.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
    inside && !label.starts_with(b"-") && !label.ends_with(b"-")
}

/// Whether a name begins like an IPv4 address: the reader has told of that where it stands.
fn is_like_address(name: &[u8]) -> bool {
    let number = |label: &[u8]| label.len() <= 3 && label.iter().all(u8::is_ascii_digit);
    let first: Vec<&[u8]> = labels(name).take(4).collect();
    first.len() == 4 && first.into_iter().all(number)
}
