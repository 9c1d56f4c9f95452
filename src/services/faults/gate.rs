//! The port at which others come in, over a way that may be broken.
//!
//! It stands apart from [`super::arriving`] because it is about who has not come in yet. While the way is cut, nobody is taken
//! in: the kernel shakes hands, as many as wait in its queue, and nothing follows. While it refuses, the port is closed, so that
//! the operating system says so itself, and opened again behind that; if somebody else has it then, it is tried until it is free.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::unconstrained;
use tokio::time::sleep;

use super::arriving::Arrived;
use super::{Active, Faults, Watch};
use crate::ground::bind::{BindError, Transport};
use crate::ground::event::Happened;
use crate::ground::journal::Journal;
use crate::ground::listeners::{Accepted, Listeners};

/// A pause before it is tried again to have a port that somebody else has.
const BREATH: Duration = Duration::from_millis(50);

/// Listeners, behind which is accepted from who comes.
#[derive(Debug)]
pub(in crate::services) struct Gate {
    listeners: Listeners,
    /// Where they listen, or will again.
    addresses: Vec<SocketAddr>,
    bind: fn(&[SocketAddr]) -> Result<Listeners, BindError>,
    closes: fn(&Active) -> bool,
    is_closed: bool,
    /// Where it was said that somebody else has the port.
    taken: Option<SocketAddr>,
    /// Whether those who wait may have come while the way was cut.
    is_behind: bool,
    faults: Faults,
    wrong: Watch,
    journal: Journal,
}

/// Who has come in.
#[derive(Debug)]
pub(in crate::services) struct Arrival {
    /// The connection.
    pub(in crate::services) stream: Arrived,
    /// Who opened it.
    pub(in crate::services) client: SocketAddr,
    /// The address at which it was accepted.
    pub(in crate::services) here: SocketAddr,
}

impl Gate {
    /// One with these, the way to which is broken as `faults` says.
    pub(in crate::services) fn new(listeners: Listeners, faults: Faults, journal: Journal) -> Self {
        let (addresses, wrong) = (listeners.addresses(), faults.watch());
        Self {
            listeners,
            addresses,
            bind: Listeners::bind,
            closes: Active::is_refused,
            is_closed: false,
            taken: None,
            is_behind: false,
            faults,
            wrong,
            journal,
        }
    }

    /// Closed where `closes` says so.
    pub(in crate::services) fn closed_by(self, closes: fn(&Active) -> bool) -> Self {
        Self { closes, ..self }
    }

    /// Opened again by `bind`.
    pub(in crate::services) fn bound_by(
        self,
        bind: fn(&[SocketAddr]) -> Result<Listeners, BindError>,
    ) -> Self {
        Self { bind, ..self }
    }

    /// The next connection. Dropping the wait loses none.
    pub(in crate::services) async fn accept(&mut self) -> io::Result<Arrival> {
        let Accepted { stream, client, here } = loop {
            let now = self.faults.now();
            if now.as_ref().is_some_and(|active| (self.closes)(active)) {
                self.listeners = Listeners::new(Vec::new());
                self.is_closed = true;
                self.wrong.until(false, self.closes).await;
                continue;
            }
            if self.is_closed {
                self.open().await;
                continue;
            }
            if now.is_some_and(|active| active.is_cut()) {
                self.is_behind = true;
                let closes = self.closes;
                self.wrong.until(true, |active| !active.is_cut() || closes(active)).await;
                continue;
            }
            if self.is_behind {
                // Without tokio's budget: only of an empty queue it is said that nothing is ready.
                match unconstrained(self.listeners.accept()).now_or_never() {
                    Some(accepted) => break accepted?,
                    None => self.is_behind = false,
                }
            }
            let closes = self.closes;
            // In this order: where many come, it costs nothing to see the faults change, which are looked at before each.
            tokio::select! {
                biased;
                accepted = self.listeners.accept() => break accepted?,
                () = self.wrong.until(true, |active| closes(active) || active.is_cut()) => {}
            }
        };
        // Answers that are ready are joined where they are made: without it a small one may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        Ok(Arrival { stream: Arrived::new(stream, self.faults.clone(), self.is_behind), client, here })
    }

