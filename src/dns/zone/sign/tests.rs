//! Zones that are signed, read back record by record; whether others take them for signed is tried in `tests/peers`.

use std::path::Path;

use ring::signature::{ED25519, UnparsedPublicKey};

use super::*;
use crate::dns::master::read_text;
use crate::dns::zone::canonical;
use crate::ground::dnssec::key::Algorithm;

const TEXT: &str = "$TTL 60\n@ 300 SOA ns h 1 2 3 4 30\n@ NS ns\nns A 192.0.2.1\nWWW A 192.0.2.3\nwww A 192.0.2.2\n\
                    *.w MX 1 NS\na.b.c TXT x\nd NS ns.d\nd DS 1 13 2 00\nns.d A 192.0.2.4\ne NS ns.e\nns.e A 192.0.2.5\nf NS ns\n";

fn zone(text: &str) -> Zone {
    let origin = "example".parse().unwrap();
    Zone::compile(&origin, read_text(Path::new("z"), text.as_bytes(), &origin)).unwrap()
}

fn key() -> Key {
    Key::of_pem(Key::draw(Algorithm::Ed25519).unwrap().as_bytes()).unwrap()
}

fn signed(key: &Key, denial: Denial, wrong: Option<Wrong>) -> Zone {
    let children = [
        ("E.example".parse().unwrap(), vec![0, 7, 13, 2, 9]),
        ("d.example".parse().unwrap(), vec![0, 8, 13, 2, 9]),
    ];
    let (inception, expiration) = (1_800_000_000, 1_800_000_100);
    let keys = std::slice::from_ref(key);
    let how = Signing { keys, denial, children: &children, inception, expiration, serial: 1001, wrong };
    sign(&zone(TEXT), &how).unwrap()
}

/// Owner and data of every record of a type.
fn all(zone: &Zone, record_type: RecordType) -> Vec<String> {
    let lines = canonical::lines(zone).filter(|line| line.record_type == record_type);
    lines.map(|line| line.to_string()).collect()
}

#[test]
fn rfc4034_section_4_each_owner_says_the_next_and_its_types() {
    let nsec = all(&signed(&key(), Denial::Nsec, None), RecordType::NSEC);
    assert_eq!(
        nsec,
        [
            "example. 30 IN NSEC a.b.c.example. NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY",
            "a.b.c.example. 30 IN NSEC d.example. TXT RRSIG NSEC",
            "d.example. 30 IN NSEC e.example. NS DS RRSIG NSEC",
            "e.example. 30 IN NSEC f.example. NS DS RRSIG NSEC",
            "f.example. 30 IN NSEC ns.example. NS RRSIG NSEC",
            "ns.example. 30 IN NSEC *.w.example. A RRSIG NSEC",
            "*.w.example. 30 IN NSEC WWW.example. MX RRSIG NSEC",
            "WWW.example. 30 IN NSEC example. A RRSIG NSEC",
        ]
    );
}

#[test]
fn rfc5155_section_7_1_each_name_has_a_hash_empty_ones_too() {
    let zone = signed(&key(), Denial::Nsec3, None);
    let nsec3 = all(&zone, RecordType::NSEC3);
    // The apex, a.b.c, b.c, c, d, e, f, ns, *.w, w and www: no glue.
    assert_eq!(nsec3.len(), 11, "{nsec3:#?}");
    assert_eq!(nsec3.iter().filter(|line| line.ends_with(" NS")).count(), 1, "f alone is not signed");
    let hash = |line: &str| line.split(['.', ' ']).next().unwrap().to_owned();
    let next = |line: &str| line.split(' ').nth(8).unwrap().to_owned();
    assert!(
        nsec3
            .iter()
            .zip(nsec3.iter().cycle().skip(1))
            .all(|(one, other)| next(one).eq_ignore_ascii_case(&hash(other))),
        "{nsec3:#?}"
    );
    assert_eq!(all(&zone, RecordType::NSEC3PARAM), ["example. 0 IN NSEC3PARAM 1 0 0 -"]);
    assert!(all(&zone, RecordType::NSEC).is_empty());
}

#[test]
fn rfc4035_section_2_2_what_is_authoritative_is_signed_and_nothing_else() {
    for denial in [Denial::Nsec, Denial::Nsec3] {
        let (key, origin) = (key(), "example.".parse::<Name>().unwrap());
        let zone = signed(&key, denial, None);
        for node in zone.nodes() {
            for set in node.sets().filter(|set| set.record_type() != RecordType::RRSIG) {
                let is_below = node.row.covered_by != crate::dns::zone::NONE;
                let is_free = is_below || node.is_cut() && set.record_type() == RecordType::NS;
                let signature = node.signatures(set.record_type());
                assert_eq!(signature.is_none(), is_free, "{set:?}");
                let Some(data) = signature.and_then(|signature| signature.first()) else { continue };
                assert_eq!(signature.unwrap().ttl(), set.ttl());
                let (head, made) = data.split_at(18 + origin.as_wire().len());
                // What was signed, written once more: the head, and each record in canonical form and order.
                let mut octets = head.to_vec();
                let mut records: Vec<Vec<u8>> =
                    set.data().map(|data| canonical(set.record_type(), data)).collect();
                records.sort();
                for data in records {
                    octets.extend(node.name().to_ascii_lowercase());
                    octets.extend(set.record_type().0.to_be_bytes());
                    octets.extend([0, 1]);
                    octets.extend(set.ttl().to_be_bytes());
                    octets.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
                    octets.extend(data);
                }
                UnparsedPublicKey::new(&ED25519, key.dnskey()[4..].to_vec()).verify(&octets, made).unwrap();
            }
        }
        let mx = zone.exact("*.w.example".parse::<Name>().unwrap().as_wire()).unwrap();
        let labels = mx.signatures(RecordType::MX).unwrap().first().unwrap()[3];
        assert_eq!(labels, 2, "a wildcard's own label is not counted (RFC 4034 §3.1.3)");
    }
}

