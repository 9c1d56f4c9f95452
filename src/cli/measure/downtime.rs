//! `wwwlab measure downtime`: users who come at their own pace, while something is changed under them by one way or another.
//!
//! The lab takes back what was tried, and does so too when this command is killed ([`crate::lab::hold`]).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::dns::name::Name;
use crate::ground::event::Micros;
use crate::ground::service::causes;
use crate::lab::application::{How, ROLLING};
use crate::lab::config::{App, Network};
use crate::lab::control::{self, ControlError, Request, Response, Verb};
use crate::lab::directory::Directory;
use crate::lab::hold::Hold;
use crate::lab::hosts::ServiceName;
use crate::lab::network;
use crate::lab::releases::Releases;
use crate::lab::status::LabStatus;
use crate::measure::downtime::Probe;
use crate::measure::downtime::account::{Account, Span};
use crate::measure::downtime::certificates;
use crate::measure::downtime::picture::{self, Panel};
use crate::measure::downtime::prober::{Asked, Plan, ProbeError, Prober, RATE};
use crate::path::asking::Trust;
use crate::services::app::CodeBase;

use super::super::screen::{BAD, BOLD, Cell, DIM, GOOD, LIMITED, Table};
use super::super::words::printable;
use super::super::{Failure, World, event_loop, shell};
use super::drawing;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The lab is as before at the end, also when the command is killed midway. A request counts from when it was meant to begin, whether \
or not the ones before were answered; one that met a kept connection which was just closed is sent once more, as browsers do.")]
pub(super) struct Arguments {
    /// By which ways, one after the other: restart,reload,rolling,blue-green [default: all that `--what` has]
    #[arg(long, value_enum, value_delimiter = ',')]
    how: Vec<How>,
    /// What is changed
    #[arg(long, value_enum, default_value_t)]
    what: What,
    /// Requests a second, 1 to 5000 [default: 1000, with `--what certificate` 200]
    #[arg(long, value_parser = clap::value_parser!(u32).range(i64::from(*RATE.start())..=i64::from(*RATE.end())))]
    rate: Option<u32>,
    /// How long they come at least, 500ms to 30s; longer where the change takes longer
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = lasts)]
    lasts: Duration,
    /// A request that is answered later counts as delayed, 1ms to 60s
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = delayed)]
    delayed: Duration,
    /// A request that is not answered by then has failed, 100ms to 60s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = patience)]
    patience: Duration,
    /// The page that they ask for, where it is not a zone [default: /whoami, or / of an application of your own]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the time lines to a file, as a picture for a report
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What can be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum What {
    /// Another version of the application
    #[default]
    App,
    /// The web server
    Web,
    /// The site's zone, whose file its name server reads again, while users ask that for the site's address
    Zone,
    /// The site's certificate, while users ask by HTTPS, every second of them over a connection of its own
    Certificate,
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::App => "the application",
            Self::Web => "the web server",
            Self::Zone => "the zone",
            Self::Certificate => "the certificate",
        }
    }

    /// Requests a second, unless others are asked for.
    fn rate(self) -> u32 {
        match self {
            // A handshake costs either side much more than a page.
            Self::Certificate => 200,
            Self::App | Self::Web | Self::Zone => 1000,
        }
    }

    /// The ways that it has where the application is so many `processes`.
    fn ways(self, app: &App, processes: usize) -> &'static [How] {
        match self {
            Self::App => match (is_foreign(app), processes > 1) {
                (true, false) => &[How::Restart, How::BlueGreen],
                (true, true) => &[How::Restart, How::Rolling, How::BlueGreen],
                (false, false) => &[How::Restart, How::Reload, How::BlueGreen],
                (false, true) => &[How::Restart, How::Reload, How::Rolling, How::BlueGreen],
            },
            Self::Web => &[How::Restart],
            Self::Zone | Self::Certificate => &[How::Restart, How::Reload],
        }
    }

    /// Why it has no other.
    fn why_not(self, how: How, app: &App) -> String {
        match (self, how) {
            (Self::App, How::Rolling) => ROLLING.into(),
            (Self::Zone, _) => "a name server goes over to another version of a zone between two answers, and so needs no second one to \
                hand over to: --how restart,reload"
                .into(),
            (Self::Certificate, _) => "a web server goes over to another certificate between two handshakes, and so needs no second one \
                to hand over to: --how restart,reload"
                .into(),
            (Self::App, _) if is_foreign(app) => {
                "a program of your own cannot be told to read other files: --how restart,blue-green".into()
            }
            (Self::App, _) => "the application has no such way: --how restart,reload,blue-green".into(),
            (Self::Web, _) => "the web server finds changed pages by itself and takes certificates from a running lab; only its \
                settings need another process, and it has no second one to hand over to: --how restart"
                .into(),
        }
    }
}

