//! What is to be read of faults, made from the table: a page for each, and all of them as docs/FAULTS.md; pure.

use std::fmt::Write as _;

use super::Deed;
use super::edges::{Edge, Way};
use super::table::{Fault, Kind, TABLE};
use crate::ground::fault::{DatabaseWrong, Wrong};

macro_rules! nftables {
    () => {
        "in network `hosts`, by rules of nftables on the router before the host that is asked, or on that host where both ends are \
         there"
    };
}

macro_rules! by_who_dials {
    ($asked:literal) => {
        concat!(
            nftables!(),
            ". On `loopback` by the service that dials, which does not send, or does not hear; of client-web and client-resolver by the \
             service that is asked, ",
            $asked
        )
    };
}

impl Fault {
    /// Its own options, in a sentence.
    pub fn options(&self) -> String {
        let further = self.further.as_ref().map(|(amount, _)| amount);
        let amounts = self.amount.iter().chain(further).map(|amount| {
            let [least, most, default] = [amount.least, amount.most, amount.default];
            let show = |number| amount.unit.show(number);
            format!("--{} {} to {} (else {})", amount.option, show(least), show(most), show(default))
        });
        let chosen = self.occasion.map(|occasion| {
            let which = match occasion.option() {
                Some("name") => "--name (one name alone), ",
                Some(_) => "--path (paths that begin so), ",
                None => "",
            };
            format!("{which}--every N, --chance P")
        });
        let all: Vec<String> = amounts.chain(chosen).chain(["--for TIME".to_owned()]).collect();
        format!("its options are {}", all.join(", "))
    }

    /// The edges that it can be laid on.
    pub fn edges(&self) -> Vec<Edge> {
        if let Deed::Edge(way) = (self.deed)(0) { way.edges() } else { Vec::new() }
    }

    /// What it can be laid on.
    pub fn places(&self) -> Vec<&'static str> {
        match self.kind {
            Kind::Edge => self.edges().into_iter().map(Edge::as_str).collect(),
            _ => self.on.iter().map(|service| service.as_str()).collect(),
        }
    }

    /// By which means it comes about, in which network.
    pub fn means(&self) -> &'static str {
        match ((self.deed)(0), self.kind) {
            (Deed::Edge(Way::Late { .. }), _) => {
                "in network `hosts`, by netem in a queue (tc) of the host that is asked. On `loopback`, and where the kernel has no netem, by \
                 the service that dials, which waits before it connects and before it asks; on `loopback`, client-web and \
                 client-resolver by the service that answers, which waits once before its answer, without --jitter"
            }
            (Deed::Edge(Way::Narrow(_)), _) => {
                "in network `hosts`, by a queue (tc, htb) of the host that is asked; on `loopback`, of client-web alone, by the web server, which gives its \
                 answers in pieces: what is counted is what it writes, without the headers of packets"
            }
            (Deed::Edge(Way::Forged(_)), _) => {
                "in network `hosts`, by a process on the router before the host that is asked, `wwwlab spoof`: a rule of nftables holds \
                 each question back there, the attacker sees it (packet(7)), answers in the server's name (raw(7)) and then passes it \
                 on, so that it is first without luck; not on `loopback`"
            }
            (Deed::Edge(Way::Lossy(_)), _) => {
                concat!(
                    nftables!(),
                    "; the kernel draws which packets. On `loopback`, of the ways of DNS alone and over UDP, by the resolver: the chances follow from the \
                     lab's seed, and a question of its own that is lost is asked again after 15 ms, up to 20 times"
                )
            }
            (Deed::Edge(Way::Cut), _) => {
                by_who_dials!(
                    "which reads nothing. The kernel shakes hands all the same, for as many as wait in its queue: curl connects and \
                     waits, `(28) Operation timed out` with `--max-time`. Who still waits when it is over is answered, unless it has \
                     ended its own side meanwhile (`nc -N`): its connection is reset, as that of who has left"
                )
            }
            (Deed::Edge(Way::HalfOpen), _) => {
                by_who_dials!(
                    "which reads and does what it is asked, and says nothing. The kernel shakes hands all the same: curl connects and \
                     waits, `(28) Operation timed out` with `--max-time`"
                )
            }
            (Deed::Edge(Way::Refuse), _) => {
                by_who_dials!(
                    "whose port is closed, as `ss -ltn` shows, and opened again when it is over, as soon as nobody else has it; over UDP \
                     and QUIC what was asked and not yet answered is lost with it"
                )
            }
            (Deed::Edge(_), _) => by_who_dials!("which ends its connections by a reset"),
            (Deed::Rim(Wrong::Database(DatabaseWrong::Full)), _) => {
                "in both networks, by the application, which has its engine say so on its own connections. A limit of the system's is no \
                 means for it: a server whose files may not grow (RLIMIT_FSIZE) is killed by SIGXFSZ at its next write"
            }
            (Deed::Rim(_), Kind::Database) => {
                "in both networks, by the application, which does it to its own connections"
            }
            (Deed::Rim(_), _) => {
                "in both networks, at the rim of the service: the answer is spoilt on its way out"
            }
            (Deed::Verb(_) | Deed::CrashLoop { .. } | Deed::Share(_), _) => {
                "in both networks, by signals and locks"
            }
            (Deed::Lock, _) => {
                "in both networks: SQLite by a process that holds an exclusive lock on the file (`wwwlab serve db --withhold`), MySQL by one \
                 whose session says LOCK TABLES … WRITE (`wwwlab serve db --lock-tables`); the fault is over when that \
                 process is. Where it is killed (SIGKILL) the tables are free a moment later: the server looks every few seconds whether a \
                 session's other end is still there"
            }
            (Deed::Gone, _) => {
                "in both networks: MySQL by SIGKILL; SQLite, which is a library in the application, by the application, whose engine opens \
                 what is not there. The file itself stays where it is: nothing can be lost"
            }
            (Deed::Limit(..), _) => "in both networks, by the limits of the operating system (prlimit)",
        }
    }

    /// Its page: what it is, how it looks, how it is found.
    pub fn page(&self) -> Vec<(&'static str, String)> {
        let (on, means) = (self.places(), self.means());
        vec![
            ("What", self.what.to_owned()),
            ("In real life", self.life.to_owned()),
            ("dig", self.dig.to_owned()),
            ("curl", self.curl.to_owned()),
            ("browser", self.browser.to_owned()),
            ("How to find it", self.find.to_owned()),
            ("Can be laid on", on.join(", ")),
            ("Comes about", means.to_owned()),
            ("Options", self.options().trim_start_matches("its options are ").to_owned()),
        ]
    }
}

