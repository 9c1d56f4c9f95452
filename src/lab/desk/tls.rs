//! HTTPS switched on and off, and certificates renewed, while the lab is up.

use crate::ground::channel::{Ask, Reply};
use crate::ground::service::causes;

use super::super::control::Response;
use super::super::hosts::ServiceName;
use super::super::status::State;
use super::super::tls::Change;
use super::Desk;

impl Desk {
    /// Makes `change`, and has the web server do so. What is asked and answered over open connections goes on.
    pub(super) async fn secure(&self, change: Change) -> Response {
        let _one_at_a_time = self.securing.lock().await;
        let design = &self.design;
        let web = self.post(ServiceName::Web).map(|post| self.service(post).condition.state);
        if web == Some(State::Paused) {
            let remedy = "web stands still and cannot be told: `wwwlab resume web`, then again";
            return Response::Refused(vec![remedy.into()]);
        }
        let former = design.tls.get();
        let next = match former.next(change, &design.config, &design.ports, &design.directory) {
            Ok(next) => next,
            Err(error) => return Response::Refused(causes(&error)),
        };
        let wanted = next.wanted(&design.config, &design.directory);
        // First: a web server that starts meanwhile starts with it.
        design.tls.put(next);
        let is_up = self.post(ServiceName::Web).is_some_and(|post| post.condition.borrow().pid.is_some());
        if is_up {
            match self.ask(ServiceName::Web, Ask::Tls(wanted)).await {
                Ok(Reply::Done) => {}
                Ok(Reply::Refused(why)) => {
                    design.tls.put(former);
                    return Response::Refused(why);
                }
                // Whoever does not answer may still obey: behind the order goes the one that takes it back.
                answer => {
                    let former_wanted = former.wanted(&design.config, &design.directory);
                    design.tls.put(former);
                    self.order(ServiceName::Web, Ask::Tls(former_wanted)).await;
                    return Response::Refused(
                        answer.err().unwrap_or(vec!["web answered something else".into()]),
                    );
                }
            }
        }
        let late = (!is_up).then(|| "web is not up: it will be so when it starts".to_owned());
        let unpublished = self
            .publish_https()
            .await
            .err()
            .map(|why| format!("HTTPS cannot be reached from this machine: {}", why.join(": ")));
        Response::Done([late, unpublished].into_iter().flatten().collect::<Vec<_>>().join("\n"))
    }

    /// Has HTTPS be carried to the web server, if that is published, for as long as it is spoken; why not, as causes.
    pub(in crate::lab) async fn publish_https(&self) -> Result<(), Vec<String>> {
        let Some(way) = &self.secure_way else { return Ok(()) };
        let there = self.design.tls.get().first_address(self.design.network);
        way.carry(there).await
    }

    /// Whether it is time to look at the certificates.
    pub(in crate::lab) fn certificates_are_due(&self) -> bool {
        self.design.tls.get().is_due() || self.design.private.get().is_due()
    }

    /// Looks at the certificates, and renews what has less than a third of its time left.
    pub(in crate::lab) async fn renew_certificates(&self) {
        self.renew_private().await;
        let design = &self.design;
        let former = design.tls.get();
        design.tls.put(former.later());
        match former.next(Change::default(), &design.config, &design.ports, &design.directory) {
            Ok(next) if next.shows_others_than(&former) => match self.secure(Change::default()).await {
                Response::Refused(why) => {
                    self.journal.note(format!("renewed certificates cannot be shown: {}", why.join(": ")));
                }
                _ => self.journal.note("certificates are renewed"),
            },
            Ok(_) => {}
            Err(error) => {
                let why = causes(&error).join(": ");
                self.journal.note(format!("certificates cannot be looked at: {why}"));
            }
        }
    }
}
