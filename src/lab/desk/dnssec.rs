//! Zones signed, and left unsigned again, while the lab is up.

use crate::ground::channel::{Ask, Reply};
use crate::ground::service::causes;

use super::super::control::{Response, Verb};
use super::super::dnssec::{Change, SIGNERS, Signing};
use super::super::hosts::ServiceName;
use super::super::status::State;
use super::Desk;

impl Desk {
    /// Makes `change`: has the name servers sign so, then the resolvers believe so. These forget what they heard before.
    pub(super) async fn dnssec(&self, change: &Change) -> Response {
        let _one_at_a_time = self.securing.lock().await;
        let design = &self.design;
        let stands_still = self.concerned().find(|&(name, _)| {
            self.post(name).is_some_and(|post| self.service(post).condition.state == State::Paused)
        });
        if let Some((name, _)) = stands_still {
            let remedy =
                format!("{name} stands still and cannot be told: `wwwlab resume {name}`, then again");
            return Response::Refused(vec![remedy]);
        }
        let former = design.dnssec.get();
        let next = match former.next(change, &design.config, &design.directory) {
            Ok(next) => next,
            Err(error) => return Response::Refused(causes(&error)),
        };
        // First: who starts meanwhile starts with it.
        design.dnssec.put(next.clone());
        let (before, after) = (self.orders(&former), self.orders(&next));
        for (index, (name, ask)) in after.iter().enumerate() {
            let is_up = self.post(*name).is_some_and(|post| post.condition.borrow().pid.is_some());
            if !is_up {
                continue;
            }
            let refused = match self.ask(*name, ask.clone()).await {
                Ok(Reply::Zones(_) | Reply::Done) => continue,
                Ok(Reply::Refused(why)) | Err(why) => why,
                Ok(_) => vec![format!("{name} answered something else")],
            };
            design.dnssec.put(former);
            // Whoever does not answer may still obey: behind the order goes the one that takes it back.
            for (name, ask) in before.into_iter().take(index + 1) {
                self.order(name, ask).await;
            }
            return Response::Refused(refused);
        }
        self.copy_anew(&former, &next).await;
        Response::Done(String::new())
    }

    /// What is told to whom, who is asked for answers last.
    fn orders(&self, signing: &Signing) -> Vec<(ServiceName, Ask)> {
        let design = &self.design;
        let order = |(name, signs): (ServiceName, bool)| match signs {
            true => (name, Ask::Sign(signing.wanted(name, &design.config, design.network))),
            false => (name, Ask::Believe(signing.anchors())),
        };
        self.concerned().map(order).collect()
    }

    /// The services that have to do with it, and whether they sign.
    fn concerned(&self) -> impl Iterator<Item = (ServiceName, bool)> {
        let signers = SIGNERS.into_iter().map(|name| (name, true));
        let all = signers.chain(ServiceName::RESOLVERS.into_iter().map(|name| (name, false)));
        all.filter(|&(name, _)| self.post(name).is_some())
    }

    /// A zone that is not signed any more has the lower serial of its file again, which a secondary would not take: its
    /// copies are forgotten.
    async fn copy_anew(&self, former: &Signing, next: &Signing) {
        let is_left = former.zones().any(|zone| !next.zones().any(|other| other == zone));
        let second = self.post(ServiceName::Dns2).filter(|post| post.condition.borrow().pid.is_some());
        if !is_left || second.is_none() {
            return;
        }
        self.act(Verb::Stop, ServiceName::Dns2).await;
        // Where there are none, there is nothing to forget.
        let _ = std::fs::remove_dir_all(self.design.directory.state.join("zones"));
        self.act(Verb::Start, ServiceName::Dns2).await;
    }
}
