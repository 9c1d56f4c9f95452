//! `wwwlab start|stop|restart|kill|pause|resume SERVICE`.

use crate::lab::control::{self, Request, Response, Verb};
use crate::lab::directory::Directory;
use crate::lab::hosts::ServiceName;

use super::{Failure, World, block_on};

pub(super) fn run(
    verb: Verb,
    name: ServiceName,
    directory: &Directory,
    world: &mut World,
) -> Result<u8, Failure> {
    if let Response::Done(sentence) = block_on(control::ask(directory, &Request::Service(verb, name)))?? {
        writeln!(world.out, "{sentence}")?;
    }
    Ok(0)
}
