//! Another version of the application brought into service: kept, or on trial and taken back.
//!
//! By reload the process itself goes over to other files. By restart it is ended and another started. Blue-green starts another
//! beside, at a port of its own; the web server, which alone knows what is under way, passes requests on to that one once it is
//! well and says when the former one has answered all of its own; then that ends.
//!
//! Where the application has several processes, by restart all of them are ended at once, by every other way one comes after
//! the other; and where one cannot, those before it go back, so that all serve the same. One after the other without a port
//! of its own is [`rolling`].

mod rolling;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
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
    /// The processes of these services went over to it.
    Over(Vec<Over>),
    /// Other processes of these services serve it; so many requests the former ones had not answered in time.
    Others { services: Vec<ServiceName>, unfinished: u32 },
}

/// A process that went over to other files.
struct Over {
    service: ServiceName,
    pid: u32,
    version: String,
}

/// Those that had begun with the former version before the next one was kept.
#[derive(Default)]
struct CaughtUp {
    /// They went over to it.
    over: Vec<Over>,
    /// They did not.
    behind: Vec<ServiceName>,
}

/// Why not; the causes, outermost first.
type Refusal = Vec<String>;

impl Came {
    fn others(posts: &[&Post], unfinished: u32) -> Self {
        Self::Others { services: posts.iter().map(|post| post.name).collect(), unfinished }
    }
}

impl Desk {
    /// Has the application serve the last of `releases`, if it has any, by this way, and keeps it so.
    pub(super) async fn deploy(&self, how: How, releases: Option<&[Release]>) -> Response {
        let _one_at_a_time = self.deploying.lock().await;
        let Ok(_nobody_measures) = self.measuring.try_lock() else {
            return Response::Refused(vec![UNDER_WAY.into()]);
        };
        let place = Releases::of(&self.design.directory);
        let own = self.design.path(&self.design.config.app.code);
        let code = releases.map(|releases| place.last(releases, own));
        let came = match self.bring(how, code.as_deref()).await {
            Ok(came) => came,
            Err(why) => return Response::Refused(why),
        };
        let kept = releases.map_or(Ok(()), |releases| place.keep(releases));
        // Whatever came of it: who starts from now on serves what is kept.
        self.design.apps.serve_what_is_kept();
        let mut caught_up = CaughtUp::default();
        if let (Ok(()), Some(code)) = (&kept, &code) {
            caught_up = self.catch_up(&came, code).await;
        }
        let (mut served, mut unfinished) = (!caught_up.over.is_empty(), 0);
        match came {
            Came::Down => {}
            Came::Over(mut all) => {
                all.retain(|over| self.pid(over.service) == Some(over.pid));
                served |= !all.is_empty();
                caught_up.over.extend(all);
            }
            Came::Others { unfinished: cut, .. } => (served, unfinished) = (true, cut),
        }
        self.told(caught_up.over).await;
        match kept {
            Ok(()) if !caught_up.behind.is_empty() => {
                Response::Refused(caught_up.behind.into_iter().map(behind).collect())
            }
            Ok(()) => Response::Deployed { served, unfinished },
            Err(error) => {
                let mut why = vec!["it is in service until app is restarted, but not kept".to_owned()];
                why.extend(causes(&error));
                Response::Refused(why)
            }
        }
    }

    /// Has those go over to what is kept, the files in `code`, that have begun with the former ones while others came into service.
    async fn catch_up(&self, came: &Came, code: &Path) -> CaughtUp {
        let mut caught_up = CaughtUp::default();
        for post in self.apps().filter(|post| self.design.foreign(post.name).is_none()) {
            let name = post.name;
            // Whoever begins after the first try begins with what is kept.
            for _ in 0..2 {
                let pid = self.pid(name);
                let has_it = match came {
                    Came::Down => false,
                    Came::Over(all) => all.iter().any(|over| over.service == name && pid == Some(over.pid)),
                    Came::Others { services, .. } => services.contains(&name),
                };
                if has_it {
                    break;
                }
                // One that is just starting hears it then; of one that is down nothing comes.
                let reloaded = self.reload(post, code).await;
                if self.pid(name) != pid {
                    continue;
                }
                match reloaded {
                    Ok(over) => caught_up.over.push(over),
                    Err(_) if pid.is_none() => {}
                    Err(_) => caught_up.behind.push(name),
                }
                break;
            }
        }
        caught_up
    }

