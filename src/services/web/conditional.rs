//! Whether the client has it already: conditional requests (RFC 9110 §13).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH};

/// The last second that an HTTP date can write: the year has four digits.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// What tells one version of a file from another.
#[derive(Debug)]
pub(super) struct Validators {
    /// Strong: the time of the last change in nanoseconds, and the size.
    pub(super) etag: String,
    /// To the second; nothing where no HTTP date can say it.
    pub(super) modified: Option<SystemTime>,
}

impl Validators {
    pub(super) fn of(modified: SystemTime, bytes: u64) -> Self {
        let since_epoch = modified.duration_since(UNIX_EPOCH);
        let nanoseconds = match &since_epoch {
            Ok(after) => after.as_nanos(),
            Err(before) => before.duration().as_nanos(),
        };
        let modified = since_epoch
            .ok()
            .filter(|after| *after <= LAST_DATE)
            .map(|after| UNIX_EPOCH + Duration::from_secs(after.as_secs()));
        Self { etag: format!("\"{nanoseconds:x}-{bytes:x}\""), modified }
    }

    /// Whether a GET or HEAD with these headers is answered with 304 (RFC 9110 §13.2.2, steps 3 and 4).
    pub(super) fn match_those_in(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(IF_NONE_MATCH) {
            // With it, If-Modified-Since is not looked at.
            return headers
                .get_all(IF_NONE_MATCH)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .any(|list| list.trim() == "*" || entity_tags(list).any(|tag| tag == self.etag));
        }
        let since = headers
            .get(IF_MODIFIED_SINCE)
            .and_then(|value| value.to_str().ok())
            .and_then(|date| httpdate::parse_http_date(date).ok());
        matches!((self.modified, since), (Some(modified), Some(since)) if modified <= since)
    }
}

/// The entity tags of a list, with their quotes and without `W/`: the comparison is the weak one.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        rest = rest.strip_prefix("W/").unwrap_or(rest);
        // Commas may stand inside the quotes, so a list is not split at them.
        let end = rest.strip_prefix('"')?.find('"')? + 2;
        let (tag, after) = rest.split_at(end);
        rest = after;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_tag_matches_weakly_anywhere_in_the_lists() {
        let file = Validators::of(UNIX_EPOCH + SECOND, 16);
        assert_eq!(file.etag, "\"3b9aca00-10\"");
        for list in ["\"3b9aca00-10\"", "\"a,b\", W/\"3b9aca00-10\"", "*", " ,\"x\"\t,\"3b9aca00-10\""] {
            assert!(file.match_those_in(&headers(&[(IF_NONE_MATCH, list)])), "{list}");
        }
        for list in ["", "3b9aca00-10", "\"3b9aca00\"", "\"3b9aca00-10", "\"x,\"3b9aca00-10\"\""] {
            assert!(!file.match_those_in(&headers(&[(IF_NONE_MATCH, list)])), "{list}");
        }
        assert!(file.match_those_in(&headers(&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "*")])));
    }

    #[test]
    fn a_date_counts_to_the_second_and_only_without_a_tag() {
        let modified = UNIX_EPOCH + Duration::from_millis(1_500);
        let file = Validators::of(modified, 1);
        let at = |time| httpdate::fmt_http_date(time);
        let (same, before) = (at(UNIX_EPOCH + SECOND), at(UNIX_EPOCH));
        assert!(file.match_those_in(&headers(&[(IF_MODIFIED_SINCE, &same)])));
        assert!(!file.match_those_in(&headers(&[(IF_MODIFIED_SINCE, &before)])));
        assert!(!file.match_those_in(&headers(&[(IF_MODIFIED_SINCE, "yesterday")])));
        assert!(!file.match_those_in(&headers(&[(IF_MODIFIED_SINCE, &same), (IF_NONE_MATCH, "\"x\"")])));
        assert!(!file.match_those_in(&HeaderMap::new()));
    }

    #[test]
    fn a_time_that_http_cannot_say_is_not_said() {
        assert!(Validators::of(UNIX_EPOCH - SECOND, 1).modified.is_none());
        assert!(Validators::of(UNIX_EPOCH + LAST_DATE + SECOND, 1).modified.is_none());
        assert!(Validators::of(UNIX_EPOCH + LAST_DATE, 1).modified.is_some());
    }

    proptest! {
        #[test]
        fn any_list_is_read_to_an_end(list in "[\"W/, *a\\-]{0,40}") {
            prop_assert!(entity_tags(&list).count() <= list.len());
        }
    }
}
