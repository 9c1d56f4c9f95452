//! What a failure means: which component, what is seen on the wire, what to look at next.
//!
//! Pure. The symptom says more than the words of any program: a closed port refuses, a process that stands still is silent,
//! a killed one resets, and who passes a request on says 502 or 504 of who stands behind.

use std::net::SocketAddr;

use super::asking::{Doubt, Trouble};
use super::model::{Failure, Heading, Party};

impl Trouble {
    /// On the wire.
    pub fn symptom(&self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Silent(_) => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Malformed(_) => "malformed",
            Self::NoTls(_) => "no TLS (curl: 35)",
            Self::Doubted(doubt) => match doubt {
                Doubt::Expired => "certificate expired (curl: 60)",
                Doubt::NotYet => "certificate not valid yet (curl: 60)",
                Doubt::OtherName => "certificate for another name (curl: 60)",
                Doubt::SelfSigned => "self-signed certificate (curl: 60)",
                Doubt::UnknownIssuer => "unknown issuer (curl: 60)",
                Doubt::Other(_) => "certificate not believed (curl: 60)",
            },
        }
    }

    /// What it means, of `component`.
    fn meaning(&self, component: &str) -> String {
        match self {
            Self::Refused => {
                format!("Nobody listens at the port: the {component} is stopped, or was killed.")
            }
            Self::Reset => {
                format!("The connection was cut: the {component} was killed in the middle of its work.")
            }
            Self::Closed => format!("The {component} ended the connection before its answer was whole."),
            Self::Silent(millis) => format!(
                "Nothing came for {}: the {component} stands still (paused?), or is very slow; a port that \
                 nobody listens at would have refused at once.",
                seconds(*millis)
            ),
            Self::Unreachable(why) => format!("The address cannot be reached ({why})."),
            Self::Malformed(what) => format!("What came cannot be read ({what})."),
            Self::NoTls(why) => format!("The {component} and the client agree on nothing ({why})."),
            Self::Doubted(doubt) => {
                let why = match doubt {
                    Doubt::Expired => "its time is over, and it says nothing any more about who this is",
                    Doubt::NotYet => "its time has not begun: is a clock wrong?",
                    Doubt::OtherName => {
                        "it is for other names than the one in the URL, so it may be anybody's"
                    }
                    Doubt::SelfSigned => "nobody but itself vouches for it, which everybody can do",
                    Doubt::UnknownIssuer => {
                        "the client trusts the lab's authority, and that did not issue it"
                    }
                    Doubt::Other(why) => why,
                };
                format!(
                    "The client does not believe the certificate that the {component} shows: {why}. It ended the \
                     connection before a word of the request was sent."
                )
            }
        }
    }
}

/// `5 s`, `0.8 s`.
fn seconds(millis: u64) -> String {
    match millis % 1000 / 100 {
        0 => format!("{} s", millis / 1000),
        tenths => format!("{}.{tenths} s", millis / 1000),
    }
}

/// What is known about the lab for saying what to type.
#[derive(Debug, Clone, Copy)]
pub struct Lab<'a> {
    /// How wwwlab is called here.
    pub program: &'a str,
}

