//! What is written, and what leaves no trace.

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn names_are_compressed_and_read_back() {
    let mut buffer = Vec::new();
    let mut writer = Writer::begin(&mut buffer, 7, Flags(Flags::RD), None, 512);
    writer.question(&name("wWw.foobar.com"), RecordType::MX, Class::IN);
    let data = [&b"\0\x0A"[..], name("mail.FOOBAR.com").as_wire()].concat();
    writer.records_at(Section::Answer, QUESTION_NAME, RecordType::MX, 300, [&data[..]].into_iter()).unwrap();
    let written = writer
        .records_of(
            Section::Additional,
            name("mail.foobar.com").as_wire(),
            RecordType::A,
            300,
            [&[1, 2, 3, 4][..], &[5, 6, 7, 8]].into_iter(),
        )
        .unwrap();
    assert!(writer.is_name(written, name("MAIL.foobar.com").as_wire()));
    assert!(!writer.is_name(written, name("foobar.com").as_wire()));
    writer.finish();
    // Header 12, question 20, MX 12 + 2 + 5 + 2, two addresses of 16 each.
    assert_eq!(buffer.len(), 12 + 20 + 21 + 32);
    assert_eq!(&buffer[4..12], &[0, 1, 0, 1, 0, 0, 0, 2]);
    assert_eq!(Name::read(&buffer, 12 + 20 + 14).unwrap().0, name("mail.foobar.com"));
}

#[test]
fn a_set_that_does_not_fit_leaves_no_trace() {
    let mut buffer = Vec::new();
    let mut writer = Writer::begin(&mut buffer, 7, Flags(0), None, 100);
    writer.question(&name("a."), RecordType::TXT, Class::IN);
    let long = [9; 200];
    let both = [&b"\x01x"[..], &long].into_iter();
    assert_eq!(writer.records_at(Section::Answer, QUESTION_NAME, RecordType::TXT, 1, both), Err(Full));
    writer.finish();
    assert_eq!(buffer.len(), 12 + 7);
    assert_eq!(buffer[7], 0);
}

#[test]
fn extended_codes_need_edns() {
    let edns = Edns { udp_size: 4096, version: 1, dnssec: true, ..Edns::default() };
    let mut buffer = Vec::new();
    let mut writer = Writer::begin(&mut buffer, 7, Flags(0), Some(edns), 512);
    writer.set_rcode(Rcode::BADVERS);
    writer.finish();
    assert_eq!(buffer[3] & 0xF, 0);
    assert_eq!(&buffer[12..], &[0, 0, 41, 4, 208, 1, 0, 0x80, 0, 0, 0]);
}
