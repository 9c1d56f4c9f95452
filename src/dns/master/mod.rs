//! Zone files: RFC 1035 §5 master files, read as a student writes them.
//!
//! The reader goes on after a problem, so that one run shows them all, each with its place, what is wrong, and
//! how to mend it. What a zone must be as a whole is checked later, by [`crate::dns::zone`].
//!
//! - [`source`]: the texts that were read, places in them, problems.
//! - [`lexer`]: a text as entries of words.
//! - [`reader`]: entries as directives and records.
//! - `data`: the words behind a type as the record's data.

mod data;
pub mod lexer;
pub mod reader;
pub mod source;

pub use reader::{Entry, Records, read, read_text};
pub use source::{Place, Problem, Severity, Sources};

/// The largest file that is read, in bytes.
pub const LARGEST_FILE: u64 = 1 << 30;

/// The longest line, in bytes; a longer one is no line of a zone file.
pub const LONGEST_LINE: usize = 256 << 10;

/// How deep `$INCLUDE` may nest.
pub const DEEPEST_INCLUDE: usize = 8;

/// Problems that one run shows; it stops at this many.
pub const PROBLEMS_MOST: usize = 100;
