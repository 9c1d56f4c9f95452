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
use crate::ground::journal::Journal;

/// Where sqlx says what it executes.
const SQLX: &str = "sqlx::query";
/// Where a request says which one it is.
const REQUEST: &str = "wwwlab::request";
/// A statement is told up to here, in bytes.
const TEXT_LONGEST: usize = 4096;

/// Tells `journal` each statement from now on, unless another application of this process is heard already.
pub(super) fn tell_to(journal: Journal) {
    let _ = tracing::subscriber::set_global_default(Registry::default().with(Statements { journal }));
}

/// What is executed in it is executed for the request `id`.
pub(super) fn of_request(id: &str) -> Span {
    span!(target: REQUEST, Level::INFO, "request", id)
}

/// Hears statements.
struct Statements {
    journal: Journal,
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
        match about.target() {
            // A request that tells nothing in the end is no event that was lost.
            REQUEST => self.journal.has_room(),
            SQLX => self.journal.has_room() || self.journal.lose(),
            _ => false,
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut heard = Heard::default();
        attributes.record(&mut heard);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(Request(heard.id));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        self.journal.tell(|| {
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
        Happened::Statement {
            text: text[..text.floor_char_boundary(TEXT_LONGEST)].to_owned(),
            returned: self.returned,
            changed: self.changed,
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
        let subscriber = Registry::default().with(Statements { journal });
        tracing::subscriber::with_default(subscriber, || {
            of_request("0123456789abcdef").in_scope(|| {
                tracing::event!(
                    target: SQLX,
                    Level::DEBUG,
                    summary = "SELECT name FROM visitors …",
                    db.statement = "\n\nSELECT name FROM visitors WHERE id = ?\n",
                    rows_affected = 0_u64,
                    rows_returned = 2_u64,
                    elapsed_secs = 0.0012,
                );
                tracing::event!(target: "hyper", Level::ERROR, "not for the journal");
            });
            tracing::event!(target: SQLX, Level::WARN, summary = "SELECT 1", db.statement = "", rows_affected = 3_u64);
        });
        let mut batch = Vec::new();
        told.hear(&mut batch, usize::MAX).await;
        let texts: Vec<String> = batch.iter().map(|(_, what)| what.to_string()).collect();
        assert_eq!(
            texts,
            [
                "SELECT name FROM visitors WHERE id = ? → 2 returned in 1.2 ms (01234567)",
                "SELECT 1 → 3 changed in 0 µs"
            ]
        );
    }
}
