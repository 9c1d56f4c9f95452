//! Whether a client would rather read JSON than a page (RFC 9110 §12.5.1).

use hyper::header::{ACCEPT, HeaderMap};

/// Whether JSON is weighed above HTML. Who takes anything, as curl does, gets the page.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    let json = ["problem+json", "json"].map(|subtype| weight(headers, "application", subtype));
    let best = json.into_iter().max().unwrap_or(0);
    best > weight(headers, "text", "html")
}

/// How much a media type is wanted, in thousandths: the most exact range that names it decides.
fn weight(headers: &HeaderMap, kind: &str, subtype: &str) -> u16 {
    let ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut decided = (0, 0);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let Some((range_kind, range_subtype)) = parts.next().and_then(|name| name.split_once('/')) else {
            continue;
        };
        let exactness = match (range_kind, range_subtype) {
            ("*", "*") => 1,
            (range_kind, "*") if range_kind.eq_ignore_ascii_case(kind) => 2,
            (range_kind, range_subtype)
                if range_kind.eq_ignore_ascii_case(kind) && range_subtype.eq_ignore_ascii_case(subtype) =>
            {
                3
            }
            _ => continue,
        };
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1_000, thousandths);
        if exactness > decided.0 {
            decided = (exactness, quality);
        }
    }
    decided.1
}

/// `0.25` as 250; what is no quality counts as none.
fn thousandths(quality: &str) -> u16 {
    let (whole, fraction) = quality.split_once('.').unwrap_or((quality, ""));
    let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if digits => 1_000,
        "0" if digits && fraction.len() <= 3 => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn prefers(accept: &str) -> bool {
        prefers_json(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())]))
    }

    #[test]
    fn only_who_asks_for_json_gets_it() {
        for json in [
            "application/json",
            "application/problem+json",
            "application/json, text/html;q=0.9",
            "Application/JSON ; q=0.5 , */*;q=0.1",
            "text/*;q=0.3, application/*;q=0.301",
        ] {
            assert!(prefers(json), "{json}");
        }
        for page in [
            "*/*",
            "",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json;q=0.5, text/html",
            "application/json, text/html",
            "application/json;q=x",
            "application/json;q=0",
        ] {
            assert!(!prefers(page), "{page}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }
}