/// All of them, as Markdown.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Faults\n\n\
         What can be wrong with a lab on purpose: `wwwlab fault add NAME`, `wwwlab fault list`, `wwwlab fault clear`.\n\
         This page is what `wwwlab fault explain --markdown` prints, made from the table that the command works by.\n\n\
         A fault ends with `wwwlab fault clear`, after `--for TIME`, and with the lab. What strikes single answers can strike\n\
         every N-th (`--every N`) or some by chance (`--chance 30%`): the chances follow from the lab's seed (`wwwlab status`\n\
         shows it; `wwwlab up --seed N` or `[lab] seed` sets it) and the fault's number, so that the same lab, the same faults\n\
         and the same requests are the same run again. A service that is started again counts from the beginning.\n\n\
         The ways between services are broken in network `hosts` (`wwwlab up --network hosts`) by the kernel of the lab's own\n\
         machines: the programs `nft` (package nftables) and `tc` (iproute2) are run there, and a student may look at what they were\n\
         given: `wwwlab shell internet -- nft list ruleset`, `wwwlab shell server -- tc qdisc`. Other tables there are left alone.\n\
         On `loopback` the kernel is the user's own, and is told nothing: who dials breaks the way at its own rim, and who\n\
         is asked where the client is the user. What a client sees is nearly the same, but a capture is not: what a service asks\n\
         and is lost was never sent, what the user asks is there and is not read, and a handshake of TCP is the kernel's. Answers\n\
         that have begun come to their end.\n",
    );
    for kind in Kind::ALL {
        let _ = write!(text, "\n## {}\n", kind.heading());
        for fault in TABLE.iter().filter(|fault| fault.kind == kind) {
            let _ = write!(text, "\n### {}\n\n", fault.name);
            for (heading, body) in fault.page() {
                let _ = writeln!(text, "- **{heading}**: {body}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_what_the_table_says() {
        let written = include_str!("../../../docs/FAULTS.md");
        assert!(written == markdown(), "write it anew: wwwlab fault explain --markdown > docs/FAULTS.md");
    }
}
