//! The small page that a failing component is explained with: which one, what it means, where to look.
//!
//! Web server and application use the same page, so that a student learns to read one. It carries its own style, since
//! whatever else it would need may be what is broken.

mod component;
mod preference;

use std::fmt::Write as _;

use serde_json::json;

pub use component::Component;
pub use preference::{prefers_json, thousandths};

/// What the page says.
#[derive(Debug, Clone, Copy)]
pub struct Explanation<'a> {
    /// The HTTP status, e.g. 502.
    pub status: u16,
    /// Its reason phrase, e.g. `Bad Gateway`.
    pub reason: &'a str,
    /// The component at fault.
    pub component: Component,
    /// Whether the application was asked without a web server in between.
    pub is_direct: bool,
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
            "component": self.component.name(),
            "teaches": self.teaches,
            "look_at": self.next,
            "request_id": self.request_id,
        })
        .to_string()
    }

    /// The page as HTML: complete but for the icon that the site may have, every text escaped.
    pub fn html(&self) -> String {
        let mut page = String::with_capacity(4096);
        let title = format!("{} {}", self.status, self.reason);
        page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
        page.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
        escape(&mut page, &title);
        // Else a browser asks for /favicon.ico, which is one error more.
        page.push_str("</title><link rel=\"icon\" href=\"/favicon.svg\"><style>");
        page.push_str(STYLE);
        page.push_str("</style></head>\n<body><main>\n");
        let _ = write!(page, "<h1><span class=\"status\">{}</span> ", self.status);
        escape(&mut page, self.reason);
        page.push_str("</h1>\n");
        self.path(&mut page);
        page.push_str("<p class=\"component\">Component: <strong>");
        escape(&mut page, self.component.name());
        page.push_str("</strong></p>\n<p class=\"happened\">");
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
        page.push_str("<footer>Request <code>");
        escape(&mut page, self.request_id);
        page.push_str("</code>");
        if self.component == Component::Application {
            page.push_str(" · <a href=\"/\">Home page</a>");
        }
        page.push_str("</footer>\n</main></body></html>\n");
        page
    }

    /// The way of the request, as far as it is known, with the component at fault marked.
    fn path(&self, page: &mut String) {
        page.push_str("<ol class=\"path\" aria-label=\"How far the request came\">\n");
        for hop in self.component.path(self.status, self.is_direct) {
            let _ = write!(page, "<li class=\"{}\"><b>{}</b>", hop.class, hop.title);
            if !hop.did.is_empty() {
                let _ = write!(page, " <small>{}</small>", hop.did);
            }
            page.push_str("</li>\n");
        }
        page.push_str("</ol>\n");
    }
}

/// What a Content-Security-Policy calls the page's only style (CSP3 §6.7.3.3); it must follow each change of that.
const STYLE_HASH: &str = "sha256-VG8emPnIrbVWpC3+csF3XMqEYQLAZElYGVHhmA3HUuU=";

/// What a browser may do with a page of an explanation: it has a style of its own and the site's icon, and nothing else
/// (Content Security Policy).
pub fn content_security_policy() -> String {
    format!(
        "default-src 'none'; img-src 'self'; style-src '{STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    )
}

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

const STYLE: &str = ":root{color-scheme:light dark;--paper:#f7f8f6;--sheet:#fff;--ink:#17211f;--quiet:#54615e;\
--line:#d5dbd8;--accent:#0f5e57;--tint:#e3f1ee;--warm:#9a4b00}\
@media(prefers-color-scheme:dark){:root{--paper:#101615;--sheet:#18211f;--ink:#e8eeec;--quiet:#a3b1ad;--line:#31403c;\
--accent:#6fd3c4;--tint:#17332e;--warm:#ffb877}}\
*{box-sizing:border-box}body{font:1.0625rem/1.65 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;\
place-items:center;background:var(--paper);color:var(--ink);overflow-wrap:anywhere}\
main{width:100%;max-width:46rem;padding:2.5rem 1rem}\
h1{font-size:clamp(1.7rem,1.3rem + 2vw,2.4rem);line-height:1.2;margin:0 0 1.5rem}\
.status{display:inline-block;padding:0 .5rem;border-radius:.5rem;color:var(--paper);background:var(--warm)}\
h2{font-size:1.1rem;margin:1.75rem 0 .5rem}p{margin:0 0 .9rem}.happened{font-size:1.15rem}\
.component{border-left:.35rem solid var(--warm);padding-left:.9rem;color:var(--quiet)}.component strong{color:var(--ink)}\
ol{list-style:none;display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;padding:0;\
margin:0 0 1.75rem}\
@media(max-width:26rem){ol{grid-template-columns:1fr}}\
ol>li{border:2px dashed var(--line);border-radius:.75rem;padding:.5rem .8rem;line-height:1.35;color:var(--quiet)}\
ol b,ol small{display:block}.ok{border:2px solid var(--accent);background:var(--sheet)}.ok b{color:var(--accent)}\
.ok b:after{content:' \\2192'}\
.bad{border:2px solid var(--warm);background:var(--sheet);color:var(--warm);font-weight:600}\
.bad b:before{content:'\\2715\\a0'}\
ul{list-style:none;padding:0;margin:0;display:grid;gap:.4rem}\
code{font:.875rem/1.5 ui-monospace,'DejaVu Sans Mono',monospace;user-select:all}\
ul code{display:block;background:var(--tint);border-radius:.5rem;padding:.45rem .8rem}\
footer{color:var(--quiet);font-size:.875rem;margin-top:2rem}a{color:var(--accent)}\
:focus-visible{outline:3px solid var(--accent);outline-offset:3px}";

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
            component: Component::WebServer,
            is_direct: false,
            happened: "No site <script>alert(1)</script> lives here.",
            teaches: "",
            next: &["curl -H 'Host: x' …"],
            request_id: "0",
        }
        .html();
        assert!(!page.contains("<script>"));
        assert!(page.contains("&lt;script&gt;"));
        assert!(page.contains("Host: x"));
        assert!(page.len() < 6 * 1024, "it stays small: {}", page.len());
    }
}
