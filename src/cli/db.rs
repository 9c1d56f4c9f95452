//! `wwwlab db …`: the real client on the lab's database. The password comes to it in a file that nobody else can read, never
//! as an argument; the command is shown, so that it can be typed by hand.

use std::ffi::OsString;

use crate::lab::config::Engine;
use crate::lab::control;
use crate::lab::database::client_options;
use crate::lab::directory::Directory;
use crate::lab::doctor::in_path;
use crate::lab::supervisor::UpError;

use super::curl::run_tool;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The client's own arguments, after `--`: `wwwlab db -- -e 'SELECT 1'`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let status = block_on(control::status(directory))??;
    let mut line: Vec<OsString> = Vec::new();
    let (tool, install) = match status.database.engine {
        Engine::Sqlite => {
            line.push(status.database.place.into());
            ("sqlite3", "apt install sqlite3")
        }
        Engine::Mysql => {
            let options = client_options(directory).map_err(UpError::from)?;
            let mut first = OsString::from("--defaults-file=");
            first.push(options);
            line.push(first);
            let tool = ["mariadb", "mysql"].into_iter().find(|name| in_path(name).is_some());
            (tool.unwrap_or("mariadb"), "apt install mariadb-client")
        }
    };
    line.extend(arguments.arguments.iter().cloned());
    run_tool(tool, &line, install, world)
}
