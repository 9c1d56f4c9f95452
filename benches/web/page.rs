//! What is asked for: three files, and a page of an application behind the server.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::ground::trouble::{Trouble, of};
use crate::report::Promise;
use crate::server::Product;

/// One of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// A file of 1 kB.
    Small,
    /// A file of 100 kB.
    Middle,
    /// A file of 10 MB.
    Large,
    /// 1 kB from the application.
    Proxied,
}

impl Page {
    /// In the order in which they are asked for.
    pub(crate) const ALL: [Self; 4] = [Self::Small, Self::Middle, Self::Large, Self::Proxied];

    /// Where it is.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Self::Small => "/small.html",
            Self::Middle => "/middle.html",
            Self::Large => "/large.bin",
            Self::Proxied => "/app",
        }
    }

    /// How long it is, in bytes.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::Small | Self::Proxied => 1_000,
            Self::Middle => 100_000,
            Self::Large => 10_000_000,
        }
    }

    /// Its content: no piece of it is like another.
    pub(crate) fn content(self) -> Vec<u8> {
        let mut content: Vec<u8> =
            (0..self.bytes() / 8).flat_map(|number| format!("{number:07}\n").into_bytes()).collect();
        content.resize(self.bytes(), b'.');
        content
    }

    /// How often it is asked for in a turn.
    pub(crate) const fn requests(self) -> u32 {
        match self {
            Self::Small => 20_000,
            Self::Middle => 5_000,
            Self::Large => 100,
            Self::Proxied => 8_000,
        }
    }

    /// Whether `product` can show it: in a lab, the application is the lab's own.
    pub(crate) fn is_had_by(self, product: Product) -> bool {
        self != Self::Proxied || product != Product::Lab
    }

    /// What is promised of its cost and of its rate.
    pub(crate) const fn promises(self) -> (Promise, Promise) {
        match self {
            Self::Small => (Promise::Most(0.7), Promise::Nothing),
            _ => (Promise::Nothing, Promise::Nothing),
        }
    }

    /// Writes the files to `site`.
    pub(crate) fn write_all(site: &Path) -> Result<(), Trouble> {
        for page in [Self::Small, Self::Middle, Self::Large] {
            let file = site.join(page.target().trim_start_matches('/'));
            fs::write(&file, page.content()).map_err(of(&file))?;
        }
        Ok(())
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "1 kB",
            Self::Middle => "100 kB",
            Self::Large => "10 MB",
            Self::Proxied => "1 kB by proxy",
        })
    }
}
