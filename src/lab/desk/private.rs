//! DNS in private, switched on and off, and its certificates renewed, while the lab is up.

use crate::ground::channel::{Ask, Reply};
use crate::ground::service::causes;

use super::super::control::Response;
use super::super::hosts::ServiceName;
use super::super::private::Serving;
use super::super::status::State;
use super::Desk;

impl Desk {
    /// Has DNS asked in private by all that there is, or not at all; without either, with certificates as they are now. What is
    /// asked and answered over open connections goes on.
    pub(super) async fn make_private(&self, all: Option<bool>) -> Response {
        let _one_at_a_time = self.securing.lock().await;
        let design = &self.design;
        let concerned = || self.services.iter().filter(|post| Serving::concerns(post.name));
        if let Some(still) = concerned().find(|post| self.service(post).condition.state == State::Paused) {
            let name = still.name;
            return Response::Refused(vec![format!(
                "{name} stands still and cannot be told: `wwwlab resume {name}`, then again"
            )]);
        }
        let former = design.private.get();
        let next = match former.next(all, &design.config, &design.ports, &design.directory) {
            Ok(next) => next,
            Err(error) => return Response::Refused(causes(&error)),
        };
        // First: a service that starts meanwhile starts with it.
        design.private.put(next);
        let is_up = |name| self.post(name).is_some_and(|post| post.condition.borrow().pid.is_some());
        let (up, down): (Vec<_>, Vec<_>) = concerned().map(|post| post.name).partition(|&name| is_up(name));
        for (place, &name) in up.iter().enumerate() {
            let why = match self.ask(name, Ask::Private(design.private(name))).await {
                Ok(Reply::Done) => continue,
                Ok(Reply::Refused(why)) | Err(why) => why,
                Ok(_) => vec![format!("{name} answered something else")],
            };
            // Whoever did not answer may still obey: behind the order goes the one that takes it back.
            design.private.put(former);
            for &told in &up[..=place] {
                self.order(told, Ask::Private(design.private(told))).await;
            }
            return Response::Refused(why);
        }
        let later = |name: &ServiceName| format!("{name} is not up: it will be so when it starts");
        Response::Done(down.iter().map(later).collect::<Vec<_>>().join("\n"))
    }

    /// Looks at the certificates of DNS, and renews what has less than a third of its time left.
    pub(super) async fn renew_private(&self) {
        let design = &self.design;
        let former = design.private.get();
        if !former.is_due() {
            return;
        }
        design.private.put(former.later());
        match former.next(None, &design.config, &design.ports, &design.directory) {
            Ok(next) if next.shows_others_than(&former) => match self.make_private(None).await {
                Response::Refused(why) => {
                    self.journal.note(format!("renewed certificates cannot be shown: {}", why.join(": ")));
                }
                _ => self.journal.note("certificates of DNS are renewed"),
            },
            Ok(_) => {}
            Err(error) => {
                let why = causes(&error).join(": ");
                self.journal.note(format!("certificates of DNS cannot be looked at: {why}"));
            }
        }
    }
}
