//! Names as text, as octets, and what is none.

use proptest::prelude::*;

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn text_becomes_wire() {
    assert_eq!(name("www.Foo.").as_wire(), b"\x03www\x03Foo\0");
    assert_eq!(name("a\\.b.c").as_wire(), b"\x03a.b\x01c\0");
    assert_eq!(name("\\065\\000").as_wire(), b"\x02A\0\0");
    assert_eq!(name(".").as_wire(), b"\0");
    let origin = name("foobar.com.");
    assert_eq!(Name::parse(b"www", Some(&origin)).unwrap(), name("WWW.foobar.com"));
    assert_eq!(Name::parse(b"@", Some(&origin)).unwrap(), origin);
    assert_eq!(Name::parse(b"www", None), Err(NameError::NoOrigin));
}

#[test]
fn what_is_no_name_is_refused() {
    for (text, error) in [
        ("a..b", NameError::EmptyLabel),
        (".a", NameError::EmptyLabel),
        ("", NameError::EmptyLabel),
        ("..", NameError::EmptyLabel),
        ("a\\25", NameError::BadEscape),
        ("a\\256", NameError::BadEscape),
        ("a\\", NameError::BadEscape),
        ("fööbar", NameError::NotAscii),
    ] {
        assert_eq!(text.parse::<Name>(), Err(error), "{text}");
    }
    assert!("a".repeat(63).parse::<Name>().is_ok());
    assert_eq!("a".repeat(64).parse::<Name>(), Err(NameError::LabelTooLong));
    assert!("a.".repeat(127).parse::<Name>().is_ok());
    assert_eq!("a.".repeat(128).parse::<Name>(), Err(NameError::NameTooLong));
}

#[test]
fn relations_begin_at_labels() {
    assert!(name("www.foobar.com").is_subdomain_of(&name("FOOBAR.com")));
    assert!(name("foobar.com").is_subdomain_of(&Name::root()));
    assert!(!name("xfoobar.com").is_subdomain_of(&name("foobar.com")));
    assert!(!name("com").is_subdomain_of(&name("foobar.com")));
    // The octet 0x03 inside a label looks like a length.
    assert!(!name("a\\003com").is_subdomain_of(&name("com")));
    assert_eq!(name("www.foobar.com").parent(), Some(name("foobar.com")));
    assert_eq!(Name::root().parent(), None);
    assert_eq!(name("a.b.").with_suffix(3, name("c.d").as_wire()).unwrap(), name("a.c.d"));
}

#[test]
fn pointers_lead_backwards_only() {
    let message = b"\x03com\0\x03foo\xC0\x00\x03www\xC0\x05\xC0\x11";
    assert_eq!(Name::read(message, 11).unwrap(), (name("www.foo.com"), 17));
    assert_eq!(Name::read(message, 17), Err(NameError::BadPointer));
    assert_eq!(Name::read(b"\xC0\x00", 0), Err(NameError::BadPointer));
    assert_eq!(Name::read(b"\x01a\xC0\x00", 0), Err(NameError::BadPointer));
    assert_eq!(Name::read(b"\x40", 0), Err(NameError::BadPointer));
    assert_eq!(Name::read(b"\x05abc", 0), Err(NameError::Incomplete));
    assert_eq!(Name::read(b"", 0), Err(NameError::Incomplete));
}

#[test]
fn a_chain_of_pointers_has_an_end() {
    // A root label, then pointers, each to the one before.
    let message = |pointers: usize| {
        let mut message = vec![0];
        for pointer in 0..pointers {
            let target = if pointer == 0 { 0 } else { 2 * pointer - 1 };
            message.extend([0xC0 | u8::try_from(target >> 8).unwrap(), u8::try_from(target & 0xFF).unwrap()]);
        }
        message
    };
    let read = |pointers: usize| Name::read(&message(pointers), 2 * pointers - 1);
    assert!(read(32).unwrap().0.is_root());
    assert_eq!(read(33), Err(NameError::BadPointer));
}

proptest! {
    #[test]
    fn parse_of_print_is_the_identity(labels in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 1..20), 0..10)) {
        let mut wire = Vec::new();
        for label in &labels {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend_from_slice(label);
        }
        wire.push(0);
        let name = Name::from_wire(&wire).unwrap();
        let printed: Name = name.to_string().parse().unwrap();
        prop_assert_eq!(printed.as_wire(), name.as_wire());
    }

    #[test]
    fn any_octets_are_a_name_or_an_error(octets in prop::collection::vec(any::<u8>(), 0..600), at in 0usize..600) {
        if let Ok((name, next)) = Name::read(&octets, at) {
            prop_assert!(name.as_wire().len() <= LONGEST_NAME && next <= octets.len());
            prop_assert!(Name::from_wire(name.as_wire()).is_ok());
        }
    }
}
