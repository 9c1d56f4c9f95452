//! `wwwlab deploy DIR`: put another version of the application files into service; `--back` the former one.
//!
//! The files are copied into the lab's state and checked there before anything changes. A lab that is up brings them into
//! service by the way that `--how` says, of which two lose no request; one that is down serves them when it comes up.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ground::clock;
use crate::ground::service::causes;
use crate::lab::application::How;
use crate::lab::control::{self, ControlError, Request, Response};
use crate::lab::directory::Directory;
use crate::lab::releases::{Release, ReleaseError, Releases, Turn};
use crate::services::app::CodeBase;

use super::screen::{BOLD, COMMAND, DIM, Table, ago};
use super::words::printable;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").args(["directory", "list", "back"]))]
pub(super) struct Arguments {
    /// The version to put into service: a directory with VERSION and templates/, like the lab's app/. An application of your
    /// own has none: its files are where you edit them
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// By which way it comes into service
    #[arg(long, value_enum, default_value_t, conflicts_with = "list")]
    how: How,
    /// Show the versions that are kept, the one in service last
    #[arg(long)]
    list: bool,
    /// Put the former version back into service
    #[arg(long)]
    back: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    directory.prepare()?;
    let app = directory.config()?.app;
    if app.command.is_some() || app.fastcgi.is_some() {
        if arguments.directory.is_none() && !arguments.list && !arguments.back && arguments.how != How::Reload
        {
            return anew(arguments, directory, world);
        }
        let why = "this lab runs an application of your own ([app] command or fastcgi in lab.toml): change its files, then";
        return Err(Failure::Said(format!(
            "{why} `{0} deploy --how blue-green` or `{0} restart app`",
            world.program
        )));
    }
    let own = directory.root.join(&app.code);
    let site = Place { releases: Releases::of(directory), directory, own, how: arguments.how };
    match (&arguments.directory, arguments.back, arguments.list) {
        (Some(from), ..) => site.deploy(from, arguments.json, world),
        (None, true, _) => site.back(arguments.json, world),
        (None, _, true) => site.list(arguments.json, world),
        (None, false, false) => Err(Failure::Unusable(format!(
            "which version? `{0} deploy DIR` names one, `{0} deploy --back` the former one, `{0} deploy --list` shows them",
            world.program
        ))),
    }
}

/// Has a program of the student's started anew, as its files are now.
fn anew(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    match block_on(control::ask(directory, &Request::Deploy(arguments.how, None)))?? {
        Response::Deployed { served: true, unfinished } if arguments.json => {
            world.json(&Anew { how: arguments.how, unfinished })?;
        }
        Response::Deployed { served: true, unfinished } => {
            writeln!(world.out, "the application is in service anew, by {}", arguments.how.as_str())?;
            warn_of_unfinished(unfinished, world)?;
        }
        Response::Deployed { served: false, .. } => {
            return Err(Failure::Said(format!("app is not up: `{} start app` starts it", world.program)));
        }
        _ => return Err(ControlError::Strange(directory.name()).into()),
    }
    Ok(0)
}

/// Says what was cut with the former process.
fn warn_of_unfinished(unfinished: u32, world: &mut World) -> Result<(), Failure> {
    if unfinished > 0 {
        let what = if unfinished == 1 { "1 request was" } else { &*format!("{unfinished} requests were") };
        writeln!(world.out, "  {what} not answered in time by the former process, and ended with it")?;
    }
    Ok(())
}

struct Place<'a> {
    releases: Releases,
    directory: &'a Directory,
    /// The lab's own application files, served where nothing was deployed.
    own: PathBuf,
    how: How,
}

/// A program of the student's, started anew, for programs.
#[derive(Debug, Serialize)]
struct Anew {
    how: How,
    unfinished: u32,
}

/// What was done, for programs.
#[derive(Debug, Serialize)]
struct Done<'a> {
    version: &'a str,
    former: Option<&'a str>,
    /// Whether it is in service now; if not, it is when the application starts.
    served: bool,
    /// How it came into service.
    how: How,
    /// Requests that the former process had not answered when it was waited for no longer, and that ended with it.
    unfinished: u32,
}

/// A line of the list, for programs.
#[derive(Debug, Serialize)]
struct Listed {
    /// 0 for the lab's own files.
    release: u32,
    version: Option<String>,
    from: PathBuf,
    /// When it was deployed, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    /// Whether it is what the application serves, or will when it starts.
    chosen: bool,
}

