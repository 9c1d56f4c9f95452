//! How a page is asked for: in clear or sealed, over a connection that is kept or with a handshake each time.

use std::fmt;

use crate::page::Page;
use crate::report::Promise;

/// Pages in a turn, where each needs a handshake.
const HANDSHAKES: u32 = 2_000;

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// In clear, over connections that are kept.
    Plain,
    /// By TLS 1.3, over connections that are kept.
    Sealed,
    /// By TLS 1.3, over a new connection and with a whole handshake for each page.
    Handshake,
    /// The same, and each handshake goes on with an earlier session.
    Resumed,
}

impl Way {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Plain, Self::Sealed, Self::Handshake, Self::Resumed];

    /// Whether connections are kept.
    pub(crate) const fn stays(self) -> bool {
        matches!(self, Self::Plain | Self::Sealed)
    }

    /// The pages that are worth asking for in this way.
    pub(crate) const fn pages(self) -> &'static [Page] {
        match self {
            Self::Plain => &Page::ALL,
            Self::Sealed => &[Page::Small, Page::Middle],
            Self::Handshake | Self::Resumed => &[Page::Small],
        }
    }

    /// How often `page` is asked for in a turn.
    pub(crate) const fn requests(self, page: Page) -> u32 {
        if self.stays() { page.requests() } else { HANDSHAKES }
    }

    /// What is promised of the cost and of the rate of `page`.
    pub(crate) const fn promises(self, page: Page) -> (Promise, Promise) {
        match self {
            Self::Plain => page.promises(),
            Self::Sealed | Self::Handshake | Self::Resumed => (Promise::Most(1.0), Promise::Nothing),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "",
            Self::Sealed => " by TLS",
            Self::Handshake => " and a handshake",
            Self::Resumed => " and a resumed handshake",
        })
    }
}
