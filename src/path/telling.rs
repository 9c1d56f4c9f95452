//! A path made of what the client saw and of what the services told.
//!
//! Pure. The client's own measurements are the frame: look-up, connection, request, one after the other. What services
//! tell lies inside, at the place that the clock shared by all processes gives it; where only its length is known, in the
//! middle of what it lies in, and marked as placed.

mod last;
mod reasons;

use std::net::SocketAddr;

use super::asking::{Seen, Timed, Trouble};
use super::events::{Question, Told, What};
use super::model::{Absent, Exchange, FORM, Failure, Heading, Party, Path, STEPS_MOST, Said, Step, Watched};
use super::symptoms::Lab;
use crate::dns::message::LONGEST_UDP;
use crate::dns::message::asked::Response;
use crate::dns::types::Rcode;
use crate::ground::event::Micros;
pub use last::{NothingSeen, tell_last};

/// Who is who in the lab.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Its services, with their addresses.
    pub parties: Vec<Party>,
    /// How wwwlab is called here.
    pub program: String,
}

impl Cast {
    /// Who is at `address`.
    fn at(&self, address: SocketAddr) -> Party {
        let known = self.parties.iter().find(|party| party.address == Some(address));
        known.cloned().unwrap_or_else(|| Party {
            name: "somebody".into(),
            host: None,
            address: Some(address),
        })
    }

    /// The service called `name`.
    pub fn named(&self, name: &str) -> Party {
        let known = self.parties.iter().find(|party| party.name == name);
        known.cloned().unwrap_or_else(|| Party { name: name.into(), host: None, address: None })
    }

    fn lab(&self) -> Lab<'_> {
        Lab { program: &self.program }
    }
}

/// Who asks, from which socket.
fn client(address: Option<SocketAddr>) -> Party {
    Party { name: "client".into(), host: Some("client".into()), address }
}

/// Tells the way of the request that was `seen`, of which the services say `told`. `began` is when it began by the shared
/// clock, in microseconds.
pub fn tell(seen: &Seen, told: &[Told], began: u64, cast: &Cast) -> Path {
    let mut teller = Teller { told, began, cast, steps: Vec::new(), absent: Vec::new(), failure: None };
    teller.name(seen);
    teller.connection(seen);
    teller.request(seen);
    let answered = seen.exchange.as_ref().and_then(|exchange| exchange.result.as_ref().ok());
    let request = answered.and_then(|exchange| exchange.header("x-request-id"));
    teller.finish(Path {
        form: FORM,
        asked: seen.target.url.clone(),
        began: seen.began,
        micros: seen.micros,
        watched: Watched::ByClient,
        trace: Some(seen.trace.clone()),
        request: request.map(str::to_owned),
        steps: Vec::new(),
        absent: Vec::new(),
        exchange: answered.cloned(),
        failure: None,
        notes: Vec::new(),
    })
}

/// A path in the making.
struct Teller<'a> {
    told: &'a [Told],
    began: u64,
    cast: &'a Cast,
    steps: Vec<Step>,
    absent: Vec<Absent>,
    failure: Option<Failure>,
}

/// A stretch of time, in microseconds since the path began.
#[derive(Debug, Clone, Copy)]
struct Span {
    begins: u64,
    micros: u64,
}

impl Span {
    fn ends(self) -> u64 {
        self.begins.saturating_add(self.micros)
    }
}

