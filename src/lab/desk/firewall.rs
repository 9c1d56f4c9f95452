//! What is asked of the machines' firewalls: which there are, what stands, that one be put in place or taken away.

use crate::ground::service::causes;
use crate::lab::control::Response;
use crate::lab::firewall::{Applied, FirewallError, Firewalls, Wish};
use crate::lab::network::wiring::Wiring;

use super::Desk;

impl Desk {
    pub(super) async fn firewall(&self, wish: Wish) -> Response {
        let (Some(firewalls), Some(wiring)) = (&self.firewalls, &self.wiring) else {
            let why = "on network `loopback` there is one machine, yours, and the lab leaves its firewall alone: machines with firewalls \
                       of their own are of network `hosts` (`wwwlab up --network hosts`)";
            return Response::Refused(vec![why.into()]);
        };
        let (Wish::Show { host } | Wish::Apply { host, .. } | Wish::Clear { host }) = &wish else {
            return Response::Firewalls(self.listed(firewalls, wiring));
        };
        let host = host.clone();
        if let Err(error) = wiring.with_power(&host) {
            return Response::Refused(vec![error.to_string()]);
        }
        let answer = match wish {
            Wish::Apply { file, .. } => {
                // No fault comes or goes meanwhile: what is laid is laid again with the file.
                let _turn = self.faults.turn.lock().await;
                let kept = match &self.edges {
                    Some(machines) => machines.rules(&host).await,
                    None => String::new(),
                };
                firewalls.apply(&host, file, &kept).await.map(|(name, ruleset)| {
                    let rules = match ruleset.rules() {
                        1 => "1 rule".to_owned(),
                        count => format!("{count} rules"),
                    };
                    self.done(format!("{host} has the firewall of {name}: {rules}"))
                })
            }
            Wish::Clear { .. } => {
                let done =
                    || self.done(format!("{host} has no firewall: every port that listens can be reached"));
                firewalls.clear(&host).await.map(|()| done())
            }
            Wish::Show { .. } | Wish::List => {
                firewalls.show(&host).await.map(|standing| Response::Firewall(Box::new(standing)))
            }
        };
        answer.unwrap_or_else(refused)
    }

    fn listed(&self, firewalls: &Firewalls, wiring: &Wiring) -> Vec<Applied> {
        wiring.machines(&[]).iter().map(|machine| firewalls.applied_on(&machine.name)).collect()
    }
}

/// The causes, and after them what nft says.
fn refused(error: FirewallError) -> Response {
    let mut why = causes(&error);
    if let FirewallError::Refused { said, .. } = error {
        why.extend(said);
    }
    Response::Refused(why)
}
