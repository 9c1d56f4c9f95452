//! Every fault there is: its name, what it can be laid on, its options with their bounds, and what is to be known of it.
//!
//! One table, and nothing beside it: `fault add` checks against it, `fault explain`, the help and docs/FAULTS.md are made from
//! it. Its order is that of the path: names, pages, the ways between, processes, the database.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::edges::Way;
use super::{Deed, Limit};
use crate::ground::fault::{DatabaseWrong, DnsWrong, HttpWrong, Wrong};
use crate::lab::control::Verb;
use crate::lab::hosts::ServiceName::{
    self, App, App2, App3, App4, Db, Dns, Dns2, Resolver, Resolver2, Resolver3, Resolver4, Root, Tld, Web,
};
use crate::lab::status::State;

/// One fault.
#[derive(Debug)]
pub struct Fault {
    /// Its name, as typed.
    pub name: &'static str,
    /// Of which kind it is.
    pub kind: Kind,
    /// The services that it can be laid on, the first where none is named; none for a fault of edges, which can be laid on each.
    pub on: &'static [ServiceName],
    /// How much of it, if that can be said.
    pub amount: Option<Amount>,
    /// What it strikes, one by one; nothing where it is there or is not.
    pub occasion: Option<Occasion>,
    /// A second amount, and what it makes of the deed.
    pub further: Option<Further>,
    /// How it comes about, with so much of it.
    pub deed: fn(u64) -> Deed,
    /// What is wrong, in a line.
    pub what: &'static str,
    /// What it is in real life.
    pub life: &'static str,
    /// How dig shows it.
    pub dig: &'static str,
    /// How curl shows it.
    pub curl: &'static str,
    /// How a browser shows it.
    pub browser: &'static str,
    /// How to find it.
    pub find: &'static str,
}

impl Fault {
    /// Whether a service that is in this `state` may be so by this fault, so that it is back when the fault is over. What is wrong
    /// with answers or with a way ends nobody.
    pub(crate) fn keeps_down(&self, state: State) -> bool {
        match (self.deed)(0) {
            Deed::Verb(_) | Deed::CrashLoop { .. } | Deed::Lock | Deed::Gone => true,
            // It may end by its limits, and is ended by none.
            Deed::Limit(..) => state == State::Failed,
            Deed::Rim(_) | Deed::Edge(_) | Deed::Share(_) => false,
        }
    }
}

/// A second amount, and what so much of it makes of a deed.
pub type Further = (Amount, fn(Deed, u64) -> Deed);

/// What a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The answers of name servers and resolvers.
    Dns,
    /// The answers of the web server.
    Http,
    /// The ways between services.
    Edge,
    /// The process of a service.
    Process,
    /// The database.
    Database,
}

impl Kind {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Dns, Self::Http, Self::Edge, Self::Process, Self::Database];

    /// As a heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Dns => "Answers to DNS questions",
            Self::Http => "Answers of the web server",
            Self::Edge => "The ways between services",
            Self::Process => "Processes",
            Self::Database => "The database",
        }
    }
}

/// What a fault strikes one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Answers to questions; `--name` chooses them.
    Question,
    /// Answers to requests; `--path` chooses them.
    Request,
    /// Calls of the database.
    Call,
}

impl Occasion {
    /// The option that chooses some of them.
    pub fn option(self) -> Option<&'static str> {
        match self {
            Self::Question => Some("name"),
            Self::Request => Some("path"),
            Self::Call => None,
        }
    }
}

/// How much of a fault.
#[derive(Debug)]
pub struct Amount {
    /// Its option, without the hyphens.
    pub option: &'static str,
    /// In what it is counted.
    pub unit: Unit,
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// Where nothing is said.
    pub default: u64,
}

/// In what an amount is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A time in milliseconds.
    Time,
    /// A time in seconds.
    LongTime,
    /// An address of IPv4, as the number that its octets are.
    Address,
    /// Hundredths.
    Percent,
    /// So many.
    Count,
    /// Bytes a second.
    BytesASecond,
    /// Thousands of bits a second.
    Kilobits,
    /// Millions of bytes.
    Megabytes,
}

impl Unit {
    /// A number of it, as it is typed.
    pub fn show(self, number: u64) -> String {
        match self {
            Self::Time | Self::LongTime => typed(self.time(number)),
            Self::Address => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).to_string(),
            Self::Percent => format!("{number}%"),
            Self::Count | Self::BytesASecond => number.to_string(),
            Self::Megabytes => format!("{number}MB"),
            Self::Kilobits if number.is_multiple_of(1000) => format!("{}mbit", number / 1000),
            Self::Kilobits => format!("{number}kbit"),
        }
    }

    /// A number of it, where it is one of a time.
    pub fn time(self, number: u64) -> Duration {
        match self {
            Self::LongTime => Duration::from_secs(number),
            _ => Duration::from_millis(number),
        }
    }
}

