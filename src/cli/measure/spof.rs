//! `wwwlab measure spof`: each part of the lab down in turn, and what a user meets meanwhile.
//!
//! In the order in which it happens: what is to be taken down ([`candidates`]), whether the lab is whole ([`whole`]), and for
//! each part a trial ([`Measure::trial`]). What is down is down by a hold, so that the lab brings it back whatever becomes of this
//! process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::cli::screen::{BAD, BOLD, Cell, DIM, GOOD, LIMITED, Table};
use crate::cli::{Failure, World, block_on, path, shell};
use crate::ground::channel::{Mark, UpstreamState};
use crate::ground::clock::Stopwatch;
use crate::lab::config::{Config, Engine, Network, Tls};
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::faults::edges::Edge;
use crate::lab::hold::{Down, Hold};
use crate::lab::hosts::ServiceName;
use crate::lab::network;
use crate::lab::status::{LabStatus, State};
use crate::measure::probe::{self, Outcome, User};
use crate::measure::spof::{
    Check, Component, How, Kind, Matrix, Met, Trial, Works, markdown, shown, shown_or_none, svg,
};

use super::{drawing, mark, signs};

/// The files that a static page is looked for among; the first that is there is the one.
const STATIC_PAGES: [&str; 4] = ["/about.html", "/robots.txt", "/favicon.svg", "/favicon.ico"];
/// The page that the application makes.
const DYNAMIC_PAGE: &str = "/";

/// How long a part may take until all works again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks whether it does.
const LOOKS_EVERY: Duration = Duration::from_millis(50);
/// One that has heard nothing for so long is joined by another, and so many are under way at most.
const JOINED_AFTER: Duration = Duration::from_millis(200);
const LOOKS_MOST: usize = 8;
/// A page is waited for so much longer than the web server waits for its application; and in all so long at least and at most.
const PAGE_LONGER: Duration = Duration::from_millis(500);
const PAGE_AT_LEAST: Duration = Duration::from_millis(5_500);
const PAGE_AT_MOST: Duration = Duration::from_secs(15);
/// Parts that are taken down: more than any lab has but that of a large classroom.
const PARTS_MOST: usize = 48;

/// The exit code of what ^C ended, as shells say it.
const INTERRUPTED: u8 = 128 + 2;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Takes up to a minute, and the lab down with it, part by part: each service, and each cable, or way between two services where \
there are no cables; afterwards it is as before, also when this is killed. \
`works`: for everybody; `warm`: only for whose resolver remembers the name; `fails`: for nobody. NOTICED: how long \
a user who asks then waits until they know that something is wrong, at most 3.5 s for a name and 5.5 s or more for a page; RECOVERED: from when it was brought back until all worked again. \
Exit codes: 0 measured, whatever the verdicts; 130 ended by ^C; 1 to 3 as those of wwwlab.")]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print a table in Markdown, for a report
    #[arg(long)]
    markdown: bool,
    /// Draw the matrix to a file, as a picture for a report
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    drawing::can_be_written(arguments.svg.as_deref())?;
    if directory.network == Network::Hosts && network::here(&directory.machines()).is_none() {
        // Its user is on its client.
        return shell::again_there(directory);
    }
    let measured = block_on(async {
        let system = |error| Failure::System("cannot hear ^C".into(), error);
        let mut interrupted = signal(SignalKind::interrupt()).map_err(system)?;
        tokio::select! {
            measured = measure(directory) => measured.map(Some),
            _ = interrupted.recv() => Ok(None),
        }
    })??;
    let Some((matrix, failure)) = measured else {
        writeln!(world.err, "ended: the lab brings back what was down")?;
        return Ok(INTERRUPTED);
    };
    match (arguments.json, arguments.markdown) {
        (true, _) => world.json(&matrix)?,
        (_, true) => write!(world.out, "{}", markdown::write(&matrix))?,
        _ => show(&matrix, world)?,
    }
    if let Some(file) = &arguments.svg {
        drawing::write(file, &svg::draw(&matrix))?;
    }
    failure.map_or(Ok(0), Err)
}

/// A part to take down, and the ways to do that.
struct Candidate {
    name: String,
    kind: Kind,
    ways: Vec<(How, Down)>,
    /// Whether it is a resolver, which cannot be told to forget while it is down.
    resolver: Option<ServiceName>,
}

/// What is needed for a trial.
struct Measure<'a> {
    directory: &'a Directory,
    user: User,
    resolvers: Vec<ServiceName>,
    static_page: Option<&'static str>,
    /// How often the dynamic page is asked for at a time, so that each application server gets its turn.
    turns: usize,
    /// The application servers that were asked, and answered, before anything was taken down.
    asked: Vec<SocketAddr>,
    hold: Hold<'a>,
}

