//! HTTPS switched on and off, and certificates renewed or put on trial, while the lab is up.

use crate::ground::channel::{Ask, Reply};
use crate::ground::service::causes;

use super::super::application::How;
use super::super::certs::Certs;
use super::super::control::{Response, Verb};
use super::super::hosts::ServiceName;
use super::super::status::State;
use super::super::tls::{Change, Serving};
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
        if let Err(why) = self.put_into_service(former, next).await {
            return Response::Refused(why);
        }
        let late = (!self.web_is_up()).then(|| "web is not up: it will be so when it starts".to_owned());
        let unpublished = self
            .publish_https()
            .await
            .err()
            .map(|why| format!("HTTPS cannot be reached from this machine: {}", why.join(": ")));
        Response::Done([late, unpublished].into_iter().flatten().collect::<Vec<_>>().join("\n"))
    }

    fn web_is_up(&self) -> bool {
        self.post(ServiceName::Web).is_some_and(|post| post.condition.borrow().pid.is_some())
    }

    /// Has the web server do as `next` says in place of `former`; where it does not, that stays.
    async fn put_into_service(&self, former: Serving, next: Serving) -> Result<(), Vec<String>> {
        let design = &self.design;
        let wanted = next.wanted(&design.config, &design.directory);
        // First: a web server that starts meanwhile starts with it.
        design.tls.put(next);
        if !self.web_is_up() {
            return Ok(());
        }
        match self.ask(ServiceName::Web, Ask::Tls(wanted)).await {
            Ok(Reply::Done) => Ok(()),
            Ok(Reply::Refused(why)) => {
                design.tls.put(former);
                Err(why)
            }
            // Whoever does not answer may still obey: behind the order goes the one that takes it back.
            answer => {
                let former_wanted = former.wanted(&design.config, &design.directory);
                design.tls.put(former);
                self.order(ServiceName::Web, Ask::Tls(former_wanted)).await;
                Err(answer.err().unwrap_or(vec!["web answered something else".into()]))
            }
        }
    }

    /// Has the web server show new certificates, for as long as somebody measures: by reload as those that are renewed come into
    /// service, by restart as in a web server that reads them only when it starts.
    pub(in crate::lab) async fn try_certificates(&self, how: How) -> Response {
        let _one_at_a_time = self.securing.lock().await;
        let design = &self.design;
        let refused = |why: &str| Response::Refused(vec![why.to_owned()]);
        if self.post(ServiceName::Web).map(|post| self.service(post).condition.state) != Some(State::Running)
        {
            return refused("web does not serve: `wwwlab status`");
        }
        let former = design.tls.get();
        if !former.is_on() {
            return refused("the lab speaks no HTTPS, and so shows no certificate: `wwwlab secure`");
        }
        let next = match former.on_trial(&design.config, &design.directory) {
            Ok(next) => next,
            Err(error) => return Response::Refused(causes(&error)),
        };
        match how {
            How::Reload => match self.put_into_service(former, next).await {
                Ok(()) => Response::Done("new certificates are shown".into()),
                Err(why) => Response::Refused(why),
            },
            How::Restart => {
                design.tls.put(next);
                let restarted = self.act(Verb::Restart, ServiceName::Web).await;
                let Response::Refused(mut why) = restarted else { return restarted };
                design.tls.put(former);
                if let Response::Refused(_) = self.act(Verb::Start, ServiceName::Web).await {
                    why.push("nor does it start with the former one: `wwwlab status`".into());
                }
                Response::Refused(why)
            }
            How::Rolling | How::BlueGreen => {
                refused("a certificate comes into service by reload or by restart")
            }
        }
    }

    /// Has the web server show what is kept, and do whatever else was changed meanwhile; what was on trial is removed.
    pub(in crate::lab) async fn take_back_certificates(&self) -> Response {
        let _one_at_a_time = self.securing.lock().await;
        let design = &self.design;
        let next = design.tls.get().next(Change::default(), &design.config, &design.ports, &design.directory);
        let next = match next {
            Ok(next) => next,
            // What is on trial is shown still, and so stays.
            Err(error) => return Response::Refused(causes(&error)),
        };
        let wanted = next.wanted(&design.config, &design.directory);
        // Whatever comes of it: who starts from now on shows what is kept.
        design.tls.put(next);
        let told = match self.post(ServiceName::Web).map(|post| self.service(post).condition.state) {
            // Whoever stands still finds it when he goes on.
            Some(State::Paused) => {
                self.order(ServiceName::Web, Ask::Tls(wanted)).await;
                Ok(())
            }
            _ if !self.web_is_up() => Ok(()),
            _ => match self.ask(ServiceName::Web, Ask::Tls(wanted)).await {
                Ok(Reply::Done) => Ok(()),
                Ok(Reply::Refused(why)) | Err(why) => Err(why),
                Ok(_) => Err(vec!["web answered something else".into()]),
            },
        };
        let removed = Certs::of(&design.directory).remove_trial().map_err(|error| causes(&error));
        match told.and(removed) {
            Ok(()) => Response::Done("all is as before".into()),
            Err(mut why) => {
                why.insert(0, "the certificates are not as before: `wwwlab restart web`".into());
                Response::Refused(why)
            }
        }
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