/// A time in one word, as it is typed.
pub(super) fn typed(time: Duration) -> String {
    humantime::format_duration(time).to_string().replace(' ', "")
}

const NAME_SERVERS: &[ServiceName] = &[Dns, Dns2, Tld, Root];
const SPEAKS_DNS: &[ServiceName] = &[Dns, Dns2, Tld, Root, Resolver, Resolver2, Resolver3, Resolver4];
const WEB: &[ServiceName] = &[Web];
const ALL: &[ServiceName] =
    &[Web, App, App2, App3, App4, Db, Dns, Dns2, Tld, Root, Resolver, Resolver2, Resolver3, Resolver4];

/// The longest wait that an answer can be given: longer than any client's patience.
const LONGEST_WAIT: u64 = 60_000;

const DELAY: Amount =
    Amount { option: "delay", unit: Unit::Time, least: 1, most: LONGEST_WAIT, default: 2_000 };

fn whole(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Every fault, in order.
pub const TABLE: &[Fault] = &[
    Fault {
        name: "servfail",
        kind: Kind::Dns,
        on: SPEAKS_DNS,
        amount: None,
        occasion: Some(Occasion::Question),
        further: None,
        deed: |_| Deed::Rim(Wrong::Dns(DnsWrong::Servfail)),
        what: "answers SERVFAIL",
        life: "A zone file that cannot be read, a broken DNSSEC chain, a resolver that reaches nobody.",
        dig: "`status: SERVFAIL`, no records. Laid on `dns`, the resolver says SERVFAIL too, with the reason as EDE.",
        curl: "`(6) Could not resolve host`, as long as the resolver has nothing remembered.",
        browser: "\"This site can't be reached\", DNS_PROBE_FINISHED_NXDOMAIN or SERVFAIL.",
        find: "Ask each server itself, from the root down: the first that says SERVFAIL without being a resolver is the one.",
    },
    Fault {
        name: "refused",
        kind: Kind::Dns,
        on: SPEAKS_DNS,
        amount: None,
        occasion: Some(Occasion::Question),
        further: None,
        deed: |_| Deed::Rim(Wrong::Dns(DnsWrong::Refused)),
        what: "answers REFUSED",
        life: "An access list that leaves this client out; a name server that was never told of the zone.",
        dig: "`status: REFUSED`; of a resolver often `recursion requested but not available` with it.",
        curl: "`(6) Could not resolve host`.",
        browser: "\"This site can't be reached\".",
        find: "It is an answer, so the network is well. Ask from another address: an access list answers there.",
    },
    Fault {
        name: "nxdomain",
        kind: Kind::Dns,
        on: SPEAKS_DNS,
        amount: None,
        occasion: Some(Occasion::Question),
        further: None,
        deed: |_| Deed::Rim(Wrong::Dns(DnsWrong::Nxdomain)),
        what: "denies a name that exists (NXDOMAIN)",
        life: "A record that was lost with an edit, a zone from the day before, a resolver that filters.",
        dig: "`status: NXDOMAIN`, without the SOA that a true denial carries in its authority section.",
        curl: "`(6) Could not resolve host`.",
        browser: "DNS_PROBE_FINISHED_NXDOMAIN.",
        find: "Compare what each name server says (`dig @server`), and the SOA serials; a denial without SOA is suspicious.",
    },
    Fault {
        name: "lame",
        kind: Kind::Dns,
        on: NAME_SERVERS,
        amount: None,
        occasion: Some(Occasion::Question),
        further: None,
        deed: |_| Deed::Rim(Wrong::Dns(DnsWrong::Lame)),
        what: "answers without authority for its own zone: a lame delegation (RFC 9499)",
        life: "The parent delegates to a server that does not, or no longer, have the zone.",
        dig: "`status: NOERROR`, no `aa` among the flags, no answer.",
        curl: "`(6) Could not resolve host`, as long as the resolver has nothing remembered.",
        browser: "\"This site can't be reached\".",
        find: "`dig +norecurse @server ZONE SOA` at each server that the parent names: `aa` must be set.",
    },
    Fault {
        name: "wrong-address",
        kind: Kind::Dns,
        on: SPEAKS_DNS,
        amount: Some(Amount {
            option: "address",
            unit: Unit::Address,
            least: 0,
            most: 0xFFFF_FFFF,
            // 127.0.0.99, where nobody listens, whatever the network.
            default: 0x7F00_0063,
        }),
        occasion: Some(Occasion::Question),
        further: None,
        deed: |address| Deed::Rim(Wrong::Dns(DnsWrong::WrongAddress(Ipv4Addr::from(whole(address))))),
        what: "gives a wrong address (A) for every name, and one that leads nowhere (AAAA, 100::99)",
        life: "A server that moved, a typing error, a forged answer in a cache.",
        dig: "`status: NOERROR` and a wrong address: nothing else shows it.",
        curl: "`(7) Failed to connect` to an address that is not the server's; of a stranger's server, his page.",
        browser: "ERR_CONNECTION_REFUSED, a stranger's page, or a warning of a wrong certificate.",
        find: "`curl -v` shows the address it tries; compare it with the name server's own answer and with the zone file.",
    },
    Fault {
        name: "truncate",
        kind: Kind::Dns,
        on: SPEAKS_DNS,
        amount: None,
        occasion: Some(Occasion::Question),
        further: None,
        deed: |_| Deed::Rim(Wrong::Dns(DnsWrong::Truncate)),
        what: "cuts every answer over UDP (TC)",
        life: "Answers too long for a datagram, or a rate limit that asks for TCP as proof of the address.",
        dig: "`;; Truncated, retrying in TCP mode.`; with `+ignore` the flag `tc` and no answer.",
        curl: "Nothing but a little time; together with `no-tcp`, `(6) Could not resolve host`.",
        browser: "Nothing; together with `no-tcp`, \"This site can't be reached\".",
        find: "`dig +ignore` shows `tc`; `wwwlab queries` shows that as much is asked over TCP.",
    },
    Fault {
        name: "slow-dns",
        kind: Kind::Dns,
        on: SPEAKS_DNS,
        amount: Some(DELAY),
        occasion: Some(Occasion::Question),
        further: None,
        deed: |millis| Deed::Rim(Wrong::Dns(DnsWrong::Slow { millis })),
        what: "answers late",
        life: "A server far away or overloaded; a resolver whose first forwarder is dead.",
        dig: "A long `Query time`; above five seconds `communications error … timed out`, and dig asks again.",
        curl: "Everything works, late: `time_namelookup` of `curl -w` is the delay.",
        browser: "A long wait before anything is seen, once; later pages are quick, since the name is remembered.",
        find: "`dig` says the time; ask each server itself, and see where it comes in. `wwwlab path` shows each step.",
    },
    Fault {
        name: "no-tcp",
        kind: Kind::Dns,
        on: SPEAKS_DNS,
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Rim(Wrong::Dns(DnsWrong::NoTcp)),
        what: "closes its port over TCP; UDP goes on",
        life: "A firewall whose owner believes that DNS is UDP (RFC 7766 says otherwise).",
        dig: "With `+tcp`: `Connection refused`. Without: nothing, until an answer is too long for a datagram.",
        curl: "Nothing.",
        browser: "Nothing.",
        find: "`dig +tcp` at each server.",
    },
    Fault {
        name: "ttl",
        kind: Kind::Dns,
        on: SPEAKS_DNS,
        amount: Some(Amount {
            option: "ttl",
            unit: Unit::LongTime,
            least: 0,
            most: 604_800,
            default: 604_800,
        }),
        occasion: Some(Occasion::Question),
        further: None,
        deed: |seconds| Deed::Rim(Wrong::Dns(DnsWrong::Ttl { seconds: whole(seconds) })),
        what: "gives every record another time to live",
        life: "A week: a change that nobody sees for a week. 0: every question comes again, and the server is busy.",
        dig: "The second column of every record: 604800, or 0.",
        curl: "Nothing at first; after a change of the zone, the old address for as long.",
        browser: "As curl, and longer: browsers remember by themselves.",
        find: "`dig` at the name server shows the full time, `wwwlab cache` what is left of it at the resolver.",
    },
    Fault {
        name: "stale-secondary",
        kind: Kind::Dns,
        on: &[Dns2],
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Rim(Wrong::Dns(DnsWrong::Stale)),
        what: "keeps its copies of zones as they are: neither the refresh of the SOA nor a NOTIFY has it ask the primary",
        life: "A transfer that a firewall or a changed key forbids, and a log that nobody reads.",
        dig: "After a change, `dig SOA` at the two name servers shows two serials, and they give two answers.",
        curl: "After a change, now the old page and now the new: the resolver asks the one or the other.",
        browser: "As curl; reloading helps, and does not help.",
        find: "`dig +nssearch foobar.com`: every server with its serial. After the SOA's expire, the secondary says SERVFAIL.",
    },
    Fault {
        name: "http-500",
        kind: Kind::Http,
        on: WEB,
        amount: None,
        occasion: Some(Occasion::Request),
        further: None,
        deed: |_| Deed::Rim(Wrong::Http(HttpWrong::InternalError)),
        what: "answers 500, whatever is asked for",
        life: "An error in the code or the settings, after a deployment most often.",
        dig: "Nothing: the name is well.",
        curl: "`HTTP/1.1 500 Internal Server Error`, exit code 0; with `--fail` 22.",
        browser: "\"Internal Server Error\".",
        find: "The server's log. Is it every path, or some; files too, or dynamic pages alone; since which deployment?",
    },
    Fault {
        name: "slow-first-byte",
        kind: Kind::Http,
        on: WEB,
        amount: Some(DELAY),
        occasion: Some(Occasion::Request),
        further: None,
        deed: |millis| Deed::Rim(Wrong::Http(HttpWrong::SlowFirstByte { millis })),
        what: "begins its answer late",
        life: "A slow statement, a queue before the application, a cold cache.",
        dig: "Nothing: the name is well.",
        curl: "`time_connect` is short and `time_starttransfer` long; with `--max-time`, `(28) Operation timed out`.",
        browser: "A white page that waits; in its tools a long \"Waiting for server response\" (TTFB).",
        find: "`curl -w` splits the time; `wwwlab path` says at which part of the way it is spent.",
    },
    Fault {
        name: "slow-body",
        kind: Kind::Http,
        on: WEB,
        amount: Some(Amount {
            option: "rate",
            unit: Unit::BytesASecond,
            least: 10,
            most: 1_000_000,
            default: 200,
        }),
        occasion: Some(Occasion::Request),
        further: None,
        deed: |bytes_per_second| Deed::Rim(Wrong::Http(HttpWrong::SlowBody { bytes_per_second })),
        what: "sends its bodies slowly, so many bytes a second",
        life: "A full line, a server that is short of processor, a proxy that counts.",
        dig: "Nothing: the name is well.",
        curl: "`time_starttransfer` is short and `time_total` long; the progress meter shows the rate.",
        browser: "The page builds up from its top; pictures come line by line.",
        find: "`curl -w '%{speed_download}'`; from another place, to tell the line from the server.",
    },
    Fault {
        name: "truncated-body",
        kind: Kind::Http,
        on: WEB,
        amount: None,
        occasion: Some(Occasion::Request),
        further: None,
        deed: |_| Deed::Rim(Wrong::Http(HttpWrong::TruncatedBody)),
        what: "ends the connection in the middle of a body",
        life: "A process that dies while it answers, a full disk below a proxy's buffer, a wrong Content-Length.",
        dig: "Nothing: the name is well.",
        curl: "`(18)`: the transfer ended with bytes outstanding; over HTTP/2 `(92)`, the stream was not closed cleanly.",
        browser: "Half a page, or ERR_CONTENT_LENGTH_MISMATCH.",
        find: "curl says how many bytes are missing; compare `Content-Length` with what came.",
    },
    Fault {
        name: "wrong-host",
        kind: Kind::Http,
        on: WEB,
        amount: None,
        occasion: Some(Occasion::Request),
        further: None,
        deed: |_| Deed::Rim(Wrong::Http(HttpWrong::WrongHost)),
        what: "knows its site under another name, and so does not know the one asked for",
        life: "A typing error in `server_name`, a virtual host that was not enabled.",
        dig: "Nothing: the name is well.",
        curl: "`HTTP/1.1 404 Not Found` for every path, with a page that names the site that is there.",
        browser: "The same page; on other servers the default site, \"It works!\".",
        find: "`curl -H 'Host: …'` with other names at the same address; the virtual hosts in the server's settings.",
    },
    Fault {
        name: "redirect-loop",
        kind: Kind::Http,
        on: WEB,
        amount: None,
        occasion: Some(Occasion::Request),
        further: None,
        deed: |_| Deed::Rim(Wrong::Http(HttpWrong::RedirectLoop)),
        what: "redirects every request to itself",
        life: "Two rules that undo each other: http to https before a proxy that speaks http, www and without.",
        dig: "Nothing: the name is well.",
        curl: "`HTTP/1.1 302 Found` with the address asked for as its `Location`; with `-L`, `(47) Maximum (50) redirects followed`.",
        browser: "ERR_TOO_MANY_REDIRECTS.",
        find: "`curl -sIL` shows every step; the step that comes twice is the loop.",
    },
    Fault {
        name: "latency",
        kind: Kind::Edge,
        on: &[],
        amount: Some(Amount {
            option: "delay",
            unit: Unit::Time,
            least: 1,
            most: LONGEST_WAIT,
            default: 100,
        }),
        occasion: None,
        further: Some((
            Amount { option: "jitter", unit: Unit::Time, least: 0, most: LONGEST_WAIT, default: 0 },
            |deed, jitter| match deed {
                Deed::Edge(Way::Late { millis, .. }) => Deed::Edge(Way::Late { millis, jitter }),
                other => other,
            },
        )),
        deed: |millis| Deed::Edge(Way::Late { millis, jitter: 0 }),
        what: "holds every packet of an answer back, so that each way and back takes so much longer",
        life: "Distance, a queue that is full somewhere on the way (bufferbloat), a satellite.",
        dig: "`Query time` is longer by the delay; jitter makes it another time each time.",
        curl: "`time_connect` is longer by the delay, each further way and back adds it again: TLS, the request, a long page.",
        browser: "Everything comes, late; pages of many files on the same connection suffer most.",
        find: "`ping` at each machine of the way, `mtr`: where the time jumps. In the lab, `wwwlab shell server -- tc -s qdisc`.",
    },
    Fault {
        name: "loss",
        kind: Kind::Edge,
        on: &[],
        amount: Some(Amount { option: "share", unit: Unit::Percent, least: 1, most: 99, default: 10 }),
        occasion: None,
        further: None,
        deed: |percent| Deed::Edge(Way::Lossy(percent)),
        what: "loses so many packets of a hundred, each way",
        life: "A bad cable or radio, an overloaded line, a router whose queue overflows.",
        dig: "Some questions `timed out` and are asked again: five seconds late; `+tries=1` fails for some.",
        curl: "Mostly nothing but time: TCP sends again what is lost, after 0.2 s, 1 s, 2 s, 4 s, …; `time_connect` of 1 s is a lost SYN.",
        browser: "Pages that hang for a second or more, and then come.",
        find: "`ping -c 100`; `ss -ti` and `nstat` count what was sent again; a capture shows it as retransmissions.",
    },
    Fault {
        name: "bandwidth",
        kind: Kind::Edge,
        on: &[],
        amount: Some(Amount {
            option: "rate",
            unit: Unit::Kilobits,
            least: 8,
            most: 10_000_000,
            default: 256,
        }),
        occasion: None,
        further: None,
        deed: |kilobits| Deed::Edge(Way::Narrow(kilobits)),
        what: "lets answers through at so many bits a second",
        life: "A slow line, a mobile contract that is used up, a neighbour who downloads.",
        dig: "Nothing, as long as nobody else fills the line.",
        curl: "`%{speed_download}` is the rate, in bytes; small pages come as ever.",
        browser: "Pictures come line by line.",
        find: "The same file over other ways; `iperf3`; a capture shows an even stream without loss or pauses.",
    },
    Fault {
        name: "cut",
        kind: Kind::Edge,
        on: &[],
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Edge(Way::Cut),
        what: "lets no packet through, either way, and tells nobody",
        life: "A firewall that drops, a route that leads nowhere, a cable that was pulled out.",
        dig: "`communications error … timed out`, after five seconds.",
        curl: "It waits to connect: `(28) Connection timed out`, with `--connect-timeout` soon, else after two minutes.",
        browser: "A page that loads for ever, then ERR_CONNECTION_TIMED_OUT.",
        find: "Silence, not refusal: the packets do not arrive or do not come back. Capture on both ends: who sees what?",
    },
    Fault {
        name: "refuse",
        kind: Kind::Edge,
        on: &[],
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Edge(Way::Refuse),
        what: "refuses new connections (a reset) and datagrams (ICMP port unreachable); open connections go on",
        life: "A firewall that rejects; a port where nobody listens.",
        dig: "`connection refused`, at once.",
        curl: "`(7) Failed to connect`, at once; with `-v` the reason, `Connection refused`.",
        browser: "ERR_CONNECTION_REFUSED.",
        find: "As with `stop`, but `ss -ltn` on the host shows the port open: so it is something before it. Over UDP the ICMP \
               message comes from the router that refuses, and a capture shows its address.",
    },
    Fault {
        name: "reset",
        kind: Kind::Edge,
        on: &[],
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Edge(Way::Reset),
        what: "resets open TCP connections: each end is told when it next sends data; UDP goes on",
        life: "A firewall that forgot its connections, a box that forbids what it reads, a load balancer that gave up.",
        dig: "Nothing over UDP; with `+tcp`, `connection reset` or `end of file`.",
        curl: "It connects, and then `(56) Recv failure: Connection reset by peer`; with TLS `(35)`.",
        browser: "ERR_CONNECTION_RESET.",
        find: "Who sent the reset? In a capture on the server it never left: its address was borrowed, and its TTL is another.",
    },
    Fault {
        name: "half-open",
        kind: Kind::Edge,
        on: &[],
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Edge(Way::HalfOpen),
        what: "lets questions through and loses every answer",
        life: "A firewall that lets nothing back, a way back that leads elsewhere (asymmetric routing).",
        dig: "`communications error … timed out`; the server's log has the question, and its answer.",
        curl: "It waits to connect: `(28) Connection timed out`; open connections stand still.",
        browser: "A page that loads for ever, then ERR_CONNECTION_TIMED_OUT.",
        find: "Capture at the server: questions come, answers leave. `ss -tn state syn-recv` there shows who never came back.",
    },
    Fault {
        name: "spoof",
        kind: Kind::Edge,
        on: &[],
        amount: Some(Amount {
            option: "address",
            unit: Unit::Address,
            least: 0,
            most: 0xFFFF_FFFF,
            // 203.0.113.66, which nobody in network `hosts` has.
            default: 0xCB00_7142,
        }),
        occasion: Some(Occasion::Question),
        further: None,
        deed: |address| Deed::Edge(Way::Forged(Ipv4Addr::from(whole(address)))),
        what: "an attacker on the way answers first, over UDP: a forged address (A), and one that leads nowhere (AAAA, 100::99)",
        life: "Cache poisoning, a hostile wireless network, a state that censors: whoever sees a question can answer it sooner.",
        dig: "`status: NOERROR` and the attacker's address; the real answer comes a moment later and is ignored. On `resolver-dns` it \
              stays in the resolver's cache when the attacker has gone; of signed zones (`wwwlab zone sign`) the resolver says SERVFAIL, \
              `EDE: 10 (RRSIGs Missing)`, and gives the address to nobody but `+cd`. On `client-resolver` the resolver is well: `+tcp` shows the \
              right address; the forged answer has `aa`, which is odd of a resolver, and `ad`, which proves nothing here.",
        curl: "It goes to the attacker's address: `(7)` or `(28)` where nobody is; a machine of the attacker's has a page for it. \
               Over HTTPS `(60)`: there is no right certificate.",
        browser: "The attacker's page, ERR_CONNECTION_TIMED_OUT, or a warning of a wrong certificate.",
        find: "`wwwlab capture` at the asker shows two answers to one question. Ask over TCP, and compare. Ports, identifiers, the \
               case of names (0x20) and cookies are no help against one who sees the question: signatures are (DNSSEC: `delv`), \
               and on `client-resolver` an encrypted way (DoT, DoH).",
    },
    Fault {
        name: "stop",
        kind: Kind::Process,
        on: ALL,
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Verb(Verb::Stop),
        what: "stops the service (SIGTERM): its port refuses connections",
        life: "Maintenance, or a service that was not started again after one.",
        dig: "Of a name server: `connection refused`.",
        curl: "`(7) Failed to connect`; of the application, the web server's 502; of the database, a 503.",
        browser: "ERR_CONNECTION_REFUSED.",
        find: "`wwwlab status`; on a server of one's own `ss -ltnp` and `systemctl status`.",
    },
    Fault {
        name: "kill",
        kind: Kind::Process,
        on: ALL,
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Verb(Verb::Kill),
        what: "kills the service (SIGKILL): open connections are reset, its port refuses new ones",
        life: "A crash, the kernel's out-of-memory killer.",
        dig: "Of a name server: `connection refused`.",
        curl: "`(56) Connection reset by peer` or `(52) Empty reply` in the middle, then `(7) Failed to connect`.",
        browser: "ERR_CONNECTION_RESET, then ERR_CONNECTION_REFUSED.",
        find: "`wwwlab status` says by which signal; on a server of one's own `journalctl` and `dmesg`.",
    },
    Fault {
        name: "pause",
        kind: Kind::Process,
        on: ALL,
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Verb(Verb::Pause),
        what: "makes the service stand still (SIGSTOP): it accepts, and never answers",
        life: "A process that hangs: a deadlock, a file system that does not answer, a debugger.",
        dig: "Of a name server: `communications error … timed out`.",
        curl: "It connects and waits; with `--max-time`, `(28) Operation timed out`. Of the application, the web server's 504.",
        browser: "A page that loads for ever.",
        find: "The port is open and nothing comes: `ss -tn` shows octets in Recv-Q, `ps` the state T.",
    },
    Fault {
        name: "crash-loop",
        kind: Kind::Process,
        on: &[Web, App, App2, App3, App4, Dns, Dns2, Tld, Root, Resolver, Resolver2, Resolver3, Resolver4],
        amount: Some(Amount {
            option: "delay",
            unit: Unit::Time,
            least: 100,
            most: LONGEST_WAIT,
            default: 2_000,
        }),
        occasion: None,
        further: None,
        deed: |millis| Deed::CrashLoop { millis },
        what: "kills the service again and again, so long after each start",
        life: "A program that dies of its first request and is started again by its supervisor.",
        dig: "Of a name server: answers and `connection refused` in turn.",
        curl: "Answers, resets and `(7) Failed to connect` in turn.",
        browser: "Now the page, now an error.",
        find: "`wwwlab status`: a process that is never old, with another number each time.",
    },
    Fault {
        name: "cpu",
        kind: Kind::Process,
        on: &[
            Web, App, App2, App3, App4, Db, Dns, Dns2, Tld, Root, Resolver, Resolver2, Resolver3, Resolver4,
        ],
        amount: Some(Amount { option: "share", unit: Unit::Percent, least: 1, most: 99, default: 5 }),
        occasion: None,
        further: None,
        deed: Deed::Share,
        what: "lets the service run for only a share of the time (SIGSTOP and SIGCONT in turn, as cpulimit does)",
        life: "A machine with too many neighbours, a container with a small quota.",
        dig: "Of a name server: `Query time` of up to a tenth of a second, and then none.",
        curl: "Everything works, by fits and starts: times vary by a tenth of a second.",
        browser: "Pages that come now at once, now late.",
        find: "`top` shows the state T now and then; in a container `cpu.stat` counts how often it was throttled.",
    },
    Fault {
        name: "memory",
        kind: Kind::Process,
        on: &[App, App2, App3, App4, Web, Dns, Dns2, Tld, Root, Resolver, Resolver2, Resolver3, Resolver4],
        amount: Some(Amount { option: "limit", unit: Unit::Megabytes, least: 1, most: 100_000, default: 1 }),
        occasion: None,
        further: None,
        deed: |megabytes| Deed::Limit(Limit::Memory, megabytes.saturating_mul(1_000_000)),
        what: "gives the process no more memory than so much (RLIMIT_DATA), whatever it has already",
        life: "A limit of a container or a unit; a machine without memory.",
        dig: "Nothing, until the process wants more; then it dies, as with `kill`.",
        curl: "Nothing, until the process wants more; then it dies (SIGABRT), as with `kill`.",
        browser: "As curl.",
        find: "`wwwlab status`: killed by SIGABRT; `wwwlab logs`: memory allocation failed; /proc/PID/limits.",
    },
    Fault {
        name: "descriptors",
        kind: Kind::Process,
        on: &[Web, App, App2, App3, App4, Dns, Dns2, Tld, Root, Resolver, Resolver2, Resolver3, Resolver4],
        amount: Some(Amount { option: "limit", unit: Unit::Count, least: 1, most: 1_000_000, default: 15 }),
        occasion: None,
        further: None,
        deed: |count| Deed::Limit(Limit::Descriptors, count),
        what: "lets the process open no more than so many descriptors (RLIMIT_NOFILE)",
        life: "`ulimit -n` left at what it was when the site was small.",
        dig: "Of a name server: nothing over UDP; `+tcp` connects and waits.",
        curl: "Of the web server 503, as long as its one descriptor in reserve lets it say so; without that the kernel connects, the server cannot accept, and it waits: `(28) Operation timed out` with `--max-time`.",
        browser: "A busy site fails for many and works for few; or a page that loads for ever.",
        find: "The log says `Too many open files`; `ls /proc/PID/fd | wc -l` against /proc/PID/limits.",
    },
    Fault {
        name: "db-locked",
        kind: Kind::Database,
        on: &[Db],
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Lock,
        what: "somebody else holds the whole database locked: its file (SQLite), or all of its tables (MySQL: LOCK TABLES … WRITE)",
        life: "A backup or a migration that began and does not end: a lock that was forgotten, an ALTER TABLE at noon.",
        dig: "Nothing: the name is well.",
        curl: "Files come; dynamic pages wait for 1 s (SQLite) or 2 s (MySQL), and are a 503 that says that the database is locked, or that another session holds a lock for too long. Of MySQL, with many visitors: that no connection came free, since each of those waits as well.",
        browser: "The site's pages, and in place of the guestbook the 503.",
        find: "The page names the database. Of a file, `lsof` or `fuser` shows who has it open beside the application. Of a server, `SHOW FULL PROCESSLIST` (`wwwlab db`) shows who is `Waiting for table metadata lock`, and one session that is busy with something else: that is it, and `KILL` with its number ends it, and the fault.",
    },
    Fault {
        name: "db-read-only",
        kind: Kind::Database,
        on: &[Db],
        amount: None,
        occasion: Some(Occasion::Call),
        further: None,
        deed: |_| Deed::Rim(Wrong::Database(DatabaseWrong::ReadOnly)),
        what: "can be read, and not written (SQLite: PRAGMA query_only; MySQL: SET SESSION TRANSACTION READ ONLY)",
        life: "A replica that nobody made the primary, a file system that was mounted read-only after an error, a lost right.",
        dig: "Nothing: the name is well.",
        curl: "The guestbook can be read; whatever writes, the home page's counter too, is a 503 that says so.",
        browser: "Reading works; a form that is sent shows the 503.",
        find: "The page and the log name the database: `attempt to write a readonly database`; of a server, `SELECT @@read_only`.",
    },
    Fault {
        name: "db-slow",
        kind: Kind::Database,
        on: &[Db],
        amount: Some(Amount {
            option: "delay",
            unit: Unit::Time,
            least: 1,
            most: LONGEST_WAIT,
            default: 1_000,
        }),
        occasion: Some(Occasion::Call),
        further: None,
        deed: |millis| Deed::Rim(Wrong::Database(DatabaseWrong::Slow { millis })),
        what: "takes so much longer for each call, and holds the call's connection meanwhile (MySQL: SELECT SLEEP)",
        life: "A missing index, a full table scan, a backup at noon.",
        dig: "Nothing: the name is well.",
        curl: "`time_starttransfer` is longer by the delay for each statement; above 3 s, and for who queues, the application's 503.",
        browser: "Dynamic pages are late, and more so the more visitors; files come at once.",
        find: "`wwwlab path` shows what each statement took; of a server, `SHOW PROCESSLIST` what it does.",
    },
    Fault {
        name: "db-too-many-connections",
        kind: Kind::Database,
        on: &[Db],
        amount: None,
        occasion: Some(Occasion::Call),
        further: None,
        deed: |_| Deed::Rim(Wrong::Database(DatabaseWrong::Busy)),
        what: "the application gets no connection: all of its pool (SQLite: one, MySQL: eight) are in use by others",
        life: "A connection that is never given back, a pool smaller than the load, a server at its max_connections; SQLite itself knows no such limit.",
        dig: "Nothing: the name is well.",
        curl: "Dynamic pages wait for 2 s, and are a 503 that says that no connection came free; files come at once.",
        browser: "As curl.",
        find: "The database is idle and the application waits: `SHOW PROCESSLIST` of a server, `lsof` of a file.",
    },
    Fault {
        name: "db-gone",
        kind: Kind::Database,
        on: &[Db],
        amount: None,
        occasion: None,
        further: None,
        deed: |_| Deed::Gone,
        what: "the database is not there: its server is killed (SIGKILL), as by a power cut; of SQLite, there is no file to be opened",
        life: "The out-of-memory killer, which takes the largest process; a machine that fails. Of a file: a disk that is not mounted (any more), a directory that was moved or lost its rights.",
        dig: "Nothing: the name is well.",
        curl: "Files come; dynamic pages are a 503 at once: that nobody listens at the server's address, or that the file cannot be reached.",
        browser: "The site's pages, and in place of the guestbook the 503.",
        find: "`wwwlab status`; on a server of one's own `systemctl status mariadb`. Of a file, `ls -l` and `df` where the page says that it is; the log has the engine's words, `unable to open database file`. What was told to be saved is there when the database is back.",
    },
    Fault {
        name: "disk-full",
        kind: Kind::Database,
        on: &[Db],
        amount: None,
        occasion: Some(Occasion::Call),
        further: None,
        deed: |_| Deed::Rim(Wrong::Database(DatabaseWrong::Full)),
        what: "the database finds its disk full: a file cannot grow (SQLite: PRAGMA max_page_count), a table is full (MySQL: error 1114)",
        life: "A disk that logs have filled; a quota. Here the logs go on: it is the database's disk that is full.",
        dig: "Nothing: the name is well.",
        curl: "Reading goes on, and in SQLite so does what fits in the pages that there are; then posting is a 503 that says that the disk is full. In MySQL every change is one at once, and so is the front page, which counts its visit; on a disk that is really full what fits would go on there, too.",
        browser: "Reading works, in MySQL but for the front page, which counts its visit; a form that is sent shows the 503, sooner or later.",
        find: "The page names it; on a server of one's own `df -h`, and `df -i`; MariaDB's log has `error 28` (ENOSPC).",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_spoils_answers_and_ways_keeps_no_service_down() {
        let by = |state| -> Vec<&str> {
            TABLE.iter().filter(|fault| fault.keeps_down(state)).map(|fault| fault.name).collect()
        };
        let by_hand = ["stop", "kill", "pause", "crash-loop", "db-locked", "db-gone"];
        assert_eq!(by(State::Stopped), by_hand);
        assert_eq!(by(State::Paused), by_hand);
        let limits = ["memory", "descriptors"];
        let failed = by(State::Failed);
        assert!(limits.iter().all(|name| failed.contains(name)), "{failed:?}");
        assert_eq!(failed.len(), by_hand.len() + limits.len());
    }

    #[test]
    fn every_name_is_there_once_and_every_page_is_written() {
        let names: BTreeSet<&str> = TABLE.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for fault in TABLE {
            for text in [fault.what, fault.life, fault.dig, fault.curl, fault.browser, fault.find] {
                assert!(!text.is_empty() && !text.contains('\n'), "{}", fault.name);
            }
            assert_eq!(fault.on.is_empty(), fault.kind == Kind::Edge, "{}", fault.name);
            assert!(Kind::ALL.contains(&fault.kind));
        }
    }
}
