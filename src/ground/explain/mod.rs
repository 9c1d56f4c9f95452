//! The small page that a failing component is explained with: which one, what it means, where to look.
//!
//! Web server and application use the same page, so that a student learns to read one.

mod preference;

use std::fmt::Write as _;

use serde_json::json;

pub use preference::{prefers_json, thousandths};

/// What the page says.
#[derive(Debug, Clone, Copy)]
pub struct Explanation<'a> {
    /// The HTTP status, e.g. 502.
    pub status: u16,
    /// Its reason phrase, e.g. `Bad Gateway`.
    pub reason: &'a str,
    /// The component at fault: `application server`, `database`, …
    pub component: &'a str,
    /// What happened, in one sentence.
    pub happened: &'a str,
    /// What that teaches, in one or two sentences.
    pub teaches: &'a str,
    /// What to look at or type next, one each.
    pub next: &'a [&'a str],
    /// The request's identifier, to find it in the logs.
    pub request_id: &'a str,
}

impl Explanation<'_> {
    /// Its media type and its text: the page, or problem details for a program.
    pub fn in_form(&self, as_json: bool) -> (&'static str, String) {
        if as_json {
            ("application/problem+json", self.problem())
        } else {
            ("text/html; charset=utf-8", self.html())
        }
    }

    /// Problem details (RFC 9457), with what the page says as members of their own.
    pub fn problem(&self) -> String {
        json!({
            "type": "about:blank",
            "title": self.reason,
            "status": self.status,
            "detail": self.happened,
            "instance": format!("urn:uuid:{}", uuid(self.request_id)),
            "component": self.component,
            "teaches": self.teaches,
            "look_at": self.next,
            "request_id": self.request_id,
        })
        .to_string()
    }

    /// The page as HTML: complete, without outside resources, every text escaped.
    pub fn html(&self) -> String {
        let mut page = String::with_capacity(2048);
        let title = format!("{} {}", self.status, self.reason);
        page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        page.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
        escape(&mut page, &title);
        page.push_str("</title><style>");
        page.push_str(STYLE);
        page.push_str("</style></head>\n<body><main>\n<p class=\"status\">");
        let _ = write!(page, "{}</p>\n<h1>", self.status);
        escape(&mut page, self.reason);
        page.push_str("</h1>\n<p class=\"component\">Component: <strong>");
        escape(&mut page, self.component);
        page.push_str("</strong></p>\n<p>");
        escape(&mut page, self.happened);
        page.push_str("</p>\n<p>");
        escape(&mut page, self.teaches);
        page.push_str("</p>\n");
        if !self.next.is_empty() {
            page.push_str("<h2>Look here next</h2>\n<ul>\n");
            for line in self.next {
                page.push_str("<li><code>");
                escape(&mut page, line);
                page.push_str("</code></li>\n");
            }
            page.push_str("</ul>\n");
        }
        page.push_str("<footer>Request ");
        escape(&mut page, self.request_id);
        page.push_str("</footer>\n</main></body></html>\n");
        page
    }
}

/// What a Content-Security-Policy calls the page's only style (CSP3 §6.7.3.3); it must follow each change of that.
pub const STYLE_HASH: &str = "sha256-E1QFgLCH9r2SfyUcoCZXgiqVYsXW0lg57yMy2Olz/+I=";

/// The 32 digits of an identifier in the groups that a UUID is written in (RFC 9562 §4).
fn uuid(id: &str) -> String {
    let mut uuid = String::with_capacity(36);
    for (at, digit) in id.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:1.05rem/1.6 system-ui,sans-serif;margin:0;\
display:grid;min-height:100vh;place-items:center;background:Canvas;color:CanvasText}\
main{max-width:38rem;padding:2rem}.status{font-size:4rem;font-weight:700;line-height:1;margin:0;opacity:.35}\
h1{margin:.2rem 0 1rem}h2{font-size:1rem;margin-bottom:.3rem}.component{border-left:.3rem solid #c2410c;\
padding-left:.8rem}code{font:.95em ui-monospace,monospace}footer{opacity:.7;font-size:.85rem;margin-top:2rem}";

/// Appends `text` with the five characters that HTML gives a meaning to escaped.
pub fn escape(page: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            other => page.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_styles_hash_is_its_own() {
        let hash = data_encoding::BASE64.encode(&Sha256::digest(STYLE));
        assert_eq!(STYLE_HASH, format!("sha256-{hash}"));
    }

    #[test]
    fn a_hostile_host_name_stays_text() {
        let page = Explanation {
            status: 404,
            reason: "Not Found",
            component: "web server",
            happened: "No site <script>alert(1)</script> lives here.",
            teaches: "",
            next: &["curl -H 'Host: x' …"],
            request_id: "0",
        }
        .html();
        assert!(!page.contains("<script>"));
        assert!(page.contains("&lt;script&gt;"));
        assert!(page.contains("Host: x"));
    }
}
