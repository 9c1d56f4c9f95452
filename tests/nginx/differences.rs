//! Where nginx answers otherwise, and why we do not.

use std::time::SystemTime;

use super::judge::Case;
use super::site::written;

/// A listed difference.
pub(crate) struct Difference {
    /// Why, with the source.
    pub(crate) why: &'static str,
    /// Whether it is this.
    pub(crate) explains: fn(&Case<'_>) -> bool,
}

/// All of them. A case is explained by the first that fits, so those that have to do with everything come last.
pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        why: "nginx resolves .. in a target; here it is refused, since a client resolves it before it asks (RFC 3986 \
              §5.2.4), and who does not is up to something",
        explains: |case| {
            let climbs = ["/../", "/%2e%2e/"].iter().any(|dots| case.request.target.contains(dots));
            climbs && case.ours.status == 400
        },
    },
    Difference {
        why: "nginx answers for a directory without an index that it may not be listed (403), and redirects to it; \
              here there is nothing at such a place",
        explains: |case| {
            case.request.target.contains("/bare")
                && case.ours.status == 404
                && [301, 403, 405].contains(&case.nginx.status)
        },
    },
    Difference {
        why: "nginx redirects with 301 whatever the method; after it a POST may become a GET (RFC 9110 §15.4.2), so \
              that here it is 308",
        explains: |case| case.request.method == "POST" && (case.ours.status, case.nginx.status) == (308, 301),
    },
    Difference {
        why: "nginx heeds Range for HEAD; it is defined for GET alone, and must be ignored elsewhere (RFC 9110 §14.2)",
        explains: |case| {
            case.request.method == "HEAD"
                && case.request.header("Range").is_some()
                && case.ours.status == 200
                && [206, 416].contains(&case.nginx.status)
        },
    },
    Difference {
        why: "nginx heeds If-Unmodified-Since beside If-Match, and where it is no date; it is ignored then (RFC 9110 \
              §13.1.4)",
        explains: |case| {
            let since = case.request.header("If-Unmodified-Since");
            since.is_some_and(|since| case.request.header("If-Match").is_some() || date(since).is_none())
                && case.ours.status != 412
                && case.nginx.status == 412
        },
    },
    Difference {
        why: "nginx heeds If-Modified-Since beside If-None-Match; it is ignored then (RFC 9110 §13.1.3)",
        explains: |case| {
            case.request.header("If-Modified-Since").is_some()
                && case.request.header("If-None-Match").is_some()
                && case.ours.status == 304
                && case.nginx.status != 304
        },
    },
    Difference {
        why: "nginx compares If-Modified-Since for equality (if_modified_since exact); a later date is as good (RFC \
              9110 §13.1.3)",
        explains: |case| {
            let since = case.request.header("If-Modified-Since").and_then(date);
            since.is_some_and(|since| since > written())
                && case.ours.status == 304
                && case.nginx.status != 304
        },
    },
    Difference {
        why: "nginx answers 416 to a Range that is malformed, or has numbers beyond 2^63; here the one is ignored (RFC \
              9110 §14.2), the other understood",
        explains: |case| {
            let range = case.request.header("Range").unwrap_or_default();
            let malformed = ["bytes=3-2", "bytes=a-b"].contains(&range) && case.ours.status == 200;
            let large = range.contains("99999999999999999999") && [200, 206].contains(&case.ours.status);
            (malformed || large) && case.nginx.status == 416
        },
    },
    Difference {
        why: "nginx sends all of nothing where a range begins behind it; no byte of it is there (RFC 9110 §14.1.2)",
        explains: |case| {
            case.request.target.contains("empty") && (case.ours.status, case.nginx.status) == (416, 200)
        },
    },
    Difference {
        why: "nginx sends what overlaps twice, or all of it; here it becomes one range (RFC 9110 §15.3.7.2)",
        explains: |case| {
            ["bytes=0-4,2-6", "bytes=0-,0-"].contains(&case.request.header("Range").unwrap_or_default())
                && case.ours.status == 206
                && case.ours.parts().is_none()
                && [200, 206].contains(&case.nginx.status)
        },
    },
    Difference {
        why: "nginx knows no ranges of what was compressed before; a range is of the representation that was chosen \
              (RFC 9110 §14.2)",
        explains: |case| {
            let [ours, nginx] = [&case.ours, &case.nginx].map(|answer| answer.header("content-encoding"));
            let compressed = nginx == Some("gzip") && case.nginx.header("accept-ranges").is_none();
            let ranged = [206, 416].contains(&case.ours.status);
            compressed
                && case.nginx.status == 200
                && (ranged || (ours == nginx && case.ours.body == case.nginx.body && case.ours.status == 200))
        },
    },
    Difference {
        why: "nginx, set to gzip_static as here, sends only what was compressed before; texts are compressed here, \
              with a coding that was asked for",
        explains: |case| {
            let asked = case.request.header("Accept-Encoding").unwrap_or_default();
            let Some(coding) = case.ours.header("content-encoding") else {
                // A range may begin behind the end of what is compressed, and before that of what is not.
                return case.ours.status == 416
                    && ["gzip", "br"].iter().any(|coding| asked.starts_with(coding))
                    && [206, 416].contains(&case.nginx.status)
                    && case.request.header("Range").is_some();
            };
            let whole = case.ours.status == 200 && case.nginx.status == 200 && case.request.method == "GET";
            asked.contains(coding)
                && case.nginx.header("content-encoding").is_none()
                && (!whole || decoded(coding, &case.ours.body) == case.nginx.body)
        },
    },
];

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

fn decoded(coding: &str, mut body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        "br" => brotli::BrotliDecompress(&mut body, &mut plain).unwrap(),
        _ => drop(std::io::copy(&mut flate2::read::GzDecoder::new(body), &mut plain).unwrap()),
    }
    plain
}
