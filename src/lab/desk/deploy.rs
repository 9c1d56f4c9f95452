//! Another version of the application brought into service: kept, or on trial and taken back.
//!
//! By reload the process itself goes over to other files. By restart it is ended and another started. Blue-green starts another
//! beside, at a port of its own; the web server, which alone knows what is under way, passes requests on to that one once it is
//! well and says when the former one has answered all of its own; then that ends.

use std::net::SocketAddr;
use std::path::Path;

use tokio::sync::oneshot;

use crate::ground::channel::{Ask, Reply};
use crate::ground::service::causes;
use crate::lab::application::{How, ROLLING, Serving};
use crate::lab::control::{Response, Verb};
use crate::lab::hold::UNDER_WAY;
use crate::lab::hosts::ServiceName;
use crate::lab::keeper::{Beside, Command};
use crate::lab::ports;
use crate::lab::releases::{Release, Releases};
use crate::lab::status::{Condition, State};

use super::{Desk, Post, absent};

/// What came of it.
enum Came {
    /// The application is down: it will serve it when it starts.
    Down,
    /// The process with this number went over to it, which is this version.
    Over(u32, String),
    /// Another process serves it; so many requests the former one had not answered in time.
    Another { unfinished: u32 },
}

/// Why not; the causes, outermost first.
type Refusal = Vec<String>;

impl Desk {
    /// Has the application serve the last of `releases`, if it has any, by this way, and keeps it so.
    pub(super) async fn deploy(&self, how: How, releases: Option<&[Release]>) -> Response {
        let _one_at_a_time = self.deploying.lock().await;
        let Ok(_nobody_measures) = self.measuring.try_lock() else {
            return Response::Refused(vec![UNDER_WAY.into()]);
        };
        let Some(post) = self.post(ServiceName::App) else {
            return Response::Refused(vec![absent(ServiceName::App)]);
        };
        let place = Releases::of(&self.design.directory);
        let own = self.design.path(&self.design.config.app.code);
        let code = releases.map(|releases| place.last(releases, own));
        let came = match self.bring(post, how, code.as_deref()).await {
            Ok(came) => came,
            Err(why) => return Response::Refused(why),
        };
        let kept = releases.map_or(Ok(()), |releases| place.keep(releases));
        if kept.is_ok() {
            self.serve_what_is_kept();
        }
        let now = post.condition.borrow().clone();
        let (served, unfinished) = match came {
            Came::Down => (false, 0),
            // The process that said so may have ended since, and another have begun with what was kept then.
            Came::Over(pid, version) => {
                let is_there = now.pid == Some(pid);
                let _ = post.commands.send(Command::Deployed(pid, version)).await;
                (is_there, 0)
            }
            Came::Another { unfinished } => (true, unfinished),
        };
        match kept {
            Ok(()) if now.pid.is_some() && !served => {
                let remedy = "it is kept, but app was started anew meanwhile, with the former one: `wwwlab restart app`";
                Response::Refused(vec![remedy.into()])
            }
            Ok(()) => Response::Deployed { served, unfinished },
            Err(error) => {
                let mut why = vec!["it is in service until app is restarted, but not kept".to_owned()];
                why.extend(causes(&error));
                Response::Refused(why)
            }
        }
    }

    /// Has the application serve `code` by this way, for as long as somebody measures.
    pub(in crate::lab) async fn try_out(&self, how: How, code: &Path) -> Response {
        let _one_at_a_time = self.deploying.lock().await;
        let Some(post) = self.post(ServiceName::App) else {
            return Response::Refused(vec![absent(ServiceName::App)]);
        };
        match self.bring(post, how, Some(code)).await {
            Ok(Came::Down) => Response::Refused(vec!["app is not up: `wwwlab start app` starts it".into()]),
            Ok(Came::Over(pid, version)) => {
                self.design.app.put(Serving { code: Some(code.to_owned()), ..self.design.app.get() });
                let _ = post.commands.send(Command::Deployed(pid, version)).await;
                Response::Deployed { served: true, unfinished: 0 }
            }
            Ok(Came::Another { unfinished }) => Response::Deployed { served: true, unfinished },
            Err(why) => Response::Refused(why),
        }
    }

