//! The life of the process that is the network: it makes it, says so, and then waits for orders until the supervisor's
//! end of the channel closes. With the process, the last hold on the namespaces is gone, and they are.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::NetworkError;
use super::kernel::{self, Cabling};
use super::plan::Plan;
use crate::ground::channel::{Ask, LONGEST_LINE, Order, Reply, Report};
use crate::ground::lines::line;
use crate::ground::service::causes;

/// Makes `plan` with its links at `place`, and holds it.
pub(super) fn run(plan: &Plan, place: &Path) -> Result<(), NetworkError> {
    let supervisor = supervisor().map_err(NetworkError::NoChannel)?;
    let mut orders = Orders::new(&supervisor);
    // Until then nothing is made: a supervisor that is killed now has not told its guard of this process yet.
    let Some(Order { ask: Ask::Begin, .. }) = orders.next() else { return Ok(()) };
    let mut network = match kernel::realise(plan, place) {
        Ok(network) => network,
        Err(error) => {
            // Whoever is not there any more needs no reason.
            let _ = tell(&supervisor, &Report::Failed { causes: causes(&error) });
            return Err(error);
        }
    };
    if tell(&supervisor, &Report::Ready { listening: Vec::new(), version: None }).is_err() {
        return Ok(());
    }
    for Order { number, ask } in orders {
        if tell(&supervisor, &Report::Reply { number, reply: obey(&mut network, &ask) }).is_err() {
            break;
        }
    }
    Ok(())
}

/// What the supervisor orders, until its end of the channel closes.
struct Orders<'a> {
    lines: BufReader<&'a UnixStream>,
    text: Vec<u8>,
}

impl<'a> Orders<'a> {
    fn new(supervisor: &'a UnixStream) -> Self {
        Self { lines: BufReader::new(supervisor), text: Vec::new() }
    }
}

impl Iterator for Orders<'_> {
    type Item = Order;

    fn next(&mut self) -> Option<Order> {
        let most = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
        loop {
            self.text.clear();
            match self.lines.by_ref().take(most).read_until(b'\n', &mut self.text) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            // A line that is no order has no number to reply to; none of ours is.
            if let Ok(order) = serde_json::from_slice(&self.text) {
                return Some(order);
            }
        }
    }
}

/// Makes `plan` and lets it go again.
pub(super) fn only_try(plan: &Plan, place: &Path) -> Result<(), NetworkError> {
    let made = kernel::realise(plan, place);
    let removed = super::held::remove(place);
    made?;
    removed.map_err(|source| NetworkError::State { path: place.into(), source })
}

fn obey(network: &mut Cabling, ask: &Ask) -> Reply {
    let done = match ask {
        Ask::Cable { name, whole } => network.cable(name, *whole),
        Ask::Power { host, on } => network.power(host, *on),
        other => Err(format!("the network cannot do that: {other:?}")),
    };
    done.map_or_else(|why| Reply::Refused(vec![why]), |()| Reply::Done)
}

/// The channel, which is descriptor 0 (see [`crate::ground::channel`]).
fn supervisor() -> io::Result<UnixStream> {
    let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Only a socket has a local address; a terminal, file or pipe has not.
    channel.local_addr()?;
    channel.set_nonblocking(false)?;
    Ok(channel)
}

fn tell(mut supervisor: &UnixStream, report: &Report) -> io::Result<()> {
    supervisor.write_all(&line(report)?)
}
