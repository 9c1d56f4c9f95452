//! One request's whole way, from a name to a page, told so that it can be followed.
//!
//! It stands between what asks and what shows. [`asking`] makes a real request as any client would, and measures; it is all
//! of this part that touches a socket. Everything else is pure: [`telling`] makes a [`Path`] of what was measured and of
//! the services' own events, [`account`] says where the time went, and [`waterfall`], [`svg`], [`har`] and [`compare`]
//! show it. So what is told of a failure is tested without one.
//!
//! 1. [`model`]: steps, headings, failures: the path as a value that can be saved and read again.
//! 2. [`asking`]: the name over UDP (RFC 1035), the connection with what the kernel knows of it, its
//!    privacy (RFC 8446), the page (RFC 9112).
//! 3. [`events`]: what the services told of this request.
//! 4. [`telling`]: both together as a path; [`symptoms`]: what a failure means and where to look next.
//! 5. [`account`], [`waterfall`], [`compare`], [`svg`], [`har`]: where the time went, for eyes, reports and browsers.

pub mod account;
pub mod asking;
pub mod compare;
pub mod events;
pub mod har;
pub mod model;
pub mod svg;
pub mod symptoms;
pub mod telling;
pub mod waterfall;

pub use model::Path;
