//! `wwwlab measure load`: how many requests a second the lab bears, and what is full when it bears no more.

mod aims;
mod shown;
mod watching;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::quit::asked_to_quit;
use crate::cli::{Failure, World, block_on, shell};
use crate::ground::channel::Mark;
use crate::ground::clock::Stopwatch;
use crate::ground::service::causes;
use crate::lab::config::{Config, Network};
use crate::lab::control;
use crate::lab::directory::Directory;
use crate::lab::hold::Hold;
use crate::lab::network;
use crate::lab::status::LabStatus;
use crate::measure::load::counted::Counted;
use crate::measure::load::generator::{Generator, GeneratorError};
use crate::measure::load::objective::Objective;
use crate::measure::load::report::{Ended, Report, Run, Step};
use crate::measure::load::search::Search;
use crate::measure::load::{
    CONNECTIONS_MOST, PATIENCE_LEAST, PATIENCE_MOST, RATE_MOST, STEP_LEAST, STEP_MOST, TIME_LEAST, TIME_MOST,
    svg,
};

use super::{drawing, mark, signs};
use aims::{Aimed, Kind, UNSIGNED, aim};
use shown::Progress;
use watching::{LOOKS_EVERY, Watching};

/// Exit code where the objective is not kept: at the one rate, or at any.
const NOT_KEPT: u8 = 4;

/// The time of a run, where none is named: of a search, and of one rate.
const TIME: Duration = Duration::from_secs(60);
const TIME_OF_ONE: Duration = Duration::from_secs(10);

/// As many rates fit into a search, about; and how long one is held where that is not named.
const STEPS: u32 = 20;
const STEP: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(2)];

/// After too much, the lab is left alone with so little until it keeps the objective again, or for so long.
const SETTLING_RATE: u32 = 20;
const SETTLING_STEP: Duration = Duration::from_millis(150);
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Requests come at moments that are fixed beforehand, and each one's time counts from then, whether or not a connection was free \
(open loop, no coordinated omission). They go to the lab's own addresses only.

Exit codes: 0 it is measured; 4 the objective is not kept at --rate, or at any rate that was tried; 1 to 3 as those of wwwlab.")]
pub(in crate::cli::measure) struct Arguments {
    /// What to ask for, one after the other [default: static dynamic write dns]
    #[arg(value_enum)]
    what: Vec<Kind>,
    /// The objective: p50, p90, p95, p99, p99.9, max (10us to 30s), errors (0% to 100%)
    #[arg(long, value_name = "OBJECTIVE", default_value = "p99=100ms,errors=1%")]
    slo: Objective,
    /// Measure this one rate alone, requests a second (1 to 50000)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MOST)),
        conflicts_with_all = ["from", "most", "step"])]
    rate: Option<u32>,
    /// The rate to try first [default: 500; dynamic 100, write 25]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MOST)))]
    from: Option<u32>,
    /// The highest rate to try (1 to 50000)
    #[arg(long, value_name = "N", default_value_t = RATE_MOST,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MOST)))]
    most: u32,
    /// Connections at a time, for pages (1 to 1000)
    #[arg(long, value_name = "N", default_value_t = 256,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(CONNECTIONS_MOST)))]
    connections: u16,
    /// For all of it (1s to 10min) [default: 60s; with --rate, 10s for each kind]
    #[arg(long, value_name = "TIME", value_parser = |text: &str| time(text, TIME_LEAST, TIME_MOST))]
    time: Option<Duration>,
    /// How long each rate is held (100ms to 1min) [default: so that the search fits, 2s at most]
    #[arg(long, value_name = "TIME", value_parser = |text: &str| time(text, STEP_LEAST, STEP_MOST))]
    step: Option<Duration>,
    /// How long an answer is waited for (10ms to 30s)
    #[arg(long, value_name = "TIME", default_value = "2s",
        value_parser = |text: &str| time(text, PATIENCE_LEAST, PATIENCE_MOST))]
    timeout: Duration,
    /// The page of `static` or `dynamic` [default: /about.html, /guestbook]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Draw the curves to a file, as a picture for a report
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A time within bounds.
fn time(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let time =
        humantime::parse_duration(text).map_err(|error| format!("{error}: write 500ms, 2s or 1min"))?;
    if (least..=most).contains(&time) {
        return Ok(time);
    }
    let [least, most] = [least, most].map(humantime::format_duration);
    Err(format!("it may be {least} to {most}"))
}

