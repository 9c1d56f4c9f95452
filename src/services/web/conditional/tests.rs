//! Conditions by hand, and all combinations of them beside a reference that has the RFC's words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MODIFIED: Duration = Duration::from_secs(1_000_000);

/// When a date that was said of the file is said of no other version.
fn later() -> SystemTime {
    UNIX_EPOCH + MODIFIED + SECOND
}

fn file(is_weak: bool) -> Validators {
    Validators::new("a", is_weak, Some(UNIX_EPOCH + MODIFIED))
}

fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
    of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
}

fn date(since_epoch: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
}

#[test]
fn a_tag_matches_anywhere_in_the_lists() {
    for list in ["\"a\"", "\"x,y\", W/\"a\"", "*", " ,\"x\"\t,\"a\"", "\"x\",,W/\"a\""] {
        let verdict = file(false).verdict(&headers(&[(IF_NONE_MATCH, list)]));
        assert_eq!(verdict, Verdict::NotModified, "{list}");
    }
    for list in ["", "a", "\"\"", "\"A\"", "\"a", "\"x,\"a\"\"", "w/\"a\"", "W/a"] {
        assert_eq!(file(false).verdict(&headers(&[(IF_NONE_MATCH, list)])), Verdict::Holds, "{list}");
    }
    let two = headers(&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "*")]);
    assert_eq!(file(false).verdict(&two), Verdict::NotModified);
}

#[test]
fn what_is_meant_to_be_changed_is_compared_strongly() {
    for (is_weak, list, verdict) in [
        (false, "\"a\"", Verdict::Holds),
        (false, "*", Verdict::Holds),
        (true, "*", Verdict::Holds),
        (false, "W/\"a\"", Verdict::Fails("If-Match")),
        (true, "\"a\"", Verdict::Fails("If-Match")),
        (true, "W/\"a\"", Verdict::Fails("If-Match")),
        (false, "", Verdict::Fails("If-Match")),
    ] {
        assert_eq!(file(is_weak).verdict(&headers(&[(IF_MATCH, list)])), verdict, "{is_weak} {list}");
    }
}

#[test]
fn a_date_that_is_none_is_no_condition() {
    let same = date(MODIFIED);
    for dates in [&["yesterday"][..], &[""], &["0"], &[&same, &same]] {
        for name in [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
            let headers =
                dates.iter().map(|date| (name.clone(), HeaderValue::from_str(date).unwrap())).collect();
            assert_eq!(file(false).verdict(&headers), Verdict::Holds, "{name}: {dates:?}");
        }
    }
    let dateless = Validators::new("a", false, None);
    for name in [IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE] {
        let headers = headers(&[(name.clone(), &same)]);
        assert_eq!(dateless.verdict(&headers), Verdict::Holds, "{name}");
        assert_eq!(dateless.allow_ranges(&headers, later()), name != IF_RANGE, "{name}");
    }
}

#[test]
fn ranges_are_of_exactly_this_version() {
    let (same, before, after) = (date(MODIFIED), date(MODIFIED - SECOND), date(MODIFIED + SECOND));
    for (condition, allowed) in [
        ("\"a\"", true),
        ("W/\"a\"", false),
        ("\"b\"", false),
        ("*", false),
        ("\"a\", \"b\"", false),
        (&*same, true),
        (&*before, false),
        (&*after, false),
        ("Wednesday", false),
        ("", false),
    ] {
        assert_eq!(
            file(false).allow_ranges(&headers(&[(IF_RANGE, condition)]), later()),
            allowed,
            "{condition}"
        );
    }
    let just_now = later() - Duration::from_millis(1);
    assert!(
        !file(false).allow_ranges(&headers(&[(IF_RANGE, &same)]), just_now),
        "said of two versions, perhaps"
    );
    assert!(file(false).allow_ranges(&HeaderMap::new(), later()));
    assert!(!file(true).allow_ranges(&headers(&[(IF_RANGE, "\"a\"")]), later()));
    assert!(!file(false).allow_ranges(&headers(&[(IF_RANGE, "\"a\""), (IF_RANGE, "\"a\"")]), later()));
}

/// RFC 9110 §13.2.2 word by word, for a GET; a list is what its tags are, a date is how far it is from the file's.
fn by_the_words(
    tag: (&str, bool),
    if_match: &Option<Vec<(&str, bool)>>,
    if_unmodified_since: Option<i64>,
    if_none_match: &Option<Vec<(&str, bool)>>,
    if_modified_since: Option<i64>,
) -> u16 {
    // 1. When recipient is the origin server and If-Match is present, evaluate: if false, respond 412.
    if let Some(list) = if_match {
        if !list.iter().any(|listed| *listed == tag && !listed.1) {
            return 412;
        }
    // 2. When If-Match is not present and If-Unmodified-Since is present: if false, respond 412.
    } else if if_unmodified_since.is_some_and(|distance| distance < 0) {
        return 412;
    }
    // 3. When If-None-Match is present: if false for GET/HEAD, respond 304.
    if let Some(list) = if_none_match {
        if list.iter().any(|listed| listed.0 == tag.0) {
            return 304;
        }
    // 4. When If-None-Match is not present and If-Modified-Since is: if false, respond 304.
    } else if if_modified_since.is_some_and(|distance| distance >= 0) {
        return 304;
    }
    200
}

fn a_list() -> impl Strategy<Value = Option<Vec<(&'static str, bool)>>> {
    let tag = (prop_oneof![Just("a"), Just("b"), Just(", W/"), Just("")], any::<bool>());
    proptest::option::of(proptest::collection::vec(tag, 0..4))
}

fn written(list: &[(&str, bool)]) -> String {
    let tags = list.iter().map(|(opaque, weak)| format!("{}\"{opaque}\"", if *weak { "W/" } else { "" }));
    tags.collect::<Vec<_>>().join(", ")
}

proptest! {
    #[test]
    fn precedence_is_that_of_the_rfc(
        is_weak: bool,
        if_match in a_list(),
        if_unmodified_since in proptest::option::of(-1_i64..=1),
        if_none_match in a_list(),
        if_modified_since in proptest::option::of(-1_i64..=1),
    ) {
        let mut headers = HeaderMap::new();
        for (name, list) in [(IF_MATCH, &if_match), (IF_NONE_MATCH, &if_none_match)] {
            if let Some(list) = list {
                headers.insert(name, HeaderValue::try_from(written(list)).unwrap());
            }
        }
        for (name, distance) in [(IF_UNMODIFIED_SINCE, if_unmodified_since), (IF_MODIFIED_SINCE, if_modified_since)] {
            if let Some(distance) = distance {
                let at = MODIFIED.as_secs().checked_add_signed(distance).unwrap();
                headers.insert(name, HeaderValue::try_from(date(Duration::from_secs(at))).unwrap());
            }
        }
        let expected =
            by_the_words(("a", is_weak), &if_match, if_unmodified_since, &if_none_match, if_modified_since);
        let status = match file(is_weak).verdict(&headers) {
            Verdict::Holds => 200,
            Verdict::NotModified => 304,
            Verdict::Fails(_) => 412,
        };
        prop_assert_eq!(status, expected, "{:?}", headers);
    }

    #[test]
    fn any_list_is_read_to_an_end(list in "[\"W/, *a\\-]{0,40}") {
        prop_assert!(entity_tags(&list).count() <= list.len());
    }
}
