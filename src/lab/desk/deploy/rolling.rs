//! One process of the application after the other, at the port that it has, while the others serve.
//!
//! The web server takes each out, says when it has answered what it had, and puts it back once the new one is well. One that
//! does not come into service has its former version again, and so have those before it.

use std::net::SocketAddr;
use std::path::Path;

use crate::ground::channel::{Ask, Reply};
use crate::lab::hosts::ServiceName;
use crate::lab::status::State;

use super::{Came, Desk, Post, Refusal, absent, may_be_asked};

/// Web servers that are told, where each ends before it answers.
const WEBS_MOST: u32 = 3;

impl Desk {
    /// Has each of `running` ended and started again with `code`.
    pub(super) async fn roll(&self, running: &[&Post], code: Option<&Path>) -> Result<Came, Refusal> {
        let web = self.post(ServiceName::Web).map(|post| self.service(post).condition);
        may_be_asked(web.as_ref())?;
        if let [only] = running {
            let down = self.apps().find(|post| self.service(post).condition.state != State::Running);
            let down = down.map_or(ServiceName::App, |post| post.name);
            return Err(vec![format!(
                "only {} is up, and nobody would serve while it is started anew: `wwwlab start {down}`, then deploy",
                only.name
            )]);
        }
        let mut unfinished: u32 = 0;
        for (number, post) in running.iter().enumerate() {
            match self.roll_one(post.name, code).await {
                Ok(cut) => unfinished = unfinished.saturating_add(cut),
                Err(mut why) => {
                    if number + 1 < running.len() {
                        let rest = running[number + 1..].iter().map(|post| post.name.as_str());
                        why.push(format!("{} was left as it is", rest.collect::<Vec<_>>().join(" and ")));
                    }
                    return Err(self.go_back(&running[..number], post.name, why).await);
                }
            }
        }
        Ok(Came::others(running, unfinished))
    }

    /// One of them; how many requests it had not answered in time.
    async fn roll_one(&self, service: ServiceName, code: Option<&Path>) -> Result<u32, Refusal> {
        let former = self.design.apps.of(service);
        let Some(address) = self.design.address(service) else { return Err(vec![absent(service)]) };
        let unfinished = self.rest(service, address).await?;
        let mut why = match self.started_anew(service, code).await {
            Err(why) => why,
            Ok(()) => {
                let Err(mut why) = self.resume(address, false).await else { return Ok(unfinished) };
                why.push(self.former_again(service, former).await.into());
                why
            }
        };
        // Also one that is down for good: it has requests again as soon as it is started by hand.
        why.extend(self.resume(address, true).await.err().into_iter().flatten());
        Err(why)
    }

    /// Has the web server pass nothing on to `service`, which is at `address`.
    async fn rest(&self, service: ServiceName, address: SocketAddr) -> Result<u32, Refusal> {
        for _ in 0..WEBS_MOST {
            let web = self.pid(ServiceName::Web);
            if web.is_none() {
                return Ok(0);
            }
            match self.ask(ServiceName::Web, Ask::Rest { address }).await {
                Ok(Reply::Replaced { unfinished }) => return Ok(unfinished),
                Ok(Reply::Refused(mut why)) => {
                    why.push(format!("{service} stays as it is"));
                    return Err(why);
                }
                // It has ended meanwhile; another one passes requests on to all.
                _ if self.pid(ServiceName::Web) != web => {}
                // Whoever does not answer may still obey: behind the order goes the one that takes it back.
                answer => {
                    self.order(ServiceName::Web, Ask::Resume { address, even_ill: true }).await;
                    return Err(answer.err().unwrap_or(vec!["web answered something else".into()]));
                }
            }
        }
        Err(vec![format!(
            "web ends again and again (`wwwlab logs web` says why), and {service} stays as it is"
        )])
    }

    /// Has it pass requests on again, with `even_ill` whatever it answers; why it is not well.
    async fn resume(&self, address: SocketAddr, even_ill: bool) -> Result<(), Refusal> {
        let web = self.pid(ServiceName::Web);
        if web.is_none() {
            return Ok(());
        }
        match self.ask(ServiceName::Web, Ask::Resume { address, even_ill }).await {
            Ok(Reply::Refused(why)) => Err(why),
            Err(why) if self.pid(ServiceName::Web) == web => Err(why),
            // One that starts anew passes on to all.
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
