//! Users who come at their own pace: one request every so often, whatever becomes of the ones before (an open loop).
//!
//! A loop that waits for each answer asks little while nothing answers, and so leaves out just what is to be measured
//! (coordinated omission). Here each request has its time by the clock; one for which no connection is free waits, and its
//! wait counts. Connections are bounded and kept open, as browsers do ([`super::browser`]).
//!
//! It has a thread of its own: nothing that is done to the lab meanwhile holds it up.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout_at};

use super::browser::{Browser, Page};
use super::{Probe, Symptom, question};
use crate::dns::name::Name;
use crate::ground::clock;
use crate::path::asking::Trust;

/// Requests a second at most, and at least.
pub const RATE: std::ops::RangeInclusive<u32> = 1..=5_000;
/// Connections.
pub const CONNECTIONS: usize = 32;
/// No measurement takes longer than this, whatever it measures.
pub const LONGEST: Duration = Duration::from_secs(120);
/// Between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What users ask for.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A page, by HTTP/1.1.
    Page {
        /// Of which site.
        host: String,
        /// Which.
        path: String,
        /// Who is believed, where it is asked for by HTTPS.
        trust: Option<Trust>,
    },
    /// The addresses of a name, by DNS over UDP.
    Name(Box<Name>),
}

/// What is asked for, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where.
    pub address: SocketAddr,
    /// What.
    pub asked: Asked,
    /// Requests a second, within [`RATE`].
    pub rate: u32,
    /// Requests in all, at least; there are more where the change takes longer.
    pub at_least: u64,
    /// A request that is not answered so long after it was meant to begin has failed.
    pub patience: Duration,
}

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// What is to be asked for cannot be.
    #[error("{what:?} cannot be asked for: a path begins with / and has no spaces")]
    Unaskable {
        /// The path or site.
        what: String,
    },
    /// The system has no thread or event loop for it.
    #[error("the prober cannot start")]
    System(#[source] io::Error),
    /// It ended by itself.
    #[error("the prober ended before its time")]
    Gone,
}

/// At work.
#[derive(Debug)]
pub struct Prober {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Vec<Probe>>>,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    target: Target,
    began: Instant,
    /// The number of the next request.
    next: AtomicU64,
    /// The first number that is not asked any more.
    end: AtomicU64,
    ended: AtomicU64,
}

/// What is asked for, checked.
#[derive(Debug)]
enum Target {
    Page(Page),
    Name(Box<Name>),
}

impl Target {
    fn of(asked: &Asked) -> Result<Self, ProbeError> {
        Ok(match asked {
            Asked::Name(name) => Self::Name(name.clone()),
            Asked::Page { host, path, trust } => Self::Page(Page::new(host, path, trust.clone())?),
        })
    }
}

impl Prober {
    /// Begins at once.
    pub fn start(plan: Plan) -> Result<Self, ProbeError> {
        let target = Target::of(&plan.asked)?;
        let most = LONGEST.as_secs() * u64::from(plan.rate);
        let shared = Arc::new(Shared {
            plan,
            target,
            began: clock::now(),
            next: AtomicU64::new(0),
            end: AtomicU64::new(most),
            ended: AtomicU64::new(0),
        });
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ProbeError::System)?;
        let its = shared.clone();
        let thread = std::thread::Builder::new()
            .name("prober".into())
            .spawn(move || runtime.block_on(probe(its)))
            .map_err(ProbeError::System)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Microseconds since the first request.
    pub fn micros(&self) -> u64 {
        self.shared.micros()
    }

