//! Which trace a request belongs to (W3C Trace Context, level 1).
//!
//! Pure. `traceparent` ties together what several programs tell about one request. Unlike the headers that say who
//! asked, nothing is decided by it: so a client's trace goes on where it is valid, and one begins here where not. In
//! either, whoever is asked next is told that this server asks (§3.2.2.4): its span, [`RequestId::span`].

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::ground::chance::RequestId;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The length of `version-trace-parent-flags` in version 00: 2, 32, 16 and 2 digits with hyphens between.
const LENGTH: usize = 55;

/// What a client says its request belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// The trace: 32 digits.
    pub(super) trace: String,
    /// The client's own span in it: 16 digits.
    pub(super) parent: String,
    /// Whether the client asks for it to be recorded (§3.2.2.5).
    is_sampled: bool,
}

/// Continues a valid trace; else begins one whose identifier is the request's own, so that either finds the other.
pub(super) fn pass_on(headers: &mut HeaderMap, id: &RequestId) {
    let (trace, flags) = match told(headers) {
        // In the version that is understood here, with the flag that it has (§4.3).
        Some(told) => (told.trace, u8::from(told.is_sampled)),
        None => {
            // What vendors added belongs to the trace that is not continued (§3.3.1.3).
            headers.remove(TRACESTATE);
            // It is not of zeros: it has a version digit in each half. It is told about.
            (id.as_str().to_owned(), 1)
        }
    };
    if let Ok(value) = HeaderValue::from_str(&format!("00-{trace}-{}-{flags:02}", id.span())) {
        headers.insert(TRACEPARENT, value);
    }
}

/// What a client says of its trace, if that is valid.
pub(super) fn told(headers: &HeaderMap) -> Option<Told> {
    let text = valid(headers)?.to_str().ok()?;
    let flags = u8::from_str_radix(text.get(53..55)?, 16).ok()?;
    Some(Told {
        trace: text.get(3..35)?.to_owned(),
        parent: text.get(36..52)?.to_owned(),
        is_sampled: flags & 1 == 1,
    })
}

/// The one `traceparent`, if it is valid.
fn valid(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut told = headers.get_all(TRACEPARENT).iter();
    match (told.next(), told.next()) {
        (Some(told), None) if is_valid(told.as_bytes()) => Some(told),
        _ => None,
    }
}

/// Whether it can be read, in this version or a later one (§2.2.2, §4.3).
fn is_valid(text: &[u8]) -> bool {
    let Some((known, more)) = text.split_at_checked(LENGTH) else { return false };
    let is_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&[u8]> = known.split(|&byte| byte == b'-').collect();
    let [version, trace, span, flags] = parts[..] else { return false };
    let lengths = [version.len(), trace.len(), span.len(), flags.len()];
    let is_zero = |part: &[u8]| part.iter().all(|&byte| byte == b'0');
    lengths == [2, 32, 16, 2]
        && parts.iter().all(|part| is_hex(part))
        && !is_zero(trace)
        && !is_zero(span)
        && match version {
            b"00" => more.is_empty(),
            b"ff" => false,
            _ => more.is_empty() || more.starts_with(b"-"),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn passed(told: &[&'static str]) -> (HeaderMap, RequestId) {
        let mut headers = HeaderMap::new();
        for told in told {
            headers.append(TRACEPARENT, HeaderValue::from_static(told));
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        let id = RequestId::draw();
        pass_on(&mut headers, &id);
        (headers, id)
    }

    #[test]
    fn a_valid_trace_goes_on_with_its_state_and_this_server_as_the_one_that_asks() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more";
        for (valid, flags) in [(VALID, "00"), (later, "01")] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_static(valid));
            let asked = told(&headers).unwrap();
            assert_eq!(asked.trace, "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(asked.parent, "00f067aa0ba902b7");
            let (headers, id) = passed(&[valid]);
            let expected = format!("00-{}-{}-{flags}", asked.trace, &id.as_str()[16..]);
            assert_eq!(headers[TRACEPARENT].to_str().unwrap(), expected);
            assert!(is_valid(expected.as_bytes()), "{expected}");
            assert_eq!(headers[TRACESTATE], "a=b");
        }
    }

    #[test]
    fn elsewhere_one_begins_that_the_request_names() {
        let malformed = [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00more",
            "00-4bf92f3577b34da6-a3ce929d0e0e4736-00f067aa0ba902b7-00",
        ];
        for told in malformed.iter().map(std::slice::from_ref).chain([&[][..], &[VALID, VALID]]) {
            let (headers, id) = passed(told);
            let value = headers[TRACEPARENT].to_str().unwrap();
            assert!(
                value.starts_with(&format!("00-{id}-")) && is_valid(value.as_bytes()),
                "{told:?}: {value}"
            );
            assert_eq!(headers.get_all(TRACEPARENT).iter().count(), 1);
            assert!(!headers.contains_key(TRACESTATE), "{told:?}");
        }
    }
}
