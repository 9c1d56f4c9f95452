//! DNS over TLS (RFC 7858): a handshake, and then what DNS over TCP is as well.

use std::sync::Arc;

use crate::ground::journal::Journal;
use crate::services::faults::gate::Arrival;
use crate::services::streams::{Hold, Respond, Seat, hold};
use crate::services::tls::Greeter;

/// Shakes hands, and has everything answered that is asked then.
#[derive(Debug, Clone)]
pub(super) struct Tls<R> {
    pub(super) greeter: Arc<Greeter>,
    pub(super) responder: R,
    pub(super) journal: Journal,
}

impl<R: Respond> Hold for Tls<R> {
    fn hold(&self, arrival: Arrival, seat: Seat) -> impl Future<Output = ()> + Send + 'static {
        let Self { greeter, responder, journal } = self.clone();
        let Arrival { stream, client, here } = arrival;
        async move {
            let greeted = tokio::select! {
                () = seat.to_be_left() => return,
                greeted = greeter.greet(stream, client, here, &journal) => greeted,
            };
            let Some(sealed) = greeted else { return };
            let (read, write) = tokio::io::split(sealed);
            hold(read, write, client, responder, &seat).await;
        }
    }
}
