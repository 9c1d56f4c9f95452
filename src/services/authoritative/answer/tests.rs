//! Answers by RFC section: zones as text, questions, and what comes.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::cookies::Baker;
use super::super::zones::Served;
use super::lookup::ALIASES_MOST;
use super::*;
use crate::dns::master;
use crate::dns::message::asked::{self, Response};
use crate::dns::name::Name;
use crate::dns::zone::Zone;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn zone(origin: &str, text: &str) -> Zone {
    let origin = name(origin);
    let text = format!("$TTL 3600\n{text}");
    let records = master::read_text(Path::new("test.zone"), text.as_bytes(), &origin);
    Zone::compile(&origin, records).unwrap_or_else(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", problems.join("\n"))
    })
}

fn zones(all: &[(&str, &str)]) -> ZoneSet {
    let mut zones = ZoneSet::default();
    for (origin, text) in all {
        zones.put(&name(origin), Served::Zone(Arc::new(zone(origin, text))));
    }
    zones
}

/// Asks over TCP, so that all fits.
fn ask(zones: &ZoneSet, asked: &str, record_type: RecordType) -> Response {
    ask_over(zones, asked, record_type, Transport::Tcp).0
}

fn ask_over(
    zones: &ZoneSet,
    asked: &str,
    record_type: RecordType,
    transport: Transport,
) -> (Response, usize) {
    let query = asked::query(1, &name(asked), record_type);
    let mut reply = Vec::new();
    assert!(answer(zones, &query, transport, &mut reply).is_some());
    (asked::read_response(&reply).unwrap(), reply.len())
}

/// The answer as lines: code and flags, then the records of each section, marked `>`, `^` and `+`.
fn lines(zones: &ZoneSet, asked: &str, record_type: RecordType) -> Vec<String> {
    let response = ask(zones, asked, record_type);
    let mut lines = vec![format!("{} {}", response.rcode, response.flags)];
    for (mark, records) in
        [(">", &response.answers), ("^", &response.authorities), ("+", &response.additionals)]
    {
        for record in records {
            lines.push(format!("{mark} {} {} {}", record.name, record.record_type, record.data));
        }
    }
    lines
}

const SOA: &str = "@ SOA ns hostmaster 1 2 3 4 300\n@ NS ns\nns A 192.0.2.1\n";

/// Like RFC 1034 §6.1, with today's types.
fn rfc1034() -> ZoneSet {
    zones(&[(
        ".",
        "@ SOA SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870611 1800 300 604800 86400
             @ NS A.ISI.EDU.
             @ NS C.ISI.EDU.
             @ NS SRI-NIC.ARPA.
             MIL. NS SRI-NIC.ARPA.
             MIL. NS A.ISI.EDU.
             EDU. NS SRI-NIC.ARPA.
             EDU. NS C.ISI.EDU.
             SRI-NIC.ARPA. A 26.0.0.73
             SRI-NIC.ARPA. A 10.0.0.51
             SRI-NIC.ARPA. MX 0 SRI-NIC.ARPA.
             ACC.ARPA. A 26.6.0.65
             USC-ISIC.ARPA. CNAME C.ISI.EDU.
             73.0.0.26.IN-ADDR.ARPA. PTR SRI-NIC.ARPA.
             A.ISI.EDU. A 26.3.0.103
             C.ISI.EDU. A 10.0.0.52"
            .replace("             ", "")
            .leak(),
    )])
}

#[test]
fn rfc1034_section_6_2_1_addresses() {
    assert_eq!(
        lines(&rfc1034(), "sri-nic.arpa", RecordType::A),
        ["NOERROR qr aa rd", "> sri-nic.arpa. A 26.0.0.73", "> sri-nic.arpa. A 10.0.0.51"]
    );
}

fn with_cookie(policy: Policy, query: &[u8], transport: Transport) -> (Finished, Vec<u8>) {
    let client = "192.0.2.77".parse().unwrap();
    let counter = Counter { policy, baker: Baker::new(b"0123456789abcdef"), client, now: 1_800_000_000 };
    let mut reply = Vec::new();
    let finished =
        answer(&rfc1034(), query, Arrival { transport, cookies: Some(counter) }, &mut reply).unwrap();
    (finished, reply)
}

/// A question, its OPT with `option` as its data; `questions` of it.
fn query_with(questions: u8, option: &[u8]) -> Vec<u8> {
    let length = u8::try_from(option.len()).unwrap();
    let question: &[u8] = if questions == 0 { b"" } else { b"\x03MIL\0\0\x02\0\x01" };
    let head = [7, 7, 0, 0, 0, questions, 0, 0, 0, 0, 0, 1];
    [&head[..], question, b"\0\0\x29\x04\xD0\0\0\0\0\0", &[length], option].concat()
}

const ASKER: &[u8] = b"\0\x0A\0\x08COOKIE-1";

/// The option of an answer that gives a cookie: always its last.
fn given(reply: &[u8]) -> &[u8] {
    let (_, option) = reply.split_at(reply.len() - 28);
    assert_eq!(&option[..13], b"\0\x0A\0\x18COOKIE-1\x01");
    option
}

