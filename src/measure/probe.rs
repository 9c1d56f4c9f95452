//! What a user meets: the name asked for, a page got, the guestbook signed; each with a limit of its own, and what is wrong in
//! the words of dig and curl.
//!
//! Pages are asked for at an address that is at hand, so that all is asked at the same time; whoever has no address because the
//! name fails gets none of them, which is for who reads the outcomes to say.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::line::Line;
use crate::dns::types::Rcode;
use crate::ground::channel::Mark;
use crate::ground::clock::{self, Stopwatch};
use crate::path::asking::{self, Lookup, Trouble, Trust};

/// A resolver that has to ask others gives up after 2.5 s.
const COLD_WITHIN: Duration = Duration::from_millis(3_500);
/// One that remembers asks nobody.
const WARM_WITHIN: Duration = Duration::from_secs(2);
/// Two SYNs have gone by then (RFC 6298 §2).
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Who asks, and where.
#[derive(Debug, Clone)]
pub struct User {
    /// The resolvers, in the order in which a stub resolver asks them.
    pub resolvers: Vec<SocketAddr>,
    /// The address from which is asked.
    pub from: IpAddr,
    /// The name of the site.
    pub site: String,
    /// The web server, as the name said when all was well.
    pub web: SocketAddr,
    /// Who is believed, where the site is asked for by HTTPS.
    pub trust: Option<Trust>,
    /// How long a page may take, its connection included.
    pub page_within: Duration,
    /// What the guestbook is signed with.
    pub mark: Option<Mark>,
}

/// What came of something that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How long it took until that was known, in microseconds.
    pub micros: u64,
    /// What is wrong; nothing where it works.
    pub symptom: Option<String>,
}

impl Outcome {
    /// Whether it works.
    pub fn works(&self) -> bool {
        self.symptom.is_none()
    }

    /// The same for who gives up sooner.
    fn within(&self, limit: Duration) -> Self {
        let micros = clock::whole_micros(limit);
        if self.micros <= micros {
            return self.clone();
        }
        Self { micros, symptom: Some(silent(limit).symptom().to_owned()) }
    }
}

impl User {
    /// The name where the resolvers remember it, then where they have to ask for it: `forget` has the one with this place among
    /// them forget all it knows.
    ///
    /// One that does not answer the first question is not asked another, but waited for longer: what it does not say when it may
    /// remember, it does not say when it would have to ask.
    pub async fn name_warm_and_cold(&self, forget: impl AsyncFn(usize)) -> (Outcome, Outcome) {
        let (forget, each) = (&forget, self.resolvers.iter().enumerate());
        let asked = each.map(|(place, &resolver)| async move {
            let first = self.ask(resolver, COLD_WITHIN).await;
            if first.symptom.as_deref() == Some(silent(COLD_WITHIN).symptom()) {
                return (first.within(WARM_WITHIN), first);
            }
            forget(place).await;
            (first.within(WARM_WITHIN), self.ask(resolver, COLD_WITHIN).await)
        });
        let (warm, cold): (Vec<_>, Vec<_>) = join_all(asked).await.into_iter().unzip();
        (as_a_stub(&warm), as_a_stub(&cold))
    }

    /// The name at every resolver, each of which has to have it.
    pub async fn name_everywhere(&self) -> Outcome {
        all(self.ask_all(COLD_WITHIN).await)
    }

    /// What the resolvers answer, in their order.
    async fn ask_all(&self, within: Duration) -> Vec<Outcome> {
        join_all(self.resolvers.iter().map(|&resolver| self.ask(resolver, within))).await
    }

    async fn ask(&self, resolver: SocketAddr, within: Duration) -> Outcome {
        let watch = Stopwatch::start();
        let asked = asking::look_up(resolver, self.from, &self.site, &watch);
        let symptom = match timeout(within, asked).await {
            Ok(lookup) => said(&lookup).err(),
            Err(_elapsed) => Some(silent(within).symptom().to_owned()),
        };
        Outcome { micros: watch.micros(), symptom }
    }

    /// The page at `path`.
    pub async fn get(&self, path: &str) -> Outcome {
        self.outcome(Method::GET, path, String::new()).await
    }

