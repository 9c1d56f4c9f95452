//! The firewalls on the way: what each counted while the request was made, and whether it was one that ended it.
//!
//! A firewall does not say who was meant. What its rules counted meanwhile may be another's packets as well, so nothing is
//! laid at its door but what fits what the client met: silence where something was dropped, a refusal where something was.

use super::{Teller, client, step};
use crate::path::asking::{Seen, Trouble};
use crate::path::model::{Failure, Heading, Party, Said, Step};

/// Rules that are told of a firewall at most.
const COUNTED_MOST: usize = 8;

/// A firewall on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    /// The machine that it is on.
    pub host: String,
    /// What becomes of packets that no rule decides on: `input: drop`.
    pub policies: Vec<String>,
    /// Which of its rules counted something while the request was made, in their order.
    pub counted: Vec<Counted>,
}

/// A rule that counted something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// As its language writes it.
    pub rule: String,
    /// `accept`, `drop`, `reject`; nothing where it decides nothing, or that depends.
    pub verdict: Option<&'static str>,
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Counted {
    fn packets(&self) -> String {
        format!("{} packet{}", self.packets, if self.packets == 1 { "" } else { "s" })
    }
}

impl Firewall {
    /// How it ended a connection that met `trouble`; nothing where it seems not to be what did.
    fn ended(&self, trouble: &Trouble) -> Option<String> {
        let host = &self.host;
        let by = |verdict| self.counted.iter().find(|counted| counted.verdict == Some(verdict));
        let undecided = || self.counted.iter().find(|counted| counted.verdict.is_none());
        let drops = || self.policies.iter().any(|policy| policy.ends_with(": drop"));
        match trouble {
            Trouble::Silent(_) => match (by("drop"), undecided()) {
                (Some(rule), _) => Some(format!(
                    "The firewall of {host} dropped {}, without a word, by its rule `{}`: the client waits, and cannot tell \
                     this from a machine that is off.",
                    rule.packets(),
                    rule.rule
                )),
                (None, Some(rule)) if drops() => Some(format!(
                    "The firewall of {host} has no rule that lets this through ({} came to `{}`), and its policy is to drop the \
                     rest, without a word: the client waits, and cannot tell this from a machine that is off.",
                    rule.packets(),
                    rule.rule
                )),
                _ => None,
            },
            Trouble::Refused | Trouble::Reset | Trouble::Unreachable(_) => by("reject").map(|rule| {
                format!(
                    "The firewall of {host} rejected {} by its rule `{}`: a refusal that the web server knows nothing of.",
                    rule.packets(),
                    rule.rule
                )
            }),
            _ => None,
        }
    }

    fn step(&self, from: Party, begins: u64) -> Step {
        let to = Party { name: "firewall".into(), host: Some(self.host.clone()), address: None };
        let mut step = step(Heading::Firewall, 0, from, to, begins, 0);
        step.said.push(Said::new("host", self.host.as_str()));
        if !self.policies.is_empty() {
            let policies = self.policies.join(", ");
            step.said.push(Said::new("policy", format!("{policies}, of what no rule decides on")));
        }
        for counted in self.counted.iter().take(COUNTED_MOST) {
            let words = format!("{}, {} bytes: {}", counted.packets(), counted.bytes, counted.rule);
            step.said.push(Said::new("counted", words));
        }
        match self.counted.len() {
            0 => step.said.push(Said::new("counted", "nothing meanwhile, by no rule that counts")),
            count if count > COUNTED_MOST => {
                step.said.push(Said::new("", format!("and {} rules more", count - COUNTED_MOST)));
            }
            _ => {}
        }
        step
    }
}

impl Teller<'_> {
    /// Why nothing is told of firewalls where nobody looked before and after.
    pub(super) fn unwatched_firewalls(&self) -> &'static str {
        match self.cast.firewalls.is_empty() {
            true => "there is none in this design",
            false => "not known: nobody looked at its counters before; `wwwlab path URL` does",
        }
    }

    /// The firewalls; how one of them ended the connection, if one did.
    pub(super) fn firewalls(&mut self, seen: &Seen) -> Option<Failure> {
        if self.cast.firewalls.is_empty() {
            self.lacks(
                Heading::Firewall,
                "there is none in this design: every port that listens can be reached",
            );
            return None;
        }
        let connection = seen.connection.as_ref();
        let from = connection.and_then(|connection| connection.result.as_ref().ok()).map(|ok| ok.from);
        let trouble = connection.and_then(|connection| connection.result.as_ref().err());
        let mut failure = None;
        for firewall in &self.cast.firewalls {
            let mut step = firewall.step(client(from), connection.map_or(0, |connection| connection.begins));
            let ended = trouble.and_then(|trouble| firewall.ended(trouble).zip(Some(trouble)));
            if let (None, Some((happened, trouble))) = (&failure, ended) {
                step.failed = true;
                failure = Some(self.cast.lab().walled(trouble, &firewall.host, happened));
            }
            self.steps.push(step);
            let stopped =
                || firewall.counted.iter().any(|counted| matches!(counted.verdict, Some("drop" | "reject")));
            if let (None, Some(earlier)) = (connection, &mut self.failure)
                && stopped()
            {
                // It may have been the question for the name that did not pass.
                earlier.next.push(self.cast.lab().types(&format!("firewall show {}", firewall.host)));
            }
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firewall(verdict: Option<&'static str>, policy: &str) -> Firewall {
        let counted = Counted { rule: "tcp dport 80 counter".into(), verdict, packets: 3, bytes: 180 };
        Firewall { host: "server".into(), policies: vec![policy.into()], counted: vec![counted] }
    }

    #[test]
    fn it_is_laid_at_a_firewall_only_if_it_fits_what_was_met() {
        let silent = Trouble::Silent(5_000);
        let said = firewall(Some("drop"), "input: accept").ended(&silent).unwrap();
        assert!(said.contains("dropped 3 packets") && said.contains("`tcp dport 80 counter`"), "{said}");
        assert!(
            firewall(None, "input: drop").ended(&silent).unwrap().contains("no rule that lets this through")
        );
        assert!(
            firewall(Some("reject"), "input: accept").ended(&Trouble::Refused).unwrap().contains("rejected")
        );
        for (verdict, policy, trouble) in [
            (Some("drop"), "input: drop", Trouble::Refused),
            (Some("accept"), "input: drop", silent.clone()),
            (None, "input: accept", silent.clone()),
            (Some("reject"), "input: accept", silent.clone()),
            (Some("reject"), "input: accept", Trouble::Closed),
        ] {
            assert_eq!(firewall(verdict, policy).ended(&trouble), None, "{verdict:?} {policy} {trouble:?}");
        }
        let unmoved = Firewall { counted: Vec::new(), ..firewall(None, "input: drop") };
        assert_eq!(unmoved.ended(&silent), None, "what counted nothing met nothing: a cable may be cut");
    }

    #[test]
    fn of_many_rules_the_first_are_told() {
        let mut many = firewall(Some("accept"), "input: drop");
        many.counted = vec![many.counted[0].clone(); COUNTED_MOST + 3];
        let step = many.step(client(None), 0);
        assert_eq!(step.said.len(), 2 + COUNTED_MOST + 1);
        assert_eq!(step.said.last().unwrap().words, "and 3 rules more");
    }
}