#[test]
fn rfc7873_section_5_2_a_cookie_is_given_and_known_again() {
    let (first, reply) = with_cookie(Policy::Answer, &query_with(1, ASKER), Transport::Udp);
    assert_eq!((first.rcode, first.knows_asker), (Rcode::NOERROR, false));
    let (second, again) = with_cookie(Policy::Answer, &query_with(1, given(&reply)), Transport::Udp);
    assert_eq!((second.rcode, second.knows_asker), (Rcode::NOERROR, true));
    assert_eq!(again, reply, "a fresh cookie is kept");
    let (off, reply) = with_cookie(Policy::Off, &query_with(1, ASKER), Transport::Udp);
    assert!(off.rcode == Rcode::NOERROR && !reply.windows(8).any(|octets| octets == b"COOKIE-1"));
    // A length that no cookie has is an error (§5.2.2), whatever the policy.
    let (malformed, reply) =
        with_cookie(Policy::Off, &query_with(1, b"\0\x0A\0\x09COOKIE-12"), Transport::Udp);
    assert_eq!((malformed.rcode, reply.len()), (Rcode::FORMERR, 12));
}

#[test]
fn rfc7873_section_5_2_3_without_a_good_cookie_there_is_none_over_udp() {
    let (bad, reply) = with_cookie(Policy::Require, &query_with(1, ASKER), Transport::Udp);
    assert_eq!((bad.rcode, bad.answers, reply[3] & 0x0F), (Rcode::BADCOOKIE, 0, 7));
    assert_eq!(reply[6..10], [0; 4], "no records");
    let (good, _) = with_cookie(Policy::Require, &query_with(1, given(&reply)), Transport::Udp);
    assert_eq!((good.rcode, good.knows_asker), (Rcode::NOERROR, true));
    let (tcp, _) = with_cookie(Policy::Require, &query_with(1, ASKER), Transport::Tcp);
    assert_eq!(tcp.rcode, Rcode::NOERROR);
    let (cut, _) = with_cookie(Policy::Require, &query_with(1, b""), Transport::Udp);
    assert!(cut.rcode == Rcode::NOERROR && cut.flags.has(Flags::TC) && cut.answers == 0);
}

#[test]
fn rfc7873_section_5_4_only_a_cookie_is_asked_for() {
    let (new, reply) = with_cookie(Policy::Answer, &query_with(0, ASKER), Transport::Udp);
    assert_eq!((new.rcode, &reply[4..12]), (Rcode::NOERROR, &[0, 0, 0, 0, 0, 0, 0, 1][..]));
    let mut shown = given(&reply).to_vec();
    let (good, _) = with_cookie(Policy::Require, &query_with(0, &shown), Transport::Udp);
    assert_eq!((good.rcode, good.knows_asker), (Rcode::NOERROR, true));
    shown[27] ^= 1;
    let (bad, reply) = with_cookie(Policy::Answer, &query_with(0, &shown), Transport::Udp);
    assert_eq!((bad.rcode, bad.knows_asker), (Rcode::BADCOOKIE, false));
    assert_ne!(given(&reply), shown);
    for (policy, option) in [(Policy::Answer, &b""[..]), (Policy::Off, ASKER)] {
        assert_eq!(with_cookie(policy, &query_with(0, option), Transport::Udp).0.rcode, Rcode::FORMERR);
    }
}

#[test]
fn rfc8482_any_is_one_set() {
    let response = ask(&rfc1034(), "SRI-NIC.ARPA", RecordType::ANY);
    assert_eq!(response.answers.len(), 2);
    assert!(response.answers.iter().all(|record| record.record_type == RecordType::A));
}

#[test]
fn rfc1034_section_6_2_3_mail_brings_its_address() {
    assert_eq!(
        lines(&rfc1034(), "SRI-NIC.ARPA", RecordType::MX),
        [
            "NOERROR qr aa rd",
            "> SRI-NIC.ARPA. MX 0 SRI-NIC.ARPA.",
            "+ SRI-NIC.ARPA. A 26.0.0.73",
            "+ SRI-NIC.ARPA. A 10.0.0.51"
        ]
    );
}

#[test]
fn rfc1034_section_6_2_4_no_data_and_6_2_5_no_name() {
    let soa = "^ . SOA SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870611 1800 300 604800 86400";
    assert_eq!(lines(&rfc1034(), "ACC.ARPA", RecordType::NS), ["NOERROR qr aa rd", soa]);
    assert_eq!(lines(&rfc1034(), "SIR-NIC.ARPA", RecordType::A), ["NXDOMAIN qr aa rd", soa]);
    // An empty non-terminal exists.
    assert_eq!(lines(&rfc1034(), "26.IN-ADDR.ARPA", RecordType::A), ["NOERROR qr aa rd", soa]);
}