    /// Waits until so many requests have ended, and the next is asked at its time.
    pub fn wait_for(&self, count: u64) -> Result<(), ProbeError> {
        while self.shared.ended.load(Ordering::Acquire) < count {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                return Err(ProbeError::Gone);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// Asks `more` times, and at least so often in all as planned; then all that came, in the order in which they were meant
    /// to begin.
    pub fn finish(mut self, more: u64) -> Result<Vec<Probe>, ProbeError> {
        let next = self.shared.next.load(Ordering::Acquire);
        let end = self.shared.plan.at_least.max(next.saturating_add(more));
        self.shared.end.fetch_min(end, Ordering::AcqRel);
        let mut probes = self.join().ok_or(ProbeError::Gone)?;
        probes.sort_unstable_by_key(|probe| probe.intended);
        Ok(probes)
    }

    fn join(&mut self) -> Option<Vec<Probe>> {
        self.thread.take()?.join().ok()
    }
}

impl Drop for Prober {
    /// Whoever gives up a measurement asks no more.
    fn drop(&mut self) {
        self.shared.end.store(0, Ordering::Release);
        self.join();
    }
}

impl Shared {
    fn micros(&self) -> u64 {
        clock::whole_micros(clock::now().saturating_duration_since(self.began))
    }

    /// When the request with this number is meant to begin, in microseconds.
    fn intended(&self, number: u64) -> u64 {
        number.saturating_mul(1_000_000) / u64::from(self.plan.rate)
    }
}

async fn probe(shared: Arc<Shared>) -> Vec<Probe> {
    let mut users = JoinSet::new();
    // Each takes the number of its next request beforehand: with few a second, many would be far ahead.
    for _ in 0..CONNECTIONS.min(usize::try_from(shared.plan.rate).unwrap_or(CONNECTIONS).max(2)) {
        users.spawn(ask_in_turn(shared.clone()));
    }
    users.join_all().await.concat()
}

/// One connection or socket, with one request after the other.
async fn ask_in_turn(shared: Arc<Shared>) -> Vec<Probe> {
    let mut probes = Vec::new();
    let (mut browser, mut asker) = (Browser::default(), None);
    loop {
        let number = shared.next.fetch_add(1, Ordering::AcqRel);
        if number >= shared.end.load(Ordering::Acquire) {
            return probes;
        }
        let intended = shared.intended(number);
        let at = shared.began + Duration::from_micros(intended);
        sleep_until(at.into()).await;
        let sent = shared.micros();
        let address = shared.plan.address;
        let ask = async {
            match &shared.target {
                Target::Page(page) => {
                    browser.ask(address, page, page.is_strangers(number), || shared.micros()).await
                }
                Target::Name(name) => question::ask(address, name, &mut asker).await,
            }
        };
        let asked = timeout_at((at + shared.plan.patience).into(), ask).await;
        let failed = asked.unwrap_or(Err(Symptom::Silent)).err();
        probes.push(Probe { intended, sent, ended: shared.micros(), failed, sealed: browser.sealed.take() });
        shared.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// What the operating system's error is to a user.
pub(super) fn of(error: &io::Error) -> Symptom {
    match error.kind() {
        ErrorKind::ConnectionRefused => Symptom::Refused,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Symptom::Reset,
        ErrorKind::TimedOut => Symptom::Silent,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Symptom::Unreachable,
        _ => Symptom::Closed,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn plan(address: SocketAddr, at_least: u64) -> Plan {
        let patience = Duration::from_secs(60);
        Plan { address, asked: page("www.foobar.com", "/"), rate: 1000, at_least, patience }
    }

    fn page(host: &str, path: &str) -> Asked {
        Asked::Page { host: host.into(), path: path.into(), trust: None }
    }

    /// A server on a thread of its own that answers each request of a connection with the next of `answers`, the last again
    /// and again; an empty one closes.
    fn serving(answers: &'static [&'static str]) -> (SocketAddr, std::sync::mpsc::Sender<()>) {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let mut open = JoinSet::new();
                while stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                    let accepted = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
                    let Ok(Ok((mut stream, _))) = accepted else { continue };
                    open.spawn(async move {
                        let mut answers = answers.iter();
                        let mut answer = answers.next();
                        let (mut head, mut bytes) = (Vec::new(), [0; 1024]);
                        while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                            head.extend_from_slice(&bytes[..length]);
                            if !head.ends_with(b"\r\n\r\n") {
                                continue;
                            }
                            head.clear();
                            let text = answer.unwrap();
                            if text.is_empty() || stream.write_all(text.as_bytes()).await.is_err() {
                                return;
                            }
                            answer = answers.next().or(answer);
                        }
                    });
                }
            });
        });
        (told.recv().unwrap(), stop)
    }

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    #[test]
    fn each_has_its_time_and_none_is_left_out() {
        let (address, _stop) = serving(&[OK]);
        let prober = Prober::start(plan(address, 200)).unwrap();
        prober.wait_for(50).unwrap();
        let probes = prober.finish(10).unwrap();
        assert!(probes.len() >= 200, "{}", probes.len());
        for (number, probe) in probes.iter().enumerate() {
            assert_eq!(probe.intended, number as u64 * 1000);
            assert!(probe.sent >= probe.intended && probe.ended >= probe.sent, "{probe:?}");
            assert_eq!(probe.failed, None);
        }
    }

    #[test]
    fn what_fails_is_named_as_it_was_seen() {
        let (bad, _one) = serving(&["HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"]);
        let (garbled, _two) = serving(&["tea?\r\n\r\n"]);
        let (closes, _three) = serving(&[""]);
        let nobody = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        nobody.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        let gone = nobody.local_addr().unwrap().as_socket().unwrap();
        for (address, symptoms) in [
            (bad, &[Symptom::Status(502)][..]),
            (garbled, &[Symptom::Malformed]),
            (closes, &[Symptom::Closed, Symptom::Reset]),
            (gone, &[Symptom::Refused]),
        ] {
            let probes = Prober::start(plan(address, 20)).unwrap().finish(0).unwrap();
            let failed = |probe: &Probe| probe.failed.is_some_and(|symptom| symptoms.contains(&symptom));
            assert!(probes.iter().all(failed), "{symptoms:?}: {probes:?}");
        }
    }

    #[test]
    fn a_kept_connection_that_was_closed_is_not_the_users_trouble() {
        // Each connection answers twice and then closes without a word.
        let (address, _stop) = serving(&[OK, OK, ""]);
        let probes = Prober::start(plan(address, 300)).unwrap().finish(0).unwrap();
        assert!(probes.iter().all(|probe| probe.failed.is_none()), "{probes:?}");
    }

    #[test]
    fn who_is_silent_is_given_up_after_the_patience_and_whoever_waited_behind_too() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent =
            Plan { patience: Duration::from_millis(50), ..plan(listener.local_addr().unwrap(), 100) };
        let probes = Prober::start(silent).unwrap().finish(0).unwrap();
        assert!(probes.len() >= 100);
        for probe in probes {
            assert_eq!(probe.failed, Some(Symptom::Silent));
            assert!(probe.waited() >= 50_000, "{probe:?}");
        }
    }

    #[test]
    fn what_cannot_be_asked_for_is_said_before() {
        let (address, _stop) = serving(&[OK]);
        for path in ["", "x", "/a b", "/\r\nX: y"] {
            let wrong = Plan { asked: page("www.foobar.com", path), ..plan(address, 1) };
            assert!(matches!(Prober::start(wrong), Err(ProbeError::Unaskable { .. })), "{path:?}");
        }
        let wrong = Plan { asked: page("a\nb", "/"), ..plan(address, 1) };
        assert!(matches!(Prober::start(wrong), Err(ProbeError::Unaskable { .. })));
    }
}
