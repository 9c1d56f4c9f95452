//! What is asked of the lab's network: its cables and machines, and that one be cut, mended, switched off or on.

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::{Desk, Post};
use crate::lab::control::Response;
use crate::lab::hosts::ServiceName;
use crate::lab::keeper::Command;
use crate::lab::network::wiring::{Wiring, WiringError};

impl Desk {
    pub(super) fn cables(&self) -> Response {
        self.with_wiring().map_or_else(|none| none, |wiring| Response::Cables(wiring.cables()))
    }

    pub(super) fn machines(&self) -> Response {
        let services: Vec<ServiceName> = self.services.iter().map(|post| post.name).collect();
        self.with_wiring().map_or_else(|none| none, |wiring| Response::Machines(wiring.machines(&services)))
    }

    pub(super) async fn cable(&self, name: &str, whole: bool) -> Response {
        let wiring = match self.with_wiring() {
            Ok(wiring) => wiring,
            Err(none) => return none,
        };
        match wiring.cable(name, whole).await {
            Ok(name) if whole => self.done(format!("{name} is whole again")),
            Ok(name) => self.done(format!("{name} is cut: no packet passes, and nobody is told")),
            Err(error) => refused(error),
        }
    }

    pub(super) async fn power(&self, host: &str, on: bool) -> Response {
        let wiring = match self.with_wiring() {
            Ok(wiring) => wiring,
            Err(none) => return none,
        };
        let there = || self.services.iter().filter(|post| post.name.host().as_str() == host);
        let names = there().map(|post| post.name.as_str()).collect::<Vec<_>>().join(", ");
        if !on {
            let fail = async {
                join_all(there().map(|post| power(post, false))).await;
            };
            let with = if names.is_empty() { names } else { format!(", and with it {names}") };
            return match wiring.off(host, fail).await {
                Ok(()) => self.done(format!("{host} is off{with}: nobody there said good-bye")),
                Err(error) => refused(error),
            };
        }
        let start = async {
            // An application that logs in to a server finds one that serves.
            let (first, rest): (Vec<_>, Vec<_>) = there().partition(|post| post.name == ServiceName::Db);
            let mut failures = Vec::new();
            for posts in [first, rest] {
                let started = join_all(posts.into_iter().map(|post| power(post, true))).await;
                failures.extend(started.into_iter().filter_map(Result::err));
            }
            failures
        };
        match wiring.on(host, start).await {
            Ok(failures) if !failures.is_empty() => {
                let mut causes = vec![format!("{host} is on again, but not all that runs there")];
                causes.extend(failures);
                Response::Refused(causes)
            }
            Ok(_) if names.is_empty() => self.done(format!("{host} is on again")),
            Ok(_) => self.done(format!("{host} is on again, and there serve {names}")),
            Err(error) => refused(error),
        }
    }

    fn with_wiring(&self) -> Result<&Wiring, Response> {
        self.wiring.as_ref().ok_or_else(|| {
            let why = "network `loopback` has no cables and no machines, only addresses of this one: those are of network \
                       `hosts` (`wwwlab up --network hosts`)";
            Response::Refused(vec![why.into()])
        })
    }

    /// It was done: whoever asked is told, and whoever watches the lab.
    pub(super) fn done(&self, sentence: String) -> Response {
        self.journal.note(sentence.as_str());
        Response::Done(sentence)
    }
}

fn refused(error: WiringError) -> Response {
    Response::Refused(vec![error.to_string()])
}

/// The power of a service's host comes, or fails; why the service does not serve then.
async fn power(post: &Post, on: bool) -> Result<(), String> {
    let (answer, done) = oneshot::channel();
    let _ = post.commands.send(Command::Power(on, answer)).await;
    done.await.unwrap_or_else(|_| Err("the lab is going down".into()))
}
