//! The home page, and what all pages that are made on the spot share.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse as _, Response};
use minijinja::{Value, context};

use super::asked::{Asked, By};
use super::book;
use super::deeds::Member;
use super::refusal::Refusal;
use super::routes::Application;
use crate::services::database::Engine;

/// What a browser may do with a page (CSP3): everything from the site itself, nothing inline, in nobody's frame. So a
/// message that got through as a script all the same would not run.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
);

/// Entries on the home page.
const NEWEST_AT_HOME: u32 = 5;

/// As much of a message is shown there, in characters.
const SHOWN_LONGEST: usize = 300;

/// `GET /`: the newest entries, how many visits there were, and who answered this one.
pub(super) async fn home(
    State(application): State<Arc<Application>>,
    Extension(asked): Extension<Asked>,
) -> Response {
    let made = async {
        let hits = application.heard(asked.database(application.store().hit()).await)?;
        let entries = application.heard(asked.database(application.store().newest(NEWEST_AT_HOME)).await)?;
        let engine = application.heard(asked.database(application.store().engine()).await)?;
        let member = application.member(&asked).await?;
        let shown = |entry| book::shown(entry, member.as_ref(), SHOWN_LONGEST);
        let values = context! {
            hits,
            entries => entries.iter().map(shown).collect::<Vec<_>>(),
            path => path(&asked, &application, &engine),
            request_id => &*asked.id,
        };
        page(&application, member.as_ref(), "home.html", values)
    };
    answer("home", &asked, made.await)
}

/// The page of template `name`, with `values`, as it is for `member`.
pub(super) fn page(
    application: &Application,
    member: Option<&Member>,
    name: &str,
    values: Value,
) -> Result<Response, Refusal> {
    let values = context! {
        member => member.map(|member| member.name.as_str()),
        token => member.map(|member| member.secret.form_token()),
        ..values
    };
    let page = application.code().page(name, values).map_err(Refusal::Template)?;
    Ok(([(CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response())
}

/// What was made, or the page of why not, as `by` for the journal.
pub(super) fn answer(by: &'static str, asked: &Asked, made: Result<Response, Refusal>) -> Response {
    let answer = made.unwrap_or_else(|refusal| refusal.answer(asked));
    (Extension(By(by)), answer).into_response()
}

/// Who had a part in this very answer, from the visitor to the data, as templates read it: each with its kind, what
/// spoke to it, its name, its address, and what else is known.
fn path(asked: &Asked, application: &Application, engine: &Engine) -> Vec<Value> {
    let journey = &asked.journey;
    let address = |address: Option<SocketAddr>| {
        address.map(|address| match address.ip().to_canonical() {
            IpAddr::V4(ip) => context! { host => ip.to_string(), port => address.port() },
            IpAddr::V6(ip) => context! { host => format!("[{ip}]"), port => address.port() },
        })
    };
    let host = without_port(&journey.host);
    let client = context! {
        kind => "client",
        title => "You",
        name => journey.visitor.as_str(),
        more => [format!("asked for {host}")],
    };
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let lookup = context! {
        kind => "lookup",
        title => "Name lookup",
        over => "DNS",
        of_you => true,
        name => if is_address { "none" } else { host },
        address => journey.web_address.filter(|_| !is_address).map(|web| context! { host => web.ip().to_string() }),
        more => [if is_address { "you asked by address" } else { "a name leads to an address" }],
    };
    let web = context! {
        kind => "web",
        title => "Web server",
        over => journey.scheme.to_uppercase(),
        of_you => true,
        is_absent => journey.web.is_none(),
        name => journey.web.as_deref().unwrap_or("none"),
        address => address(journey.web_address),
        more => [if journey.web.is_none() { "you asked the application directly" } else { "passed it on" }],
    };
    let app = context! {
        kind => "app",
        title => "Application server",
        over => "HTTP",
        name => format!("{}, process {}", application.served_by(), std::process::id()),
        address => address(asked.here),
        more => [format!("runs version {} of the code base", application.code().version())],
    };
    let (host, port) = engine.place.rsplit_once(':').filter(|_| engine.is_server).unzip();
    let database = context! {
        kind => "db",
        title => "Database",
        over => "SQL",
        name => format!("{} {}", engine.name, engine.version),
        address => host.map(|host| context! { host, port }),
        more => [if engine.is_server {
            "a server of its own, which keeps the data".to_owned()
        } else {
            format!("keeps its data in {}", engine.place)
        }],
    };
    vec![client, lookup, web, app, database]
}

/// A host as it is without the port that may be named behind it.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_parted_from_its_port() {
        assert_eq!(without_port("www.foobar.com:38080"), "www.foobar.com");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        for bare in ["www.foobar.com", "[2001:db8::a]", "", ":", "x:", "x:y"] {
            assert_eq!(without_port(bare), bare);
        }
    }
}
