//! What is done with a connection in one call, be it once or again: after a deadlock, or, if it only reads, after the end
//! of a connection.
//!
//! A trait and not a closure: the future of an asynchronous closure that borrows cannot be known to be `Send` for every
//! lifetime, and the pages' futures must be.

use std::future::Future;

use super::connection::{Change, Connection, Row, Value};

/// Something that one call does.
pub(super) trait Act: Sync {
    /// What comes of it.
    type Done: Send;

    /// Whether it changes nothing, so that to do it twice is to do it once.
    const ONLY_READS: bool = false;

    /// Does it. Nothing of it is done if this is a deadlock.
    fn on(&self, connection: &mut Connection) -> impl Future<Output = sqlx::Result<Self::Done>> + Send;
}

/// Has the rows of one statement.
#[derive(Debug)]
pub(super) struct Reading<'a>(pub(super) &'static str, pub(super) &'a [Value<'a>]);

impl Act for Reading<'_> {
    type Done = Vec<Row>;

    const ONLY_READS: bool = true;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<Vec<Row>> {
        connection.rows(self.0, self.1).await
    }
}

/// Changes something by one statement.
#[derive(Debug)]
pub(super) struct Changing<'a>(pub(super) &'static str, pub(super) &'a [Value<'a>]);

impl Act for Changing<'_> {
    type Done = Change;

    async fn on(&self, connection: &mut Connection) -> sqlx::Result<Change> {
        connection.change(self.0, self.1).await
    }
}