pub(in crate::cli::measure) fn run(
    arguments: &Arguments,
    directory: &Directory,
    world: &mut World,
) -> Result<u8, Failure> {
    drawing::can_be_written(arguments.svg.as_deref())?;
    if directory.network == Network::Hosts && network::here(&directory.machines()).is_none() {
        // The lab's client is who asks.
        return shell::again_there(directory);
    }
    let report = block_on(async {
        let quit =
            asked_to_quit().map_err(|error| Failure::System("cannot watch for signals".into(), error))?;
        tokio::select! {
            biased;
            () = quit => Err(Failure::Said("ended before it was measured; the lab takes out what was written".into())),
            report = measure(arguments, directory, world) => report,
        }
    })??;
    if arguments.json {
        world.json(&report)?;
    }
    if let Some(file) = &arguments.svg {
        drawing::write(file, &svg::draw(&report))?;
    }
    let is_kept = report.runs.iter().all(|run| run.sustained.is_some());
    Ok(if is_kept { 0 } else { NOT_KEPT })
}

async fn measure(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<Report, Failure> {
    let status = control::status(directory).await?;
    let config = directory.config()?;
    let watching = Watching::new(directory, &status, config.web.max_connections);
    let signs = signs(&config);
    let kinds = match &arguments.what[..] {
        [] if signs => vec![Kind::Static, Kind::Dynamic, Kind::Write, Kind::Dns],
        [] => vec![Kind::Static, Kind::Dynamic, Kind::Dns],
        given => given.to_vec(),
    };
    let last_write = kinds.iter().rposition(|&kind| kind == Kind::Write);
    if last_write.is_some() && !signs {
        return Err(Failure::Unusable(UNSIGNED.into()));
    }
    let mark = last_write.map(|_| mark("load"));
    let mut hold = Hold::take(directory, mark.clone()).await?;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION").into(),
        network: status.network.clone(),
        processors: watching.processors,
        objective: arguments.slo.clone(),
        runs: Vec::new(),
    };
    let share = share(arguments, kinds.len());
    for (place, kind) in kinds.into_iter().enumerate() {
        let run =
            of_kind(kind, arguments, share, (&status, &config, mark.as_ref()), &watching, world).await?;
        if last_write == Some(place) {
            hold.forget().await?;
        }
        if !arguments.json {
            shown::print(&run, &report, world)?;
            world.out.flush()?;
        }
        report.runs.push(run);
    }
    Ok(report)
}

/// The time for each of so many kinds.
fn share(arguments: &Arguments, kinds: usize) -> Duration {
    let kinds = u32::try_from(kinds).unwrap_or(u32::MAX).max(1);
    match (arguments.time, arguments.rate) {
        (Some(time), _) => time / kinds,
        (None, Some(_)) => TIME_OF_ONE.min(TIME_MOST / kinds),
        (None, None) => TIME / kinds,
    }
}

async fn of_kind(
    kind: Kind,
    arguments: &Arguments,
    share: Duration,
    (status, config, mark): (&LabStatus, &Config, Option<&Mark>),
    watching: &Watching<'_>,
    world: &mut World,
) -> Result<Run, Failure> {
    let path = arguments.path.as_deref();
    let Aimed { aim, asked } = aim(kind, path, mark, status, config)?;
    let generator = Generator::start(aim, arguments.connections, arguments.timeout)?;
    // Nothing is learnt from many of what one already cannot.
    let first = generator.step(1, Duration::ZERO, false).await?;
    if first.answered == 0 {
        let kind = first.errors.keys().next().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::Said(format!(
            "{asked} cannot be measured, since already the first request fails: {kind}; see `{} status`",
            world.program
        )));
    }
    let progress = Progress::of(kind.as_str(), u64::try_from(share.as_millis()).unwrap_or(u64::MAX));
    let load = Load { generator: &generator, watching, objective: &arguments.slo, progress: &progress };
    let run = match arguments.rate {
        Some(rate) => load.one_rate(kind, asked, rate, share, world).await?,
        None => {
            let step = arguments.step.unwrap_or((share / STEPS).clamp(STEP[0], STEP[1]));
            let first = arguments.from.unwrap_or(kind.first_rate());
            load.search(kind, asked, Search::new(first, arguments.most), (step, share), world).await?
        }
    };
    drop(progress);
    Ok(run)
}