    /// Opens the port again, as soon as nobody else has it.
    async fn open(&mut self) {
        loop {
            match (self.bind)(&self.addresses) {
                Ok(listeners) => {
                    self.listeners = listeners;
                    self.is_closed = false;
                    if let Some(address) = self.taken.take() {
                        self.journal.tell(|| Happened::PortOpen { address, transport: Transport::Tcp });
                    }
                    return;
                }
                Err(_) if self.taken.is_some() => {}
                Err(BindError { address, transport, source }) => {
                    self.taken = Some(address);
                    self.journal.tell(|| Happened::PortTaken { address, transport, why: source.to_string() });
                }
            }
            sleep(BREATH).await;
        }
    }
}

/// What `bind` makes at `address`, as soon as its port is not to be closed any more and nobody else has it.
pub(in crate::services) async fn again<T>(
    address: SocketAddr,
    transport: Transport,
    bind: impl Fn() -> io::Result<T>,
    faults: &Faults,
    journal: &Journal,
) -> T {
    let (mut wrong, mut is_told) = (faults.watch(), false);
    loop {
        wrong.until(false, Active::is_refused).await;
        match bind() {
            Ok(socket) => {
                if is_told {
                    journal.tell(|| Happened::PortOpen { address, transport });
                }
                return socket;
            }
            Err(_) if is_told => {}
            Err(source) => {
                is_told = true;
                journal.tell(|| Happened::PortTaken { address, transport, why: source.to_string() });
            }
        }
        sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;
    use crate::ground::fault::{Asked, EdgeWrong, FaultSet, Laid, When, Wrong};
    use crate::ground::journal::{Told, journal};

    const LIMIT: Duration = Duration::from_secs(30);

    fn lay(faults: &Faults, generation: u64, wrong: Option<EdgeWrong>) {
        let wrong = wrong.map(|wrong| Wrong::Edge { asked: Asked::Here, wrong });
        let laid = wrong.map(|wrong| Laid { id: 1, wrong, when: When::Always, only: None });
        faults.take(FaultSet { generation, laid: laid.into_iter().collect() });
    }

    fn gate(faults: &Faults) -> (Gate, SocketAddr, Told) {
        let listeners = Listeners::bind(&[(Ipv4Addr::LOCALHOST, 0).into()]).unwrap();
        let (address, (journal, told)) = (listeners.addresses()[0], journal());
        (Gate::new(listeners, faults.clone(), journal), address, told)
    }

    #[tokio::test]
    async fn while_it_is_cut_nobody_is_taken_in_and_then_who_still_waits() {
        let faults = Faults::default();
        let (mut gate, address, _told) = gate(&faults);
        lay(&faults, 1, Some(EdgeWrong::Cut));
        let mut left = TcpStream::connect(address).await.unwrap();
        left.write_all(b"question").await.unwrap();
        drop(left);
        let mut waits = TcpStream::connect(address).await.unwrap();
        waits.write_all(b"question").await.unwrap();
        assert!(timeout(Duration::from_millis(20), gate.accept()).await.is_err());
        lay(&faults, 2, None);
        let mut read = [0; 8];
        let mut first = timeout(LIMIT, gate.accept()).await.unwrap().unwrap();
        first.stream.read_exact(&mut read).await.unwrap_err();
        let mut second = timeout(LIMIT, gate.accept()).await.unwrap().unwrap();
        assert_eq!(second.client, waits.local_addr().unwrap());
        second.stream.read_exact(&mut read).await.unwrap();
    }

    #[tokio::test]
    async fn while_it_refuses_the_port_is_closed_and_then_open_though_somebody_had_it() {
        let faults = Faults::default();
        let (mut gate, address, mut told) = gate(&faults);
        lay(&faults, 1, Some(EdgeWrong::Refuse));
        assert!(timeout(Duration::from_millis(20), gate.accept()).await.is_err());
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let somebody = Listeners::bind(&[address]).unwrap();
        lay(&faults, 2, None);
        assert!(timeout(2 * BREATH, gate.accept()).await.is_err());
        drop(somebody);
        let come = async {
            loop {
                match TcpStream::connect(address).await {
                    Ok(stream) => return stream,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let both = async { tokio::join!(gate.accept(), come) };
        let (accepted, _client) = timeout(LIMIT, both).await.unwrap();
        accepted.unwrap();
        let mut events = Vec::new();
        assert!(told.hear(&mut events, usize::MAX).await);
        let [(_, Happened::PortTaken { address: taken, .. }), (_, Happened::PortOpen { address: open, .. })] =
            &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((*taken, *open), (address, address));
    }
}
