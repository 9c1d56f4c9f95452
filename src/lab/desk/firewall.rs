//! What is asked of the machines' firewalls: which there are, what stands, that one be put in place or taken away.

use std::path::PathBuf;

use tokio::time::timeout;

use crate::ground::service::causes;
use crate::lab::control::Response;
use crate::lab::firewall::{Applied, FirewallError, Firewalls, TURN_WITHIN, Wish};
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
            Wish::Apply { file, .. } => self.apply_firewall(firewalls, &host, file).await,
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

    async fn apply_firewall(
        &self,
        firewalls: &Firewalls,
        host: &str,
        file: Option<PathBuf>,
    ) -> Result<Response, FirewallError> {
        let checked = firewalls.check(host, file).await?;
        {
            // No fault comes or goes meanwhile: what is laid is laid again with the file.
            let turn = timeout(TURN_WITHIN, self.faults.turn.lock()).await;
            let _turn = turn.map_err(|_| FirewallError::Busy("a fault's laying or ending"))?;
            let kept = match &self.edges {
                Some(machines) => machines.rules(host).await,
                None => String::new(),
            };
            firewalls.put(&checked, &kept).await?;
        }
        let rules = match firewalls.standing(host).await?.rules() {
            1 => "1 rule".to_owned(),
            count => format!("{count} rules"),
        };
        Ok(self.done(format!("{host} has the firewall of {}: {rules}", checked.name)))
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
