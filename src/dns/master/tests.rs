//! Zone files as students write them: what is read, and what is said about mistakes.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::dns::name::Name;
use crate::dns::rdata::{self, Field, Shown};
use crate::dns::types::RecordType;
use crate::dns::zone::Load;

fn origin() -> Name {
    "foobar.com".parse().unwrap()
}

fn records(text: &str) -> Records {
    read_text(Path::new("z"), text.as_bytes(), &origin())
}

/// Each record as a line; there must be no problem.
fn read_lines(text: &str) -> Vec<String> {
    let records = records(text);
    assert_eq!(records.problems, []);
    let line = |entry: &Entry| {
        let data = Shown { record_type: entry.record_type, data: records.data(entry) };
        format!("{} {} {} {data}", records.owner(entry), entry.ttl, entry.record_type)
    };
    records.entries.iter().map(line).collect()
}

/// Every problem of the text as a whole zone, as printed.
fn problems(text: &str) -> Vec<String> {
    let load = Load::from_records(&origin(), records(text));
    assert_eq!(load.zone.is_none(), load.errors().count() > 0);
    load.problems.iter().map(ToString::to_string).collect()
}

const HEAD: &str = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";

/// The one problem of `lines` below a sound head of four lines.
fn problem(lines: &str) -> String {
    let mut problems = problems(&format!("{HEAD}{lines}"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn rfc1035_section_5_1_owners_times_classes_and_origins() {
    let text = "$TTL 1h\r\n@ IN 60 SOA ns h ( 1 ; serial\r\n 1h 15m 1w 1d )\r\n\
                www 1m30s IN A 192.0.2.1\n    AAAA 2001:db8::1 ; the same owner\n\
                IN A 192.0.2.2\nWwW.Sub in TXT plain \"two words\" \"a\\\"b\\059\"\n\
                $ORIGIN sub\nx CNAME @\n$ORIGIN .\ny. MX 10 x.z.\n\\@.a\\.b PTR .";
    assert_eq!(
        read_lines(text),
        [
            "foobar.com. 60 SOA ns.foobar.com. h.foobar.com. 1 3600 900 604800 86400",
            "www.foobar.com. 90 A 192.0.2.1",
            "www.foobar.com. 3600 AAAA 2001:db8::1",
            "IN.foobar.com. 3600 A 192.0.2.2",
            "WwW.Sub.foobar.com. 3600 TXT \"plain\" \"two words\" \"a\\\"b;\"",
            "x.sub.foobar.com. 3600 CNAME sub.foobar.com.",
            "y. 3600 MX 10 x.z.",
            "\\@.a\\.b. 3600 PTR .",
        ]
    );
}

#[test]
fn rfc3597_section_5_generic_types_and_data() {
    assert_eq!(
        read_lines(
            "$TTL 1\na TYPE65280 \\# 3 ab CDEF\nb TYPE1 192.0.2.1\nc A \\# 4 C0000201\nd TYPE65280 \\# 0"
        ),
        [
            "a.foobar.com. 1 TYPE65280 \\# 3 ABCDEF",
            "b.foobar.com. 1 A 192.0.2.1",
            "c.foobar.com. 1 A 192.0.2.1",
            "d.foobar.com. 1 TYPE65280 \\# 0",
        ]
    );
    assert!(problem("a A \\# 3 C00002\n").contains("not the data of a A record"));
    assert!(problem("a NS \\# 2 C00C\n").contains("not the data of a NS record"));
    assert!(problem("a TYPE65280 \\# 4 C00002\n").contains("the length says 4, but 3 octets follow"));
    assert!(problem("a CERT 1 1 1 AQID\n").contains("write it as `\\# LENGTH HEX`"));
}

#[test]
fn rfc2308_section_4_where_a_ttl_comes_from() {
    // The last one written, where there is no $TTL (RFC 1035); the SOA's minimum before that.
    assert_eq!(
        read_lines("@ SOA ns h 1 2 3 4 5\na A 192.0.2.1\nb 7 A 192.0.2.1\nc A 192.0.2.1"),
        [
            "foobar.com. 5 SOA ns.foobar.com. h.foobar.com. 1 2 3 4 5",
            "a.foobar.com. 5 A 192.0.2.1",
            "b.foobar.com. 7 A 192.0.2.1",
            "c.foobar.com. 7 A 192.0.2.1",
        ]
    );
    assert!(records("a A 192.0.2.1").problems[0].message.contains("write `$TTL 1h`"));
}

#[test]
fn one_run_shows_every_problem_with_its_place() {
    let text =
        format!("{HEAD}www A 1.2.3\nmail MX mail\n bad \"x\nb B 1\n$GENERATE 3-1 a A 1.2.3.4\n$TLL 5\n");
    let problems = problems(&text);
    let places: Vec<&str> = problems.iter().map(|problem| &problem[..problem.find(": ").unwrap()]).collect();
    assert_eq!(places, ["z:5:7", "z:6:9", "z:7:6", "z:8:3", "z:9:11", "z:10:1"], "{problems:#?}");
    let problem = &records(&text).problems[0];
    assert_eq!(problem.source_line, "www A 1.2.3");
}

#[test]
fn mistakes_are_explained() {
    for (lines, place, said) in [
        ("www A 127.0.0.1 127.0.0.2\n", "z:5:17", "one record holds one address"),
        ("www A ns\n", "z:5:7", "to point to a name, use CNAME"),
        ("www A ::1\n", "z:5:7", "its type is AAAA"),
        ("www AAAA 127.0.0.1\n", "z:5:10", "its type is A"),
        ("www CNAME 127.0.0.1\n", "z:5:11: warning", "is an address, but is read as the name"),
        ("mail MX 127.0.0.1 ns\n", "z:5:9", "is no number from 0 to 65535"),
        ("www A\n", "z:5:6", "wants an IPv4 address"),
        ("www\n", "z:5:4", "no record type"),
        ("  www A 127.0.0.1\n", "z:5:3", "begins with a blank"),
        ("www CH A 127.0.0.1\n", "z:5:5", "only the class IN"),
        ("www ANY 127.0.0.1\n", "z:5:5", "no type for a zone"),
        ("www 1x A 127.0.0.1\n", "z:5:5", "is no TTL, class or type: a TTL is 0 to 2147483647"),
        ("www -5 A 127.0.0.1\n", "z:5:5", "is no TTL, class or type"),
        ("www 99999999999 A 127.0.0.1\n", "z:5:5", "is no TTL, class or type"),
        ("# a comment\n", "z:5:1", "a comment begins with `;`"),
        ("// a comment\n", "z:5:1", "a comment begins with `;`"),
        ("a..b A 127.0.0.1\n", "z:5:1", "no two dots in a row"),
        ("wörld A 127.0.0.1\n", "z:5:1", "xn--"),
        ("www.foobar.com A 127.0.0.1\n", "z:5:1: warning", "write `www.foobar.com.`"),
        ("www CNAME ns.foobar.com\n", "z:5:11: warning", "write `ns.foobar.com.`"),
        ("www TXT \"a\n", "z:5:9", "not closed"),
        ("www TXT ( a\nb A 127.0.0.1\n", "z:5:9", "never closed"),
        ("\0\0\0\n", "z:5:1", "not a text file"),
        ("www.elsewhere. A 127.0.0.1\n", "z:5:1", "outside the zone"),
        ("@ SOA ns h 2 2 3 4 5\n", "z:5:1", "a second SOA"),
        ("www SOA ns h 2 2 3 4 5\n", "z:5:1", "below the apex"),
        ("www CNAME a\nwww CNAME b\n", "z:6:1", "the first is in line 5"),
        ("www A 127.0.0.1\nwww A 127.0.0.1\n", "z:6:1: warning", "delete one"),
        ("www NS Ns\nwww NS nS\n", "z:6:1: warning", "delete one"),
        ("www 1 A 127.0.0.1\nwww 2 A 127.0.0.2\n", "z:6:1: warning", "the lowest is taken"),
    ] {
        let problem = problem(lines);
        assert!(problem.starts_with(&format!("{place}:")) && problem.contains(said), "{lines}: {problem}");
    }
    // Written out with its dot, the long name is meant.
    assert_eq!(problems(&format!("{HEAD}www.foobar.com.foobar.com. A 127.0.0.1\n")), [""; 0]);
}

#[test]
fn an_alias_beside_other_data_is_shown_at_both_places() {
    let problems = problems(&format!("{HEAD}www CNAME ns\nx A 192.0.2.1\nwww A 192.0.2.1\n"));
    assert!(problems[0].starts_with("z:5:1: ") && problems[0].contains("A in line 7"), "{problems:?}");
    assert!(problems[1].starts_with("z:7:1: ") && problems[1].contains("line 5"), "{problems:?}");
}

#[test]
fn a_zone_without_soa_or_servers_is_refused() {
    let problems = problems("$TTL 1\nwww A 192.0.2.1\n");
    assert!(problems[0].starts_with("z: no SOA at `foobar.com.`"), "{problems:?}");
    assert!(problems[1].starts_with("z: no NS at `foobar.com.`"), "{problems:?}");
    assert_eq!(problems.len(), 2);
}

#[test]
fn includes_are_found_beside_their_file_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    write("main", "$TTL 1\nwww A 192.0.2.1\n$INCLUDE sub/one sub\n  A 192.0.2.3\n");
    write("sub/one", "a A 192.0.2.2\n$INCLUDE two\n");
    write("sub/two", "b A 192.0.2.4\n");
    let records = read(&folder.path().join("main"), &origin());
    assert_eq!(records.problems, []);
    let owners: Vec<String> = records.entries.iter().map(|entry| records.owner(entry).to_string()).collect();
    assert_eq!(owners, ["www.foobar.com.", "a.sub.foobar.com.", "b.sub.foobar.com.", "www.foobar.com."]);
    write("sub/two", "$INCLUDE ../main\n");
    let records = read(&folder.path().join("main"), &origin());
    assert!(records.problems[0].message.contains("includes itself"), "{:?}", records.problems);
    write("sub/two", "b A 192.0.2.4\n");
    write("sub/one", &"$INCLUDE two\n".repeat(2 * FILES_MOST));
    let records = read(&folder.path().join("main"), &origin());
    assert!(records.problems[0].message.contains("more than 1000 files"), "{:?}", records.problems);
    assert!(read(folder.path(), &origin()).problems[0].message.contains("not a file"));
}

#[test]
fn too_many_problems_are_cut() {
    let problems = problems(&format!("{HEAD}{}", "www A x\n".repeat(1000)));
    assert_eq!(problems.len(), PROBLEMS_MOST + 1);
    assert_eq!(problems.last().unwrap(), "z: 900 more errors are not shown: mend these first");
    // Warnings, however many, keep no zone from being served.
    let zone = format!("{HEAD}{}", "www A 192.0.2.2\n".repeat(1000));
    let load = Load::from_records(&origin(), records(&zone));
    assert_eq!((load.zone.is_some(), load.problems.len()), (true, PROBLEMS_MOST + 1));
}

#[test]
fn every_type_is_written_as_its_rfc_does() {
    for line in [
        // RFC 4034 §2.3, §3.3, §4.3; RFC 5155 §3.3 and appendix A; RFC 8976 §2.3; RFC 1876 §4.
        "DNSKEY 256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3Cbl+BBZH4b/0PY1kxkmvHjcZc8nokfzj31GajIQKY+5CptLr3buXA10hWqTkF7H6RfoRqXQeogmMHfpftf6zMv1LyBUgia7za6ZEzOJBOztyvhjL742iU/TpPSEDhm2SNKLijfUppn1UaNvv4w==",
        "CDNSKEY 0 3 0 AA==",
        "RRSIG A 5 3 86400 20030322173103 20030220173103 2642 example.com. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTrPYGv07h108dUKGMeDPKijVCHX3DDKdfb+v6oB9wfuh3DTJXUAfI=",
        "NSEC host.example.com. A MX RRSIG NSEC TYPE1234",
        "NSEC3 1 1 12 AABBCCDD 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A RRSIG",
        "NSEC3 1 1 12 - 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S",
        "NSEC3PARAM 1 0 12 AABBCCDD",
        "NSEC3PARAM 1 0 0 -",
        "ZONEMD 2018031500 1 1 FEBE3D4CE2EC2FFA4BA99D46CD69D6D29711E55217057BEE7EB1A7B641A47BA7FED2DD5B97AE499FAFA4F22C6BD647DE",
        "CSYNC 66 3 A NS AAAA",
        "LOC 42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m",
        // RFC 9460 appendix D.
        "HTTPS 0 foo.example.com.",
        "SVCB 1 .",
        "SVCB 16 foo.example.com. port=53",
        "SVCB 1 foo.example.com. key667=\"hello\"",
        "SVCB 1 foo.example.com. key667=\"hello\\210qoo\"",
        "SVCB 1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1",
        "SVCB 16 foo.example.org. mandatory=alpn,ipv4hint alpn=\"h2,h3-19\" ipv4hint=192.0.2.1",
        "SVCB 16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
        "HTTPS 1 . alpn=\"h2\" no-default-alpn ech=AQID dohpath=\"/q{?dns}\" ohttp key65000",
    ] {
        assert_eq!(read_lines(&format!("$TTL 1\na {line}")), [format!("a.foobar.com. 1 {line}")]);
    }
    // RFC 9460 appendix D.2: equal to what stands above, and the failures of D.3.
    assert_eq!(
        read_lines(
            "$TTL 1\na SVCB 16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1"
        ),
        [
            "a.foobar.com. 1 SVCB 16 foo.example.org. mandatory=alpn,ipv4hint alpn=\"h2,h3-19\" ipv4hint=192.0.2.1"
        ]
    );
    for wrong in [
        "key123=abc key123=def",
        "mandatory",
        "alpn",
        "port",
        "ipv4hint",
        "ipv6hint",
        "no-default-alpn=abc",
        "mandatory=key123",
        "mandatory=mandatory",
        "mandatory=key123,key123 key123=abc",
        "no-default-alpn",
        "port=65536",
        "key65535=x",
        "=x",
    ] {
        let problem = problem(&format!("a SVCB 1 foo.example.com. {wrong}\n"));
        let place = if wrong == "key123=abc key123=def" { "z:5:38: " } else { "z:5:27: " };
        assert!(problem.starts_with(place), "{wrong}: {problem}");
    }
}

#[test]
fn generate_writes_many_records() {
    assert_eq!(
        read_lines(
            "$TTL 1\n$GENERATE 1-3/2 host${0,3}.x 60 A 192.0.2.$\n$GENERATE 7-7 $ MX \"10 mail$\"\n$GENERATE 5-5 t TXT \"a $ \\$\""
        ),
        [
            "host001.x.foobar.com. 60 A 192.0.2.1",
            "host003.x.foobar.com. 60 A 192.0.2.3",
            "7.foobar.com. 1 MX 10 mail7.foobar.com.",
            "t.foobar.com. 1 TXT \"a 5 $\"",
        ]
    );
    for (lines, place, said) in [
        ("$GENERATE 254-257 h$ A 192.0.2.$\n", "z:5:1", "for 256: `192.0.2.256` is no IPv4 address"),
        ("$GENERATE 1-5 h${1,x} A 192.0.2.1\n", "z:5:15", "OFFSET"),
        ("$GENERATE 1-5 h$ A\n", "z:5:1", "wants a range"),
        ("$GENERATE 0-2000000000 h$ A 192.0.2.1\n", "z:5:1", "smaller range"),
    ] {
        let problem = problem(lines);
        assert!(problem.starts_with(&format!("{place}:")) && problem.contains(said), "{lines}: {problem}");
    }
}

/// Every rule that looks at a zone as a whole: the lines, and what is said where.
#[test]
fn what_a_zone_should_be() {
    for (lines, place, rule) in [
        ("@ NS b\n", "z:5:6: `", Rule::TargetWithoutAddress),
        ("@ NS b\nb CNAME ns\n", "z:5:6: `", Rule::TargetIsAlias),
        ("a MX 1 b\n", "z:5:8: warning", Rule::TargetWithoutAddress),
        ("a MX 1 (\n b ) ; b\nb CNAME ns\n", "z:6:2: warning", Rule::TargetIsAlias),
        ("_a._tcp SRV 1 1 1 b\n", "z:5:19: warning", Rule::TargetWithoutAddress),
        ("a MX 1 192.0.2.1\n", "z:5:8: warning", Rule::AddressForName),
        ("a MX 1 192.0.2.1.\n", "z:5:8: warning", Rule::AddressForName),
        ("a NS ns.a\n", "z:5:6: warning", Rule::MissingGlue),
        ("a NS ns.b\nb NS x.e.\n", "z:5:6: warning", Rule::MissingGlue),
        ("a NS ns\nx.a A 192.0.2.2\n", "z:6:1: warning", Rule::UselessGlue),
        ("a NS ns\nx.a TXT x\n", "z:6:1: warning", Rule::Occluded),
        ("a NS ns\na TXT x\n", "z:6:1: warning", Rule::Occluded),
        ("a DNAME b\nx.a TXT x\n", "z:6:1: warning", Rule::Occluded),
        ("a_b A 192.0.2.2\n", "z:5:1: warning", Rule::HostName),
        ("-a A 192.0.2.2\n", "z:5:1: warning", Rule::HostName),
        ("a MX 1 b_.e.\n", "z:5:8: warning", Rule::HostName),
        ("*.a NS ns\n", "z:5:1: warning", Rule::WildcardServers),
        ("@ 6 NSEC ns NS\nns 7 NSEC @ A\n", "z:5:1: warning", Rule::DenialTtl),
    ] {
        let load = Load::from_records(&origin(), records(&format!("{HEAD}{lines}")));
        let [problem] = load.problems.as_slice() else { panic!("{lines}: {:?}", load.problems) };
        assert_eq!(problem.rule, rule, "{lines}");
        assert!(problem.to_string().starts_with(place), "{lines}: {problem}");
    }
    // The other side: what looks alike and is right.
    for lines in [
        "a MX 0 .\n",
        "a MX 1 b\nb AAAA ::1\n",
        "a MX 1 x.e.\n",
        "a MX 1 b.w\n*.w A 192.0.2.2\n",
        "a NS ns.a\nns.a A 192.0.2.2\n",
        "a NS ns.b\nb NS ns.b\nns.b A 192.0.2.2\n",
        "a NS a\na A 192.0.2.2\n",
        "a NS ns\na DS 1 8 1 AABB\n",
        "a DNAME b\n",
        "_a._tcp SRV 0 0 0 .\n_b TXT x\n*.w A 192.0.2.2\n",
    ] {
        assert_eq!(problems(&format!("{HEAD}{lines}")), [""; 0], "{lines}");
    }
}

#[test]
fn rfc1982_a_changed_zone_has_a_larger_serial() {
    let load = |serial: u32, lines: &str| {
        let text = format!("$TTL 1\n@ NS ns.e.\n@ SOA ns.e. h {serial} 2 3 4 5\n{lines}");
        Load::from_records(&origin(), records(&text))
    };
    let said = |old: u32, new: u32, lines: &str| {
        let mut new = load(new, lines);
        new.compare_with(load(old, "").zone.as_ref().unwrap());
        new.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(
        said(1, 1, "a A 192.0.2.1\n")[0]
            .starts_with("z:3:1: warning: the zone changed, but its serial is still 1")
    );
    assert!(said(5, 4, "a A 192.0.2.1\n")[0].contains("after 5 4"));
    assert_eq!(said(1, 1, "; a comment\n"), [""; 0]);
    assert_eq!(said(1, 2, "a A 192.0.2.1\n"), [""; 0]);
    assert_eq!(said(u32::MAX, 1, "a A 192.0.2.1\n"), [""; 0]);
}

/// Data of every type with fields, well-formed.
fn any_data() -> impl Strategy<Value = (RecordType, Vec<u8>)> {
    let types = (1..260_u16).map(RecordType).filter(|kind| rdata::fields(*kind).is_some() && !kind.is_meta());
    let octets = |most| prop::collection::vec(any::<u8>(), 1..most);
    let field = move |field: Field| -> BoxedStrategy<Vec<u8>> {
        let sized = |length: usize| prop::collection::vec(any::<u8>(), length).boxed();
        let counted = move |octets: Vec<u8>| [vec![u8::try_from(octets.len()).unwrap()], octets].concat();
        match field {
            Field::Name => prop::collection::vec(octets(9), 0..4)
                .prop_map(move |labels| [labels.into_iter().flat_map(counted).collect(), vec![0]].concat())
                .boxed(),
            Field::U8 => sized(1),
            Field::U16 | Field::Type => sized(2),
            Field::U32 | Field::Time | Field::Ipv4 => sized(4),
            Field::Seconds => (0..0x8000_0000_u32).prop_map(|seconds| seconds.to_be_bytes().to_vec()).boxed(),
            Field::Ipv6 => sized(16),
            Field::Text => prop::collection::vec(any::<u8>(), 0..20).prop_map(counted).boxed(),
            Field::Texts => prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..4)
                .prop_map(move |texts| texts.into_iter().flat_map(counted).collect())
                .boxed(),
            Field::Tag => "[a-z0-9]{1,9}".prop_map(move |tag| counted(tag.into_bytes())).boxed(),
            Field::Value => prop::collection::vec(any::<u8>(), 0..20).boxed(),
            Field::Hex | Field::Base64 => octets(40).boxed(),
            Field::Salt => prop::collection::vec(any::<u8>(), 0..20).prop_map(counted).boxed(),
            Field::Base32 => octets(40).prop_map(counted).boxed(),
            Field::Types => prop::collection::vec(any::<u16>(), 0..9)
                .prop_map(|types| {
                    let mut data = Vec::new();
                    rdata::bitmap::write(types.into_iter().map(RecordType).collect(), &mut data);
                    data
                })
                .boxed(),
            Field::Parameters => any_parameters().boxed(),
            Field::Location => (
                prop::collection::vec((1..10_u8, 0..10_u8), 3),
                0..648_000_001_u32,
                0..1_296_000_001_u32,
                any::<u32>(),
            )
                .prop_map(|(sizes, latitude, longitude, altitude)| {
                    let sizes = sizes.into_iter().map(|(digit, power)| digit << 4 | power);
                    let numbers = [latitude + 1_823_483_648, longitude + 1_499_483_648, altitude];
                    [0].into_iter()
                        .chain(sizes)
                        .chain(numbers.into_iter().flat_map(u32::to_be_bytes))
                        .collect()
                })
                .boxed(),
        }
    };
    prop::sample::select(types.collect::<Vec<_>>()).prop_flat_map(move |kind| {
        let parts: Vec<_> = rdata::fields(kind).unwrap().iter().map(|&part| field(part)).collect();
        parts.prop_map(move |parts| (kind, parts.concat()))
    })
}

fn any_parameters() -> impl Strategy<Value = Vec<u8>> {
    let octets = |most| prop::collection::vec(any::<u8>(), 1..most);
    let alpn = prop::collection::vec(octets(5), 1..4).prop_map(|ids| {
        ids.into_iter()
            .flat_map(|id| [vec![u8::try_from(id.len()).unwrap()], id].concat())
            .collect::<Vec<u8>>()
    });
    let hints = |length: usize| {
        (1..4_usize).prop_flat_map(move |count| prop::collection::vec(any::<u8>(), count * length))
    };
    let values = (
        prop::option::of(alpn),
        prop::option::of(any::<u16>().prop_map(|port| port.to_be_bytes().to_vec())),
        prop::option::of(hints(4)),
        prop::option::of(octets(9)),
        prop::option::of(hints(16)),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..9)),
    );
    values.prop_map(|(alpn, port, ipv4, ech, ipv6, path, other)| {
        let mandatory = port.as_ref().map(|_| vec![0, 3]);
        let bare = alpn.as_ref().map(|_| Vec::new());
        let all = [
            (0_u16, mandatory),
            (1, alpn),
            (2, bare),
            (3, port),
            (4, ipv4),
            (5, ech),
            (6, ipv6),
            (7, path),
            (65_000, other),
        ];
        let mut data = Vec::new();
        for (key, value) in all.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            data.extend(key.to_be_bytes());
            data.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            data.extend(value);
        }
        data
    })
}