impl Place<'_> {
    fn deploy(&self, from: &Path, json: bool, world: &mut World) -> Result<u8, Failure> {
        let from = from
            .canonicalize()
            .map_err(|error| Failure::Unusable(format!("cannot deploy {}: {error}", from.display())))?;
        let turn = self.releases.turn()?;
        let mut list = self.releases.list()?;
        let former = self.version(&list);
        let (number, copy) = self.releases.next(&list, &turn)?;
        let code = CodeBase::copy(&from, &copy).map_err(|error| unusable(&error))?;
        let version = code.version().to_owned();
        list.push(Release { number, version: version.clone(), from, at: clock::unix_millis() });
        self.serve(&list, &version, former.as_deref(), json, world, turn)
    }

    fn back(&self, json: bool, world: &mut World) -> Result<u8, Failure> {
        let turn = self.releases.turn()?;
        let mut list = self.releases.list()?;
        let former = self.version(&list);
        if list.pop().is_none() {
            return Err(Failure::Said(format!(
                "nothing was deployed: the lab serves its own files, {}; edit them and `{} deploy {}`",
                self.own.display(),
                world.program,
                self.own.display(),
            )));
        }
        let code =
            CodeBase::read(&self.releases.last(&list, self.own.clone())).map_err(|error| unusable(&error))?;
        self.serve(&list, code.version(), former.as_deref(), json, world, turn)
    }

    /// Has the last of `list` served, now or when the lab comes up. Nobody else deploys until it is.
    fn serve(
        &self,
        list: &[Release],
        version: &str,
        former: Option<&str>,
        json: bool,
        world: &mut World,
        turn: Turn,
    ) -> Result<u8, Failure> {
        let how = self.how;
        let request = Request::Deploy(how, Some(list.to_vec()));
        let (served, unfinished, start) = match block_on(control::ask(self.directory, &request))? {
            Ok(Response::Deployed { served, unfinished }) => (served, unfinished, "start app"),
            Ok(_) => return Err(ControlError::Strange(self.directory.name()).into()),
            Err(ControlError::NotUp(_)) => {
                self.releases.keep(list)?;
                (false, 0, "up")
            }
            Err(error) => return Err(error.into()),
        };
        drop(turn);
        if json {
            world.json(&Done { version, former, served, how, unfinished })?;
            return Ok(0);
        }
        let (bold, command, program) = (BOLD, COMMAND, &world.program);
        write!(world.out, "{bold}version {}{bold:#} of the application is ", printable(version))?;
        match (served, former) {
            (true, Some(former)) => writeln!(world.out, "in service, after version {}", printable(former))?,
            (true, None) => writeln!(world.out, "in service")?,
            (false, _) => {
                writeln!(world.out, "kept: {command}{program} {start}{command:#} serves it")?;
            }
        }
        warn_of_unfinished(unfinished, world)?;
        Ok(0)
    }

    fn list(&self, json: bool, world: &mut World) -> Result<u8, Failure> {
        let list = self.releases.list()?;
        let own = Listed {
            release: 0,
            version: CodeBase::read(&self.own).ok().map(|code| code.version().to_owned()),
            from: self.own.clone(),
            at: None,
            chosen: list.is_empty(),
        };
        let last = list.len().saturating_sub(1);
        let deployed = list.into_iter().enumerate().map(|(index, release)| Listed {
            release: release.number,
            version: Some(release.version),
            from: release.from,
            at: Some(release.at),
            chosen: index == last,
        });
        let all: Vec<Listed> = [own].into_iter().chain(deployed).collect();
        if json {
            world.json(&all)?;
            return Ok(0);
        }
        let now = clock::unix_millis();
        let mut table = Table::default()
            .numbers("RELEASE", 0)
            .column("VERSION", 0)
            .column("", 0)
            .numbers("DEPLOYED", 2)
            .column("FROM", 1);
        for listed in &all {
            let age = listed.at.map(|at| format!("{} ago", ago(now.saturating_sub(at) / 1000)));
            table.row([
                listed.release.to_string().into(),
                printable(listed.version.as_deref().unwrap_or("unusable")).into(),
                if listed.chosen { "serves" } else { "" }.into(),
                age.unwrap_or_default().into(),
                printable(&listed.from.display().to_string()).into(),
            ]);
        }
        write!(world.out, "{}", table.render(world.width))?;
        let dim = DIM;
        writeln!(world.out, "  {dim}release 0 are the lab's own files, to edit{dim:#}")?;
        Ok(0)
    }

    /// The version that `list` has served, if it can be read.
    fn version(&self, list: &[Release]) -> Option<String> {
        match list.last() {
            Some(release) => Some(release.version.clone()),
            None => CodeBase::read(&self.own).ok().map(|code| code.version().to_owned()),
        }
    }
}

fn unusable(error: &crate::services::app::CodeBaseError) -> Failure {
    Failure::Unusable(format!("{}; nothing was changed", causes(error).join(": ")))
}

impl From<ReleaseError> for Failure {
    fn from(error: ReleaseError) -> Self {
        Self::Said(causes(&error).join(": "))
    }
}