    /// Has the application serve `code` by this way, for as long as somebody measures.
    pub(in crate::lab) async fn try_out(&self, how: How, code: &Path) -> Response {
        let _one_at_a_time = self.deploying.lock().await;
        match self.bring(how, Some(code)).await {
            Ok(Came::Down) => Response::Refused(vec!["app is not up: `wwwlab start app` starts it".into()]),
            Ok(Came::Over(all)) => {
                all.iter().for_each(|over| self.serve(over.service, Some(code.to_owned())));
                self.told(all).await;
                Response::Deployed { served: true, unfinished: 0 }
            }
            Ok(Came::Others { unfinished, .. }) => Response::Deployed { served: true, unfinished },
            Err(why) => Response::Refused(why),
        }
    }

    /// Has it serve as it did `before` that, without losing a request where that can be.
    pub(in crate::lab) async fn take_back(&self, before: &[Serving]) -> Response {
        let _one_at_a_time = self.deploying.lock().await;
        let mut why = Vec::new();
        for (post, before) in self.apps().zip(before) {
            // Whatever came of the one before.
            if let Err(causes) = self.back_to(post, before).await {
                why.push(format!("{0} is not as before: `wwwlab restart {0}`", post.name));
                why.extend(causes);
            }
        }
        // Whatever came of it: who starts from now on serves what is kept, at the port that he has.
        self.design.apps.serve_what_is_kept();
        if let Err(error) = Releases::of(&self.design.directory).remove_trial() {
            why.push("what was tried is left".into());
            why.extend(causes(&error));
        }
        if why.is_empty() { Response::Done("all is as before".into()) } else { Response::Refused(why) }
    }

    async fn back_to(&self, post: &Post, before: &Serving) -> Result<(), Refusal> {
        let Some(now) = self.design.apps.of(post.name).filter(|now| now != before) else { return Ok(()) };
        let has_other_process = now.port != before.port;
        if !has_other_process && self.design.foreign(post.name).is_some() {
            // The same files, in another process at the same port.
            return Ok(());
        }
        let state = self.service(post).condition.state;
        match self.may_be_told(post, state)? {
            // It will serve what is kept when it starts.
            false => Ok(()),
            true if has_other_process => self.blue_green(post, Some(&self.kept())).await.map(|_| ()),
            true => {
                let over = self.reload(post, &self.kept()).await?;
                self.told(vec![over]).await;
                Ok(())
            }
        }
    }

    /// The processes of the application, in order.
    fn apps(&self) -> impl Iterator<Item = &Post> {
        self.services.iter().filter(|post| post.name.is_app())
    }

    fn pid(&self, service: ServiceName) -> Option<u32> {
        self.post(service).and_then(|post| post.condition.borrow().pid)
    }

    /// The files that are kept as those in service.
    fn kept(&self) -> PathBuf {
        let own = self.design.path(&self.design.config.app.code);
        Releases::of(&self.design.directory).served(own)
    }

    /// Has whoever starts as `service` serve these files, wherever it listens.
    fn serve(&self, service: ServiceName, code: Option<PathBuf>) {
        if let Some(serving) = self.design.apps.of(service) {
            self.design.apps.put(service, Serving { code, ..serving });
        }
    }

    /// Tells of those who went over to other files.
    async fn told(&self, all: Vec<Over>) {
        for Over { service, pid, version } in all {
            if let Some(post) = self.post(service) {
                let _ = post.commands.send(Command::Deployed(pid, version)).await;
            }
        }
    }