/// What a load is made and watched with.
struct Load<'a> {
    generator: &'a Generator,
    watching: &'a Watching<'a>,
    objective: &'a Objective,
    progress: &'a Progress,
}

impl Load<'_> {
    async fn one_rate(
        &self,
        kind: Kind,
        asked: String,
        rate: u32,
        lasting: Duration,
        world: &mut World,
    ) -> Result<Run, Failure> {
        let step = self.step(rate, lasting, false, &Stopwatch::start()).await?;
        self.progress.measured(kind.as_str(), &step, world);
        let kept = step.is_kept();
        let steps = vec![step];
        Ok(Run {
            what: kind.as_str().into(),
            asked,
            sustained: kept.then_some(rate),
            broken: (!kept).then_some(rate),
            ended: Ended::OneRate,
            full: Run::full_at(&steps, (!kept).then_some(rate)),
            steps,
        })
    }

    async fn search(
        &self,
        kind: Kind,
        asked: String,
        mut search: Search,
        (step, share): (Duration, Duration),
        world: &mut World,
    ) -> Result<Run, Failure> {
        let watch = Stopwatch::start();
        let mut steps: Vec<Step> = Vec::new();
        let mut afresh = false;
        let ended = loop {
            let Some(rate) = search.next() else {
                break match (search.sustained(), search.broken()) {
                    (None, _) => Ended::NoneKept,
                    (_, None) => Ended::HighestRate,
                    _ => Ended::Found,
                };
            };
            if watch.elapsed() + step > share {
                break Ended::Time;
            }
            let measured = self.step(rate, step, afresh, &watch).await?;
            self.progress.measured(kind.as_str(), &measured, world);
            search.tell(measured.is_kept());
            afresh = !measured.is_kept();
            steps.push(measured);
            if afresh {
                self.settle((share / 10).min(SETTLED_WITHIN)).await?;
            }
        };
        // Where the time was over, one time that it broke has to do.
        let above = search.sustained().unwrap_or(0);
        let once =
            || steps.iter().filter(|step| !step.is_kept() && step.rate > above).map(|step| step.rate).min();
        let broken = search.broken().or_else(once);
        Ok(Run {
            what: kind.as_str().into(),
            asked,
            sustained: search.sustained(),
            broken,
            ended,
            full: Run::full_at(&steps, broken),
            steps,
        })
    }

    /// Lets the lab do what is left of too much.
    async fn settle(&self, within: Duration) -> Result<(), Failure> {
        let watch = Stopwatch::start();
        while watch.elapsed() < within {
            let counted = self.generator.step(SETTLING_RATE, SETTLING_STEP, true).await?;
            if self.objective.broken_by(&counted).is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// One rate, watched.
    async fn step(
        &self,
        rate: u32,
        lasting: Duration,
        afresh: bool,
        since: &Stopwatch,
    ) -> Result<Step, Failure> {
        let before = self.watching.read().await?;
        let mut descriptors = BTreeMap::new();
        let watch = async {
            let watch = Stopwatch::start();
            while watch.elapsed() < lasting.saturating_sub(LOOKS_EVERY) {
                self.watching.look(&mut descriptors);
                let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.progress.tries(rate, millis);
                tokio::time::sleep(LOOKS_EVERY).await;
            }
            // Before what came is answered: afterwards nothing is full any more.
            self.watching.read().await
        };
        let (counted, after) = tokio::join!(self.generator.step(rate, lasting, afresh), watch);
        let (counted, after): (Counted, _) = (counted?, after?);
        let strain = self.watching.strain(&before, &after, &descriptors);
        Ok(Step::of(&counted, self.objective, strain))
    }
}

impl From<GeneratorError> for Failure {
    fn from(error: GeneratorError) -> Self {
        Self::Said(causes(&error).join(": "))
    }
}
