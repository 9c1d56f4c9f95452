//! The way of the last request that the services saw, whoever made it: a student's own dig or curl.
//!
//! Nobody measured at the client. So the connection is not known, and what lies between the look-up and the request is a
//! gap: the client's own time.

use super::page::heard;
use super::secure::NOT_ASKED_FOR;
use super::{Cast, Question, Span, Teller, Told, What, client, step};
use crate::path::asking::{Timed, Trouble};
use crate::path::events::Request;
use crate::path::model::{Exchange, FORM, Heading, Path, Said, Watched};

/// A look-up so long before a request may be for it, in microseconds.
const LOOKED_UP_WITHIN: u64 = 5_000_000;

/// A question and its answer's arrival are told so far from each other at most, in microseconds.
const TOLD_APART: u64 = 1_000_000;

/// There is no event of a dig or curl.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no name server and no web server has told of a request yet: make one, with dig or curl")]
pub struct NothingSeen;

/// Tells the last way in `told`.
pub fn tell_last(told: &[Told], cast: &Cast) -> Result<Path, NothingSeen> {
    let request = newest(told, |told| match &told.what {
        What::Request(request) if told.service == "web" => Some(request),
        _ => None,
    });
    let question = newest(told, |event| match &event.what {
        What::Question(question) if !is_another_servers(question, event, told, cast) => Some(question),
        _ => None,
    });
    match (request, question) {
        (Some((event, request)), question) if question.is_none_or(|(asked, _)| asked.mono <= event.mono) => {
            Ok(page(told, event, request, cast))
        }
        (_, Some((event, question))) => Ok(name(told, event, question, cast)),
        (_, None) => Err(NothingSeen),
    }
}

/// The last of those that `of` finds.
fn newest<'a, T>(told: &'a [Told], of: impl Fn(&'a Told) -> Option<&'a T>) -> Option<(&'a Told, &'a T)> {
    told.iter().filter_map(|told| of(told).map(|what| (told, what))).max_by_key(|(told, _)| told.mono)
}

/// Whether a name server was asked by a resolver on the way to an answer, or for another reason than a look-up. On one
/// machine the addresses tell no difference, but the resolver tells whom it asked what.
fn is_another_servers(question: &Question, event: &Told, told: &[Told], cast: &Cast) -> bool {
    let address = cast.named(&event.service).address;
    let is_step = |told: &Told| match &told.what {
        What::Asked { step, .. } => {
            Some(step.server) == address
                && step.record_type == question.record_type
                && step.name.eq_ignore_ascii_case(&question.name)
                && told.mono.abs_diff(event.mono) <= TOLD_APART
        }
        _ => false,
    };
    !event.service.starts_with("resolver")
        && (matches!(question.record_type.as_str(), "SOA" | "AXFR" | "IXFR") || told.iter().any(is_step))
}

/// A dig.
fn name(told: &[Told], event: &Told, question: &Question, cast: &Cast) -> Path {
    let began = event.mono.saturating_sub(question.micros);
    let mut teller = Teller { told, began, cast, steps: Vec::new(), absent: Vec::new(), failure: None };
    looked_up(&mut teller, event, question);
    let because = "not part of it: only a name was asked for";
    for heading in Heading::ALL.into_iter().skip(1) {
        teller.lacks(heading, because);
    }
    let at = event.at.saturating_sub(question.micros / 1_000);
    let asked = format!("{} {}", question.name, question.record_type);
    teller.finish(path(asked, at, question.micros, None))
}

