//! The request: what the client heard, and what web server, application and database did for it.

use std::net::SocketAddr;

use super::{STEPS_MOST, Span, Teller, What, client, middle, step};
use crate::ground::event::{Micros, NO_PAGE};
use crate::path::asking::{Seen, Timed, Trouble};
use crate::path::model::{Exchange, Heading, Party, Said};

impl Teller<'_> {
    /// The request, and what the services did for it.
    pub(super) fn request(&mut self, seen: &Seen) {
        self.lacks(Heading::Balancer, "there is none in this design: one web server answers everything");
        let (Some(exchange), Some(server)) = (&seen.exchange, seen.server) else {
            for heading in [Heading::Web, Heading::Application, Heading::Database] {
                self.lacks(heading, "not reached");
            }
            return;
        };
        let from = self.steps.last().and_then(|step| step.from.address);
        let web = self.web(server);
        let mut step = step(Heading::Web, 0, client(from), web.clone(), exchange.begins, exchange.micros);
        step.said.push(Said::new(
            "asks",
            format!("GET {} HTTP/1.1, Host: {}", seen.target.path, seen.target.host),
        ));
        step.failed = exchange.result.is_err();
        step.said.push(Said::new("hears", heard(exchange)));
        let whole = Span { begins: exchange.begins, micros: exchange.micros };
        let at = self.steps.len();
        self.steps.push(step);
        match &exchange.result {
            Ok(answer) => self.inside(answer, from, whole, &web, at),
            Err(trouble) => {
                self.failure = Some(self.cast.lab().exchange(trouble));
                for heading in [Heading::Application, Heading::Database] {
                    self.lacks(heading, "not known: what the web server did for it, it did not come to tell");
                }
            }
        }
    }

    /// What web server, application and database say of the request that came from `from`.
    pub(super) fn inside(
        &mut self,
        answer: &Exchange,
        from: Option<SocketAddr>,
        whole: Span,
        web: &Party,
        at: usize,
    ) {
        let told = self.told.iter().rev().find_map(|told| match &told.what {
            What::Request(request) if Some(request.client) == from && told.service == "web" => {
                Some((told, request))
            }
            _ => None,
        });
        let Some((event, request)) = told else {
            for heading in [Heading::Application, Heading::Database] {
                self.lacks(heading, "not known: the web server told nothing of this request");
            }
            return;
        };
        let served = self.span(event.mono, request.micros, whole);
        self.steps[at].said.push(Said::new(
            "server",
            format!(
                "{} µs from the request's head to the answer's, made by {}",
                request.micros,
                maker(&request.by)
            ),
        ));
        let (status, by_web) = (request.status, request.by == "web" || request.by == "file");
        // Of several application servers the last that was tried: its answer is the one that came.
        let passed = self.told.iter().rev().find_map(|told| match &told.what {
            What::Passed { server, status, why, connect_micros, micros, id } if *id == request.id => {
                Some((told, *server, *status, why.clone(), *connect_micros, *micros))
            }
            _ => None,
        });
        let why = passed.as_ref().and_then(|(_, _, _, why, _, _)| why.clone());
        self.failure = self.cast.lab().status(status, by_web, why.as_deref());
        let failed_at = self.failure.as_ref().map(|failure| failure.heading);
        self.steps[at].failed = failed_at == Some(Heading::Web);
        let made = self.told.iter().find_map(|told| match &told.what {
            What::Request(made) if made.id == request.id && told.service.starts_with("app") => {
                Some((told, made))
            }
            _ => None,
        });
        if made.is_none() && passed.is_none() && failed_at != Some(Heading::Application) {
            let because = match request.by.as_str() {
                "file" => "not asked: the page is a file of the site, which the web server gives itself",
                "web" => "not asked: the web server made this answer itself",
                _ => "not known: the application told nothing of this request",
            };
            self.lacks(Heading::Application, because);
            return self.lacks(Heading::Database, "not asked");
        }
        let app = passed.as_ref().map_or_else(|| self.cast.named("app"), |passed| self.cast.at(passed.1));
        // Without a word of either, what is not the web server's own time was the wait for the application.
        let waited = request.micros.saturating_sub(timing(answer, "web").unwrap_or(request.micros));
        let (span, placed) = match (&passed, &made) {
            (Some((told, _, _, _, _, micros)), _) => (self.span(told.mono, *micros, served), false),
            (None, Some((told, made))) => (self.span(told.mono, made.micros, served), false),
            (None, None) => (middle(waited, served), true),
        };
        let mut step = step(Heading::Application, 1, web.clone(), app.clone(), span.begins, span.micros);
        step.placed = placed;
        step.said.push(Said::new("asks", format!("{} {} HTTP/1.1", request.method, request.target)));
        if let Some((_, _, _, _, connect, _)) = &passed {
            step.said.push(Said::new(
                "TCP/IP",
                match connect {
                    Some(micros) => format!("a connection of its own, in {}", Micros(*micros)),
                    None => "over a connection that was kept from before".to_owned(),
                },
            ));
        }
        step.said.push(Said::new(
            "hears",
            match (&made, &passed) {
                (Some((_, made)), _) if made.by == NO_PAGE => {
                    format!("{}: it has no page for that", made.status)
                }
                (Some((_, made)), _) => {
                    format!("{}, made by its page {:?} in {}", made.status, made.by, Micros(made.micros))
                }
                (None, Some((_, _, Some(status), ..))) => format!("{status}"),
                (None, _) => why.unwrap_or_else(|| "no answer that could be passed on".to_owned()),
            },
        ));
        step.failed = failed_at == Some(Heading::Application);
        self.steps.push(step);
        let made_in = match &made {
            Some((told, made)) => self.span(told.mono, made.micros, span),
            None => span,
        };
        self.statements(
            &request.id,
            answer,
            made_in,
            &app,
            failed_at == Some(Heading::Database),
            made.is_some(),
        );
    }

    /// What the database did for the request `id` inside `whole`.
    pub(super) fn statements(
        &mut self,
        id: &str,
        answer: &Exchange,
        whole: Span,
        app: &Party,
        failed: bool,
        told: bool,
    ) {
        let database = self.cast.named("db");
        let mut count = 0;
        for told in self.told {
            let What::Statement { text, returned, changed, micros, id: Some(of) } = &told.what else {
                continue;
            };
            if of != id || self.steps.len() >= STEPS_MOST {
                continue;
            }
            let span = self.span(told.mono, *micros, whole);
            let mut step =
                step(Heading::Database, 2, app.clone(), database.clone(), span.begins, span.micros);
            step.said = vec![
                Said::new("SQL", text.split_whitespace().collect::<Vec<_>>().join(" ")),
                Said::new(
                    "hears",
                    format!("{returned} row{}, {changed} changed", if *returned == 1 { "" } else { "s" }),
                ),
            ];
            step.failed = failed;
            self.steps.push(step);
            count += 1;
        }
        if count > 0 {
            return;
        }
        match timing(answer, "db") {
            Some(micros) => {
                let span = middle(micros, whole);
                let mut step = step(Heading::Database, 2, app.clone(), database, span.begins, span.micros);
                step.placed = true;
                step.failed = failed;
                step.said.push(Said::new("in all", "what the application waited for it (Server-Timing)"));
                self.steps.push(step);
            }
            None if failed => {
                self.lacks(Heading::Database, "asked in vain: it did not serve the application")
            }
            None if answer.header("server-timing").is_none() => {
                self.lacks(Heading::Database, "not known: nobody told of it");
            }
            None if told => self.lacks(Heading::Database, "not asked: this page needs nothing of it"),
            None => self.lacks(Heading::Database, "not reached"),
        }
    }
}