/// Measures; with what was measured, why that is not all, if so.
async fn measure(directory: &Directory) -> Result<(Matrix, Option<Failure>), Failure> {
    let watch = Stopwatch::start();
    let status = control::status(directory).await?;
    whole(&status)?;
    let config = directory.config()?;
    let candidates = candidates(directory, &status).await?;
    let mark = signs(&config).then(|| mark("spof"));
    let hold = Hold::take(directory, mark.clone()).await?;
    let (user, resolvers) = user(directory, &status, &config, mark).await?;
    let several = upstreams(directory).await?.len();
    let turns = if several > 1 { 2 * several } else { 1 };
    let mut measure =
        Measure { directory, user, resolvers, static_page: None, turns, asked: Vec::new(), hold };
    let checks = measure.begin().await?;
    measure.asked = upstreams(directory)
        .await?
        .iter()
        .filter(|state| is_well(state))
        .map(|state| state.address)
        .collect();
    let trials: usize = candidates.iter().map(|candidate| candidate.ways.len()).sum();
    let bar = bar(trials);
    let (mut components, mut failure) = (Vec::new(), None);
    'parts: for candidate in candidates {
        let mut tried = Vec::new();
        for (how, down) in &candidate.ways {
            bar.set_message(format!("{} {how}", candidate.name));
            let trial = measure.trial(*how, down, candidate.resolver).await?;
            let is_back = trial.recovered_seconds.is_some() || trial.works.is_empty();
            tried.push(trial);
            bar.inc(1);
            if !is_back {
                let (name, limit) = (&candidate.name, RECOVERED_WITHIN.as_secs());
                failure = Some(Failure::Said(format!(
                    "{name} is back, but after {limit} s not all works again, and so nothing else was taken down: `wwwlab path` \
                     tells where it ends"
                )));
                components.push(Component::of(candidate.name, candidate.kind, tried));
                break 'parts;
            }
        }
        components.push(Component::of(candidate.name, candidate.kind, tried));
    }
    bar.finish_and_clear();
    measure.hold.forget().await?;
    let seconds = watch.elapsed().as_secs_f64();
    let seconds = (seconds * 10.0).round() / 10.0;
    Ok((Matrix { site: status.site_name, network: status.network, checks, components, seconds }, failure))
}

/// Refuses a lab in which something fails already: what fails then would be laid at what was taken down.
fn whole(status: &LabStatus) -> Result<(), Failure> {
    let down = status.services.iter().filter(|service| service.condition.state != State::Running);
    let mut amiss: Vec<String> = down
        .map(|service| {
            let (name, state) = (service.name, service.condition.state);
            let verb = if state == State::Paused { "resume" } else { "start" };
            format!("{name} is {state} (`wwwlab {verb} {name}`)")
        })
        .collect();
    amiss.extend(
        status.faults.iter().map(|fault| format!("fault {0} is laid (`wwwlab fault clear {0}`)", fault.id)),
    );
    amiss.extend(status.cut.iter().map(|cable| format!("{cable} is cut (`wwwlab link up {cable}`)")));
    amiss.extend(status.off.iter().map(|host| format!("{host} is off (`wwwlab host on {host}`)")));
    match amiss.is_empty() {
        true => Ok(()),
        false => Err(Failure::Said(format!(
            "the lab is not whole, and what fails could not be told from what is taken down: {}",
            amiss.join(", ")
        ))),
    }
}

/// The application servers behind the web server that is up: what is in lab.toml may be for the next one.
async fn upstreams(directory: &Directory) -> Result<Vec<UpstreamState>, Failure> {
    match control::ask(directory, &Request::Upstreams).await? {
        Response::Upstreams(states) => Ok(states),
        _ => Err(ControlError::Strange(directory.name()).into()),
    }
}

/// Whether it has requests, and answers them.
fn is_well(upstream: &UpstreamState) -> bool {
    upstream.state == "in" && upstream.failures_in_a_row == 0
}

/// What is taken down, in the order in which a request meets it; cables of a classroom's computers are left alone.
async fn candidates(directory: &Directory, status: &LabStatus) -> Result<Vec<Candidate>, Failure> {
    let is_embedded = |name| name == ServiceName::Db && status.database.engine == Engine::Sqlite;
    let mut candidates: Vec<Candidate> = status
        .services
        .iter()
        .map(|service| service.name)
        .map(|name| Candidate {
            name: name.to_string(),
            kind: Kind::Service,
            ways: match is_embedded(name) {
                true => vec![(How::Locked, Down::Stop(name))],
                false => vec![(How::Stopped, Down::Stop(name)), (How::Paused, Down::Pause(name))],
            },
            resolver: Some(name).filter(|name| ServiceName::RESOLVERS.contains(name)),
        })
        .collect();
    if directory.network == Network::Hosts {
        let Response::Cables(cables) = control::ask(directory, &Request::Cables).await? else {
            return Err(ControlError::Strange(directory.name()).into());
        };
        let lessons = |name: &str| {
            let pupil = name.strip_prefix("pc");
            pupil.is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
            })
        };
        let cables =
            cables.into_iter().filter(|cable| !cable.ends.iter().any(|(machine, _)| lessons(machine)));
        candidates.extend(cables.map(|cable| Candidate {
            ways: vec![(How::Cut, Down::Cut(cable.name.clone()))],
            name: cable.name,
            kind: Kind::Cable,
            resolver: None,
        }));
    } else {
        candidates.extend(ways(status).map(|edge| Candidate {
            ways: vec![(How::Cut, Down::Way(edge))],
            name: edge.to_string(),
            kind: Kind::Way,
            resolver: None,
        }));
    }
    candidates.truncate(PARTS_MOST);
    Ok(candidates)
}

