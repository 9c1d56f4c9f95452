//! Whether a client would rather read JSON than a page (RFC 9110 §12.5.1).

/// Whether the `Accept` fields, each as it came, weigh JSON above HTML. Who takes anything, as curl does, gets the
/// page.
pub fn prefers_json<'a>(accept: impl Iterator<Item = &'a str>) -> bool {
    // Of each type its weight so far, and how exactly the range that gave it named the type.
    let mut types =
        [("application", "problem+json"), ("application", "json"), ("text", "html")].map(|name| (name, 0, 0));
    for range in accept.flat_map(|field| field.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let Some((kind, subtype)) = parts.next().and_then(|name| name.split_once('/')) else { continue };
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1_000, thousandths);
        for (name, decided, exactness) in &mut types {
            let exact = exactness_of(kind, subtype, *name);
            if exact > *exactness {
                (*decided, *exactness) = (weight, exact);
            }
        }
    }
    let [(_, problem, _), (_, json, _), (_, html, _)] = types;
    problem.max(json) > html
}

/// How exactly `kind/subtype` names a media type: 0 not at all, 1 as any type, 2 as any of its kind, 3 by name.
fn exactness_of(kind: &str, subtype: &str, name: (&str, &str)) -> u8 {
    let same_kind = kind.eq_ignore_ascii_case(name.0);
    match (kind, subtype) {
        ("*", "*") => 1,
        (_, "*") if same_kind => 2,
        _ if same_kind && subtype.eq_ignore_ascii_case(name.1) => 3,
        _ => 0,
    }
}

/// A quality value (RFC 9110 §12.4.2) in thousandths, `0.25` as 250; what is none counts as 0.
pub fn thousandths(quality: &str) -> u16 {
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
    use super::*;

    fn prefers(accept: &str) -> bool {
        prefers_json([accept].into_iter())
    }

    #[test]
    fn only_who_asks_for_json_gets_it() {
        for json in [
            "application/json",
            "application/problem+json",
            "application/json, text/html;q=0.9",
            "Application/JSON ; q=0.5 , */*;q=0.1",
            "text/*;q=0.3, application/*;q=0.301",
            "text/html;level=1;q=0.1,application/json; Q=0.25",
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
            ";;;,,,=;q",
        ] {
            assert!(!prefers(page), "{page}");
        }
        assert!(!prefers_json([].into_iter()));
        assert!(prefers_json(["text/html;q=0.1", "application/json"].into_iter()), "fields add up");
    }
}
