//! What the database is asked, told to the journal with the request that it was asked for.
//!
//! sqlx says each statement, of either engine, to `tracing`, with what came of it; this hears it there. So the store needs
//! to know nothing of requests, and no statement can be forgotten. A span carries the request's identifier to wherever the
//! statement is executed, which for SQLite is a thread of its own; that thread has only the subscriber of the whole process,
//! so there is one: an application is a process, and of several in one the first is heard.
//!
//! What is not of these two kinds is never looked at, and nothing is made of a statement that there is no room to tell.

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Span, Subscriber, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::ground::event::Happened;
use crate::ground::journal::{Journal, LooseJournal};

/// Where sqlx says what it executes.
const SQLX: &str = "sqlx::query";
/// Where a request says which one it is.
const REQUEST: &str = "wwwlab::request";
/// A statement is told up to here, in bytes.
const TEXT_LONGEST: usize = 4096;

/// Tells `journal` each statement from now on, unless another application of this process is heard already.
pub(super) fn tell_to(journal: &Journal) {
    let statements = Statements { journal: journal.loosely() };
    let _ = tracing::subscriber::set_global_default(Registry::default().with(statements));
}

/// What is executed in it is executed for the request `id`.
pub(super) fn of_request(id: &str) -> Span {
    span!(target: REQUEST, Level::INFO, "request", id)
}

/// Hears statements.
struct Statements {
    journal: LooseJournal,
}

/// The request that a span is of.
struct Request(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Statements {
    fn register_callsite(&self, about: &'static Metadata<'static>) -> Interest {
        match about.target() {
            SQLX | REQUEST => Interest::sometimes(),
            _ => Interest::never(),
        }
    }

    fn enabled(&self, about: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let Some(journal) = self.journal.open() else { return false };
        let has_room = journal.has_room();
        // A request may have no statement to tell in the end: only these count.
        if about.target() == SQLX && !has_room {
            journal.lose();
        }
        has_room
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut heard = Heard::default();
        attributes.record(&mut heard);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Request(heard.id));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(journal) = self.journal.open() else { return };
        journal.tell(|| {
            let mut heard = Heard::default();
            event.record(&mut heard);
            let id = context.event_scope(event).and_then(|mut spans| {
                spans.find_map(|span| Some(span.extensions().get::<Request>()?.0.clone()))
            });
            heard.told(id)
        });
    }
}

/// The fields that are looked for.
#[derive(Default)]
struct Heard {
    id: String,
    /// The statement; empty where it is as short as its summary.
    statement: String,
    summary: String,
    returned: u64,
    changed: u64,
    seconds: f64,
}

impl Heard {
    fn told(self, id: Option<String>) -> Happened {
        let text = match self.statement.trim() {
            "" => self.summary.trim(),
            statement => statement,
        };
        let micros = std::time::Duration::try_from_secs_f64(self.seconds).unwrap_or_default().as_micros();
        // For SQLite a statement that changes nothing has the number of the last one that did.
        let changes = ["INSERT", "UPDATE", "DELETE", "REPLACE"];
        let verb = text.lines().find(|line| !line.starts_with("--")).unwrap_or_default();
        let verb = verb.split_whitespace().next().unwrap_or_default();
        let changed =
            if changes.iter().any(|word| verb.eq_ignore_ascii_case(word)) { self.changed } else { 0 };
        Happened::Statement {
            text: text[..text.floor_char_boundary(TEXT_LONGEST)].to_owned(),
            returned: self.returned,
            changed,
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
            id,
        }
    }
}

impl Visit for Heard {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "id" => value.clone_into(&mut self.id),
            "db.statement" => value.clone_into(&mut self.statement),
            "summary" => value.clone_into(&mut self.summary),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "rows_returned" => self.returned = value,
            "rows_affected" => self.changed = value,
            _ => {}
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.seconds = value;
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::journal::journal;

    #[tokio::test]
    async fn a_statement_is_told_with_its_request_and_anything_else_is_not() {
        let (journal, mut told) = journal();
        let subscriber = Registry::default().with(Statements { journal: journal.loosely() });
        tracing::subscriber::with_default(subscriber, || {
            of_request("0123456789abcdef").in_scope(|| {
                tracing::event!(
                    target: SQLX,
                    Level::DEBUG,
                    summary = "SELECT name FROM visitors …",
                    db.statement = "\n\nSELECT name FROM visitors WHERE id = ?\n",
                    rows_affected = 7_u64,
                    rows_returned = 2_u64,
                    elapsed_secs = 0.0012,
                );
                tracing::event!(target: "hyper", Level::ERROR, "not for the journal");
            });
            tracing::event!(target: SQLX, Level::WARN, summary = "DELETE FROM visitors", db.statement = "", rows_affected = 3_u64);
        });
        let mut batch = Vec::new();
        told.hear(&mut batch, usize::MAX).await;
        let texts: Vec<String> = batch.iter().map(|(_, what)| what.to_string()).collect();
        assert_eq!(
            texts,
            [
                "SELECT name FROM visitors WHERE id = ? → 2 returned in 1.2 ms (01234567)",
                "DELETE FROM visitors → 3 changed in 0 µs"
            ]
        );
    }
}
