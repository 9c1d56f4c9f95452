//! A bench as a command: the result goes to stdout, what is wrong to stderr, and the exit code says whether there is a result.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

use std::fmt::Display;
use std::process::ExitCode;

use wwwlab::ground::service::causes;

use super::stop::{Stop, until_stopped};
use super::trouble::Trouble;

/// Does `bench`, unless the user stops it, and prints its result.
pub(crate) fn run<Report: Display + Send + 'static>(
    bench: impl FnOnce(&Stop) -> Result<Report, Trouble> + Send + 'static,
) -> ExitCode {
    match until_stopped(bench) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("bench: {}", causes(&trouble).join(": "));
            ExitCode::FAILURE
        }
    }
}
