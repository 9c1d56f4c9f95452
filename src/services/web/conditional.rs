//! Whether the client has it already, or means another version: conditional requests (RFC 9110 §13). Pure.

use std::time::{Duration, SystemTime};

use hyper::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// What tells one version of a representation from another, as it is said.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    /// `ETag`, with its quotes, and `W/` before them where another content may have the same.
    pub(super) etag: HeaderValue,
    /// `Last-Modified`; nothing where no HTTP date can say it.
    pub(super) last_modified: Option<(HeaderValue, SystemTime)>,
}

/// What a request's conditions come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done as if there were none.
    Holds,
    /// 304: the client has this version.
    NotModified,
    /// 412: the client means another version, as the header of this name says.
    Fails(&'static str),
}

impl Validators {
    /// Of a representation with the entity tag `opaque`, which has no quotes.
    pub(super) fn new(opaque: &str, is_weak: bool, modified: Option<SystemTime>) -> Self {
        let etag = if is_weak { format!("W/\"{opaque}\"") } else { format!("\"{opaque}\"") };
        let dated = |time| Some((HeaderValue::try_from(httpdate::fmt_http_date(time)).ok()?, time));
        Self {
            etag: HeaderValue::try_from(etag).unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
            last_modified: modified.and_then(dated),
        }
    }

    /// What the conditions of a GET or HEAD come to, in the order of RFC 9110 §13.2.2, steps 1 to 4.
    pub(super) fn verdict(&self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(IF_MATCH) {
            if !self.is_among(headers, &IF_MATCH, Self::is_strongly) {
                return Verdict::Fails("If-Match");
            }
        } else if self.is_modified_after(headers, &IF_UNMODIFIED_SINCE) == Some(true) {
            return Verdict::Fails("If-Unmodified-Since");
        }
        let client_has_it = if headers.contains_key(IF_NONE_MATCH) {
            self.is_among(headers, &IF_NONE_MATCH, Self::is_weakly)
        } else {
            self.is_modified_after(headers, &IF_MODIFIED_SINCE) == Some(false)
        };
        if client_has_it { Verdict::NotModified } else { Verdict::Holds }
    }

    /// Whether the ranges asked for are of this version: step 5. A date is of it only if it is the very one that was
    /// said (§13.1.5), and so long ago that it could not be said of two versions, `now` being the `Date` of the answer:
    /// a second (§8.8.2.2).
    pub(super) fn allow_ranges(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        let mut conditions = headers.get_all(IF_RANGE).iter();
        let (Some(condition), None) = (conditions.next(), conditions.next()) else {
            return !headers.contains_key(IF_RANGE);
        };
        match condition.to_str() {
            Ok(tag) if tag.starts_with(['"', 'W']) && tag.ends_with('"') => self.is_strongly(tag),
            Ok(date) => {
                let Ok(date) = httpdate::parse_http_date(date) else { return false };
                let is_said = self.last_modified.as_ref().is_some_and(|(_, time)| *time == date);
                is_said && now.duration_since(date).is_ok_and(|age| age >= Duration::from_secs(1))
            }
            Err(_) => false,
        }
    }

    /// Whether a list of entity tags has `*`, or one that is this representation's.
    fn is_among(&self, headers: &HeaderMap, name: &HeaderName, is: fn(&Self, &str) -> bool) -> bool {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| list.trim() == "*" || entity_tags(list).any(|tag| is(self, tag)))
    }

    /// The strong comparison (§8.8.3.2): neither is weak.
    fn is_strongly(&self, tag: &str) -> bool {
        !tag.starts_with("W/") && self.etag == tag
    }

    /// The weak one.
    fn is_weakly(&self, tag: &str) -> bool {
        let own = self.etag.as_bytes();
        own.strip_prefix(b"W/").unwrap_or(own) == tag.strip_prefix("W/").unwrap_or(tag).as_bytes()
    }

    /// Whether this was modified after the one date in a header; nothing where there is no such date, or none of this.
    fn is_modified_after(&self, headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
        let mut dates = headers.get_all(name).iter();
        let (Some(date), None) = (dates.next(), dates.next()) else {
            return None;
        };
        let date = httpdate::parse_http_date(date.to_str().ok()?).ok()?;
        self.last_modified.as_ref().map(|(_, modified)| *modified > date)
    }
}

/// The entity tags of a list, with their quotes, and with `W/` where they are weak. What comes after something that is
/// none is not read.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        // Commas may stand inside the quotes, so a list is not split at them.
        let prefix = if rest.starts_with("W/") { 2 } else { 0 };
        let end = prefix + rest.get(prefix..)?.strip_prefix('"')?.find('"')? + 2;
        let (tag, after) = rest.split_at(end);
        rest = after;
        Some(tag)
    })
}

#[cfg(test)]
mod tests;