    /// Has it serve as it did `before` that, without losing a request where that can be.
    pub(in crate::lab) async fn take_back(&self, before: &Serving) -> Response {
        let _one_at_a_time = self.deploying.lock().await;
        let Some(post) = self.post(ServiceName::App) else {
            return Response::Refused(vec![absent(ServiceName::App)]);
        };
        let taken_back = self.back_to(post, before).await;
        // Whatever came of it: who starts from now on serves what is kept, at the port that he has.
        self.serve_what_is_kept();
        let removed = Releases::of(&self.design.directory).remove_trial();
        match taken_back.and(removed.map_err(|error| causes(&error))) {
            Ok(()) => Response::Done("all is as before".into()),
            Err(mut why) => {
                why.insert(0, "the application is not as before: `wwwlab restart app`".into());
                Response::Refused(why)
            }
        }
    }

    async fn back_to(&self, post: &Post, before: &Serving) -> Result<(), Refusal> {
        let now = self.design.app.get();
        if now == *before {
            return Ok(());
        }
        let own = self.design.path(&self.design.config.app.code);
        let kept = Releases::of(&self.design.directory).served(own);
        let has_other_process = now.port != before.port;
        if !has_other_process && self.design.foreign(ServiceName::App).is_some() {
            // The same files, in another process at the same port.
            return Ok(());
        }
        let how = if has_other_process { How::BlueGreen } else { How::Reload };
        match self.bring(post, how, Some(&kept)).await? {
            Came::Over(pid, version) => {
                let _ = post.commands.send(Command::Deployed(pid, version)).await;
            }
            Came::Down | Came::Another { .. } => {}
        }
        Ok(())
    }

    /// Who starts from now on serves what is kept.
    fn serve_what_is_kept(&self) {
        self.design.app.put(Serving { code: None, ..self.design.app.get() });
    }

    /// Brings the files in `code`, or what the program of a student's now is, into service.
    async fn bring(&self, post: &Post, how: How, code: Option<&Path>) -> Result<Came, Refusal> {
        let is_foreign = self.design.foreign(ServiceName::App).is_some();
        let refused = |why: &str| Err(vec![why.to_owned()]);
        match how {
            How::Rolling => {
                return refused(ROLLING);
            }
            How::Reload if is_foreign => {
                return refused(
                    "a program of your own cannot be told to read other files: `--how blue-green` starts another beside it, \
                     `--how restart` ends it first",
                );
            }
            _ => {}
        }
        match (self.service(post).condition.state, code) {
            (State::Starting, _) => refused("app is just starting: try again when it serves"),
            (State::Paused, _) => {
                refused("app stands still and cannot be told: `wwwlab resume app`, then deploy")
            }
            (State::Stopped | State::Failed, _) => Ok(Came::Down),
            (State::Running, Some(code)) if how == How::Reload => self.reload(post, code).await,
            (State::Running, code) if how == How::Restart => self.restart(code).await,
            (State::Running, code) => self.blue_green(post, code).await,
        }
    }

    async fn reload(&self, post: &Post, code: &Path) -> Result<Came, Refusal> {
        let pid = self.service(post).condition.pid;
        match self.ask(ServiceName::App, Ask::Deploy { directory: code.to_owned() }).await {
            Ok(Reply::Deployed { version }) => Ok(pid.map_or(Came::Down, |pid| Came::Over(pid, version))),
            Ok(Reply::Refused(causes)) | Err(causes) => Err(causes),
            Ok(_) => Err(vec!["app answered something else".into()]),
        }
    }