    /// Brings the files in `code`, or what the program of a student's now is, into service.
    async fn bring(&self, how: How, code: Option<&Path>) -> Result<Came, Refusal> {
        let is_foreign = self.design.foreign(ServiceName::App).is_some();
        if how == How::Reload && is_foreign {
            return Err(vec![
                "a program of your own cannot be told to read other files: `--how blue-green` starts another beside it, \
                 `--how restart` ends it first"
                    .into(),
            ]);
        }
        if how == How::Rolling && self.apps().count() < 2 {
            return Err(vec![ROLLING.into()]);
        }
        let mut running = Vec::new();
        for post in self.apps() {
            if self.may_be_told(post, self.service(post).condition.state)? {
                running.push(post);
            }
        }
        match (how, code) {
            _ if running.is_empty() => Ok(Came::Down),
            (How::Restart, code) => self.restart(&running, code).await,
            (How::Rolling, code) => self.roll(&running, code).await,
            (How::Reload, Some(code)) => {
                let mut all: Vec<Over> = Vec::new();
                for (number, post) in running.iter().enumerate() {
                    match self.reload(post, code).await {
                        Ok(over) => all.push(over),
                        Err(why) => return Err(self.go_back(&running[..number], post.name, why).await),
                    }
                }
                Ok(Came::Over(all))
            }
            (How::Reload | How::BlueGreen, code) => {
                let mut unfinished: u32 = 0;
                for (number, post) in running.iter().enumerate() {
                    match self.blue_green(post, code).await {
                        Ok(cut) => unfinished = unfinished.saturating_add(cut),
                        Err(why) => return Err(self.go_back(&running[..number], post.name, why).await),
                    }
                }
                Ok(Came::others(&running, unfinished))
            }
        }
    }

    /// Whether the process of `post` is to be told of other files: one that is down will find them when it starts.
    fn may_be_told(&self, post: &Post, state: State) -> Result<bool, Refusal> {
        let name = post.name;
        match state {
            State::Starting => Err(vec![format!("{name} is just starting: try again when it serves")]),
            State::Paused => Err(vec![format!(
                "{name} stands still and cannot be told: `wwwlab resume {name}`, then deploy"
            )]),
            State::Stopped | State::Failed => Ok(false),
            State::Running => Ok(true),
        }
    }

    /// Has those serve what is kept that came into service before one that cannot: no two are to serve different versions.
    /// `why` that one, `ill`, cannot, and what became of them.
    async fn go_back(&self, before: &[&Post], ill: ServiceName, mut why: Refusal) -> Refusal {
        if self.apps().count() > 1 {
            why.insert(0, format!("{ill} cannot come into service"));
        }
        for post in before {
            let name = post.name;
            if self.design.foreign(name).is_some() {
                why.push(format!("{name} runs anew already, with its files as they now are"));
                continue;
            }
            self.serve(name, None);
            match self.reload(post, &self.kept()).await {
                Ok(over) => {
                    self.told(vec![over]).await;
                    why.push(format!("{name} had it already, and serves the former version again"));
                }
                Err(causes) => why.push(format!(
                    "{name} had it already, and cannot go back ({}): `wwwlab restart {name}`",
                    causes.join(": ")
                )),
            }
        }
        why
    }

    /// The process of `post` goes over to the files in `code`.
    async fn reload(&self, post: &Post, code: &Path) -> Result<Over, Refusal> {
        let service = post.name;
        let pid = self.service(post).condition.pid.unwrap_or_default();
        match self.ask(service, Ask::Deploy { directory: code.to_owned() }).await {
            Ok(Reply::Deployed { version }) => Ok(Over { service, pid, version }),
            Ok(Reply::Refused(causes)) | Err(causes) => Err(causes),
            Ok(_) => Err(vec![format!("{service} answered something else")]),
        }
    }

    /// All at once: nobody answers in between.
    async fn restart(&self, running: &[&Post], code: Option<&Path>) -> Result<Came, Refusal> {
        let one = |post: &Post| {
            let service = post.name;
            async move { self.started_anew(service, code).await }
        };
        let all = join_all(running.iter().map(|post| one(post))).await;
        let came: Vec<_> = running.iter().copied().zip(all).collect();
        let Some(ill) = came.iter().find(|(_, came)| came.is_err()).map(|(post, _)| post.name) else {
            return Ok(Came::others(running, 0));
        };
        let well: Vec<&Post> = came.iter().filter(|(_, came)| came.is_ok()).map(|(post, _)| *post).collect();
        let why = came.into_iter().filter_map(|(_, came)| came.err()).flatten().collect();
        Err(self.go_back(&well, ill, why).await)
    }