#[test]
fn rfc1034_section_6_2_6_referral_with_sibling_glue() {
    assert_eq!(
        lines(&rfc1034(), "BRL.MIL", RecordType::A),
        [
            "NOERROR qr rd",
            "^ MIL. NS SRI-NIC.ARPA.",
            "^ MIL. NS A.ISI.EDU.",
            "+ SRI-NIC.ARPA. A 26.0.0.73",
            "+ SRI-NIC.ARPA. A 10.0.0.51",
            "+ A.ISI.EDU. A 26.3.0.103"
        ]
    );
    // Glue is not answered as data.
    assert_eq!(
        lines(&rfc1034(), "C.ISI.EDU", RecordType::A)[..2],
        ["NOERROR qr rd", "^ EDU. NS SRI-NIC.ARPA."]
    );
}

#[test]
fn rfc1034_section_6_2_7_an_alias_into_a_delegation() {
    assert_eq!(
        lines(&rfc1034(), "USC-ISIC.ARPA", RecordType::A)[..4],
        [
            "NOERROR qr aa rd",
            "> USC-ISIC.ARPA. CNAME C.ISI.EDU.",
            "^ EDU. NS SRI-NIC.ARPA.",
            "^ EDU. NS C.ISI.EDU."
        ]
    );
    assert_eq!(
        lines(&rfc1034(), "USC-ISIC.ARPA", RecordType::CNAME),
        ["NOERROR qr aa rd", "> USC-ISIC.ARPA. CNAME C.ISI.EDU."]
    );
}

/// RFC 4592 §2.2.1.
fn rfc4592() -> ZoneSet {
    let text = "@ SOA ns.example.com. h 1 2 3 4 300
@ NS ns.example.com.
@ NS ns.example.net.
*.example. TXT \"this is a wildcard\"
*.example. MX 10 host1.example.
sub.*.example. TXT \"this is not a wildcard\"
host1.example. A 192.0.2.1
_ssh._tcp.host1.example. SRV 0 0 22 host1.example.
_ssh._tcp.host2.example. SRV 0 0 22 host1.example.
subdel.example. NS ns.example.com.
subdel.example. NS ns.example.net.
";
    zones(&[("example", text)])
}

#[test]
fn rfc4592_section_2_2_1_what_a_wildcard_answers() {
    let head = |asked: &str, record_type| {
        let response = ask(&rfc4592(), asked, record_type);
        let first = response.answers.first().map(|record| format!("{} {}", record.name, record.data));
        (response.rcode, first)
    };
    let found = |text: &str| (Rcode::NOERROR, Some(text.to_owned()));
    let no_data = (Rcode::NOERROR, None);
    let no_name = (Rcode::NXDOMAIN, None);
    assert_eq!(head("host3.example.", RecordType::MX), found("host3.example. 10 host1.example."));
    assert_eq!(head("host3.example.", RecordType::A), no_data);
    assert_eq!(head("foo.bar.example.", RecordType::TXT), found("foo.bar.example. \"this is a wildcard\""));
    assert_eq!(head("host1.example.", RecordType::MX), no_data);
    assert_eq!(head("sub.*.example.", RecordType::MX), no_data);
    assert_eq!(head("_telnet._tcp.host1.example.", RecordType::SRV), no_name);
    assert_eq!(head("ghost.*.example.", RecordType::MX), no_name);
    // The query for the wildcard's own name.
    assert_eq!(head("*.example.", RecordType::MX), found("*.example. 10 host1.example."));
    // Empty non-terminals block it.
    assert_eq!(head("_tcp.host2.example.", RecordType::MX), no_data);
    assert_eq!(
        lines(&rfc4592(), "host.subdel.example.", RecordType::A)[..2],
        ["NOERROR qr rd", "^ subdel.example. NS ns.example.com."]
    );
}

#[test]
fn rfc4592_section_2_2_a_wildcard_has_a_servers_address() {
    let text = format!("{SOA}*.w A 192.0.2.9\nchild NS x.w\nmail MX 10 y.w\n");
    let zones = zones(&[("foobar.com", &text)]);
    assert_eq!(
        lines(&zones, "www.child.foobar.com", RecordType::A),
        ["NOERROR qr rd", "^ child.foobar.com. NS x.w.foobar.com.", "+ x.w.foobar.com. A 192.0.2.9"]
    );
    assert_eq!(lines(&zones, "mail.foobar.com", RecordType::MX)[2..], ["+ y.w.foobar.com. A 192.0.2.9"]);
}

#[test]
fn rfc4592_section_4_4_an_alias_at_a_wildcard() {
    let text = format!("{SOA}*.w CNAME ns\nreal.w TXT x\n");
    let zones = zones(&[("foobar.com", &text)]);
    assert_eq!(
        lines(&zones, "a.b.w.foobar.com", RecordType::A),
        ["NOERROR qr aa rd", "> a.b.w.foobar.com. CNAME ns.foobar.com.", "> ns.foobar.com. A 192.0.2.1"]
    );
    assert_eq!(ask(&zones, "x.real.w.foobar.com", RecordType::A).rcode, Rcode::NXDOMAIN);
    assert_eq!(ask(&zones, "w.foobar.com", RecordType::A).rcode, Rcode::NOERROR);
}

