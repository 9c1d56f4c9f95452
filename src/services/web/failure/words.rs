//! The words for each failure: what a student reads when it happens.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ground::explain::Component;

use super::super::wire::{FIELDS_AT_MOST, HEAD_AT_MOST, TARGET_AT_MOST, Violation};
use super::{Circumstances, Failure};

const REQUEST: Component = Component::Request;
const WEB_SERVER: Component = Component::WebServer;
const APPLICATION: Component = Component::ApplicationServer;

/// What there is to say.
pub(super) struct Words {
    /// The component at fault.
    pub(super) component: Component,
    /// What happened.
    pub(super) happened: String,
    /// What that teaches.
    pub(super) teaches: &'static str,
    /// What to type or look at next.
    pub(super) next: Vec<String>,
}

impl Failure {
    /// What is said about it.
    pub(super) fn words(&self, at: Circumstances<'_>) -> Words {
        let logs = || "wwwlab logs web".to_owned();
        let by_name = || {
            let place = match (at.address, at.address.port()) {
                (SocketAddr::V4(address), 80) => address.ip().to_string(),
                // Brackets keep the colons of an address from the one of a port (RFC 3986 §3.2.2).
                (SocketAddr::V6(address), 80) => format!("[{}]", address.ip()),
                (address, _) => address.to_string(),
            };
            format!("curl -H 'Host: {}' http://{place}/", at.site)
        };
        match self {
            Self::HostMissing => Words {
                component: REQUEST,
                happened: "The request has no Host header.".into(),
                teaches: "In HTTP/1.1 every request names its host (RFC 9112 §3.2): many sites can live at one \
                          address, and the server chooses among them by that name.",
                next: vec![by_name()],
            },
            Self::HostMalformed => Words {
                component: REQUEST,
                happened: "The request's Host is not one well-formed host name.".into(),
                teaches: "Two servers on the path that read such a request differently can be played against each \
                          other, so it is refused (RFC 9112 §3.2).",
                next: vec![by_name()],
            },
            Self::HostContradictory => Words {
                component: REQUEST,
                happened: "The request's target names one host, and its Host header another.".into(),
                teaches: "A proxy on the path may believe the one and the server the other, and so give a page to \
                          whom it is not for; so it is refused (RFC 9112 §3.2.2).",
                next: vec![by_name()],
            },
            Self::Refused { violation } => refused(*violation),
            Self::HostUnknown { asked, sites } => Words {
                component: WEB_SERVER,
                happened: match asked.as_str() {
                    "" if sites == at.site => {
                        format!("The request names no host; the site that lives here is {sites}.")
                    }
                    "" => format!("The request names no host; the sites that live here are {sites}."),
                    asked if sites == at.site => {
                        format!("No site {asked} lives here; the one that does is {sites}.")
                    }
                    asked => format!("No site {asked} lives here; those that do are {sites}."),
                },
                teaches: "One address can carry many names: the web server chooses the site by the Host header, \
                          which a browser fills with what stands in its address bar. Asked by address alone, or by \
                          a name that only DNS knows, it has no page to give.",
                next: vec![by_name(), format!("wwwlab curl http://{}/", at.site)],
            },
            Self::TargetMalformed { why } => Words {
                component: REQUEST,
                happened: format!("The request target is malformed: {why}."),
                teaches: "A server that guesses what such a target means can be led out of its directory, so it is \
                          refused.",
                next: vec!["curl --path-as-is shows what is sent when curl does not tidy up a target".into()],
            },
            Self::NotFound { path } => Words {
                component: WEB_SERVER,
                happened: format!("There is no file for {path} in the site's directory."),
                teaches: "This place is for files alone: the web server looked itself, and the application server \
                          was not asked.",
                next: vec!["ls site".into(), logs()],
            },
            Self::NotForFiles { method } => Words {
                component: WEB_SERVER,
                happened: format!("This is a file; {method} cannot be done to it."),
                teaches: "Files are read, with GET or HEAD. What changes something is the application's work.",
                next: vec!["curl -i -X OPTIONS …".into()],
            },
            Self::NotDoneHere { method } => Words {
                component: WEB_SERVER,
                happened: format!("{method} is not done here."),
                teaches: "CONNECT is for a proxy that the client chose; this one stands in front of its own \
                          application. TRACE would show a page what its browser hides from it.",
                next: vec![logs()],
            },
            Self::NoFormAcceptable => Words {
                component: REQUEST,
                happened: "The request's Accept-Encoding refuses every form of this file that there is."
                    .into(),
                teaches: "A client says which codings it can undo, and how much it likes each (RFC 9110 §12.5.3). As \
                          it is, a file is always to be had, unless identity;q=0 or *;q=0 refuses even that.",
                next: vec!["curl --compressed -v …".into()],
            },
            Self::ConditionFails { condition } => Words {
                component: REQUEST,
                happened: format!("The request's {condition} is about another version of this file."),
                teaches: "With such a condition a client does something only to the version that it knows (RFC 9110 \
                          §13). The file has been changed since, or never was what the client takes it for.",
                next: vec!["curl -I …: ETag and Last-Modified tell which version it is now".into()],
            },
            Self::RangeAbsent { bytes } => Words {
                component: REQUEST,
                happened: format!("The file has {bytes} bytes; the request's Range begins behind them."),
                teaches: "Bytes are counted from 0, and what is answered says in Content-Range how many there are \
                          (RFC 9110 §14.4): so a client that goes on where it broke off learns that it has all.",
                next: vec!["curl -i -r 0-99 …".into()],
            },
            Self::FileUnreadable { path, source } => Words {
                component: WEB_SERVER,
                happened: format!("The file for {path} exists, but cannot be read: {source}."),
                teaches: "The web server is a process with a user and permissions of its own; a file that you can \
                          read is not always one that it can.",
                next: vec!["ls -l site".into(), "ps -o user,args -C wwwlab".into()],
            },
            Self::BodyTooLarge { limit } => Words {
                component: REQUEST,
                happened: format!(
                    "The request's body is larger than {limit} bytes (`max_body` in lab.toml)."
                ),
                teaches: "A server without a limit can be filled by anybody. The web server stops it before the \
                          application has to.",
                next: vec![logs()],
            },
            Self::BodyBroken => Words {
                component: REQUEST,
                happened: "The request's body ended early or is framed wrongly.".into(),
                teaches: "Both sides must agree where a message ends (RFC 9112 §6); where they cannot, the connection \
                          is closed.",
                next: vec![logs()],
            },
            Self::BodySlow { waited } => Words {
                component: REQUEST,
                happened: format!("Nothing more of the request's body came for {}.", time(*waited)),
                teaches: "An open connection costs the server something, so it waits only so long.",
                next: vec![logs()],
            },
            Self::AppRefused { address } => Words {
                component: APPLICATION,
                happened: format!(
                    "The web server is well, but nothing listens at {address}, where the application server should: \
                     it was stopped, or it crashed."
                ),
                teaches: "The web server only passes the request on. When nobody listens at a port, the operating \
                          system refuses the connection at once; the files of the site still work.",
                next: vec!["wwwlab status".into(), "wwwlab logs app".into(), "wwwlab start app".into()],
            },
            Self::AppUnreachable { address, cause } => Words {
                component: APPLICATION,
                happened: format!("The application server at {address} cannot be reached: {cause}."),
                teaches: "Not the application itself but the way to it is broken: a route, a firewall, a host that \
                          is down.",
                next: vec!["wwwlab status".into(), "ip route".into()],
            },
            Self::AppClosed { address } => Words {
                component: APPLICATION,
                happened: format!(
                    "The application server at {address} took the request and closed the connection before it \
                     answered: it was stopped, was killed or crashed in the middle."
                ),
                teaches: "Nobody can know how much of the work was done. A request that changes something is \
                          therefore not sent a second time.",
                next: vec!["wwwlab status".into(), "wwwlab logs app".into()],
            },
            Self::AppGarbled { address } => Words {
                component: APPLICATION,
                happened: format!("What listens at {address} answered with something that is not HTTP."),
                teaches: "A port tells nothing about what speaks behind it.",
                next: vec![format!("ss -ltnp 'sport = :{}'", address.port()), "wwwlab logs app".into()],
            },
            Self::AppSilent { address, waited } => Words {
                component: APPLICATION,
                happened: format!(
                    "The application server at {address} accepted the connection and did not answer within \
                     {}.",
                    time(*waited)
                ),
                teaches: "The operating system accepts connections for a process even while that is paused or busy: \
                          an open port does not mean that somebody is at work.",
                next: vec![
                    "wwwlab status".into(),
                    "wwwlab resume app".into(),
                    format!("ss -tn 'dport = :{}'", address.port()),
                ],
            },
            Self::AppConnectSlow { address, waited } => Words {
                component: APPLICATION,
                happened: format!(
                    "The machine of the application server at {address} did not take a connection within {}.",
                    time(*waited)
                ),
                teaches: "A port where nobody listens refuses at once. Silence means that the question or its answer \
                          was lost on the way, or that more connections wait for the application than its machine keeps \
                          for it.",
                next: vec![
                    format!("ss -ltn 'sport = :{}'", address.port()),
                    format!("ping {}", address.ip()),
                    "wwwlab status".into(),
                ],
            },
            Self::AppsGone { each } => Words {
                component: APPLICATION,
                happened: format!(
                    "None of the {} application servers could be asked: {}.",
                    each.len(),
                    each.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                ),
                teaches: "The web server gives a request to another application server where nothing was lost by \
                          that. Here no other was left: several help only as long as they do not fail together.",
                next: vec!["wwwlab upstreams".into(), logs(), "wwwlab status".into()],
            },
            Self::ExpectationUnknown => Words {
                component: REQUEST,
                happened: "The request has an Expect header that is not 100-continue.".into(),
                teaches: "A client may ask before it sends a large body whether it is wanted (Expect: 100-continue, \
                          RFC 9110 §10.1.1). Nothing else can be expected of a server.",
                next: vec!["curl -v -H 'Expect: 100-continue' -d @FILE …".into()],
            },
            Self::Full { connections } => Words {
                component: WEB_SERVER,
                happened: format!("All {connections} connections of the web server are in use."),
                teaches: "A server says no in time to those whom it cannot serve, so that it can go on serving the \
                          others. This is where one server stops being enough.",
                next: vec![format!("ss -tn 'sport = :{}'", at.address.port()), "wwwlab status".into()],
            },
            Self::NoDescriptor => Words {
                component: WEB_SERVER,
                happened: "The web server has as many descriptors open as it may (EMFILE).".into(),
                teaches: "A connection is a descriptor, a file is another, and how many a process may have is a limit (ulimit -n, \
                          RLIMIT_NOFILE). One in reserve is all with which this could be said.",
                next: vec![
                    "grep 'open files' /proc/$(pgrep -f 'serve web')/limits".into(),
                    "wwwlab fault".into(),
                ],
            },
        }
    }
}