    /// Ends a process and starts another in its place; where that cannot serve, the former one again.
    async fn started_anew(&self, service: ServiceName, code: Option<&Path>) -> Result<(), Refusal> {
        let former = self.design.apps.of(service);
        self.serve(service, code.map(Path::to_owned));
        let Response::Refused(mut why) = self.act(Verb::Restart, service).await else { return Ok(()) };
        why.push(self.former_again(service, former).await.into());
        Err(why)
    }

    /// Starts the former process of `service` again, after one that could not serve: what came of that.
    async fn former_again(&self, service: ServiceName, former: Option<Serving>) -> &'static str {
        if let Some(former) = former {
            self.design.apps.put(service, former);
        }
        match self.act(Verb::Restart, service).await {
            Response::Refused(_) => "the former one does not start either: `wwwlab status`",
            _ => "the former one is in service again",
        }
    }

    /// Another process of `post` beside it, at a port of its own, and then in its place; how many requests the former one had not
    /// answered in time.
    async fn blue_green(&self, post: &Post, code: Option<&Path>) -> Result<u32, Refusal> {
        let (design, name) = (&self.design, post.name);
        let web = self.post(ServiceName::Web).map(|post| self.service(post).condition);
        self.may_move(web.as_ref())?;
        let all = design.apps.all();
        let ports: Vec<u16> = all.iter().map(|serving| serving.port).collect();
        let number = ServiceName::APPS.iter().position(|app| *app == name).unwrap_or_default();
        let port = ports::decide_beside(&design.config.ports, design.network, &design.ports, number, &ports);
        let port = port.map_err(|error| causes(&error))?;
        let Some(former) = design.apps.of(name) else { return Err(vec![absent(name)]) };
        let address = name.host().address(design.network);
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
        design.apps.put(name, next.clone());
        let mut unfinished = 0;
        if web.is_some_and(|web| web.pid.is_some()) {
            let order = Ask::Replace { former: at(&former), next: at(&next) };
            match self.ask(ServiceName::Web, order).await {
                Ok(Reply::Replaced { unfinished: cut }) => unfinished = cut,
                Ok(Reply::Refused(why)) => {
                    design.apps.put(name, former);
                    return Err(stays(why));
                }
                // Whoever does not answer may still obey: behind the order goes the one that takes it back.
                answer => {
                    design.apps.put(name, former.clone());
                    self.order(ServiceName::Web, Ask::Replace { former: at(&next), next: at(&former) }).await;
                    return Err(stays(answer.err().unwrap_or(vec!["web answered something else".into()])));
                }
            }
        }
        let _ = switch.send(());
        match is_done.await {
            Ok(Some(_)) => Ok(unfinished),
            Ok(None) => {
                self.serve(name, None);
                Err(vec![format!(
                    "the new one ended as soon as requests went to it, and the former one has ended as well: `wwwlab logs {name}` says \
                     why, `wwwlab start {name}` starts the former version"
                )])
            }
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
        if let Some(published) = self.published().iter().find(|published| published.service.is_app()) {
            return Err(vec![format!(
                "{} is published at its port, and blue-green gives it another: bring the lab up without that",
                published.service
            )]);
        }
        may_be_asked(web)
    }
}

fn behind(service: ServiceName) -> String {
    format!(
        "it is kept, but {service} was started anew meanwhile, with the former one: `wwwlab restart {service}`"
    )
}

/// Whether the web server, as it is, can be told of the application; one that is down need not be.
fn may_be_asked(web: Option<&Condition>) -> Result<(), Refusal> {
    let refused = |why: &str| Err(vec![why.to_owned()]);
    match web.map(|web| web.state) {
        Some(State::Paused) => {
            refused("web stands still and cannot be told: `wwwlab resume web`, then deploy")
        }
        Some(State::Starting) => refused("web is just starting: try again when it serves"),
        _ => Ok(()),
    }
}