/// Whether the application is a program of the student's own.
fn is_foreign(app: &App) -> bool {
    app.command.is_some() || app.fastcgi.is_some()
}

fn lasts(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(500), Duration::from_secs(30))
}

fn delayed(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(1), Duration::from_secs(60))
}

fn patience(text: &str) -> Result<Duration, String> {
    within(text, Duration::from_millis(100), Duration::from_secs(60))
}

fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (least..=most).contains(&time) { Ok(time) } else { Err(format!("{least:?} to {most:?}")) }
}

/// All of it, for programs.
#[derive(Debug, Serialize)]
struct Told<'a> {
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    address: SocketAddr,
    rate: u32,
    ways: Vec<Way<'a>>,
}

#[derive(Debug, Serialize)]
struct Way<'a> {
    how: How,
    #[serde(flatten)]
    account: &'a Account,
}

/// What came of one way.
struct Measured {
    how: How,
    probes: Vec<Probe>,
    account: Account,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    drawing::can_be_written(arguments.svg.as_deref())?;
    if directory.network == Network::Hosts && network::here(&directory.machines()).is_none() {
        // The lab's users are there.
        return shell::again_there(directory);
    }
    let app = directory.config()?.app;
    let is_foreign = is_foreign(&app);
    let what = arguments.what;
    let rate = arguments.rate.unwrap_or_else(|| what.rate());
    let mut measured = Vec::new();
    let (plan, site) = event_loop()?.block_on(async {
        let status = control::status(directory).await?;
        // Of the lab that is up: what is in lab.toml may be for the next one.
        let processes = status.services.iter().filter(|service| service.name.is_app()).count();
        let all = what.ways(&app, processes);
        let ways = if arguments.how.is_empty() { all } else { &arguments.how };
        if let Some(&how) = ways.iter().find(|how| !all.contains(how)) {
            return Err(Failure::Unusable(what.why_not(how, &app)));
        }
        let (service, asked) = match what {
            What::App | What::Web | What::Certificate => {
                let standard = if is_foreign { "/" } else { "/whoami" };
                let path = arguments.path.clone().unwrap_or_else(|| standard.into());
                let trust = (what == What::Certificate).then(|| trust(&status, directory)).transpose()?;
                (ServiceName::Web, Asked::Page { host: status.site_name.clone(), path, trust })
            }
            What::Zone => (ServiceName::Dns, Asked::Name(Box::new(name(&status.site_name)?))),
        };
        let https = status.tls.as_ref().filter(|_| what == What::Certificate);
        let address = match https {
            Some(tls) => tls.addresses.first().copied(),
            None => status.service(service).and_then(|service| service.address),
        };
        let plan = Plan {
            address: address.ok_or_else(|| Failure::Said(format!("this lab has no {service}")))?,
            asked,
            rate,
            at_least: u64::try_from(arguments.lasts.as_millis()).unwrap_or(u64::MAX) * u64::from(rate) / 1000,
            patience: arguments.patience,
        };
        is_served(&plan, world)?;
        let zone =
            if what == What::Zone { Some(zone(directory, &status.site_name, ways).await?) } else { None };
        // Nobody deploys meanwhile.
        let releases = Releases::of(directory);
        let _turn = releases.turn()?;
        let own = directory.root.join(&app.code);
        let code = (what == What::App && !is_foreign).then(|| releases.served(own));
        let mut hold = Hold::take(directory, None).await?;
        for &how in ways {
            let change = match &zone {
                Some(Request::ZoneUse { .. }) if how == How::Restart => {
                    Change::Asked(restart(ServiceName::Dns))
                }
                Some(reload) => Change::Asked(reload.clone()),
                None if what == What::Web => Change::Asked(restart(ServiceName::Web)),
                None if what == What::Certificate => Change::Certified(how),
                None => Change::Tried(how, prepared(code.as_deref(), directory)?),
            };
            let seen = changed(change, &plan, directory, &mut hold).await;
            // Whatever came of it.
            let back = hold.undo().await;
            let (probes, change) = seen?;
            back?;
            let account = Account::of(&probes, micros(arguments.delayed), change);
            let one = Measured { how, probes, account };
            if !arguments.json {
                tell(&one, what, &plan, world)?;
            }
            measured.push(one);
        }
        Ok::<_, Failure>((plan, status.site_name))
    })?;
    if arguments.json {
        let ways = measured.iter().map(|one| Way { how: one.how, account: &one.account }).collect();
        let (path, name) = match &plan.asked {
            Asked::Page { path, .. } => (Some(path.as_str()), None),
            Asked::Name(_) => (None, Some(site.as_str())),
        };
        world.json(&Told { what, path, name, address: plan.address, rate: plan.rate, ways })?;
    } else {
        write!(world.out, "{}", compared(&measured).render(world.width))?;
        remarks(&measured, arguments, world)?;
    }
    if let Some(file) = &arguments.svg {
        draw(&measured, what, &plan, file)?;
    }
    Ok(0)
}