#[test]
fn rfc2308_section_5_the_smaller_of_ttl_and_minimum() {
    let zones = zones(&[("foobar.com", SOA)]);
    let response = ask(&zones, "nosuch.foobar.com", RecordType::A);
    assert_eq!(response.authorities[0].ttl, 300);
    // Asked for itself, the SOA has its own.
    assert_eq!(ask(&zones, "foobar.com", RecordType::SOA).answers[0].ttl, 3600);
}

#[test]
fn rfc6604_a_chain_answers_as_its_end() {
    let text = format!("{SOA}a CNAME b\nb CNAME nosuch\nc CNAME d\nd TXT x\n");
    let zones = zones(&[("foobar.com", &text)]);
    let response = ask(&zones, "a.foobar.com", RecordType::A);
    assert_eq!((response.rcode, response.answers.len()), (Rcode::NXDOMAIN, 2));
    assert_eq!(response.authorities[0].record_type, RecordType::SOA);
    let response = ask(&zones, "c.foobar.com", RecordType::A);
    assert_eq!((response.rcode, response.authorities.len()), (Rcode::NOERROR, 1));
}

#[test]
fn rfc1034_section_3_6_2_chains_cross_zones_and_loops_end() {
    let one =
        format!("{SOA}a CNAME b.two.\nout CNAME www.elsewhere.\nself CNAME self\nl1 CNAME l2\nl2 CNAME l1\n");
    let two = format!("{SOA}b A 192.0.2.9\n");
    let both = zones(&[("one", &one), ("two", &two)]);
    assert_eq!(
        lines(&both, "a.one", RecordType::A),
        ["NOERROR qr aa rd", "> a.one. CNAME b.two.", "> b.two. A 192.0.2.9"]
    );
    assert_eq!(
        lines(&both, "out.one", RecordType::A),
        ["NOERROR qr aa rd", "> out.one. CNAME www.elsewhere."]
    );
    assert_eq!(ask(&both, "self.one", RecordType::A).answers.len(), 1);
    assert_eq!(ask(&both, "l1.one", RecordType::A).answers.len(), 2);
    let long: String = (0..40).map(|n| format!("c{n} CNAME c{}\n", n + 1)).collect();
    let zones = zones(&[("one", &format!("{SOA}{long}"))]);
    assert_eq!(ask(&zones, "c0.one", RecordType::A).answers.len(), ALIASES_MOST + 1);
}

#[test]
fn rfc6672_section_2_2_names_below_a_dname() {
    let text = format!(
        "{SOA}d DNAME target.foobar.com.\nx.target A 192.0.2.7\nlong DNAME {0}.{0}.{0}.foobar.com.\nd TXT beside\n",
        "t".repeat(60)
    );
    let zones = zones(&[("foobar.com", &text)]);
    assert_eq!(
        lines(&zones, "x.d.foobar.com", RecordType::A),
        [
            "NOERROR qr aa rd",
            "> d.foobar.com. DNAME target.foobar.com.",
            "> x.d.foobar.com. CNAME x.target.foobar.com.",
            "> x.target.foobar.com. A 192.0.2.7"
        ]
    );
    // The DNAME's own name is not renamed.
    assert_eq!(ask(&zones, "d.foobar.com", RecordType::TXT).answers.len(), 1);
    assert_eq!(ask(&zones, "d.foobar.com", RecordType::A).answers.len(), 0);
    let response = ask(&zones, &format!("{}.long.foobar.com", "x".repeat(60)), RecordType::A);
    assert_eq!((response.rcode, response.answers.len()), (Rcode::YXDOMAIN, 1));
    assert_eq!(ask(&zones, "nosuch.d.foobar.com", RecordType::A).rcode, Rcode::NXDOMAIN);
}

#[test]
fn rfc6672_section_3_1_a_made_cname_answers_who_asks_for_it() {
    let zones = zones(&[("foobar.com", &format!("{SOA}d DNAME t.foobar.com.\nx.t CNAME ns\n"))]);
    assert_eq!(
        lines(&zones, "x.d.foobar.com", RecordType::CNAME),
        [
            "NOERROR qr aa rd",
            "> d.foobar.com. DNAME t.foobar.com.",
            "> x.d.foobar.com. CNAME x.t.foobar.com."
        ]
    );
    assert_eq!(ask(&zones, "x.d.foobar.com", RecordType::A).answers.len(), 4);
    assert_eq!(ask(&zones, "y.d.foobar.com", RecordType::CNAME).rcode, Rcode::NOERROR);
}

#[test]
fn rfc2181_section_5_a_dname_that_renames_twice_is_written_once() {
    let zones = zones(&[("foobar.com", &format!("{SOA}d DNAME foobar.com.\n"))]);
    assert_eq!(
        lines(&zones, "ns.d.d.foobar.com", RecordType::A),
        [
            "NOERROR qr aa rd",
            "> d.foobar.com. DNAME foobar.com.",
            "> ns.d.d.foobar.com. CNAME ns.d.foobar.com.",
            "> ns.d.foobar.com. CNAME ns.foobar.com.",
            "> ns.foobar.com. A 192.0.2.1"
        ]
    );
    // Also where it is what was asked for.
    assert_eq!(ask(&zones, "d.d.foobar.com", RecordType::DNAME).answers.len(), 2);
}

