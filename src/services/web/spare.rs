//! A descriptor in reserve, for the moment in which there is no other: it is given up, and in its place the next connection is
//! accepted, told that nobody can serve it, and closed. Then it is taken again.
//!
//! Without it whoever comes could not even be turned away: the kernel has connected them already, and they wait for somebody
//! who cannot accept them (accept(2), EMFILE). libev and libuv do the same.

use std::fs::File;
use std::io;

use nix::libc::{EMFILE, ENFILE};

/// The reserve.
#[derive(Debug)]
pub(super) struct Spare(Option<File>);

impl Spare {
    /// One, if there is one.
    pub(super) fn take() -> Self {
        Self(open())
    }

    /// Gives it up; whether there was one.
    pub(super) fn give_up(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes it again, if it can be.
    pub(super) fn take_again(&mut self) {
        if self.0.is_none() {
            self.0 = open();
        }
    }
}

/// Whether it is for want of a descriptor that something failed.
pub(super) fn is_wanted_for(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

fn open() -> Option<File> {
    File::open("/dev/null").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_up_once_and_taken_again() {
        let mut spare = Spare::take();
        assert!(spare.give_up() && !spare.give_up());
        spare.take_again();
        assert!(spare.give_up());
        assert!(is_wanted_for(&io::Error::from_raw_os_error(EMFILE)));
        assert!(!is_wanted_for(&io::ErrorKind::ConnectionAborted.into()));
    }
}
