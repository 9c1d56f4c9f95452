//! HTTPS of a web server that is published: carried into the network for as long as it is spoken.
//!
//! A process of its own carries it, beside the one that carries what is there from the beginning: that one has left this machine's
//! network for the lab's when HTTPS is switched on, and nobody who is connected through it is to notice.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ground::service::causes;
use crate::lab::child::StartFailure;
use crate::lab::guard::Guard;
use crate::lab::hosts::ServiceName;
use crate::lab::log::Log;
use crate::lab::network::held::Carrier;
use crate::lab::network::publish::Published;

/// Who carries HTTPS, if it is to be carried.
#[derive(Debug)]
pub(in crate::lab) struct Secure {
    /// Where on this machine.
    pub(in crate::lab) here: SocketAddr,
    /// What the process is started with.
    pub(in crate::lab) executable: PathBuf,
    pub(in crate::lab) machines: PathBuf,
    pub(in crate::lab) log: PathBuf,
    pub(in crate::lab) guard: Guard,
    /// It, while it is there. Held while it is started or ended.
    pub(in crate::lab) carrier: tokio::sync::Mutex<Option<Carrier>>,
    /// What it carries. A plain mutex: held for a look.
    pub(in crate::lab) published: Mutex<Option<Published>>,
}

impl Secure {
    /// Carries to `there` from now on, or nowhere. Where that is so already, nothing happens.
    pub(in crate::lab) async fn carry(&self, there: Option<SocketAddr>) -> Result<(), Vec<String>> {
        let mut carrier = self.carrier.lock().await;
        let stands = carrier.as_mut().is_some_and(|carrier| carrier.has_gone().is_none());
        if stands && self.published().map(|published| published.there) == there {
            return Ok(());
        }
        *self.known() = None;
        if let Some(former) = carrier.take() {
            former.close().await;
        }
        let Some(there) = there else { return Ok(()) };
        let published = [Published { service: ServiceName::Web, here: self.here, there }];
        let log = Log::open(&self.log).and_then(|log| log.handle());
        let log = log.map_err(|error| vec![format!("{} cannot be written: {error}", self.log.display())])?;
        let start = Carrier::start(&self.executable, &published, &self.machines, log, &self.guard);
        *carrier = Some(start.await.map_err(|failure: StartFailure| causes(&failure))?);
        *self.known() = Some(published[0]);
        Ok(())
    }

    /// What is carried now.
    pub(in crate::lab) fn published(&self) -> Option<Published> {
        *self.known()
    }

    /// How the process has ended by itself, if it has; told once. From then on nothing is carried.
    pub(in crate::lab) fn has_gone(&self) -> Option<ExitStatus> {
        // Who holds it is just changing it.
        let mut carrier = self.carrier.try_lock().ok()?;
        let how = carrier.as_mut()?.has_gone()?;
        *carrier = None;
        *self.known() = None;
        Some(how)
    }

    fn known(&self) -> MutexGuard<'_, Option<Published>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