    async fn restart(&self, code: Option<&Path>) -> Result<Came, Refusal> {
        let former = self.design.app.get();
        self.design.app.put(Serving { code: code.map(Path::to_owned), ..former.clone() });
        match self.act(Verb::Restart, ServiceName::App).await {
            Response::Refused(mut why) => {
                self.design.app.put(former);
                let again = self.act(Verb::Start, ServiceName::App).await;
                why.push(match again {
                    Response::Refused(_) => "the former one does not start either: `wwwlab status`".into(),
                    _ => "the former one is in service again".into(),
                });
                Err(why)
            }
            _ => Ok(Came::Another { unfinished: 0 }),
        }
    }

    async fn blue_green(&self, post: &Post, code: Option<&Path>) -> Result<Came, Refusal> {
        let design = &self.design;
        let web = self.post(ServiceName::Web).map(|post| self.service(post).condition);
        self.may_move(web.as_ref())?;
        let former = design.app.get();
        let port = ports::decide_beside(design.network, &design.ports, former.port);
        let port = port.map_err(|error| causes(&error))?;
        let address = ServiceName::App.host().address(design.network);
        let at = |serving: &Serving| SocketAddr::new(address, serving.port);
        let next = Serving { port, code: code.map(Path::to_owned) };
        let (ready, is_ready) = oneshot::channel();
        let (switch, switched) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let beside = Beside { serving: next.clone(), ready, switch: switched, done };
        let _ = post.commands.send(Command::Replace(beside)).await;
        let stays = |mut why: Refusal| {
            why.push("the former one stays in service".into());
            why
        };
        match is_ready.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(stays(vec![format!("the new one cannot serve: {why}")])),
            Err(_) => return Err(vec!["the lab is going down".into()]),
        }
        // First: a web server that starts meanwhile starts with it.
        design.app.put(next.clone());
        let mut unfinished = 0;
        if web.is_some_and(|web| web.pid.is_some()) {
            let order = Ask::Replace { former: at(&former), next: at(&next) };
            match self.ask(ServiceName::Web, order).await {
                Ok(Reply::Replaced { unfinished: cut }) => unfinished = cut,
                Ok(Reply::Refused(why)) => {
                    design.app.put(former);
                    return Err(stays(why));
                }
                // Whoever does not answer may still obey: behind the order goes the one that takes it back.
                answer => {
                    design.app.put(former.clone());
                    self.order(ServiceName::Web, Ask::Replace { former: at(&next), next: at(&former) }).await;
                    return Err(stays(answer.err().unwrap_or(vec!["web answered something else".into()])));
                }
            }
        }
        let _ = switch.send(());
        match is_done.await {
            Ok(Some(_)) => Ok(Came::Another { unfinished }),
            Ok(None) => Err(vec![
                "the new one ended as soon as requests went to it, and the former one has ended as well: `wwwlab logs app` says why, \
                 `wwwlab start app` starts the former version"
                    .into(),
            ]),
            Err(_) => Err(vec!["the lab is going down".into()]),
        }
    }

    /// Whether the application may listen elsewhere than before, with the web server as it is.
    fn may_move(&self, web: Option<&Condition>) -> Result<(), Refusal> {
        let refused = |why: &str| Err(vec![why.to_owned()]);
        if !self.design.config.web.upstreams.is_empty() {
            return refused(
                "[web] upstreams in lab.toml says where requests go, so the web server cannot be given another application: \
                 `--how reload` or `--how restart`",
            );
        }
        if self.published().iter().any(|published| published.service == ServiceName::App) {
            return refused(
                "app is published at its port, and blue-green gives it another: bring the lab up without that",
            );
        }
        match web.map(|web| web.state) {
            Some(State::Paused) => {
                refused("web stands still and cannot be told: `wwwlab resume web`, then deploy")
            }
            Some(State::Starting) => refused("web is just starting: try again when it serves"),
            _ => Ok(()),
        }
    }
}