fn micros(time: Duration) -> u64 {
    crate::ground::clock::whole_micros(time)
}

/// What is not served before anything is changed cannot be measured.
fn is_served(plan: &Plan, world: &World) -> Result<(), Failure> {
    let probes = Prober::start(Plan { at_least: 1, ..plan.clone() })?.finish(0)?;
    match probes.iter().find_map(|probe| probe.failed) {
        None => Ok(()),
        Some(symptom) => Err(Failure::Said(format!(
            "{} is not served as it is ({symptom}), so nothing can be measured: see `{} status`{}",
            shown(&plan.asked),
            world.program,
            if matches!(plan.asked, Asked::Page { .. }) { ", or name another page with --path" } else { "" }
        ))),
    }
}

fn shown(asked: &Asked) -> String {
    match asked {
        Asked::Page { path, trust: Some(_), .. } => format!("{} by HTTPS", printable(path)),
        Asked::Page { path, .. } => printable(path),
        Asked::Name(name) => format!("the address of {}", name.to_string().trim_end_matches('.')),
    }
}

fn name(site: &str) -> Result<Name, Failure> {
    site.parse()
        .map_err(|error| Failure::Said(format!("the site's name, {site}, is no domain name: {error}")))
}

/// Whom users believe who ask by HTTPS.
fn trust(status: &LabStatus, directory: &Directory) -> Result<Trust, Failure> {
    match &status.tls {
        Some(_) => super::super::path::trust(directory),
        None => Err(Failure::Unusable(
            "the lab speaks no HTTPS, and so shows no certificate that could be changed: `wwwlab secure` first".into(),
        )),
    }
}

/// What has the site's zone read again: from the file that it is served from, so that nothing is left to be undone.
async fn zone(directory: &Directory, site: &str, ways: &[How]) -> Result<Request, Failure> {
    let Response::Zones(zones) = control::ask(directory, &Request::ZoneList).await? else {
        return Err(ControlError::Strange(directory.name()).into());
    };
    let site = site.trim_end_matches('.').to_ascii_lowercase();
    let holds = |origin: &str| {
        let origin = origin.trim_end_matches('.').to_ascii_lowercase();
        site == origin || site.strip_suffix(&origin).is_some_and(|rest| rest.ends_with('.'))
    };
    let of_dns =
        zones.into_iter().filter(|(server, zone)| *server == ServiceName::Dns && holds(&zone.origin));
    let found = of_dns.max_by_key(|(_, zone)| zone.origin.len()).map(|(_, zone)| zone);
    let zone =
        found.ok_or_else(|| Failure::Said(format!("dns publishes no zone of {site}: `wwwlab zone list`")))?;
    let origin = zone.origin.trim_end_matches('.').to_owned();
    let config = directory.config()?;
    let mut own = config.zones(ServiceName::Dns, directory.network).into_values();
    if ways.contains(&How::Restart) && !own.any(|file| directory.root.join(file) == Path::new(&zone.file)) {
        return Err(Failure::Said(format!(
            "{origin} is served from {} until dns is restarted, and could not be left so: `wwwlab zone use {origin}`, or --how reload",
            zone.file
        )));
    }
    if let Some(problem) = zone.problems.first() {
        return Err(Failure::Said(format!("{origin} cannot be read again as it is: {}", printable(problem))));
    }
    Ok(Request::ZoneUse { origin, file: zone.file.into() })
}

fn restart(service: ServiceName) -> Request {
    Request::Service(Verb::Restart, service)
}

/// What is done while users come.
enum Change {
    /// This version of the application comes into service by this way, until it is taken back.
    Tried(How, PathBuf),
    /// New certificates are shown by this way, until they are taken back.
    Certified(How),
    /// What leaves nothing to be taken back.
    Asked(Request),
}

/// Changes it by one way while users come.
async fn changed(
    change: Change,
    plan: &Plan,
    directory: &Directory,
    hold: &mut Hold<'_>,
) -> Result<(Vec<Probe>, Span), Failure> {
    let before_and_after = plan.at_least / 4;
    let prober = Prober::start(plan.clone())?;
    prober.wait_for(before_and_after)?;
    let begins_micros = prober.micros();
    match change {
        Change::Tried(how, files) => hold.attempt(how, files).await?,
        Change::Certified(how) => hold.certify(how).await?,
        Change::Asked(request) => {
            control::ask(directory, &request).await?;
        }
    }
    let change = Span { begins_micros, ends_micros: prober.micros() };
    Ok((prober.finish(before_and_after)?, change))
}