#[test]
fn rfc4035_section_3_1_4_1_a_ds_is_above_the_cut() {
    let parent = format!("{SOA}child NS ns.child\nns.child A 192.0.2.3\nchild DS 1 8 2 ABCD\nplain NS ns\n");
    let child = "@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.3\n";
    let parent_only = zones(&[("p", &parent)]);
    assert_eq!(
        lines(&parent_only, "child.p", RecordType::DS),
        ["NOERROR qr aa rd", "> child.p. DS 1 8 2 ABCD"]
    );
    assert_eq!(lines(&parent_only, "plain.p", RecordType::DS)[0], "NOERROR qr aa rd");
    assert_eq!(lines(&parent_only, "x.child.p", RecordType::DS)[0], "NOERROR qr rd");
    let both = zones(&[("p", &parent), ("child.p", child)]);
    assert_eq!(ask(&both, "child.p", RecordType::DS).answers.len(), 1);
    assert_eq!(ask(&both, "child.p", RecordType::SOA).answers.len(), 1);
    let child_only = zones(&[("child.p", child)]);
    assert_eq!(lines(&child_only, "child.p", RecordType::DS)[0], "NOERROR qr aa rd");
}

#[test]
fn rfc9471_glue_that_is_needed_fits_or_the_answer_is_cut() {
    let servers = |suffix: &str| -> String {
        (0..40)
            .map(|n| {
                format!(
                    "child NS ns{n}{suffix}\nns{n}{suffix} A 192.0.2.{n}\nns{n}{suffix} AAAA 2001:db8::{n}\n"
                )
            })
            .collect()
    };
    let needed = zones(&[("p", &format!("{SOA}{}", servers(".child")))]);
    let (response, length) = ask_over(&needed, "www.child.p", RecordType::A, Transport::Udp);
    assert!(response.flags.has(Flags::TC) && !response.flags.has(Flags::AA));
    assert!(length <= 1232 && response.edns);
    assert_eq!(ask(&needed, "www.child.p", RecordType::A).additionals.len(), 80);
    // Servers with names elsewhere in the zone can be asked for.
    let sibling = zones(&[("p", &format!("{SOA}{}", servers("")))]);
    let (response, _) = ask_over(&sibling, "www.child.p", RecordType::A, Transport::Udp);
    assert!(!response.flags.has(Flags::TC));
    assert_eq!(response.authorities.len(), 40);
}

#[test]
fn rfc2181_section_9_a_set_is_whole_or_not_there() {
    let text: String = (0..50).map(|n| format!("many A 192.0.2.{n}\n")).collect();
    let zones = zones(&[("foobar.com", &format!("{SOA}{text}"))]);
    let (response, length) = ask_over(&zones, "many.foobar.com", RecordType::A, Transport::Udp);
    assert!(!response.flags.has(Flags::TC) && length <= 1232);
    assert_eq!(response.answers.len(), 50);
    // The same without EDNS.
    let query =
        [&b"\0\x07\0\0\0\x01\0\0\0\0\0\0"[..], name("many.foobar.com").as_wire(), b"\0\x01\0\x01"].concat();
    let mut reply = Vec::new();
    assert!(answer(&zones, &query, Transport::Udp, &mut reply).is_some());
    let response = asked::read_response(&reply).unwrap();
    assert!(response.flags.has(Flags::TC | Flags::AA) && reply.len() <= 512);
    assert!(response.answers.is_empty() && !response.edns);
    assert!(answer(&zones, &query, Transport::Tcp, &mut reply).is_some());
    assert_eq!(asked::read_response(&reply).unwrap().answers.len(), 50);
}

/// What EDNS says in the answer to a question of `class` that has `options`: its octets.
fn options_of(zones: &ZoneSet, asked: &str, class: Class, options: &[u8], transport: Transport) -> Vec<u8> {
    let mut query = asked::query(1, &name(asked), RecordType::TXT);
    let class_at = 12 + name(asked).as_wire().len() + 2;
    query[class_at..class_at + 2].copy_from_slice(&class.0.to_be_bytes());
    *query.last_mut().unwrap() = u8::try_from(options.len()).unwrap();
    query.extend(options);
    let mut reply = Vec::new();
    assert!(answer(zones, &query, transport, &mut reply).is_some());
    assert!(asked::read_response(&reply).unwrap().edns);
    // The OPT is the last record: its root, type, and in front of its data the length.
    let head = reply.windows(5).rposition(|octets| octets == b"\0\0\x29\x04\xD0").unwrap();
    let data = reply[head + 11..].to_vec();
    assert_eq!(reply[head + 9..head + 11], u16::try_from(data.len()).unwrap().to_be_bytes());
    data
}