    /// The guestbook signed; nothing where it is not to be.
    pub async fn sign(&self) -> Option<Outcome> {
        let Mark { name, message } = self.mark.as_ref()?;
        let form = format!("name={}&message={}", name.replace(' ', "+"), message.replace(' ', "+"));
        Some(self.outcome(Method::POST, "/guestbook", form).await)
    }

    async fn outcome(&self, method: Method, path: &str, form: String) -> Outcome {
        let watch = Stopwatch::start();
        let asked = timeout(self.page_within, self.request(method, path, form)).await;
        let symptom = match asked.unwrap_or_else(|_elapsed| Err(silent(self.page_within))) {
            Ok(..400) => None,
            Ok(status) => Some(status.to_string()),
            Err(trouble) => Some(trouble.symptom().to_owned()),
        };
        Outcome { micros: watch.micros(), symptom }
    }

    /// The status of the answer, once that is whole.
    async fn request(&self, method: Method, path: &str, form: String) -> Result<u16, Trouble> {
        let opened = asking::open(self.web, self.from, &self.site, self.trust.as_ref());
        let stream =
            timeout(CONNECT_WITHIN, opened).await.unwrap_or_else(|_elapsed| Err(silent(CONNECT_WITHIN)))?;
        let (port, usual) = (self.web.port(), if self.trust.is_some() { 443 } else { 80 });
        let host = if port == usual { self.site.clone() } else { format!("{}:{port}", self.site) };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(USER_AGENT, concat!("wwwlab/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close");
        if !form.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request
            .body(Full::new(Bytes::from(form)))
            .map_err(|error| Trouble::Malformed(error.to_string()))?;
        let mut line = Line::over(stream).await?;
        line.ask(request).await.map_err(|broken| broken.trouble)
    }
}

/// What works if each of these does: the first failure among them, or when all were there.
pub fn all(outcomes: Vec<Outcome>) -> Outcome {
    let micros = outcomes.iter().map(|outcome| outcome.micros).max().unwrap_or_default();
    let failures = outcomes.into_iter().filter(|outcome| !outcome.works());
    failures.min_by_key(|outcome| outcome.micros).unwrap_or(Outcome { micros, symptom: None })
}

/// The address that `resolver` has for `site`, asked from `from`; else what is wrong.
pub async fn address(resolver: SocketAddr, from: IpAddr, site: &str) -> Result<IpAddr, String> {
    said(&asking::look_up(resolver, from, site, &Stopwatch::start()).await)
}

/// The address in an answer; else what is wrong, as dig says it.
fn said(lookup: &Lookup) -> Result<IpAddr, String> {
    match (&lookup.answered, lookup.address()) {
        (_, Some(address)) => Ok(address),
        (Err(trouble), _) => Err(trouble.symptom().to_owned()),
        (Ok(answered), _) if answered.response.rcode == Rcode::NOERROR => Err("NODATA".into()),
        (Ok(answered), _) => Err(answered.response.rcode.to_string()),
    }
}

/// What a stub resolver makes of its resolvers' answers: it asks the next one when one fails (resolv.conf(5)), and has waited
/// for both then.
fn as_a_stub(answers: &[Outcome]) -> Outcome {
    let mut micros = 0;
    for answer in answers {
        micros += answer.micros;
        if answer.works() {
            return Outcome { micros, symptom: None };
        }
    }
    let first = answers.iter().find_map(|answer| answer.symptom.clone());
    Outcome { micros, symptom: Some(first.unwrap_or_else(|| "no resolver".into())) }
}

fn silent(limit: Duration) -> Trouble {
    Trouble::Silent(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn outcome(micros: u64, symptom: Option<&str>) -> Outcome {
        Outcome { micros, symptom: symptom.map(str::to_owned) }
    }

    fn user(web: SocketAddr) -> User {
        User {
            resolvers: Vec::new(),
            from: Ipv4Addr::LOCALHOST.into(),
            site: "www.foobar.com".into(),
            web,
            trust: None,
            page_within: Duration::from_secs(30),
            mark: Some(Mark { name: "wwwlab".into(), message: "a mark".into() }),
        }
    }

    /// What a user sees of a server that answers so, and the request.
    async fn met(answer: &[u8]) -> (Outcome, String) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let user = user(listener.local_addr().unwrap());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"message=a+mark") {
                assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
            }
            stream.write_all(answer).await.unwrap();
            String::from_utf8(asked).unwrap()
        };
        let (outcome, asked) = tokio::join!(user.sign(), serve);
        (outcome.unwrap(), asked)
    }

    #[tokio::test]
    async fn a_signature_is_a_form_and_its_answer_a_status() {
        let (outcome, asked) =
            met(b"HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n\r\n").await;
        assert!(outcome.works(), "{outcome:?}");
        assert!(asked.starts_with("POST /guestbook HTTP/1.1\r\nhost: www.foobar.com:"), "{asked}");
        assert!(asked.ends_with("\r\n\r\nname=wwwlab&message=a+mark"), "{asked}");
        let (outcome, _) = met(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(outcome.symptom.as_deref(), Some("503"));
        let (outcome, _) = met(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
        assert_eq!(outcome.symptom.as_deref(), Some("closed"));
    }

    #[tokio::test]
    async fn a_closed_port_refuses_and_a_silent_one_is_given_up() {
        let gone = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        assert_eq!(user(gone).get("/").await.symptom.as_deref(), Some("refused"));
        let silent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let patient = user(silent.local_addr().unwrap());
        let user = User { page_within: Duration::from_millis(20), ..patient };
        assert_eq!(user.get("/").await.symptom.as_deref(), Some("timeout"));
        assert_eq!(User { mark: None, ..user }.sign().await, None);
    }

    /// What a user meets of a resolver that answers so many questions with SERVFAIL and is silent then; how often it was asked,
    /// and told to forget.
    async fn warm_and_cold(answers: usize) -> (Outcome, Outcome, usize, usize) {
        let resolver = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let web = "127.0.0.1:9".parse().unwrap();
        let user = User { resolvers: vec![resolver.local_addr().unwrap()], ..user(web) };
        let (asked, told) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
        let answer = async {
            let mut question = [0; 512];
            loop {
                let (length, client) = resolver.recv_from(&mut question).await.unwrap();
                asked.set(asked.get() + 1);
                if asked.get() <= answers {
                    // SERVFAIL.
                    question[2] |= 0x80;
                    question[3] |= 2;
                    resolver.send_to(&question[..length], client).await.unwrap();
                }
            }
        };
        let (warm, cold) = tokio::select! {
            met = user.name_warm_and_cold(async |_| told.set(told.get() + 1)) => met,
            _ = answer => unreachable!(),
        };
        (warm, cold, asked.get(), told.get())
    }

    #[tokio::test]
    async fn a_resolver_that_is_silent_is_asked_once_and_another_twice() {
        let (warm, cold, asked, told) = warm_and_cold(0).await;
        assert_eq!((asked, told), (1, 0));
        let timeout = Some("timeout".to_owned());
        assert_eq!((warm.micros, &warm.symptom, &cold.symptom), (2_000_000, &timeout, &timeout));
        assert!(cold.micros >= 3_500_000, "{cold:?}");
        let (_, cold, asked, told) = warm_and_cold(2).await;
        assert_eq!((asked, told, cold.symptom.as_deref()), (2, 1, Some("SERVFAIL")));
    }

    #[test]
    fn who_gives_up_sooner_has_seen_less() {
        let late = outcome(2_500_000, Some("SERVFAIL"));
        assert_eq!(late.within(Duration::from_secs(2)), outcome(2_000_000, Some("timeout")));
        assert_eq!(late.within(Duration::from_millis(2_500)), late);
        assert!(!outcome(2_000_001, None).within(Duration::from_secs(2)).works());
    }

    #[test]
    fn a_stub_asks_the_next_resolver_when_one_fails() {
        let (good, bad) = (outcome(2, None), outcome(30, Some("timeout")));
        assert_eq!(as_a_stub(&[good.clone(), bad.clone()]), outcome(2, None));
        assert_eq!(as_a_stub(&[bad.clone(), good]), outcome(32, None));
        assert_eq!(as_a_stub(&[bad.clone(), outcome(1, Some("refused"))]), outcome(31, Some("timeout")));
        assert!(!as_a_stub(&[]).works());
    }

    #[test]
    fn what_needs_all_fails_with_the_first_failure() {
        let (slow, bad, worse) = (outcome(90, None), outcome(30, Some("timeout")), outcome(4, Some("502")));
        assert_eq!(all(vec![slow.clone(), bad, worse.clone()]), worse);
        assert_eq!(all(vec![outcome(2, None), slow.clone()]), slow);
    }
}
