//! What is wanted of the journal.

use serde::{Deserialize, Serialize};

/// Which events are wanted; what is not said is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Those of these services; of none in particular, all.
    pub services: Vec<String>,
    /// Those of one request: of the journal kept, its connection as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Which>,
    /// Those since then, in microseconds of the shared clock.
    pub since: u64,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The one with this identifier, or with one that begins so ([`SHOWN_OF_ID`] digits at least).
    ///
    /// [`SHOWN_OF_ID`]: crate::ground::event::SHOWN_OF_ID
    Of(String),
    /// The last that a web server answered; only of the journal kept.
    Last,
}