#[test]
fn rfc8914_section_4_why_a_question_is_not_answered() {
    let mut zones = zones(&[("foobar.com", SOA)]);
    zones.put(&name("broken"), Served::Broken);
    let code = |asked: &str| {
        let options = options_of(&zones, asked, Class::IN, b"", Transport::Udp);
        options.get(..6).map(|head| (head[1], usize::from(head[3]) + 4 == options.len(), head[5]))
    };
    assert_eq!(code("elsewhere."), Some((15, true, 20)));
    assert_eq!(code("www.broken."), Some((15, true, 24)));
    assert_eq!(code("foobar.com."), None);
    assert_eq!(code("nosuch.foobar.com."), None);
    // Whoever does not speak EDNS is told nothing (RFC 6891 §7).
    let query = [&b"\0\x07\0\0\0\x01\0\0\0\0\0\0"[..], name("x.").as_wire(), b"\0\x01\0\x01"].concat();
    let mut reply = Vec::new();
    answer(&zones, &query, Transport::Udp, &mut reply).unwrap();
    assert_eq!(reply.len(), query.len());
}

#[test]
fn rfc5001_which_server_answers_and_rfc7828_how_long_it_listens() {
    let mut zones = ZoneSet::of("dns at home");
    zones.put(&name("foobar.com"), Served::Zone(Arc::new(zone("foobar.com", SOA))));
    let both = b"\0\x03\0\0\0\x0B\0\0";
    let over = |transport| options_of(&zones, "foobar.com", Class::IN, both, transport);
    assert_eq!(over(Transport::Udp), b"\0\x03\0\x0Bdns at home");
    assert_eq!(over(Transport::Tcp), b"\0\x03\0\x0Bdns at home\0\x0B\0\x02\0\x64");
    assert_eq!(options_of(&zones, "foobar.com", Class::IN, b"", Transport::Tcp), b"");
    // An option that is not known is passed over (RFC 6891 §6.1.2).
    assert_eq!(options_of(&zones, "foobar.com", Class::IN, b"\xFE\0\0\x01x", Transport::Udp), b"");
}

#[test]
fn rfc5001_room_is_kept_for_who_answers() {
    let identity = "i".repeat(400);
    let mut zones = ZoneSet::of(&identity);
    let text: String = (0..70).map(|n| format!("many TXT {n:014}\n")).collect();
    zones.put(&name("foobar.com"), Served::Zone(Arc::new(zone("foobar.com", &format!("{SOA}{text}")))));
    let options = options_of(&zones, "many.foobar.com", Class::IN, b"\0\x03\0\0", Transport::Udp);
    assert_eq!(options.len(), 4 + 255);
}

#[test]
fn rfc4892_what_a_server_says_of_itself() {
    let zones = ZoneSet::of("dns at home");
    let ask = |asked: &str, record_type| {
        let mut query = asked::query(1, &name(asked), record_type);
        let class = 12 + name(asked).as_wire().len() + 3;
        query[class] = 3;
        let mut reply = Vec::new();
        answer(&zones, &query, Transport::Udp, &mut reply).unwrap();
        let response = asked::read_response(&reply).unwrap();
        let text = response.answers.first().map(|record| record.data.to_string());
        if text.is_some() {
            // The record is of the class that was asked for.
            assert_eq!(reply[class + 1..class + 7], [0xC0, 0x0C, 0, 16, 0, 3]);
        }
        (response.rcode, text)
    };
    let version = concat!("\"wwwlab ", env!("CARGO_PKG_VERSION"), "\"").to_owned();
    assert_eq!(ask("version.BIND", RecordType::TXT), (Rcode::NOERROR, Some(version.clone())));
    assert_eq!(ask("version.server", RecordType::TXT), (Rcode::NOERROR, Some(version)));
    let identity = Some("\"dns at home\"".to_owned());
    assert_eq!(ask("hostname.bind", RecordType::TXT), (Rcode::NOERROR, identity.clone()));
    assert_eq!(ask("id.server", RecordType::ANY), (Rcode::NOERROR, identity));
    assert_eq!(ask("id.server", RecordType::A), (Rcode::NOERROR, None));
    assert_eq!(ask("authors.bind", RecordType::TXT), (Rcode::REFUSED, None));
    assert_eq!(ask("id.server", RecordType::AXFR), (Rcode::REFUSED, None));
}