/// Another version of what is served: a copy that says of itself that it is one. Of a program of the student's own, its
/// directory: it has no versions.
fn prepared(code: Option<&Path>, directory: &Directory) -> Result<PathBuf, Failure> {
    let Some(code) = code else { return Ok(directory.root.clone()) };
    let releases = Releases::of(directory);
    releases.remove_trial()?;
    let copy = releases.trial();
    let failed = |error| Failure::System(format!("cannot make another version in {}", copy.display()), error);
    let copied = CodeBase::copy(code, &copy).map_err(|error| Failure::Said(causes(&error).join(": ")))?;
    fs::write(copy.join("VERSION"), format!("{}-measured\n", copied.version())).map_err(failed)?;
    Ok(copy)
}

/// Shows one way.
fn tell(one: &Measured, what: What, plan: &Plan, world: &mut World) -> Result<(), Failure> {
    let (bold, dim) = (BOLD, DIM);
    let Measured { how, probes, account } = one;
    writeln!(
        world.out,
        "{bold}{} by {}{bold:#} {dim}{} requests a second for {} at {}{dim:#}",
        what.as_str(),
        how.as_str(),
        plan.rate,
        shown(&plan.asked),
        plan.address
    )?;
    write!(world.out, "{}", picture::text(probes, account, world.width))?;
    for line in certificates::in_words(account) {
        writeln!(world.out, "  {dim}{line}{dim:#}")?;
    }
    writeln!(world.out)?;
    world.out.flush()?;
    Ok(())
}

/// All of them side by side.
fn compared(measured: &[Measured]) -> Table {
    let mut table = Table::default()
        .column("WAY", 0)
        .numbers("SERVED", 0)
        .numbers("DELAYED", 0)
        .numbers("FAILED", 0)
        .numbers("UNAVAILABLE", 0)
        .numbers("TOOK", 3)
        .numbers("P99", 2)
        .folding("SYMPTOMS", 1);
    for Measured { how, account, .. } in measured {
        let failed = if account.failed > 0 { BAD } else { GOOD };
        let delayed = if account.delayed > 0 { LIMITED } else { GOOD };
        let unavailable = match account.unavailable {
            None => "never".into(),
            Some(window) if window.is_over => Micros(window.span.micros()).to_string(),
            Some(window) => format!("{}, and still", Micros(window.span.micros())),
        };
        table.row([
            how.as_str().into(),
            account.served.to_string().into(),
            Cell::styled(account.delayed.to_string(), delayed),
            Cell::styled(account.failed.to_string(), failed),
            Cell::styled(unavailable, failed),
            Micros(account.change.micros()).to_string().into(),
            Micros(account.p99_micros).to_string().into(),
            picture::symptoms(account).into(),
        ]);
    }
    table
}

fn remarks(measured: &[Measured], arguments: &Arguments, world: &mut World) -> Result<(), Failure> {
    let dim = DIM;
    let late = Micros(micros(arguments.delayed));
    writeln!(
        world.out,
        "  {dim}delayed: served, but later than {late} after it was meant to begin; all is as before{dim:#}"
    )?;
    if arguments.what == What::Certificate {
        writeln!(
            world.out,
            "  {dim}every second request shook hands anew; a connection that is kept goes on with the certificate that it began \
             with{dim:#}"
        )?;
    }
    let worst = measured.iter().map(|one| one.account.begun_late_p99_micros).max().unwrap_or_default();
    if worst > micros(arguments.delayed) {
        writeln!(
            world.out,
            "  {dim}some requests could only begin {} late: all connections waited for answers, or this machine is busy; \
             `--rate` lower tells which{dim:#}",
            Micros(worst)
        )?;
    }
    Ok(())
}

fn draw(measured: &[Measured], what: What, plan: &Plan, file: &Path) -> Result<(), Failure> {
    let panel = |one: &'_ Measured| -> String { format!("by {}", one.how.as_str()) };
    let panels: Vec<Panel<'_>> = measured
        .iter()
        .map(|one| Panel { title: panel(one), probes: &one.probes, account: &one.account })
        .collect();
    let heading =
        format!("{} changed, at {} requests a second for {}", what.as_str(), plan.rate, shown(&plan.asked));
    drawing::write(file, &picture::draw(&heading, &panels))
}

impl From<ProbeError> for Failure {
    fn from(error: ProbeError) -> Self {
        let why = causes(&error).join(": ");
        match error {
            ProbeError::Unaskable { .. } => Self::Unusable(why),
            ProbeError::System(_) | ProbeError::Gone => Self::Said(why),
        }
    }
}
