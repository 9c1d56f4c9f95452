//! The ways that are broken by a service at one of their ends, and not by a kernel: what it is told; pure.
//!
//! On `loopback` no machine is between two services, and the kernel is the user's own, which no fault of a lab may touch. So
//! whoever dials breaks the way itself: it sends nothing, or does not hear what comes back. Whoever comes to the web server
//! or to the resolver is no service of the lab; there it is done by who is asked, and what only a kernel can do is refused.

use super::edges::{Edge, Way};
use super::wanted::HowOften;
use crate::ground::chance::Stream;
use crate::ground::fault::{Asked, DnsWrong, EdgeWrong, HttpWrong, Wrong};
use crate::lab::config::Network;
use crate::lab::hosts::ServiceName;

/// A stream of the lab's seed that no fault has: what is drawn for an edge is told apart by the edge.
const JITTER: u32 = 1 << 31;

impl Edge {
    /// Who breaks it at its own rim: who dials, and of what comes from outside who answers.
    pub(super) fn broken_by(self) -> &'static [ServiceName] {
        match self {
            Self::ClientWeb | Self::WebApp => &[ServiceName::Web],
            Self::AppDb => &ServiceName::APPS,
            _ => &ServiceName::RESOLVERS,
        }
    }

    /// Whether a service of the lab dials on it.
    pub(in crate::lab) fn is_dialled_here(self) -> bool {
        !matches!(self, Self::ClientWeb | Self::ClientResolver)
    }

    /// What a service does so that `way` is so, and how often; else why none can.
    pub(in crate::lab) fn at_the_rim(
        self,
        way: Way,
        network: Network,
        seed: u32,
    ) -> Result<(Wrong, HowOften), String> {
        let machines = |what: &str| {
            format!(
                "{what}, and on network `loopback` there are no machines of the lab's own: `wwwlab up --network hosts`. What can be \
                 laid here: `wwwlab fault explain`"
            )
        };
        let is_dialled = self.is_dialled_here();
        let (wrong, how_often) = match way {
            Way::Late { jitter: 1.., .. } if !is_dialled => {
                return Err(machines(&format!(
                    "who comes on {self} is no service of the lab, so here its answer as a whole is late, without --jitter; a kernel holds packets back"
                )));
            }
            Way::Late { millis, .. } if self == Self::ClientWeb => {
                return Ok((Wrong::Http(HttpWrong::SlowFirstByte { millis }), HowOften::Always));
            }
            Way::Late { millis, .. } if !is_dialled => {
                return Ok((Wrong::Dns(DnsWrong::Slow { millis }), HowOften::Always));
            }
            Way::Late { millis, jitter } => {
                let stream = Stream::of(u64::from(seed), JITTER | self.number());
                (EdgeWrong::Late { millis, jitter, stream }, HowOften::Always)
            }
            Way::Lossy(percent) if self.has_datagrams() => {
                let millionths = u32::try_from(percent).unwrap_or(100).saturating_mul(10_000);
                (EdgeWrong::Lost, HowOften::Chance(millionths))
            }
            Way::Lossy(_) => {
                return Err(machines(&format!(
                    "all of {self} is TCP, which sends again what is lost: only a kernel can lose packets of it"
                )));
            }
            Way::Forged(_) => return Err(machines("an attacker is between two machines")),
            Way::Narrow(kilobits) if self == Self::ClientWeb => {
                (EdgeWrong::Narrow { kilobits }, HowOften::Always)
            }
            Way::Narrow(_) => {
                return Err(machines(&format!(
                    "here the web server alone gives its answers so many bits a second (client-web), and on {self} that is for the queues of a kernel"
                )));
            }
            Way::Cut => (EdgeWrong::Cut, HowOften::Always),
            Way::Refuse => (EdgeWrong::Refuse, HowOften::Always),
            Way::Reset => (EdgeWrong::Reset, HowOften::Always),
            Way::HalfOpen => (EdgeWrong::HalfOpen, HowOften::Always),
        };
        Ok((Wrong::Edge { asked: self.to(network), wrong }, how_often))
    }

    fn to(self, network: Network) -> Asked {
        let host = self.asked().host();
        match self {
            Self::ClientWeb | Self::ClientResolver => Asked::Here,
            Self::WebApp | Self::AppDb => Asked::Only,
            _ => Asked::At(host.address(network), host.addresses(network).nth(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rim(edge: Edge, way: Way) -> Result<(Wrong, HowOften), String> {
        edge.at_the_rim(way, Network::Loopback, 7)
    }

    #[test]
    fn who_dials_breaks_the_way_to_whom_it_is_about() {
        let (wrong, how_often) = rim(Edge::ResolverTld, Way::Cut).unwrap();
        let Wrong::Edge { asked, wrong: EdgeWrong::Cut } = wrong else { panic!("{wrong:?}") };
        let [tld, root] =
            [ServiceName::Tld, ServiceName::Root].map(|name| name.host().address(Network::Loopback));
        assert!(asked.is_at(tld) && !asked.is_at(root));
        assert_eq!(how_often, HowOften::Always);
        assert_eq!(rim(Edge::ResolverRoot, Way::Lossy(30)).unwrap().1, HowOften::Chance(300_000));
        let late = Way::Late { millis: 5, jitter: 1 };
        assert_ne!(rim(Edge::WebApp, late).unwrap(), rim(Edge::AppDb, late).unwrap(), "each draws its own");
    }

    #[test]
    fn who_is_asked_breaks_the_way_by_which_strangers_come() {
        let both = [Edge::ClientWeb, Edge::ClientResolver];
        for (way, wrong) in [
            (Way::Cut, EdgeWrong::Cut),
            (Way::Refuse, EdgeWrong::Refuse),
            (Way::Reset, EdgeWrong::Reset),
            (Way::HalfOpen, EdgeWrong::HalfOpen),
        ] {
            for edge in both {
                let told = (Wrong::Edge { asked: Asked::Here, wrong }, HowOften::Always);
                assert_eq!(rim(edge, way).unwrap(), told, "{edge}");
            }
        }
        let lost = Wrong::Edge { asked: Asked::Here, wrong: EdgeWrong::Lost };
        assert_eq!(rim(Edge::ClientResolver, Way::Lossy(30)).unwrap(), (lost, HowOften::Chance(300_000)));
    }

    #[test]
    fn answers_of_the_web_server_alone_are_narrowed() {
        let narrow = Wrong::Edge { asked: Asked::Here, wrong: EdgeWrong::Narrow { kilobits: 9 } };
        assert_eq!(rim(Edge::ClientWeb, Way::Narrow(9)).unwrap().0, narrow);
        assert!(rim(Edge::ClientResolver, Way::Narrow(9)).is_err());
    }

    #[test]
    fn what_only_a_kernel_can_do_says_why() {
        let why = |edge, way| rim(edge, way).unwrap_err();
        assert!(why(Edge::ClientWeb, Way::Lossy(3)).contains("all of client-web is TCP"));
        assert!(why(Edge::WebApp, Way::Lossy(3)).contains("all of web-app is TCP"));
        assert!(why(Edge::ResolverRoot, Way::Narrow(9)).contains("`wwwlab up --network hosts`"));
        assert!(why(Edge::ClientResolver, Way::Late { millis: 5, jitter: 1 }).contains("without --jitter"));
        let late = Way::Late { millis: 5, jitter: 0 };
        assert_eq!(rim(Edge::ClientResolver, late).unwrap().0, Wrong::Dns(DnsWrong::Slow { millis: 5 }));
        assert_eq!(
            rim(Edge::ClientWeb, late).unwrap().0,
            Wrong::Http(HttpWrong::SlowFirstByte { millis: 5 })
        );
    }
}