proptest! {
    #[test]
    fn property_what_is_shown_is_read_back((record_type, data) in any_data()) {
        prop_assert!(rdata::is_well_formed(record_type, &data), "{record_type} {data:?}");
        let shown = Shown { record_type, data: &data }.to_string();
        // Warnings (an address for a name) may be, errors may not.
        let records = records(&format!("$TTL 1\na.b. {record_type} {shown}\n"));
        prop_assert_eq!(records.errors, 0, "{}: {:?}", shown, records.problems);
        prop_assert_eq!(records.data(&records.entries[0]), &data[..], "{}", shown);
    }

    #[test]
    fn property_any_octets_are_the_data_of_some_type(number in 1..260_u16, data in prop::collection::vec(any::<u8>(), 0..60)) {
        let record_type = RecordType(number);
        let shown = Shown { record_type, data: &data }.to_string();
        if rdata::is_well_formed(record_type, &data) && !record_type.is_meta() {
            let records = records(&format!("$TTL 1\na. {record_type} {shown}\n"));
            prop_assert_eq!(records.errors, 0, "{}: {:?}", shown, records.problems);
            prop_assert_eq!(records.data(&records.entries[0]), &data[..], "{}", shown);
        }
    }

    #[test]
    fn property_any_octets_are_a_zone_or_problems(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        let load = Load::from_records(&origin(), read_text(Path::new("z"), &octets, &origin()));
        prop_assert_eq!(load.zone.is_none(), load.errors().count() > 0);
    }

    #[test]
    fn any_text_is_read_to_its_end(words in prop::collection::vec(prop::sample::select(&[
        "@", "www", "A", "\n", "\n ", "127.0.0.1", "NS", "SOA", "CNAME", "$TTL", "$ORIGIN", "5", "(", ")", "\"", "\\#",
        "a.b.", "TXT", "IN", "\\", "::1", "*.x", "DNAME", "MX", ";", "$GENERATE", "1-3", "$", "${1,2,n}", "SVCB", "alpn=h2",
        "NSEC", "LOC", "N", "E", "SRV", "_a"][..]), 0..60)) {
        let text = format!("{HEAD}{}", words.join(" "));
        let load = Load::from_records(&origin(), records(&text));
        prop_assert_eq!(load.zone.is_none(), load.errors().count() > 0);
    }
}