/// The ways between the services that the lab has.
fn ways(status: &LabStatus) -> impl Iterator<Item = Edge> {
    Edge::ALL.into_iter().filter(|edge| match edge {
        // A file has no way to it, and a server elsewhere is not the lab's to be cut off.
        Edge::AppDb => status.database.engine == Engine::Mysql && status.ports.db.is_some(),
        edge => status.service(edge.asked()).is_some(),
    })
}

/// The lab's user, who has the address of its web server at hand; and the resolvers that they ask.
async fn user(
    directory: &Directory,
    status: &LabStatus,
    config: &Config,
    mark: Option<Mark>,
) -> Result<(User, Vec<ServiceName>), Failure> {
    let found =
        ServiceName::RESOLVERS.into_iter().filter_map(|name| Some((name, status.service(name)?.address?)));
    let (names, resolvers): (Vec<_>, Vec<_>) = found.unzip();
    let from = path::client(directory.network);
    let first = *resolvers.first().ok_or_else(|| Failure::Said("this lab has no resolver".into()))?;
    let address = probe::address(first, from, &status.site_name).await;
    let address = address.map_err(|symptom| fails(&status.site_name, &symptom))?;
    let only = status.tls.as_ref().filter(|tls| tls.tls == Tls::Only);
    let (port, trust) = match only.and_then(|tls| tls.addresses.first()) {
        Some(https) => (https.port(), Some(path::trust(directory)?)),
        None => (status.ports.http, None),
    };
    let page_within = config.web.app_timeout.saturating_add(PAGE_LONGER);
    let user = User {
        resolvers,
        from,
        site: status.site_name.clone(),
        web: SocketAddr::new(address, port),
        trust,
        page_within: page_within.clamp(PAGE_AT_LEAST, PAGE_AT_MOST),
        mark,
    };
    Ok((user, names))
}

fn fails(what: &str, symptom: &str) -> Failure {
    Failure::Said(format!(
        "the lab is not whole: {what} fails ({symptom}) though nothing is down; `wwwlab path` tells where it ends"
    ))
}

impl Measure<'_> {
    /// Finds out what there is to be looked at, and that it works.
    async fn begin(&mut self) -> Result<Vec<Check>, Failure> {
        for page in STATIC_PAGES {
            if self.user.get(page).await.works() {
                self.static_page = Some(page);
                break;
            }
        }
        let mut checks = vec![Check::Name];
        let name = self.user.name_everywhere().await;
        let mut all = vec![("the name", name)];
        checks.extend(self.static_page.map(|_| Check::Static));
        checks.push(Check::Dynamic);
        all.push(("the dynamic page", self.page().await));
        if let Some(signed) = self.user.sign().await {
            checks.push(Check::Writing);
            all.push(("signing the guestbook", signed));
        }
        for (what, outcome) in all {
            if let Some(symptom) = outcome.symptom {
                return Err(fails(what, &symptom));
            }
        }
        Ok(checks)
    }

    /// Takes something down, looks, brings it back, and waits until all works again.
    async fn trial(
        &mut self,
        how: How,
        down: &Down,
        resolver: Option<ServiceName>,
    ) -> Result<Trial, Failure> {
        match self.hold.down(down.clone()).await {
            Ok(()) => {}
            Err(ControlError::Refused(causes)) => return Ok(Trial::refused(how, causes.join(": "))),
            Err(other) => return Err(other.into()),
        }
        let met = self.meet(resolver).await;
        let watch = Stopwatch::start();
        self.hold.undo().await?;
        let recovered = timeout(RECOVERED_WITHIN, self.recovered()).await;
        let recovered = recovered.is_ok().then(|| watch.micros());
        if let Down::Stop(name) | Down::Pause(name) = down
            && name.is_app()
        {
            // Whether they are, the next one's trial tells.
            let _ = timeout(RECOVERED_WITHIN, self.all_asked()).await;
        }
        Ok(Trial::of(how, &met, recovered))
    }

    /// Ends when each of several application servers is asked again that was at first: one that the web server has left out for a
    /// while would not be missed when it is taken down next.
    async fn all_asked(&self) {
        while let Ok(states) = upstreams(self.directory).await
            && states.len() > 1
            && states.iter().any(|state| state.state != "in" && self.asked.contains(&state.address))
        {
            self.page().await;
            sleep(LOOKS_EVERY).await;
        }
    }

    /// What a user meets now; pages and names at the same time.
    async fn meet(&self, down: Option<ServiceName>) -> Met {
        let forget = async |place: usize| {
            if let Some(&resolver) = self.resolvers.get(place).filter(|&&resolver| down != Some(resolver)) {
                // One that cannot be told is seen to fail, or to remember.
                let _ = control::ask(self.directory, &Request::CacheFlush(resolver, None)).await;
            }
        };
        let names = self.user.name_warm_and_cold(forget);
        let ((warm, cold), file, page, signing) =
            tokio::join!(names, self.file(), self.page(), self.user.sign());
        let pages = [(Check::Static, file), (Check::Dynamic, Some(page)), (Check::Writing, signing)];
        let pages = pages.into_iter().filter_map(|(check, met)| Some((check, met?)));
        Met { cold, warm, pages: pages.collect() }
    }

    /// The static page, where there is one.
    async fn file(&self) -> Option<Outcome> {
        Some(self.user.get(self.static_page?).await)
    }

    /// The dynamic page, which works if it does at each turn.
    async fn page(&self) -> Outcome {
        let turns = join_all((0..self.turns).map(|_| self.user.get(DYNAMIC_PAGE))).await;
        probe::all(turns)
    }

    /// Ends when all has worked once, each resolver's name included, which it remembers then.
    async fn recovered(&self) {
        let name = until(async || Some(self.user.name_everywhere().await));
        let file = until(async || self.file().await);
        let page = until(async || Some(self.page().await));
        let signing = until(async || self.user.sign().await);
        tokio::join!(name, file, page, signing);
    }
}

