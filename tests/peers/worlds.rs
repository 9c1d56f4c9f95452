//! Zones that are served side by side, and what is asked of them.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use wwwlab::dns::master;
use wwwlab::dns::name::Name;
use wwwlab::dns::rdata;

use super::ask::{Question, Transport};

/// Zones and questions.
pub(crate) struct World {
    pub(crate) name: String,
    /// Origin and master file.
    pub(crate) zones: Vec<(String, String)>,
    pub(crate) questions: Vec<Question>,
}

/// Asked of every name: what is there, what may be, and what no zone has.
const TYPES: [&str; 10] = ["A", "AAAA", "NS", "CNAME", "SOA", "MX", "TXT", "DNAME", "DS", "TYPE65280"];

impl World {
    /// These zones, and every question that their names suggest: each name, what is above it, and what is not
    /// there below it.
    pub(crate) fn suggested(name: &str, zones: Vec<(String, String)>) -> Self {
        let mut names = BTreeSet::new();
        for (origin, text) in &zones {
            for name in names_in(origin, text) {
                let suggested = [Some(name.clone()), name.parent(), below("x", &name), below("*", &name)];
                names.extend(suggested.into_iter().flatten().map(|name| name.to_string()));
                names.extend(
                    below("x", &name).and_then(|name| below("y", &name)).map(|name| name.to_string()),
                );
            }
        }
        let questions = names
            .iter()
            .flat_map(|name| TYPES.iter().map(|record_type| Question::new(name, record_type, Transport::Udp)))
            .collect();
        Self { name: name.into(), zones, questions }
    }

    /// Writes the zones' files into `directory`; origins with their files.
    pub(crate) fn write(&self, directory: &Path) -> Vec<(String, PathBuf)> {
        let write = |(number, (origin, text)): (usize, &(String, String))| {
            let file = directory.join(format!("{number}.zone"));
            fs::write(&file, text).unwrap();
            (origin.clone(), file)
        };
        self.zones.iter().enumerate().map(write).collect()
    }

    fn asking(mut self, transport: Transport, questions: &[(&str, &str)]) -> Self {
        let asked = questions.iter().map(|(name, record_type)| Question::new(name, record_type, transport));
        self.questions.extend(asked);
        self
    }
}

/// For a failing test: what was served.
impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.zones.iter().try_for_each(|(origin, text)| writeln!(f, "zone {origin}\n{text}"))
    }
}

/// Owners and targets.
fn names_in(origin: &str, text: &str) -> Vec<Name> {
    let origin = origin.parse().unwrap();
    let records = master::read_text(Path::new("zone"), text.as_bytes(), &origin);
    assert!(records.problems.is_empty(), "{:?}", records.problems);
    let of_entry = |entry: &master::Entry| {
        let target = rdata::target(entry.record_type, records.data(entry));
        [Some(records.owner(entry)), target.map(|target| Name::from_wire(target).unwrap())]
    };
    records.entries.iter().flat_map(of_entry).flatten().collect()
}

fn below(label: &str, name: &Name) -> Option<Name> {
    Name::parse(label.as_bytes(), Some(name)).ok()
}

/// The zones that `wwwlab new` writes, one of them from `foobar`.
pub(crate) fn shipped(foobar: &str) -> World {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones/loopback");
    let zone = |origin: &str, file: &str| (origin.into(), fs::read_to_string(folder.join(file)).unwrap());
    let zones = vec![
        zone(".", "root.zone"),
        zone("com", "com.zone"),
        zone("127.in-addr.arpa", "127.in-addr.arpa.zone"),
        zone("foobar.com", foobar),
    ];
    World::suggested(&format!("the shipped zones with {foobar}"), zones)
}

/// One of the shipped zones alone, as the lab's root and com servers serve theirs: with referrals.
pub(crate) fn shipped_alone(origin: &str, file: &str) -> World {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones/loopback");
    let text = fs::read_to_string(folder.join(file)).unwrap();
    World::suggested(&format!("{file} alone"), vec![(origin.into(), text)])
        .asking(Transport::Udp, &[("www.foobar.com", "A"), ("wWw.FooBar.CoM", "AAAA"), ("nosuch", "A")])
}

/// The zone foobar.com, and no questions of its own.
pub(crate) fn shipped_foobar() -> World {
    World { questions: Vec::new(), ..shipped_alone("foobar.com", "foobar.com.zone") }
}

