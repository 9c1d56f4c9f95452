//! What the simple web stack is worth, as numbers: each measure does something to a running lab and looks, as a user would, at
//! what still works.
//!
//! It stands apart from `lab`, which it does not know: who drives the lab (`cli/measure`) hands over addresses, and what was
//! seen. [`probe`] asks as a user's programs do (over a `line`), and [`load`] as a crowd does; they are all of this part that touches a socket, the rest is pure.
//!
//! - [`downtime`]: what users notice of a change.
//! - [`load`]: how many requests a second the lab bears.
//! - [`spof`]: single points of failure: what fails when one part is down.

pub mod downtime;
mod line;
pub mod load;
pub mod probe;
pub mod spof;
