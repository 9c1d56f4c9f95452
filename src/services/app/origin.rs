//! Whether a request that changes something came from one of our own pages.
//!
//! A browser sends a site's cookies, and its owner's address, along with whatever another site's page makes it send
//! (cross-site request forgery). What it does not let that page do is lie about where it comes from: `Sec-Fetch-Site`
//! over TLS, `Origin` everywhere. A client that sends neither is no browser: it does only what its user told it, and
//! nothing is forged. So a plain `curl -d` may sign, and a form on another site may not.
//!
//! This guards every change, also those for which nobody is logged in (signing, logging in). A form that uses a
//! session has its token besides ([`super::session`]), for browsers that are older than `Origin` on forms.

use axum::Extension;
use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::asked::{Asked, By};
use super::refusal::Refusal;

/// Lets pass what changes nothing, and what is ours.
pub(super) async fn guard(Extension(asked): Extension<Asked>, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && !is_ours(request.headers(), &asked.journey.scheme, &asked.journey.host) {
        return (Extension(By("guard")), Refusal::CrossSite.answer(&asked)).into_response();
    }
    next.run(request).await
}

/// Whether the page that made a browser send this lives at `host`; also if no browser sent it.
fn is_ours(headers: &HeaderMap, scheme: &str, host: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin" || site == "none",
        // An origin has no port where it is the scheme's own; neither has Host then.
        (None, Some(origin)) => origin
            .split_once("://")
            .is_some_and(|(of, at)| of.eq_ignore_ascii_case(scheme) && at.eq_ignore_ascii_case(host)),
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn ours(headers: &[(&'static str, &'static str)]) -> bool {
        let of = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        is_ours(&headers.iter().map(of).collect(), "http", "www.foobar.com:8080")
    }

    #[test]
    fn only_our_own_pages_and_what_is_no_browser_may_change_things() {
        assert!(ours(&[]));
        assert!(ours(&[("sec-fetch-site", "same-origin")]));
        assert!(ours(&[("sec-fetch-site", "none")]));
        assert!(ours(&[("origin", "http://www.foobar.com:8080")]));
        assert!(ours(&[("origin", "HTTP://WWW.foobar.com:8080")]));
        for headers in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", ""),
            ("origin", "null"),
            ("origin", ""),
            ("origin", "http://www.foobar.com"),
            ("origin", "http://www.foobar.com:80801"),
            ("origin", "https://www.foobar.com:8080"),
            ("origin", "http://evil.example"),
            ("origin", "http://www.foobar.com:8080.evil.example"),
        ] {
            assert!(!ours(&[headers]), "{headers:?}");
        }
        assert!(!ours(&[("sec-fetch-site", "cross-site"), ("origin", "http://www.foobar.com:8080")]));
    }
}