/// RFC 1034 §6.1, with today's types.
pub(crate) fn rfc1034() -> World {
    let text = "\
$TTL 86400
. SOA SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870611 1800 300 604800 86400
. NS A.ISI.EDU.
. NS C.ISI.EDU.
. NS SRI-NIC.ARPA.
MIL. NS SRI-NIC.ARPA.
MIL. NS A.ISI.EDU.
EDU. NS SRI-NIC.ARPA.
EDU. NS C.ISI.EDU.
SRI-NIC.ARPA. A 26.0.0.73
SRI-NIC.ARPA. A 10.0.0.51
SRI-NIC.ARPA. MX 0 SRI-NIC.ARPA.
SRI-NIC.ARPA. HINFO DEC-2060 TOPS20
ACC.ARPA. A 26.6.0.65
ACC.ARPA. HINFO PDP-11/70 UNIX
ACC.ARPA. MX 10 ACC.ARPA.
USC-ISIC.ARPA. CNAME C.ISI.EDU.
73.0.0.26.IN-ADDR.ARPA. PTR SRI-NIC.ARPA.
65.0.6.26.IN-ADDR.ARPA. PTR ACC.ARPA.
51.0.0.10.IN-ADDR.ARPA. PTR SRI-NIC.ARPA.
52.0.0.10.IN-ADDR.ARPA. PTR C.ISI.EDU.
103.0.3.26.IN-ADDR.ARPA. PTR A.ISI.EDU.
A.ISI.EDU. A 26.3.0.103
C.ISI.EDU. A 10.0.0.52
";
    World::suggested("RFC 1034 §6", vec![(".".into(), text.into())]).asking(
        Transport::PlainUdp,
        &[
            ("SRI-NIC.ARPA", "A"),
            ("SRI-NIC.ARPA", "MX"),
            ("SRI-NIC.ARPA", "NS"),
            ("SIR-NIC.ARPA", "A"),
            ("BRL.MIL", "A"),
            ("USC-ISIC.ARPA", "A"),
            ("USC-ISIC.ARPA", "CNAME"),
            ("sri-nic.arpa", "SRV"),
        ],
    )
}

const SOA: &str = "$TTL 3600\n@ SOA ns hostmaster 1 7200 900 604800 300\n@ NS ns\nns A 192.0.2.1\n";

/// RFC 4592 §2.2.1, with name servers that are not below the zone.
const RFC4592: &str = "\
$TTL 3600
@ SOA ns.example.com. hostmaster.example.com. 1 7200 900 604800 300
@ NS ns.example.com.
@ NS ns.example.net.
* TXT \"this is a wildcard\"
* MX 10 host1
sub.* TXT \"this is not a wildcard\"
host1 A 192.0.2.1
_ssh._tcp.host1 SRV 0 0 22 host1
_ssh._tcp.host2 SRV 0 0 22 host1
subdel NS ns.example.com.
subdel NS ns.example.net.
";

/// Aliases: within the zone, into another, out of what is served, into nothing, in circles (RFC 1034 §3.6.2).
const ALIASES: &str = "\
in CNAME www
www A 192.0.2.2
two CNAME in
nothing CNAME nosuch
nodata CNAME ns
out CNAME www.elsewhere.invalid.
over CNAME www.dnames.test.
overnothing CNAME nosuch.dnames.test.
intocut CNAME x.child.cuts.test.
intodname CNAME x.d.dnames.test.
self CNAME self
one CNAME another
another CNAME one
*.wild CNAME www
*.loop CNAME x.loop
*.away CNAME www.elsewhere.invalid.
real.wild TXT real
";

/// DNAME (RFC 6672): beside data, into the zone, out of it, to itself, below a wildcard, to what is too long.
const DNAMES: &str = "\
www A 192.0.2.3
d DNAME target
d TXT beside
x.target A 192.0.2.4
*.target TXT wildcard
alias.target CNAME www
e DNAME d
out DNAME elsewhere.invalid.
over DNAME aliases.test.
cut DNAME child.cuts.test.
ent.below.target A 192.0.2.5
long DNAME tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt.tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt.tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt
";

/// Delegations (RFC 9471) with glue in the child, beside it, elsewhere in the zone, in another zone, and none;
/// data below them; a DS.
const CUTS: &str = "\
child NS ns1.child
child NS ns2.child
ns1.child A 192.0.2.11
ns1.child AAAA 2001:db8::11
ns2.child A 192.0.2.12
hidden.child TXT \"not ours to answer\"
sibling NS ns1.child
sibling NS ns.sibling2
sibling2 NS ns.sibling2
ns.sibling2 A 192.0.2.13
outside NS ns.elsewhere.invalid.
beside NS www.dnames.test.
plain NS ns
mixed NS ns
mixed NS ns.mixed
mixed NS ns.elsewhere.invalid.
ns.mixed A 192.0.2.14
noglue NS ns.noglue
signed NS ns
signed DS 1 8 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
served NS ns.served
ns.served A 192.0.2.15
served DS 2 8 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
a.b.deep NS ns.a.b.deep
ns.a.b.deep A 192.0.2.16
target.wildcut NS ns
*.alias CNAME x.child
many0 MX 10 ns1.child
many1 MX 10 ns
";

