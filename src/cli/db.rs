//! `wwwlab db …`: the real client on the lab's database. The password comes to it in a file that nobody else can read, never
//! as an argument; the command is shown, so that it can be typed by hand. Where the lab's hosts are machines of their own, the
//! client is run on the server's: outside, the server's address is somebody else's, who must not be shown a password.

use std::ffi::OsString;

use crate::lab::config::{Engine, Network};
use crate::lab::control;
use crate::lab::database::client_options;
use crate::lab::directory::Directory;
use crate::lab::doctor::in_path;
use crate::lab::hosts::ServiceName;
use crate::lab::network;
use crate::lab::status::{LabStatus, State};
use crate::lab::supervisor::UpError;
use crate::services::database::Store;

use super::backup::reached;
use super::tool::run_tool;
use super::{Failure, World, block_on};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The client's own arguments, after `--`: `wwwlab db -- -e 'SELECT 1'`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

pub(super) fn run(arguments: &Arguments, directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    let status = block_on(control::status(directory))??;
    block_on(make_tables(directory, &status))?;
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
    let is_out_of_reach = status.database.engine == Engine::Mysql
        && directory.network == Network::Hosts
        && network::here(&directory.machines()).is_none();
    if is_out_of_reach {
        let place = directory.machines().join(ServiceName::Db.host().as_str());
        let program = std::env::current_exe()
            .map_err(|error| Failure::System("cannot find this program".into(), error))?;
        let [verb, place, end] = network::within(&place);
        line.splice(..0, [verb, place, end, tool.into()]);
        return run_tool(&program.to_string_lossy(), &line, install, world);
    }
    run_tool(tool, &line, install, world)
}

/// Has the tables made that the first page would make, so that there is something to look at, in a file that nobody else can
/// read. A program of one's own makes its own, and a database that is not of the lab is only looked at. What stands in the
/// way the client says in its own words.
async fn make_tables(directory: &Directory, status: &LabStatus) {
    let Ok(config) = directory.config() else { return };
    let runs = status.services.iter().any(|service| {
        let is_there = service.condition.pid.is_some() || status.database.engine == Engine::Sqlite;
        service.name == ServiceName::Db && service.condition.state == State::Running && is_there
    });
    if !runs || config.app.command.is_some() || config.app.fastcgi.is_some() {
        return;
    }
    if let Ok(target) = reached(directory, status.database.engine) {
        let store = Store::at(target);
        let _ = store.ping().await;
        store.close().await;
    }
}
