//! The fault `db-locked` of a database server: who holds its tables, a process of wwwlab's own with a session of its own, for as long
//! as the fault is laid. It stands apart from [`super::faults`], since here the fault ends with what makes it true.

use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::faults::Going;
use crate::ground::service::causes;
use crate::lab::child::{Running, Sign, Starting, describe};
use crate::lab::faults::Standing;
use crate::lab::hosts::ServiceName;
use crate::lab::log::Log;

/// The log of who holds the tables.
const LOG: &str = "db-locked";

impl Desk {
    /// Has a session hold the tables of the lab's database server. However the session ends, its fault is over: whoever starts
    /// the server again or ends the session there has found it.
    pub(super) async fn hold_tables(self: &Arc<Self>, standing: &Arc<Standing>) -> Result<String, String> {
        let mut holder = self.holder(standing.service).await?;
        let stop = CancellationToken::new();
        let (desk, laid, until) = (self.clone(), standing.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let status = loop {
                tokio::select! {
                    () = until.cancelled() => {
                        holder.end(Signal::SIGTERM, |_| {}).await;
                        return;
                    }
                    sign = holder.sign() => if let Sign::Ended(status) = sign { break status },
                }
            };
            let (id, target) = (laid.id, laid.target());
            desk.journal.note(format!(
                "the session that held the tables of {target} for fault {id} has ended ({}): the fault is over",
                describe(status)
            ));
            desk.faults.is_over(id);
        });
        self.going.lock().await.insert(standing.id, Going { stop, task });
        Ok(String::new())
    }

    async fn holder(&self, service: ServiceName) -> Result<Running, String> {
        let chain = |error: &(dyn std::error::Error + 'static)| causes(error).join(": ");
        let log = Log::open(&self.design.directory.log(LOG)).and_then(|log| log.handle());
        let log = log.map_err(|error| chain(&error))?;
        let arguments = self.design.holder(service, &self.executable);
        let starting = Starting::spawn(&self.executable, &arguments, log, &self.guard);
        let starting = starting.map_err(|failure| chain(&failure))?;
        starting.ready(|_| {}).await.map_err(|failure| chain(&failure))
    }
}
