//! Whether a client would rather read JSON than HTML (RFC 9110 §12.5.1).

/// Whether `accept` names a JSON type, and with a greater weight than it names HTML.
///
/// Wildcards count for neither: who accepts anything, as curl does, gets the page.
pub(super) fn prefers_json(accept: &str) -> bool {
    let (mut json, mut html) = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(weight).unwrap_or(1000);
        match media_type.as_str() {
            "application/json" | "application/problem+json" => json = json.max(weight),
            "text/html" | "application/xhtml+xml" => html = html.max(weight),
            _ => {}
        }
    }
    json > html
}

/// The weight that a parameter gives, in thousandths; nothing if it is another parameter.
fn weight(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    let thousandths = fraction.bytes().chain(*b"000").take(3);
    let fraction = thousandths.fold(0, |sum, digit| sum * 10 + u32::from(digit.saturating_sub(b'0').min(9)));
    Some(if whole == "1" { 1000 } else { fraction })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_ask_for_it() {
        for accept in [
            "application/json",
            "APPLICATION/JSON",
            "application/json, */*",
            "application/problem+json;q=0.5",
            "text/html;q=0.8, application/json;q=0.9",
            "text/html;level=1;q=0.1,application/json; Q=0.25",
        ] {
            assert!(prefers_json(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html, application/json",
            "application/json;q=0",
            "application/json;q=nonsense",
            ";;;,,,=;q",
        ] {
            assert!(!prefers_json(accept), "{accept}");
        }
    }
}
