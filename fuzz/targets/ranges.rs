//! Any Range is answered with what there is of it, and little of it twice; any conditions come to what RFC 9110 §13.2.2
//! says, as far as that can be said in other words.

#![no_main]

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use hyper::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use libfuzzer_sys::fuzz_target;
use wwwlab_fuzz::services::web::{spans, verdict};

/// The file's entity tag, without quotes, and its time.
const TAG: &str = "0a";
const MODIFIED: Duration = Duration::from_secs(784_111_777);

// The length of the file, whether its tag is weak, then the fields, a line each.
fuzz_target!(|input: &[u8]| {
    let [length, is_weak, values @ ..] = input else { return };
    let (values, is_weak) = (values.split(|&byte| byte == b'\n'), is_weak % 2 == 1);
    let names = [RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];
    let mut headers = HeaderMap::new();
    for (name, value) in names.into_iter().zip(values) {
        // A field is there where something is said in it.
        if let Ok(value) = HeaderValue::from_bytes(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
    ranges(&headers, u64::from(*length));
    conditions(&headers, is_weak);
});

fn ranges(headers: &HeaderMap, length: u64) {
    let Some(spans) = spans(headers, length) else { return };
    let mut sent = BTreeSet::new();
    for &(from, to) in &spans {
        assert!(from < to && to <= length, "{from} to {to} of {length}");
        assert!((from..to).all(|byte| sent.insert(byte)), "a byte is sent twice: {spans:?}");
    }
    assert!(spans.iter().all(|span| !spans.iter().any(|other| other.0 == span.1)), "two touch: {spans:?}");
    assert_eq!(sent, wanted(text(headers, RANGE).unwrap_or_default(), length));
}

/// The bytes of a set of ranges that is well-formed, one by one.
fn wanted(set: &str, length: u64) -> BTreeSet<u64> {
    let (_, set) = set.split_once('=').expect("a unit");
    let mut bytes = BTreeSet::new();
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()) {
        let (first, last) = spec.split_once('-').expect("a dash");
        let number = |digits: &str| digits.parse::<u64>().unwrap_or(u64::MAX);
        bytes.extend((0..length).filter(|&byte| match (first, last) {
            ("", suffix) => byte >= length.saturating_sub(number(suffix)),
            (first, "") => byte >= number(first),
            (first, last) => byte >= number(first) && byte <= number(last),
        }));
    }
    bytes
}

fn conditions(headers: &HeaderMap, is_weak: bool) {
    let (status, allows) = verdict(headers, TAG, is_weak, UNIX_EPOCH + MODIFIED);
    let has = |name: HeaderName| headers.contains_key(name);
    match status {
        200 => {}
        304 => assert!(has(IF_NONE_MATCH) || has(IF_MODIFIED_SINCE)),
        412 => assert!(has(IF_MATCH) || has(IF_UNMODIFIED_SINCE)),
        other => panic!("{other}"),
    }
    let is_star = |name: HeaderName| text(headers, name).is_some_and(|value| value.trim() == "*");
    if is_star(IF_MATCH) {
        assert_ne!(status, 412, "a file that is there matches *");
    }
    if is_star(IF_NONE_MATCH) {
        assert_ne!(status, 200, "a file that is there matches *");
    }
    if has(IF_MATCH) && !text(headers, IF_MATCH).is_some_and(|list| list.contains(['*', '"'])) {
        assert_eq!(status, 412, "no tag is this one");
    }
    // §13.1.5: a weak tag never allows a range, nor does any other than this file's own.
    match text(headers, IF_RANGE) {
        None => assert_eq!(allows, !has(IF_RANGE)),
        Some(tag) if tag.contains('"') => assert_eq!(allows, !is_weak && tag == format!("\"{TAG}\"")),
        Some(_) => {}
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
