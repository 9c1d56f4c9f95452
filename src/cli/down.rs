//! `wwwlab down`: end the lab, wherever it runs.

use crate::lab::control::{self, Request, Response};
use crate::lab::directory::Directory;

use super::{Failure, World, block_on};

pub(super) fn run(directory: &Directory, world: &mut World) -> Result<u8, Failure> {
    match block_on(control::ask(directory, &Request::Down))?? {
        Response::Done(sentence) => writeln!(world.out, "{sentence}")?,
        _ => writeln!(world.out, "the lab is going down")?,
    }
    Ok(0)
}