/// Ends when it works, or there is nothing that could.
///
/// A look that hears nothing is joined by another: what it asked may have been lost in a cable that was whole a moment too late, and
/// what is to be known is since when it works, not how long who came too early waits.
async fn until(look: impl AsyncFn() -> Option<Outcome>) {
    let mut looks = FuturesUnordered::from_iter([look()]);
    loop {
        match timeout(JOINED_AFTER, looks.next()).await {
            Ok(Some(Some(outcome))) if !outcome.works() => sleep(LOOKS_EVERY).await,
            Ok(_) => return,
            Err(_elapsed) => {}
        }
        if looks.len() < LOOKS_MOST {
            looks.push(look());
        }
    }
}

/// A bar where standard error is a terminal, and nothing elsewhere.
fn bar(trials: usize) -> ProgressBar {
    const LOOK: &str = "measuring [{bar:30}] {pos} of {len}: {msg}";
    let bar = ProgressBar::new(u64::try_from(trials).unwrap_or(u64::MAX));
    bar.enable_steady_tick(Duration::from_millis(500));
    match ProgressStyle::with_template(LOOK) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}

fn show(matrix: &Matrix, world: &mut World) -> Result<(), Failure> {
    let mut table = Table::default().column("PART", 0).column("DOWN", 0);
    for check in &matrix.checks {
        table = table.column(check.heading(), 0);
    }
    table = table.folding("SYMPTOM", 2).numbers("NOTICED", 3).numbers("RECOVERED", 4).column("SPOF", 1);
    for component in &matrix.components {
        for trial in &component.trials {
            let mut row: Vec<Cell> = vec![component.name.as_str().into(), trial.how.to_string().into()];
            row.extend(matrix.checks.iter().map(|check| match trial.works.get(check) {
                Some(works) => Cell::styled(works.word(), style(*works)),
                None => "?".into(),
            }));
            row.push(trial.symptoms.join(", ").into());
            row.push(shown_or_none(trial.noticed_seconds).into());
            row.push(shown_or_none(trial.recovered_seconds).into());
            let colour = match trial.single_point_of_failure {
                Some(true) => BAD,
                Some(false) => GOOD,
                None => DIM,
            };
            row.push(Cell::styled(trial.verdict(), colour));
            table.row(row);
        }
    }
    write!(world.out, "{}", table.render(world.width))?;
    let (bold, dim) = (BOLD, DIM);
    writeln!(world.out, "\n{bold}{}{bold:#}", matrix.sentence())?;
    writeln!(
        world.out,
        "{dim}warm: works only for whose resolver remembers the name. Measured in {}; the lab is as before.{dim:#}",
        shown(matrix.seconds)
    )?;
    Ok(())
}

fn style(works: Works) -> anstyle::Style {
    match works {
        Works::Yes => GOOD,
        Works::Warm => LIMITED,
        Works::No => BAD,
    }
}