impl Lab<'_> {
    pub(super) fn types(self, line: &str) -> String {
        format!("{} {line}", self.program)
    }

    /// What brings `service` back after `trouble`.
    fn remedy(self, trouble: &Trouble, service: &str) -> Vec<String> {
        let verb = match trouble {
            Trouble::Silent(_) => "resume",
            Trouble::Refused => "start",
            Trouble::Reset | Trouble::Closed => "restart",
            Trouble::Unreachable(_) | Trouble::Malformed(_) | Trouble::NoTls(_) | Trouble::Doubted(_) => {
                return vec![self.types("status"), self.types(&format!("logs {service}"))];
            }
        };
        vec![
            self.types("status"),
            self.types(&format!("logs {service}")),
            self.types(&format!("{verb} {service}")),
        ]
    }

    /// The resolver could not be asked.
    pub fn resolver(self, trouble: &Trouble, service: &str) -> Failure {
        Failure {
            heading: Heading::Dns,
            component: "resolver".into(),
            symptom: trouble.symptom().into(),
            happened: trouble.meaning("resolver"),
            next: self.remedy(trouble, service),
        }
    }

    /// The resolver answered, but without an address. `asked` is the last name server that it asked, and what came.
    pub fn answer(self, name: &str, outcome: &str, asked: Option<(&Party, &str)>) -> Failure {
        let shown = name.trim_end_matches('.');
        let (component, happened, next) = match (outcome, asked) {
            ("NXDOMAIN", _) => (
                "the name",
                format!("There is no name {name}: the zone that would have it says so, so nobody has."),
                vec![self.types(&format!("dig {shown}")), self.types("zone list")],
            ),
            ("NODATA", _) => (
                "the name",
                format!("{name} exists, but has no A record: there is no address to connect to."),
                vec![self.types(&format!("dig {shown} ANY")), self.types("zone list")],
            ),
            ("SERVFAIL", Some((party, what))) => (
                party.name.as_str(),
                format!("The resolver could not find the answer: it asked {party} last, and heard: {what}."),
                vec![
                    self.types("status"),
                    self.types(&format!("resolve --fresh {shown}")),
                    self.types(&format!("logs {}", party.name)),
                ],
            ),
            ("SERVFAIL", None) => (
                "resolver",
                "The resolver did not find the answer, or remembers that it did not a moment ago (RFC 9520)."
                    .into(),
                vec![self.types(&format!("resolve --fresh {shown}")), self.types("logs resolver")],
            ),
            (outcome, _) => (
                "resolver",
                format!("The resolver gave no address; it said {outcome}."),
                vec![self.types(&format!("resolve --fresh {shown}")), self.types("logs resolver")],
            ),
        };
        Failure {
            heading: Heading::Dns,
            component: component.into(),
            symptom: outcome.into(),
            happened,
            next,
        }
    }

    /// No connection to the web server.
    pub fn connection(self, trouble: &Trouble) -> Failure {
        Failure { heading: Heading::Tcp, ..self.exchange(trouble) }
    }

    /// No connection to `server`, at which the web server is not: that is at `web`.
    pub fn elsewhere(self, trouble: &Trouble, server: SocketAddr, web: SocketAddr, host: &str) -> Failure {
        let (happened, look) = match server.ip() == web.ip() {
            true => (
                format!(
                    "The lab's web server is at port {}, not {}: is the port of the URL right?",
                    web.port(),
                    server.port()
                ),
                self.types("status"),
            ),
            false => (
                format!(
                    "The lab's web server is at {web}, not {server}: is the address right that the name has?"
                ),
                self.types(&format!("dig {host}")),
            ),
        };
        Failure {
            heading: Heading::Tcp,
            component: "the address".into(),
            symptom: trouble.symptom().into(),
            happened,
            next: vec![look],
        }
    }

    /// No connection, by the firewall of `host`: what it did is in `happened`.
    pub fn walled(self, trouble: &Trouble, host: &str, happened: String) -> Failure {
        let curl = if matches!(trouble, Trouble::Silent(_)) { 28 } else { 7 };
        Failure {
            heading: Heading::Firewall,
            component: format!("the firewall of {host}"),
            symptom: format!("{} (curl: {curl})", trouble.symptom()),
            happened,
            next: vec![
                self.types(&format!("firewall show {host}")),
                self.types(&format!("firewall clear {host}")),
            ],
        }
    }

    /// No HTTPS at `server`: the lab speaks plain HTTP alone.
    pub fn unsecured(self, heading: Heading, trouble: &Trouble, server: SocketAddr) -> Failure {
        let met = match trouble {
            Trouble::Refused => format!("Nobody listens at {server}"),
            _ => format!("Whoever is at {server}, it is not the lab's web server"),
        };
        let curl = if heading == Heading::Tcp { " (curl: 7)" } else { "" };
        Failure {
            heading,
            component: "web server".into(),
            symptom: format!("{}{curl}", trouble.symptom()),
            happened: format!("{met}: this lab speaks plain HTTP alone, no HTTPS."),
            next: vec![self.types("secure"), self.types("status")],
        }
    }

    /// A connection to the web server, and no handshake.
    pub fn handshake(self, trouble: &Trouble) -> Failure {
        let failure = Failure { heading: Heading::Tls, ..self.exchange(trouble) };
        match trouble {
            Trouble::Doubted(_) => Failure {
                component: "the certificate".into(),
                next: ["cert show", "logs web", "cert use good", "cert renew"]
                    .map(|line| self.types(line))
                    .into(),
                ..failure
            },
            _ => failure,
        }
    }

    /// A connection to the web server, and no answer.
    pub fn exchange(self, trouble: &Trouble) -> Failure {
        Failure {
            heading: Heading::Web,
            component: "web server".into(),
            symptom: trouble.symptom().into(),
            happened: trouble.meaning("web server"),
            next: self.remedy(trouble, "web"),
        }
    }

    /// An answer that is none. `by_web`: whether the web server made it itself; `why`: what it says of the application.
    pub fn status(self, status: u16, by_web: bool, why: Option<&str>) -> Option<Failure> {
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        let (heading, component, happened, service) = match (status, by_web) {
            (..400, _) => return None,
            (502, true) => (
                Heading::Application,
                "application server",
                format!(
                    "The web server got no answer from the application server: refused, cut or broken{why}."
                ),
                "app",
            ),
            (504, true) => (
                Heading::Application,
                "application server",
                format!(
                    "The application server did not begin its answer in time{why}: it stands still, or is slow."
                ),
                "app",
            ),
            (503, true) => (
                Heading::Application,
                "application server",
                format!("The web server has no application server that it could ask now{why}."),
                "app",
            ),
            (503, false) => (
                Heading::Database,
                "database",
                "The application was asked, but what it needs, its database, did not serve it.".into(),
                "db",
            ),
            (500.., true) => (Heading::Web, "web server", "The web server failed itself.".into(), "web"),
            (500.., false) => (
                Heading::Application,
                "application",
                "The application failed while it made the page.".into(),
                "app",
            ),
            (404, true) => (
                Heading::Web,
                "the request",
                "The web server answered this itself: it has no site of the name that was asked for (`Host`), or no such file in it.".into(),
                "web",
            ),
            (404, false) => {
                (Heading::Application, "the request", "The application has no such page.".into(), "app")
            }
            (_, by_web) => (
                if by_web { Heading::Web } else { Heading::Application },
                "the request",
                "The request itself was refused; the page says why.".into(),
                if by_web { "web" } else { "app" },
            ),
        };
        let mut next = vec![self.types("status")];
        if service != "db" {
            next.push(self.types(&format!("logs {service}")));
        }
        match (status, component) {
            (502 | 503, "application server") => next.push(self.types("start app")),
            (504, _) => next.push(self.types("resume app")),
            (_, "database") => next.extend([self.types("logs app"), self.types("start db")]),
            _ => {}
        }
        Some(Failure { heading, component: component.into(), symptom: status.to_string(), happened, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAB: Lab<'static> = Lab { program: "wwwlab" };

    #[test]
    fn each_symptom_names_a_component_and_a_remedy() {
        let failure = LAB.connection(&Trouble::Refused);
        assert_eq!((failure.heading, failure.symptom.as_str()), (Heading::Tcp, "refused"));
        assert_eq!(failure.next, ["wwwlab status", "wwwlab logs web", "wwwlab start web"]);
        let failure = LAB.exchange(&Trouble::Silent(15_000));
        assert!(
            failure.happened.contains("for 15 s") && failure.next[2] == "wwwlab resume web",
            "{failure:?}"
        );
        assert_eq!(LAB.resolver(&Trouble::Silent(800), "resolver").symptom, "timeout");
        assert_eq!((seconds(800), seconds(5_000)), ("0.8 s".into(), "5 s".into()));
    }

    #[test]
    fn a_certificate_that_is_not_believed_is_laid_at_itself() {
        for doubt in [
            Doubt::Expired,
            Doubt::NotYet,
            Doubt::OtherName,
            Doubt::SelfSigned,
            Doubt::UnknownIssuer,
            Doubt::Other("x".into()),
        ] {
            let failure = LAB.handshake(&Trouble::Doubted(doubt));
            assert_eq!((failure.heading, failure.component.as_str()), (Heading::Tls, "the certificate"));
            assert!(failure.symptom.ends_with("(curl: 60)") && failure.next[2] == "wwwlab cert use good");
        }
        let failure = LAB.handshake(&Trouble::Reset);
        assert_eq!((failure.heading, failure.component.as_str()), (Heading::Tls, "web server"));
        let at = "127.0.0.1:443".parse().unwrap();
        let failure = LAB.unsecured(Heading::Tcp, &Trouble::Refused, at);
        assert_eq!(
            (failure.symptom.as_str(), failure.next[0].as_str()),
            ("refused (curl: 7)", "wwwlab secure")
        );
        let failure = LAB.unsecured(Heading::Tls, &Trouble::NoTls("x".into()), at);
        assert_eq!(failure.symptom, "no TLS (curl: 35)");
    }

    #[test]
    fn a_failing_answer_is_laid_at_who_failed() {
        let of = |status, by_web| {
            LAB.status(status, by_web, None).map(|failure| (failure.heading, failure.component))
        };
        assert_eq!(of(200, false), None);
        assert_eq!(of(303, true), None);
        assert_eq!(of(502, true), Some((Heading::Application, "application server".into())));
        assert_eq!(of(504, true), Some((Heading::Application, "application server".into())));
        assert_eq!(of(503, false), Some((Heading::Database, "database".into())));
        assert_eq!(of(500, false), Some((Heading::Application, "application".into())));
        assert_eq!(of(404, true), Some((Heading::Web, "the request".into())));
        assert_eq!(of(400, true), Some((Heading::Web, "the request".into())));
    }

    #[test]
    fn a_name_without_an_answer_is_laid_at_the_last_name_server() {
        let dns = Party { name: "dns".into(), host: None, address: Some("127.0.0.1:53".parse().unwrap()) };
        let failure = LAB.answer("www.foobar.com.", "SERVFAIL", Some((&dns, "nobody listens")));
        assert_eq!(failure.component, "dns");
        assert!(failure.happened.contains("dns 127.0.0.1:53") && failure.happened.contains("nobody listens"));
        assert_eq!(LAB.answer("x.", "SERVFAIL", None).component, "resolver");
        assert_eq!(LAB.answer("x.", "NXDOMAIN", None).symptom, "NXDOMAIN");
    }
}