/// What is said about a request that was refused before it was one.
fn refused(violation: Violation) -> Words {
    let (happened, teaches) = match violation {
        Violation::Malformed(why) => (
            format!("This is no well-formed request: {why}."),
            "Two servers on the path that read such a message differently can be played against each other (request \
             smuggling, RFC 9112 §11.2). So it is not repaired but refused, and the connection closed: nobody knows \
             where the next request would begin.",
        ),
        Violation::TargetTooLong => (
            format!("The request's target is longer than {TARGET_AT_MOST} bytes."),
            "What is that long is data, and belongs into a body: the target is in every log on the way.",
        ),
        Violation::HeadTooLarge => (
            format!("The request's head is larger than {HEAD_AT_MOST} bytes."),
            "A server keeps the whole head in memory before it knows what is asked; without a limit anybody could fill \
             it. Often a cookie has grown too large.",
        ),
        Violation::TooManyFields => (
            format!("The request's head has more than {FIELDS_AT_MOST} fields."),
            "Each field costs the server work before it knows what is asked.",
        ),
        Violation::CodingUnknown => (
            "The request's body has a transfer coding besides chunked.".into(),
            "A server that does not know a coding cannot pass the body on, and must say so (RFC 9112 §6.1).",
        ),
        Violation::VersionUnknown => (
            "The request names a version of HTTP that is not spoken in this form.".into(),
            "HTTP/2 and HTTP/3 are no lines of text: HTTP/2 begins with a preface of its own (curl \
             --http2-prior-knowledge), HTTP/3 runs over QUIC.",
        ),
        Violation::HeadSlow => (
            "The request's head did not come to its end in time.".into(),
            "An open connection costs the server something. An attacker opens many and sends each a byte now and then \
             (slow loris), so a server waits only so long. A head ends with an empty line: was it sent?",
        ),
    };
    let next = match violation {
        Violation::VersionUnknown => "curl --http2-prior-knowledge -v …",
        _ => "curl -v … shows the head that is sent",
    };
    Words { component: REQUEST, happened, teaches, next: vec![next.into(), "wwwlab logs web".into()] }
}

/// A limit of time as it is set, with its unit apart: `5 s`, `1500 ms`.
fn time(limit: Duration) -> String {
    match limit.subsec_millis() {
        0 => format!("{} s", limit.as_secs()),
        _ => format!("{} ms", limit.as_millis()),
    }
}