/// What the client heard of the web server.
pub(super) fn heard(exchange: &Timed<Result<Exchange, Trouble>>) -> String {
    match &exchange.result {
        Ok(answer) => {
            let kind = answer.header("content-type").map(|kind| format!(" {kind},")).unwrap_or_default();
            let reason = &answer.reason;
            let space = if reason.is_empty() { "" } else { " " };
            format!("HTTP/1.1 {}{space}{reason},{kind} {} bytes", answer.status, answer.body_bytes)
        }
        Err(trouble) => format!("no whole answer: {}", trouble.symptom()),
    }
}

fn maker(by: &str) -> &'static str {
    match by {
        "file" => "a file of the site",
        "app" => "the application",
        "web" => "the web server itself",
        _ => "somebody",
    }
}

/// A duration of the answer's `Server-Timing`, in microseconds.
pub(super) fn timing(answer: &Exchange, name: &str) -> Option<u64> {
    let metrics = answer.header("server-timing")?.split(',');
    let of_name = metrics.map(str::trim).find_map(|metric| metric.strip_prefix(name)?.strip_prefix(";dur="));
    let millis = of_name?.parse().ok().filter(|millis: &f64| millis.is_finite())?;
    // Fifteen minutes are more than anything here is waited for.
    let millis = millis.clamp(0.0, 900_000.0);
    u64::try_from(std::time::Duration::from_secs_f64(millis / 1_000.0).as_micros()).ok()
}
