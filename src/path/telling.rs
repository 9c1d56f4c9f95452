//! A path made of what the client saw and of what the services told.
//!
//! Pure. The client's own measurements are the frame: look-up, connection, request, one after the other. What services
//! tell lies inside, at the place that the clock shared by all processes gives it; where only its length is known (`Server-Timing`),
//! in the middle of what it lies in, and marked as placed.

mod firewall;
mod last;
mod name;
mod page;
mod reasons;
mod secure;

use std::net::SocketAddr;

use super::asking::Seen;
use super::events::{Question, Told, What};
use super::model::{Absent, FORM, Failure, Heading, Party, Path, STEPS_MOST, Said, Step, Watched};
use super::symptoms::Lab;
pub use firewall::{Counted, Firewall};
pub use last::{NothingSeen, tell_last};

/// Who is who in the lab.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Its services, with their addresses.
    pub parties: Vec<Party>,
    /// Where its web server speaks HTTPS; nowhere is not at all.
    pub https: Vec<SocketAddr>,
    /// The firewalls that are in place, with what they counted while the request was made.
    pub firewalls: Vec<Firewall>,
    /// How wwwlab is called here.
    pub program: String,
}

impl Cast {
    /// Who is at `address`.
    fn at(&self, address: SocketAddr) -> Party {
        if self.https.contains(&address) {
            return Party { address: Some(address), ..self.named("web") };
        }
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
    teller.handshake(seen);
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
        tls: seen.handshake.as_ref().map(|handshake| handshake.result.0.clone()),
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
    /// The handshake.
    fn connection(&mut self, seen: &Seen) {
        let walled = self.firewalls(seen);
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
                    "refused" if walled.is_some() => "a refusal: RST, or ICMP that says so".to_owned(),
                    "refused" => "RST: nobody listens there".to_owned(),
                    symptom => format!("nothing: {symptom}"),
                };
                step.said.push(Said::new("hears", heard));
                step.failed = true;
                let lab = self.cast.lab();
                let web = self.door(seen.target.secure, server);
                self.failure = Some(match (walled, web) {
                    (Some(walled), _) => walled,
                    _ if seen.target.secure && self.cast.https.is_empty() => {
                        lab.unsecured(Heading::Tcp, trouble, server)
                    }
                    (None, Some(web)) => lab.elsewhere(trouble, server, web, &seen.target.host),
                    (None, None) => lab.connection(trouble),
                });
            }
        }
        self.steps.push(step);
    }

    /// Where the web server is to be asked, if that is not at `server`.
    fn door(&self, secure: bool, server: SocketAddr) -> Option<SocketAddr> {
        let https = &self.cast.https;
        match secure {
            true => https.first().copied().filter(|_| !https.contains(&server)),
            false => self.cast.named("web").address.filter(|&web| web != server),
        }
    }

    /// Who is at the other end of the connection: the web server, even where it is asked at another address.
    fn web(&self, server: SocketAddr) -> Party {
        let known = self.cast.at(server);
        match known.host {
            Some(_) => known,
            None => Party { name: "server".into(), ..known },
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

#[cfg(test)]
mod tests;
