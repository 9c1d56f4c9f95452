//! The peers' programs, where the distribution puts them.

use std::path::PathBuf;

use crate::ground::installed::{exactly, versions};
use crate::ground::trouble::Trouble;

/// Where each program is.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) nsd: PathBuf,
    pub(crate) knotd: PathBuf,
    pub(crate) named: PathBuf,
    pub(crate) named_checkzone: PathBuf,
}

impl Programs {
    /// Finds all; what is missing is said at once, with its packages.
    pub(crate) fn find() -> Result<Self, Trouble> {
        let (mut programs, mut packages) = (Vec::new(), Vec::new());
        let mut find = |program, package| {
            exactly(program).unwrap_or_else(|| {
                programs.push(program);
                packages.push(package);
                PathBuf::new()
            })
        };
        let found = Self {
            nsd: find("nsd", "nsd"),
            knotd: find("knotd", "knot"),
            named: find("named", "bind9"),
            named_checkzone: find("named-checkzone", "bind9-utils"),
        };
        if programs.is_empty() {
            return Ok(found);
        }
        Err(Trouble::Missing { programs, packages: packages.join(" ") })
    }

    /// What each says of its version.
    pub(crate) fn versions(&self) -> String {
        versions(&[("NSD", &self.nsd, "-v"), ("Knot DNS", &self.knotd, "-V"), ("BIND", &self.named, "-v")])
    }
}
