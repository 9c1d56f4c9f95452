//! `wwwlab completions SHELL` and `wwwlab man`: made from the same arguments that are parsed.

use clap::CommandFactory;

use super::{Arguments, Failure, World};

pub(super) fn completions(shell: clap_complete::Shell, world: &mut World) -> Result<u8, Failure> {
    // clap_complete panics where it cannot write; a Vec takes everything.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "wwwlab", &mut script);
    world.out.write_all(&script)?;
    Ok(0)
}

pub(super) fn manual(world: &mut World) -> Result<u8, Failure> {
    clap_mangen::Man::new(Arguments::command()).render(&mut world.out)?;
    Ok(0)
}
