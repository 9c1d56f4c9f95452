//! The door for those who speak TLS: it is opened, moved and closed while the server runs.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::ground::listeners::Listeners;
use crate::ground::tls::Wanted;

use super::super::connection::Surroundings;
use super::super::listener::{Listener, Seating};
use super::{ALPN, Greeter, Policy, TlsError};
use crate::services::tls::offer;

/// The door, open or closed.
#[derive(Debug)]
pub(in crate::services::web) struct Door {
    seating: Seating,
    around: Surroundings,
    /// A plain mutex: held for one change, never across an await.
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    wanted: Vec<SocketAddr>,
    bound: Vec<SocketAddr>,
    greeter: Arc<Greeter>,
    /// Nobody else comes in; who is in may finish.
    stop: CancellationToken,
}

impl Door {
    /// Closed. Who will come in sits with those of `seating`.
    pub(in crate::services::web) fn new(seating: Seating, around: Surroundings) -> Self {
        Self { seating, around, open: Mutex::default() }
    }

    /// Where it is open.
    pub(in crate::services::web) fn addresses(&self) -> Vec<SocketAddr> {
        self.open().as_ref().map(|open| open.bound.clone()).unwrap_or_default()
    }

    /// Does as `wanted`, or, if that cannot be, nothing. Where the addresses stay the same, no connection notices.
    pub(in crate::services::web) fn set(&self, wanted: &Wanted) -> Result<(), TlsError> {
        let mut open = self.open();
        if wanted.listen.is_empty() {
            if let Some(former) = open.take() {
                former.stop.cancel();
            }
        } else {
            let offer = Arc::new(offer(&wanted.certificates, &ALPN, wanted.key_log.as_deref())?);
            match &*open {
                Some(open) if open.wanted == wanted.listen => open.greeter.offer(offer),
                _ => {
                    let sockets = super::super::listening_at(&wanted.listen)?;
                    let next = self.serve(sockets, wanted, Greeter::new(offer));
                    if let Some(former) = open.replace(next) {
                        former.stop.cancel();
                    }
                }
            }
        }
        let port = open.as_ref().and_then(|open| open.bound.first()).map(SocketAddr::port);
        self.around.server.policy.put(Arc::new(Policy::of(wanted, port)));
        Ok(())
    }

    fn serve(&self, sockets: Listeners, wanted: &Wanted, greeter: Greeter) -> Open {
        let (bound, greeter) = (sockets.addresses(), Arc::new(greeter));
        let stop = self.around.stop.child_token();
        let around =
            Surroundings { stop: stop.clone(), greeter: Some(greeter.clone()), ..self.around.clone() };
        let gate = super::super::gate(sockets, &around.server);
        let listener = Listener { gate, seating: self.seating.clone(), around };
        self.around.tasks.spawn(listener.serve());
        Open { wanted: wanted.listen.clone(), bound, greeter, stop }
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
