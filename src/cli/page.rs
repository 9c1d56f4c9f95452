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

pub(super) fn manual(command: Option<&str>, world: &mut World) -> Result<u8, Failure> {
    let mut whole = Arguments::command();
    whole.build();
    let page = match command {
        None => clap_mangen::Man::new(whole),
        Some(name) => match whole.find_subcommand(name) {
            Some(command) => clap_mangen::Man::new(command.clone()).title(format!("wwwlab-{name}")),
            None => {
                return Err(Failure::Said(format!("there is no command {name:?}; `wwwlab help` lists them")));
            }
        },
    };
    page.render(&mut world.out)?;
    Ok(0)
}
