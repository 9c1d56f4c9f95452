//! How a load is shown: how far it is, and what came of it.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::screen::{BAD, BOLD, Cell, DIM, GOOD, LIMITED, Table};
use crate::cli::{Failure, World};
use crate::measure::load::counted::millis;
use crate::measure::load::objective::Quantile;
use crate::measure::load::report::{Ended, Report, Run, Step};
use crate::measure::load::strain::Full;

/// Errors of a step that are named, the most frequent first.
const NAMED_MOST: usize = 3;

/// Shows how far it is: a bar where standard error is a terminal, and a line for each rate where it is not.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of something that takes `millis` at most.
    pub(super) fn of(what: &str, millis: u64) -> Self {
        const LOOK: &str = "{prefix} [{bar:30}] {msg}";
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(millis).with_prefix(what.to_owned());
            match ProgressStyle::with_template(LOOK) {
                Ok(style) => bar.with_style(style.progress_chars("=> ")),
                Err(_) => bar,
            }
        });
        Self { bar }
    }

    /// It tries this rate now, and so much of its time is over.
    pub(super) fn tries(&self, rate: u32, millis: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(millis);
            bar.set_message(format!("{rate}/s"));
        }
    }

    /// One rate is measured.
    pub(super) fn measured(&self, what: &str, step: &Step, world: &mut World) {
        if self.bar.is_none() {
            let p99 = step.time(Quantile::P99).or(step.time(Quantile::Max)).map(millis);
            let p99 = p99.unwrap_or_else(|| "none answered".into());
            let kept = if step.is_kept() { "kept" } else { "broken" };
            // Nothing depends on its being read.
            let _ = writeln!(
                world.err,
                "{what} {}/s: p99 {p99}, {:.2} % errors: {kept}",
                step.rate, step.errors_percent
            );
            let _ = world.err.flush();
        }
    }
}

impl Drop for Progress {
    /// What is said next starts on a clean line.
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Prints one run.
pub(super) fn print(run: &Run, report: &Report, world: &mut World) -> Result<(), Failure> {
    let (bold, dim) = (BOLD, DIM);
    writeln!(world.out, "{bold}{}{bold:#} {dim}{}{dim:#}", run.what, run.asked)?;
    write!(world.out, "{}", table(&run.steps).render(world.width))?;
    let objective = &report.objective;
    let why = || {
        let step = run.steps.iter().rfind(|step| Some(step.rate) == run.broken && !step.is_kept());
        step.map(|step| step.broken.join("; ")).unwrap_or_default()
    };
    let (good, bad) = (GOOD, BAD);
    match (run.sustained, run.broken) {
        (Some(rate), Some(higher)) => {
            writeln!(
                world.out,
                "  {good}{rate}/s{good:#} keep {objective}, {bad}{higher}/s{bad:#} break it: {}",
                why()
            )?;
        }
        (Some(rate), None) => writeln!(world.out, "  {good}{rate}/s{good:#} keep {objective}")?,
        (None, Some(rate)) => writeln!(world.out, "  {bad}{rate}/s{bad:#} break {objective}: {}", why())?,
        (None, None) => {
            writeln!(world.out, "  the time was over before any rate was measured: --time gives more")?
        }
    }
    match (&run.full[..], run.broken) {
        ([], None) => {}
        ([], Some(rate)) => writeln!(
            world.out,
            "  full at {rate}/s: nothing that is watched (processors, descriptors, connections, the database's connections)"
        )?,
        (full, Some(rate)) => {
            let full: Vec<String> = full.iter().map(ToString::to_string).collect();
            writeln!(world.out, "  full at {rate}/s: {bold}{}{bold:#}", full.join("; "))?;
        }
        (_, None) => {}
    }
    match run.ended {
        Ended::Time => writeln!(
            world.out,
            "  {dim}the time was over before the knee was found more closely: --time gives more{dim:#}"
        )?,
        Ended::HighestRate => {
            writeln!(world.out, "  {dim}no higher rate was tried (--most){dim:#}")?;
        }
        Ended::Found | Ended::NoneKept | Ended::OneRate => {}
    }
    Ok(())
}

fn table(steps: &[Step]) -> Table {
    let mut table = Table::default()
        .numbers("RATE/s", 0)
        .numbers("ANSWERED/s", 3)
        .numbers("P50", 2)
        .numbers("P95", 4)
        .numbers("P99", 0)
        .numbers("P99.9", 5)
        .numbers("SENT LATE", 6)
        .folding("ERRORS", 1);
    for step in steps {
        let rate = if step.is_kept() { GOOD } else { BAD };
        let time = |quantile| Cell::from(step.time(quantile).map_or_else(|| "-".into(), millis));
        let late = millis(Duration::from_micros(step.late_micros));
        let is_late = step.full.iter().any(|full| matches!(full, Full::Generator { .. }));
        let late = if is_late { Cell::styled(late, LIMITED) } else { late.into() };
        table.row([
            Cell::styled(step.rate.to_string(), rate),
            format!("{:.0}", step.answered_per_second).into(),
            time(Quantile::P50),
            time(Quantile::P95),
            time(Quantile::P99),
            time(Quantile::P999),
            late,
            errors(step).into(),
        ]);
    }
    table
}

/// `0`, or `1.20 % (503: 12, timeout: 3)`.
fn errors(step: &Step) -> String {
    if step.errors.is_empty() {
        return "0".into();
    }
    let mut kinds: Vec<(&String, &u64)> = step.errors.iter().collect();
    kinds.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
    let others = kinds.len().saturating_sub(NAMED_MOST);
    let mut named: Vec<String> =
        kinds.iter().take(NAMED_MOST).map(|(kind, count)| format!("{kind}: {count}")).collect();
    if others > 0 {
        named.push(format!("{others} more kinds"));
    }
    format!("{:.2} % ({})", step.errors_percent, named.join(", "))
}