/// Names that exist without data, and what is below them (RFC 4592 §2.2.2, RFC 8020).
const EMPTY: &str = "\
a.b.c A 192.0.2.21
*.c TXT wildcard
*.x.y A 192.0.2.22
z.*.y A 192.0.2.23
* A 192.0.2.24
_sip._tcp SRV 1 2 5060 ns
upper.CASE A 192.0.2.25
text TXT \"Case Is Kept\" \"\" \"twice\"
";

/// One zone for each group of rules, all served at once.
pub(crate) fn by_section() -> World {
    let zone = |origin: &str, text: &str| (origin.to_owned(), format!("{SOA}{text}"));
    let zones = vec![
        ("example".into(), RFC4592.into()),
        zone("aliases.test", ALIASES),
        zone("dnames.test", DNAMES),
        zone("cuts.test", CUTS),
        zone("served.cuts.test", "www A 192.0.2.31\n"),
        zone("empty.test", EMPTY),
    ];
    let long = format!("{0}.{0}.long.dnames.test", "x".repeat(40));
    World::suggested("zones by RFC section", zones)
        .asking(
            Transport::Udp,
            &[(&long, "A"), ("foo.bar.example", "TXT"), ("_telnet._tcp.host1.example", "SRV")],
        )
        .asking(
            Transport::Udp,
            &[("_ssh._tcp.host1.example", "SRV"), ("elsewhere.invalid", "A"), (".", "NS")],
        )
        .asking(Transport::Tcp, &[("two.aliases.test", "A"), ("x.child.cuts.test", "A")])
}

/// A zone with one of each kind of answer, for a validator.
pub(crate) fn validated() -> World {
    let text = format!("{SOA}{VALIDATED_ZONE}");
    World::suggested("each kind of answer", vec![("signed.test".into(), text)])
}

const VALIDATED_ZONE: &str = "\
www A 192.0.2.2
alias CNAME www
nothing CNAME nosuch
*.wild TXT wildcard
d DNAME below
x.below A 192.0.2.3
a.b.ent A 192.0.2.4
secure NS ns
secure DS 1 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
insecure NS ns
";

/// What is asked of [`validated`], and what a validator says of the answer.
pub(crate) const VALIDATED: [(&str, &str, &str); 15] = [
    ("www.signed.test", "A", "; fully validated\nwww.signed.test."),
    ("signed.test", "DNSKEY", "; fully validated\nsigned.test."),
    ("alias.signed.test", "A", "; fully validated\nalias.signed.test."),
    ("x.d.signed.test", "A", "; fully validated\n"),
    ("x.wild.signed.test", "TXT", "; fully validated\nx.wild.signed.test."),
    ("*.wild.signed.test", "TXT", "; fully validated\n*.wild.signed.test."),
    ("secure.signed.test", "DS", "; fully validated\nsecure.signed.test."),
    ("www.signed.test", "AAAA", "; negative response, fully validated"),
    ("x.wild.signed.test", "A", "; negative response, fully validated"),
    ("ent.signed.test", "A", "; negative response, fully validated"),
    ("nosuch.signed.test", "A", "; negative response, fully validated"),
    ("x.y.nosuch.signed.test", "A", "; negative response, fully validated"),
    ("x.www.signed.test", "A", "; negative response, fully validated"),
    ("nothing.signed.test", "A", "; fully validated\nnothing.signed.test."),
    ("insecure.signed.test", "DS", "; negative response, fully validated"),
];

/// Answers and referrals at and around the limits of 512 and 1232 octets (RFC 6891 §6.2.3, RFC 9471 §3).
pub(crate) fn sizes() -> World {
    let mut text = SOA.to_owned();
    let mut questions = Vec::new();
    let mut ask_all_ways = |name: String| {
        for transport in [Transport::Udp, Transport::PlainUdp, Transport::Tcp] {
            questions.push(Question::new(&format!("{name}.sizes.test"), "A", transport));
        }
    };
    for count in [1_u8, 20, 28, 29, 30, 31, 60, 73, 74, 75, 95] {
        text.extend((0..count).map(|n| format!("a{count} A 192.0.2.{n}\n")));
        ask_all_ways(format!("a{count}"));
    }
    for count in [1_u8, 3, 5, 8, 12, 15, 20, 40] {
        let cut = format!("cut{count}");
        for n in 0..count {
            let (inside, beside) = (format!("ns{n}.{cut}"), format!("beside{n}"));
            text.push_str(&format!(
                "{cut} NS {inside}\n{inside} A 192.0.2.{n}\n{inside} AAAA 2001:db8::{n}\n"
            ));
            text.push_str(&format!("out{cut} NS {beside}\n"));
        }
        ask_all_ways(format!("x.{cut}"));
        ask_all_ways(format!("x.out{cut}"));
    }
    text.extend((0..40).map(|n| format!("beside{n} A 192.0.2.{n}\nbeside{n} AAAA 2001:db8::{n}\n")));
    World { name: "answers of all sizes".into(), zones: vec![("sizes.test".into(), text)], questions }
}
