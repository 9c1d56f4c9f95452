//! The real tools, shown as they are called.

use std::ffi::OsString;
use std::process::Command;

use super::Failure;
use super::screen::{COMMAND, World, quoted};

/// Shows the whole command, runs it, and returns its exit code.
pub(super) fn run_tool(
    tool: &str,
    line: &[OsString],
    install: &str,
    world: &mut World,
) -> Result<u8, Failure> {
    let style = COMMAND;
    let typed: Vec<String> = line.iter().map(|argument| quoted(argument)).collect();
    writeln!(world.err, "{style}$ {tool} {}{style:#}", typed.join(" "))?;
    world.err.flush()?;
    let status = Command::new(tool).args(line).status().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::Said(format!("{tool} is not installed: {install}")),
        _ => Failure::System(format!("cannot run {tool}"), error),
    })?;
    // A tool that was killed has no code; shells say 128 and more, and so does this.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(128))
}
