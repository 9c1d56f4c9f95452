//! Ranges by hand, and generated ones beside a reference that looks at each byte for itself.

use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;

fn spans(of: &[(u64, u64)]) -> Asked {
    Asked::Spans(of.iter().map(|&(from, to)| Span { from, to }).collect())
}

#[test]
fn one_range() {
    for (field, length, expected) in [
        ("bytes=0-0", 10, spans(&[(0, 1)])),
        ("bytes=2-4", 10, spans(&[(2, 5)])),
        ("bytes=9-", 10, spans(&[(9, 10)])),
        ("bytes=0-9999999999999999999999", 10, spans(&[(0, 10)])),
        ("bytes=-3", 10, spans(&[(7, 10)])),
        ("bytes=-11", 10, spans(&[(0, 10)])),
        ("Bytes= , 1-2 ,", 10, spans(&[(1, 3)])),
        ("bytes=10-", 10, Asked::Nothing),
        ("bytes=18446744073709551615-", 10, Asked::Nothing),
        ("bytes=99999999999999999999-", 10, Asked::Nothing),
        ("bytes=-0", 10, Asked::Nothing),
        ("bytes=0-", 0, Asked::Nothing),
        ("bytes=-1", 0, Asked::Whole),
    ] {
        assert_eq!(in_field(field, length), expected, "{field} of {length}");
    }
}

#[test]
fn what_is_malformed_is_not_there() {
    for field in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=2-1",
        "bytes=a-b",
        "bytes=1",
        "bytes=+1-2",
        "bytes=1-+2",
        "bytes=0x1-2",
        "bytes = 0-1",
        "bytes:0-1",
        "lines=0-1",
        "bytes=0-1,x",
        "bytes=0-1-2",
        "bytes=- 5",
        "bytes=1 -2",
        "bytes=--5",
        "bytes=٣-٤",
    ] {
        assert_eq!(in_field(field, 10), Asked::Whole, "{field}");
    }
    let twice = HeaderValue::from_static("bytes=0-1");
    let headers: HeaderMap = [(RANGE, twice.clone()), (RANGE, twice)].into_iter().collect();
    assert_eq!(asked(&headers, 10), Asked::Whole);
    assert_eq!(asked(&HeaderMap::new(), 10), Asked::Whole);
}

#[test]
fn several_ranges_keep_their_order_and_never_overlap() {
    for (field, expected) in [
        ("bytes=6-7,1-2", spans(&[(6, 8), (1, 3)])),
        ("bytes=1-2,20-,4-5", spans(&[(1, 3), (4, 6)])),
        ("bytes=1-4,3-6", spans(&[(1, 7)])),
        ("bytes=1-2,3-4", spans(&[(1, 5)])),
        ("bytes=8-8,0-1,3-4,2-2,6-6", spans(&[(8, 9), (0, 5), (6, 7)])),
        ("bytes=0-,-1,5-6", spans(&[(0, 10)])),
        ("bytes=20-,30-", Asked::Nothing),
    ] {
        assert_eq!(in_field(field, 10), expected, "{field}");
    }
    let many = |count| format!("bytes={}", "0-0,".repeat(count));
    assert_eq!(in_field(&many(RANGES_MOST), 10), spans(&[(0, 1)]));
    assert_eq!(in_field(&many(RANGES_MOST + 1), 10), Asked::Whole);
}

proptest! {
    #[test]
    fn exactly_the_bytes_asked_for(
        length in 0_u64..40,
        set in proptest::collection::vec(
            prop_oneof![
                (0_u64..50, 0_u64..20).prop_map(|(first, more)| (Some(first), Some(first + more))),
                (0_u64..50).prop_map(|first| (Some(first), None)),
                (0_u64..50).prop_map(|suffix| (None, Some(suffix))),
            ],
            1..=RANGES_MOST,
        ),
    ) {
        let written = set.iter().map(|(first, last)| {
            let number = |number: &Option<u64>| number.map_or(String::new(), |number| number.to_string());
            format!("{}-{}", number(first), number(last))
        });
        let field = format!("bytes={}", written.collect::<Vec<_>>().join(", "));
        let is_asked = |byte: u64| set.iter().any(|range| match *range {
            (Some(first), Some(last)) => first <= byte && byte <= last,
            (Some(first), None) => first <= byte,
            (None, last) => length - byte <= last.unwrap_or(0),
        });
        let expected: Vec<u64> = (0..length).filter(|&byte| is_asked(byte)).collect();
        match in_field(&field, length) {
            Asked::Nothing => prop_assert!(expected.is_empty(), "{}", field),
            Asked::Whole => {
                let has_suffix = set.iter().any(|(first, last)| first.is_none() && *last != Some(0));
                prop_assert!(length == 0 && has_suffix, "{}", field);
            }
            Asked::Spans(spans) => {
                let mut given: Vec<u64> = spans.iter().flat_map(|span| span.from..span.to).collect();
                given.sort_unstable();
                prop_assert_eq!(given, expected, "{}", &field);
                for (at, one) in spans.iter().enumerate() {
                    prop_assert!(one.bytes() > 0);
                    prop_assert!(spans[at + 1..].iter().all(|other| !one.touches(other)), "{}", field);
                }
            }
        }
    }

    #[test]
    fn whatever_is_sent_is_no_more_than_there_is(field in "bytes=[0-9,\\- a]{0,60}", length: u64) {
        if let Asked::Spans(spans) = in_field(&field, length) {
            prop_assert!(spans.iter().all(|span| span.from < span.to && span.to <= length));
            prop_assert!(spans.iter().map(|span| u128::from(span.bytes())).sum::<u128>() <= u128::from(length));
        }
    }
}
