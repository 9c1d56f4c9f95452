//! A lab that comes up and goes down as its user has it: `wwwlab up -d`, `wwwlab down`.

use std::path::PathBuf;
use std::process::Command;

use wwwlab::ground::clock::Stopwatch;
use wwwlab::lab::guard::Guard;

use crate::ground::ours::{new_lab, wwwlab};
use crate::ground::program::Program;
use crate::ground::stop::Stop;
use crate::ground::trouble::Trouble;

/// A lab, not up; one that is, because a turn was broken off, is brought down with it.
#[derive(Debug)]
pub(crate) struct Lab {
    directory: PathBuf,
}

/// What a turn takes, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Until every service serves.
    pub(crate) up: f64,
    /// Until all is gone again.
    pub(crate) up_and_down: f64,
}

impl Lab {
    /// Writes a lab to `directory` and has it up once, since the first time its database is made.
    pub(crate) fn new(
        directory: PathBuf,
        network: &str,
        classroom: u32,
        guard: &Guard,
        stop: &Stop,
    ) -> Result<Self, Trouble> {
        let settings = format!(
            "[lab]\nnetwork = \"{network}\"\n[network]\nclassroom = {classroom}\n[ports]\ndns = 0\nhttp = 0\napp = 0\n"
        );
        new_lab(&directory, &settings, guard, stop)?;
        let lab = Self { directory };
        lab.turn(guard, stop)?;
        Ok(lab)
    }

    /// Brings it up, and down again.
    pub(crate) fn turn(&self, guard: &Guard, stop: &Stop) -> Result<Times, Trouble> {
        let said = || self.directory.with_extension("log");
        let since = |watch: &Stopwatch| watch.elapsed().as_secs_f64() * 1000.0;
        let watch = Stopwatch::start();
        Program::run("wwwlab up", self.command("up").arg("-d"), said(), guard, stop)?;
        let up = since(&watch);
        Program::run("wwwlab down", &mut self.command("down"), said(), guard, stop)?;
        Ok(Times { up, up_and_down: since(&watch) })
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = wwwlab();
        command.arg(verb).current_dir(&self.directory);
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // That it is not up is what is wanted.
        let _ = self.command("down").output();
    }
}
