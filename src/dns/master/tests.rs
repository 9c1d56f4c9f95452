//! Zone files as students write them: what is read, and what is said about mistakes.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::dns::name::Name;
use crate::dns::rdata::Shown;
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
    assert!(problem("a HTTPS 1 . alpn=h2\n").contains("write it as `\\# LENGTH HEX`"));
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
        format!("{HEAD}www A 1.2.3\nmail MX mail\n bad \"x\nb B 1\n$GENERATE 1-3 a A 1.2.3.4\n$TLL 5\n");
    let problems = problems(&text);
    let places: Vec<&str> = problems.iter().map(|problem| &problem[..problem.find(": ").unwrap()]).collect();
    assert_eq!(places, ["z:5:7", "z:6:9", "z:7:6", "z:8:3", "z:9:1", "z:10:1"], "{problems:#?}");
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
        ("www CNAME 127.0.0.1\n", "z:5:11", "is an address, but a name belongs here"),
        ("mail MX 127.0.0.1 ns\n", "z:5:9", "is no number from 0 to 65535"),
        ("www A\n", "z:5:6", "wants an IPv4 address"),
        ("www\n", "z:5:4", "no record type"),
        ("  www A 127.0.0.1\n", "z:5:3", "begins with a blank"),
        ("www CH A 127.0.0.1\n", "z:5:5", "only the class IN"),
        ("www ANY 127.0.0.1\n", "z:5:5", "no type for a zone"),
        ("www 1x A 127.0.0.1\n", "z:5:5", "no record type"),
        ("a..b A 127.0.0.1\n", "z:5:1", "no two dots in a row"),
        ("wörld A 127.0.0.1\n", "z:5:1", "xn--"),
        ("www.foobar.com A 127.0.0.1\n", "z:5:1", "write `www.foobar.com.`"),
        ("www CNAME ns.foobar.com\n", "z:5:11", "write `ns.foobar.com.`"),
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
    assert!(problems.iter().any(|problem| problem.contains("mend these first")));
}

proptest! {
    #[test]
    fn any_text_is_read_to_its_end(words in prop::collection::vec(prop::sample::select(&[
        "@", "www", "A", "\n", "\n ", "127.0.0.1", "NS", "SOA", "CNAME", "$TTL", "$ORIGIN", "5", "(", ")", "\"", "\\#",
        "a.b.", "TXT", "IN", "\\", "::1", "*.x", "DNAME", "MX", ";"][..]), 0..60)) {
        let text = format!("{HEAD}{}", words.join(" "));
        let load = Load::from_records(&origin(), records(&text));
        prop_assert_eq!(load.zone.is_none(), load.errors().count() > 0);
    }
}