impl Teller<'_> {
    /// The name's look-up, as the client saw it and as the resolver went about it.
    fn name(&mut self, seen: &Seen) {
        let Some(lookup) = &seen.lookup else {
            let because = "not needed: the URL names an address, so there is no name to look up";
            return self.lacks(Heading::Dns, because);
        };
        let resolver = self.cast.at(lookup.resolver);
        let question = self.question(lookup.from);
        let mut step = Step {
            cached: question.as_ref().and_then(|(_, question)| question.cached),
            ..step(Heading::Dns, 0, client(lookup.from), resolver.clone(), lookup.begins, lookup.micros)
        };
        step.said.push(Said::new(
            "asks",
            format!(
                "{} A? flags rd, EDNS with {LONGEST_UDP} octets; {} octets over UDP",
                lookup.name, lookup.question_bytes
            ),
        ));
        let mut outcome = None;
        match &lookup.answered {
            Ok(answered) => {
                let response = &answered.response;
                step.said.push(Said::new("hears", sections(response, answered.bytes)));
                let records = response.answers.iter().take(8);
                step.said.extend(records.map(|record| Said::new("", record.to_string())));
                if lookup.address().is_none() {
                    outcome = Some(match response.rcode {
                        Rcode::NOERROR => "NODATA".to_owned(),
                        rcode => rcode.to_string(),
                    });
                }
            }
            Err(trouble) => {
                step.said.push(Said::new("hears", format!("nothing: {}", trouble.symptom())));
                self.failure = Some(self.cast.lab().resolver(trouble, &resolver.name));
            }
        }
        step.failed = lookup.address().is_none();
        let whole = Span { begins: step.begins, micros: step.micros };
        self.steps.push(step);
        let walk = question.map(|(at, question)| self.walk(at, &question)).unwrap_or_default();
        self.walked(&walk, &resolver, whole);
        if let Some(outcome) = outcome {
            let asked = walk.last().map(|told| self.asked(told));
            let asked = asked.as_ref().map(|(party, what)| (party, what.as_str()));
            self.failure = Some(self.cast.lab().answer(&lookup.name, &outcome, asked));
        }
    }

    /// What a resolver told of the question that came from `client`, and where among the events.
    fn question(&self, client: Option<SocketAddr>) -> Option<(usize, Question)> {
        let client = client?;
        self.told.iter().enumerate().rev().find_map(|(at, told)| match &told.what {
            What::Question(question) if question.client == client && told.service.starts_with("resolver") => {
                Some((at, question.clone()))
            }
            _ => None,
        })
    }

    /// Whom the resolver asked for the answer to the question at `at`: the steps of its walk, or, where walks are not told,
    /// those since the question before it.
    fn walk(&self, at: usize, question: &Question) -> Vec<Told> {
        if question.cached != Some(false) {
            return Vec::new();
        }
        let service = &self.told[at].service;
        let of_service = self.told[..at].iter().filter(|told| told.service == *service);
        let mut steps: Vec<Told> = match &question.walk {
            Some(walk) => of_service
                .filter(|told| matches!(&told.what, What::Asked { walk: Some(of), .. } if of == walk))
                .cloned()
                .collect(),
            None => {
                let before = of_service.rev();
                let before = before.take_while(|told| matches!(told.what, What::Asked { .. }));
                let mut steps: Vec<Told> = before.cloned().collect();
                steps.reverse();
                steps
            }
        };
        steps.truncate(STEPS_MOST / 2);
        steps
    }

    /// Who was asked, and what came.
    fn asked(&self, told: &Told) -> (Party, String) {
        match &told.what {
            What::Asked { step, .. } => (self.cast.at(step.server), step.outcome.clone()),
            _ => (self.cast.named("resolver"), String::new()),
        }
    }

    /// The resolver's questions inside `whole`. Those without a place of their own follow each other, with what is left
    /// of the time on both sides.
    fn walked(&mut self, walk: &[Told], resolver: &Party, whole: Span) {
        let steps = || {
            walk.iter().filter_map(|told| match &told.what {
                What::Asked { step, .. } => Some((told, step)),
                _ => None,
            })
        };
        let together: u64 = steps().map(|(_, step)| step.micros).fold(0, u64::saturating_add);
        let mut next = whole.begins + whole.micros.saturating_sub(together) / 2;
        for (told, asked) in steps() {
            let (span, placed) = match told.mono {
                Some(mono) => (self.span(mono, asked.micros, whole), false),
                None => (within(next, asked.micros, whole), true),
            };
            next = span.ends();
            let mut step =
                step(Heading::Dns, 1, resolver.clone(), self.cast.at(asked.server), span.begins, span.micros);
            step.placed = placed;
            step.said = vec![
                Said::new("asks", format!("{} {}?", asked.name, asked.record_type)),
                Said::new("hears", asked.outcome.clone()),
            ];
            self.steps.push(step);
        }
    }

    /// The handshake.
    fn connection(&mut self, seen: &Seen) {
        self.lacks(Heading::Firewall, "there is none in this design: every port that listens can be reached");
        let (Some(connection), Some(server)) = (&seen.connection, seen.server) else {
            return self.lacks(Heading::Tcp, "not reached: without an address there is nobody to connect to");
        };
        let from = connection.result.as_ref().ok().map(|connected| connected.from);
        let mut step =
            step(Heading::Tcp, 0, client(from), self.web(server), connection.begins, connection.micros);
        step.said.push(Said::new("asks", "SYN: may I connect?"));
        match &connection.result {
            Ok(connected) => {
                step.said.push(Said::new("hears", "SYN-ACK: yes; and says ACK: both sides are connected"));
                if let Some(kernel) = connected.kernel {
                    let again = match kernel.sent_again {
                        0 => String::new(),
                        1 => ", one segment sent again".into(),
                        count => format!(", {count} segments sent again"),
                    };
                    step.said.push(Said::new(
                        "kernel",
                        format!(
                            "round trip {} µs (± {} µs), segments of {} bytes{again}",
                            kernel.round_trip_micros, kernel.variation_micros, kernel.segment_bytes
                        ),
                    ));
                }
            }
            Err(trouble) => {
                let heard = match trouble.symptom() {
                    "refused" => "RST: nobody listens there".to_owned(),
                    symptom => format!("nothing: {symptom}"),
                };
                step.said.push(Said::new("hears", heard));
                step.failed = true;
                self.failure = Some(self.cast.lab().connection(trouble));
            }
        }
        self.steps.push(step);
    }

    /// Who is at the other end of the connection: the web server, even where it is asked at another address.
    fn web(&self, server: SocketAddr) -> Party {
        let known = self.cast.at(server);
        match known.host {
            Some(_) => known,
            None => Party { name: "server".into(), ..known },
        }
    }

    /// The request, and what the services did for it.
    fn request(&mut self, seen: &Seen) {
        self.lacks(
            Heading::Tls,
            "not asked for: http:// is not encrypted, and whoever carries the bytes can read and change them",
        );
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
    fn inside(&mut self, answer: &Exchange, from: Option<SocketAddr>, whole: Span, web: &Party, at: usize) {
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
        let served = match event.mono {
            Some(mono) => self.span(mono, request.micros, whole),
            None => middle(request.micros, Span { micros: answer.wait_micros.min(whole.micros), ..whole }),
        };
        self.steps[at].said.push(Said::new(
            "server",
            format!(
                "{} µs from the request's head to the answer's, made by {}",
                request.micros,
                maker(&request.by)
            ),
        ));
        let (status, by_web) = (request.status, request.by == "web" || request.by == "file");
        let passed = self.told.iter().find_map(|told| match &told.what {
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
            What::Request(made) if made.id == request.id && told.service == "app" => Some((told, made)),
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
            (Some((told, _, _, _, _, micros)), _) => self.placed(told, *micros, served),
            (None, Some((told, made))) => self.placed(told, made.micros, served),
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
            Some((told, made)) => self.placed(told, made.micros, span).0,
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
    fn statements(
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
            let (span, placed) = self.placed(told, *micros, whole);
            let mut step =
                step(Heading::Database, 2, app.clone(), database.clone(), span.begins, span.micros);
            step.placed = placed;
            step.said = vec![
                Said::new("SQL", text.split_whitespace().collect::<Vec<_>>().join(" ")),
                Said::new("hears", format!("{returned} rows, {changed} changed")),
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

    /// Where something that was over at `told` and took `micros` lies in `whole`; whether it was only placed there.
    fn placed(&self, told: &Told, micros: u64, whole: Span) -> (Span, bool) {
        match told.mono {
            Some(mono) => (self.span(mono, micros, whole), false),
            None => (middle(micros, whole), true),
        }
    }

    /// Where something that was over at `mono` of the shared clock and took `micros` lies in `whole`.
    fn span(&self, mono: u64, micros: u64, whole: Span) -> Span {
        within(mono.saturating_sub(micros).saturating_sub(self.began), micros, whole)
    }

    fn lacks(&mut self, heading: Heading, because: &str) {
        self.absent.push(Absent { heading, because: because.into() });
    }

    /// The path, with its steps in order.
    fn finish(mut self, path: Path) -> Path {
        self.steps.truncate(STEPS_MOST);
        self.steps.sort_by_key(|step| (step.heading, step.depth > 0, step.begins));
        self.absent.sort_by_key(|absent| absent.heading);
        for step in &mut self.steps {
            step.why = reasons::why(step);
        }
        let mut notes = path.notes;
        if self.steps.iter().any(|step| step.placed) {
            notes.push("≈ the service told how long it took, but not when it began".into());
        }
        Path { steps: self.steps, absent: self.absent, failure: self.failure, notes, ..path }
    }
}

fn step(heading: Heading, depth: u8, from: Party, to: Party, begins: u64, micros: u64) -> Step {
    Step {
        heading,
        depth,
        from,
        to,
        begins,
        micros,
        placed: false,
        cached: None,
        said: Vec::new(),
        failed: false,
        why: String::new(),
    }
}

/// `micros` from `begins`, pushed and cut so that it lies in `whole`.
fn within(begins: u64, micros: u64, whole: Span) -> Span {
    let micros = micros.min(whole.micros);
    Span { begins: begins.clamp(whole.begins, whole.ends() - micros), micros }
}

/// `micros` in the middle of `whole`.
fn middle(micros: u64, whole: Span) -> Span {
    within(whole.begins + whole.micros.saturating_sub(micros) / 2, micros, whole)
}

/// An answer in one line: code, flags, sections.
fn sections(response: &Response, bytes: usize) -> String {
    format!(
        "{}, flags {}; {} answer, {} authority, {} additional; {bytes} octets",
        response.rcode,
        response.flags,
        response.answers.len(),
        response.authorities.len(),
        response.additionals.len()
    )
}

/// What the client heard of the web server.
fn heard(exchange: &Timed<Result<Exchange, Trouble>>) -> String {
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
fn timing(answer: &Exchange, name: &str) -> Option<u64> {
    let metrics = answer.header("server-timing")?.split(',');
    let of_name = metrics.map(str::trim).find_map(|metric| metric.strip_prefix(name)?.strip_prefix(";dur="));
    let millis = of_name?.parse().ok().filter(|millis: &f64| millis.is_finite())?;
    // Fifteen minutes are more than anything here is waited for.
    let millis = millis.clamp(0.0, 900_000.0);
    u64::try_from(std::time::Duration::from_secs_f64(millis / 1_000.0).as_micros()).ok()
}

#[cfg(test)]
mod tests;