/// A curl, with the look-up before it if there was one.
fn page(told: &[Told], event: &Told, request: &Request, cast: &Cast) -> Path {
    let begins = event.mono.saturating_sub(request.micros);
    let host = request.host.rsplit_once(':').map_or(request.host.as_str(), |(host, _)| host);
    let lookup = newest(told, |told| match &told.what {
        What::Question(question)
            if told.service.starts_with("resolver")
                && question.name.trim_end_matches('.').eq_ignore_ascii_case(host)
                && question.client.ip() == request.client.ip()
                && told.mono <= begins.saturating_add(1_000)
                && told.mono.saturating_add(LOOKED_UP_WITHIN) >= begins =>
        {
            Some(question)
        }
        _ => None,
    });
    let shaken = newest(told, |told| match &told.what {
        What::Handshake(shaken)
            if request.secure
                && shaken.client == request.client
                && told.mono <= begins
                && told.mono.saturating_add(LOOKED_UP_WITHIN) >= begins =>
        {
            Some(shaken)
        }
        _ => None,
    });
    let began = lookup
        .map(|(told, question)| told.mono.saturating_sub(question.micros))
        .into_iter()
        .chain(shaken.map(|(told, shaken)| told.mono.saturating_sub(shaken.micros)))
        .fold(begins, u64::min);
    let mut teller = Teller { told, began, cast, steps: Vec::new(), absent: Vec::new(), failure: None };
    match lookup {
        Some((told, question)) => looked_up(&mut teller, told, question),
        None => {
            teller.lacks(Heading::Dns, "not seen: no resolver of the lab was asked for this name just before")
        }
    }
    for (heading, because) in [
        (Heading::Tcp, "not measured: nobody watched at the client"),
        (Heading::Firewall, teller.unwatched_firewalls()),
        (Heading::Balancer, "there is none in this design"),
    ] {
        teller.lacks(heading, because);
    }
    let because = if request.secure { "not known: the handshake was long before" } else { NOT_ASKED_FOR };
    match shaken {
        Some((told, shaken)) => teller.shaken(told, shaken),
        None => teller.lacks(Heading::Tls, because),
    }
    let whole = Span { begins: begins - began, micros: request.micros };
    let web = cast.named("web");
    let mut step =
        step(Heading::Web, 0, client(Some(request.client)), web.clone(), whole.begins, whole.micros);
    step.said
        .push(Said::new("asks", format!("{} {}, Host: {}", request.method, request.target, request.host)));
    let answer = Exchange {
        method: request.method.clone(),
        target: request.target.clone(),
        request_headers: vec![("host".into(), request.host.clone())],
        status: request.status,
        reason: String::new(),
        response_headers: Vec::new(),
        body_bytes: request.bytes.unwrap_or_default(),
        send_micros: 0,
        wait_micros: request.micros,
        receive_micros: 0,
    };
    let exchange: Timed<Result<Exchange, Trouble>> =
        Timed { begins: whole.begins, micros: whole.micros, result: Ok(answer.clone()) };
    step.said.push(Said::new("hears", heard(&exchange)));
    teller.steps.push(step);
    let at = teller.steps.len() - 1;
    teller.inside(&answer, Some(request.client), whole, &web, at);
    let micros = whole.ends();
    let scheme = if request.secure { "https" } else { "http" };
    let asked = format!("{scheme}://{}{}", request.host, request.target);
    let id = Some(request.id.clone());
    let at = event.at.saturating_sub(micros / 1_000);
    let mut path = teller.finish(path(asked, at, micros, id));
    path.exchange = Some(answer);
    path
}

/// The look-up that `event` tells.
fn looked_up(teller: &mut Teller<'_>, event: &Told, question: &Question) {
    let server = teller.cast.named(&event.service);
    let begins = event.mono.saturating_sub(question.micros).saturating_sub(teller.began);
    let mut step =
        step(Heading::Dns, 0, client(Some(question.client)), server.clone(), begins, question.micros);
    step.cached = question.cached;
    step.said = vec![
        Said::new("asks", format!("{} {}?", question.name, question.record_type)),
        Said::new(
            "hears",
            format!("{}, flags {}; {} answer", question.rcode, question.flags, question.answers),
        ),
    ];
    step.failed = question.rcode == "SERVFAIL";
    teller.steps.push(step);
    let walk = teller.walk(&event.service, question);
    teller.walked(&walk, &server, Span { begins, micros: question.micros });
    if question.rcode == "SERVFAIL" {
        let asked = walk.last().map(|told| teller.asked(told));
        let asked = asked.as_ref().map(|(party, what)| (party, what.as_str()));
        teller.failure = Some(teller.cast.lab().answer(&question.name, &question.rcode, asked));
    }
}

fn path(asked: String, began: u64, micros: u64, request: Option<String>) -> Path {
    Path {
        form: FORM,
        asked,
        began,
        micros,
        watched: Watched::ByServices,
        trace: None,
        request,
        steps: Vec::new(),
        absent: Vec::new(),
        exchange: None,
        tls: None,
        failure: None,
        notes: vec!["told by the services alone: what lies between them and the client is not known".into()],
    }
}