#[test]
fn rfc9460_section_4_1_addresses_of_a_service() {
    let text = format!(
        "{SOA}self TYPE65 \\# 3 000100\nself A 192.0.2.5\nalias TYPE65 \\# 17 0000026e7306666f6f62617203636f6d00\n\
         none TYPE64 \\# 3 000000\nnone A 192.0.2.6\n"
    );
    let zones = zones(&[("foobar.com", &text)]);
    let added = |asked: &str, record_type| {
        let additionals = ask(&zones, asked, record_type).additionals;
        additionals.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(added("self.foobar.com", RecordType::HTTPS), ["self.foobar.com. 3600 IN A 192.0.2.5"]);
    assert_eq!(added("alias.foobar.com", RecordType::HTTPS), ["ns.foobar.com. 3600 IN A 192.0.2.1"]);
    assert!(added("none.foobar.com", RecordType::SVCB).is_empty());
}

#[test]
fn what_is_not_looked_up_is_told_apart() {
    let mut zones = zones(&[("foobar.com", SOA)]);
    zones.put(&name("broken"), Served::Broken);
    assert_eq!(lines(&zones, "elsewhere.", RecordType::A), ["REFUSED qr rd"]);
    assert_eq!(lines(&zones, "www.broken.", RecordType::A), ["SERVFAIL qr rd"]);
    assert_eq!(lines(&zones, "foobar.com.", RecordType::AXFR), ["REFUSED qr rd"]);
    assert_eq!(lines(&zones, "foobar.com.", RecordType::MAILB), ["NOTIMP qr rd"]);
    assert_eq!(lines(&zones, "foobar.com.", RecordType(200))[0], "NOERROR qr aa rd");
    let mut query = asked::query(7, &name("foobar.com"), RecordType::SOA);
    let answer_of = |query: &[u8]| {
        let mut reply = Vec::new();
        answer(&zones, query, Transport::Udp, &mut reply).map(|_| asked::read_response(&reply).unwrap())
    };
    let class = 12 + 12 + 2;
    query[class + 1] = 3;
    assert_eq!(answer_of(&query).unwrap().rcode, Rcode::REFUSED);
    query[class + 1] = 1;
    // The OPT's version (RFC 6891 §6.1.3).
    let version = query.len() - 5;
    query[version] = 1;
    let response = answer_of(&query).unwrap();
    assert_eq!((response.rcode, response.answers.len()), (Rcode::BADVERS, 0));
    query[version] = 0;
    query[2] = 0x28;
    let response = answer_of(&query).unwrap();
    assert_eq!((response.id, response.rcode, response.flags.0 & Flags::OPCODE), (7, Rcode::NOTIMP, 0x2800));
    query[2] = 0x80;
    assert_eq!(answer_of(&query), None);
    assert_eq!(answer_of(&query[..11]), None);
}

#[test]
fn the_question_comes_back_in_its_case() {
    let zones = zones(&[("foobar.com", SOA)]);
    let response = ask(&zones, "nS.FooBar.cOM", RecordType::A);
    assert_eq!(response.question.unwrap().0.to_string(), "nS.FooBar.cOM.");
    assert_eq!(response.answers[0].name.to_string(), "nS.FooBar.cOM.");
}

/// A question with DO, as lines: the type and owner of each record, signatures by the type that they sign.
fn signed_lines(zones: &ZoneSet, asked: &str, record_type: RecordType) -> Vec<String> {
    let query = asked::plain_query(1, &name(asked), record_type, true);
    let mut reply = Vec::new();
    assert!(answer(zones, &query, Transport::Tcp, &mut reply).is_some());
    let response = asked::read_response(&reply).unwrap();
    assert!(
        reply.windows(9).any(|octets| octets == b"\0\0\x29\x04\xD0\0\0\x80\0"),
        "DO is copied (RFC 3225 §3)"
    );
    let mut lines = vec![response.rcode.to_string()];
    for (mark, records) in [(">", &response.answers), ("^", &response.authorities)] {
        for record in records {
            let data = record.data.to_string();
            let covered = match record.record_type {
                RecordType::RRSIG => format!(" {}", data.split(' ').next().unwrap()),
                _ => String::new(),
            };
            let owner = record.name.to_string().replace(".example.", "");
            lines.push(format!("{mark} {owner} {} {}{covered}", record.ttl, record.record_type));
        }
    }
    lines
}

const SIGNATURE: &str = "13 2 3600 20300101000000 20200101000000 1 example. AA==";

/// A zone with NSEC; what stands in signatures is nobody's matter here.
fn with_nsec() -> ZoneSet {
    let mut text = SOA.to_owned();
    for (owner, types) in
        [("@", "SOA NS NSEC"), ("a", "A NSEC"), ("cut", "NSEC"), ("*.w", "TXT NSEC"), ("z.ent", "A NSEC")]
    {
        types.split(' ').for_each(|signed| text.push_str(&format!("{owner} RRSIG {signed} {SIGNATURE}\n")));
    }
    text.push_str(
        "a A 192.0.2.1\ncut NS ns\n*.w TXT x\nz.ent A 192.0.2.2\n@ NSEC a SOA NS RRSIG NSEC\na NSEC cut A\n\
         cut NSEC z.ent NS\nz.ent NSEC *.w A\n*.w NSEC @ TXT\n",
    );
    zones(&[("example", &text)])
}

/// The lines of a denial: the SOA, then the NSECs at `proofs`, all signed.
fn denial(rcode: &str, proofs: &[&str]) -> Vec<String> {
    let mut lines = vec![rcode.to_owned(), "^ example. 300 SOA".into(), "^ example. 300 RRSIG SOA".into()];
    for owner in proofs {
        lines.extend([format!("^ {owner} 3600 NSEC"), format!("^ {owner} 3600 RRSIG NSEC")]);
    }
    lines
}

#[test]
fn rfc4035_section_3_1_1_signatures_come_with_what_they_sign_where_do_asks() {
    let zones = with_nsec();
    assert_eq!(
        signed_lines(&zones, "a.example", RecordType::A),
        ["NOERROR", "> a 3600 A", "> a 3600 RRSIG A"]
    );
    assert_eq!(lines(&zones, "a.example", RecordType::A), ["NOERROR qr aa rd", "> a.example. A 192.0.2.1"]);
    assert_eq!(
        signed_lines(&zones, "a.example", RecordType::RRSIG),
        ["NOERROR", "> a 3600 RRSIG A", "> a 3600 RRSIG NSEC"]
    );
}

#[test]
fn rfc4035_section_3_1_3_1_no_data() {
    let zones = with_nsec();
    assert_eq!(signed_lines(&zones, "a.example", RecordType::MX), denial("NOERROR", &["a"]));
    // An empty name has no NSEC: the one before shows that something is below it.
    assert_eq!(signed_lines(&zones, "ent.example", RecordType::MX), denial("NOERROR", &["cut"]));
    assert_eq!(signed_lines(&zones, "cut.example", RecordType::DS), denial("NOERROR", &["cut"]));
}

#[test]
fn rfc4035_section_3_1_3_2_no_name() {
    let zones = with_nsec();
    assert_eq!(signed_lines(&zones, "b.example", RecordType::A), denial("NXDOMAIN", &["a", "example."]));
    // One record may prove both.
    assert_eq!(signed_lines(&zones, "b.a.example", RecordType::A), denial("NXDOMAIN", &["a"]));
}

#[test]
fn rfc4035_section_3_1_3_3_and_4_wildcards() {
    let zones = with_nsec();
    assert_eq!(
        signed_lines(&zones, "x.w.example", RecordType::TXT),
        ["NOERROR", "> x.w 3600 TXT", "> x.w 3600 RRSIG TXT", "^ *.w 3600 NSEC", "^ *.w 3600 RRSIG NSEC"]
    );
    assert_eq!(signed_lines(&zones, "x.w.example", RecordType::MX), denial("NOERROR", &["*.w"]));
}

#[test]
fn rfc4035_section_3_1_4_a_referral_says_whether_it_is_signed() {
    let zones = with_nsec();
    assert_eq!(
        signed_lines(&zones, "x.cut.example", RecordType::A),
        ["NOERROR", "^ cut 3600 NS", "^ cut 3600 NSEC", "^ cut 3600 RRSIG NSEC"]
    );
}

#[test]
fn rfc5155_section_7_2_8_a_hash_is_no_name() {
    let hash = "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom";
    let text =
        format!("{SOA}@ NSEC3PARAM 1 0 0 -\n{hash} NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A\n");
    let zones = zones(&[("example", &text)]);
    assert_eq!(ask(&zones, &format!("{hash}.example"), RecordType::NSEC3).rcode, Rcode::NXDOMAIN);
    assert_eq!(
        signed_lines(&zones, "nosuch.example", RecordType::A),
        ["NXDOMAIN".to_owned(), "^ example. 300 SOA".into(), format!("^ {hash} 3600 NSEC3")]
    );
}

proptest! {
    #[test]
    fn any_bytes_get_a_readable_answer_or_silence(
        bytes in prop::collection::vec(any::<u8>(), 0..100), query_bit in any::<bool>(), tcp in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if query_bit && bytes.len() > 12 {
            bytes[2] &= 0x07;
            bytes[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        }
        let transport = if tcp { Transport::Tcp } else { Transport::Udp };
        let mut reply = Vec::new();
        if let Some(finished) = answer(&rfc1034(), &bytes, transport, &mut reply) {
            prop_assert_eq!(&reply[..2], &bytes[..2]);
            let response = asked::read_response(&reply).unwrap();
            prop_assert_eq!((response.rcode, response.flags), (finished.rcode, finished.flags));
            prop_assert_eq!(response.answers.len(), usize::from(finished.answers));
        } else {
            prop_assert!(bytes.len() < 12 || bytes[2] & 0x80 != 0);
            prop_assert!(reply.is_empty());
        }
    }

    #[test]
    fn any_name_gets_a_readable_answer(
        labels in prop::collection::vec(prop::sample::select(&["a", "arpa", "edu", "isi", "in-addr", "*", "mil", "c"][..]), 0..6),
        record_type in prop::sample::select(&[1_u16, 2, 5, 6, 12, 15, 39, 43, 255][..]),
        size in 0_u16..2000,
    ) {
        let asked = format!("{}.", labels.join("."));
        let mut query = asked::query(9, &name(&asked), RecordType(record_type));
        let at = query.len() - 8;
        query[at..at + 2].copy_from_slice(&size.to_be_bytes());
        let mut reply = Vec::new();
        prop_assert!(answer(&rfc1034(), &query, Transport::Udp, &mut reply).is_some());
        prop_assert!(reply.len() <= usize::from(size.clamp(512, 1232)));
        prop_assert!(asked::read_response(&reply).is_ok());
    }
}