#[test]
fn children_have_their_ds_parents_are_told_of_the_key_and_the_serial_is_another() {
    let key = key();
    let zone = signed(&key, Denial::Nsec, None);
    assert_eq!(zone.serial(), 1001);
    // The file's own goes before.
    assert_eq!(
        all(&zone, RecordType::DS),
        ["d.example. 60 IN DS 1 13 2 00", "e.example. 60 IN DS 7 13 2 09"]
    );
    let cds = zone.apex().set(RecordType::CDS).unwrap().first().unwrap();
    assert_eq!(cds, ds(&"EXAMPLE".parse().unwrap(), &key.dnskey()));
    assert_eq!(zone.apex().set(RecordType::CDNSKEY).unwrap().first(), Some(&key.dnskey()[..]));
}

/// RFC 6781 §4.1.3: whoever remembers one of the keys alone finds its signature, and its DS.
#[test]
fn with_two_keys_each_set_has_the_signature_of_either() {
    let keys = [key(), key()];
    let child = "e.example".parse::<Name>().unwrap();
    let children = [(child.clone(), vec![0, 7, 13, 2, 9]), (child, vec![0, 8, 13, 2, 9])];
    let how = Signing {
        keys: &keys,
        denial: Denial::Nsec,
        children: &children,
        inception: 1_800_000_000,
        expiration: 1_800_000_100,
        serial: 1001,
        wrong: None,
    };
    let zone = sign(&zone(TEXT), &how).unwrap();
    let mut tags = keys.each_ref().map(|key| tag(&key.dnskey()));
    tags.sort();
    let mut sets = 0;
    for node in zone.nodes() {
        for signatures in node.sets().filter_map(|set| node.signatures(set.record_type())) {
            let mut by: Vec<u16> =
                signatures.data().map(|data| u16::from_be_bytes([data[16], data[17]])).collect();
            by.sort();
            assert_eq!(by, tags);
            sets += 1;
        }
    }
    assert!(sets > 10, "{sets}");
    for record_type in [RecordType::DNSKEY, RecordType::CDS, RecordType::CDNSKEY] {
        assert_eq!(zone.apex().set(record_type).unwrap().data().count(), 2, "{record_type}");
    }
    assert_eq!(
        all(&zone, RecordType::DS),
        ["d.example. 60 IN DS 1 13 2 00", "e.example. 60 IN DS 7 13 2 09", "e.example. 60 IN DS 8 13 2 09"]
    );
}

/// RFC 4509 §2.3 has the digest of this key, of an algorithm that we do not sign with.
#[test]
fn rfc4509_section_2_3_the_example() {
    let key = "256 3 5 AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw==";
    let text = format!("$TTL 60\n@ SOA ns h 1 2 3 4 30\n@ NS ns\nns A 192.0.2.1\n@ DNSKEY {key}\n");
    let zone = zone(&text);
    let dnskey = zone.apex().set(RecordType::DNSKEY).unwrap().first().unwrap();
    let ds = ds(&"dskey.example.com".parse().unwrap(), dnskey);
    let digest = data_encoding::HEXUPPER.encode(&ds[4..]);
    assert_eq!(digest, "D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A");
    assert_eq!(ds[..4], [0xEC, 0x45, 5, 2]);
}

#[test]
fn what_is_to_be_missing_is_and_who_is_signed_is_not_signed_again() {
    let zone = signed(&key(), Denial::Nsec, Some(Wrong::MissingRrsig));
    let lacking = zone.nodes().filter(|node| {
        node.row.covered_by == crate::dns::zone::NONE
            && node.set(RecordType::A).is_some()
            && node.signatures(RecordType::A).is_none()
    });
    assert_eq!(lacking.count(), 2);
    assert!(zone.apex().signatures(RecordType::SOA).is_some());
    let key = key();
    let how = Signing {
        keys: std::slice::from_ref(&key),
        denial: Denial::Nsec,
        children: &[],
        inception: 0,
        expiration: 1,
        serial: 0,
        wrong: None,
    };
    assert!(matches!(sign(&zone, &how), Err(SignError::Signed)));
}
