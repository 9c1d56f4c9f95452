//! The door: hands the real world to the library and exits with its code.

use std::process::ExitCode;

use wwwlab::cli::{World, run};

fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os(), &mut World::real()))
}
