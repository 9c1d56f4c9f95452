//! Zone files: RFC 1035 §5 master files, read as a student writes them.
//!
//! The reader goes on after a problem, so that one run shows them all, each with its place, what is wrong, and
//! how to mend it. What a zone must be as a whole is checked later, by [`crate::dns::zone`].
//!
//! - [`source`]: the texts that were read, places in them, problems.
//! - [`lexer`]: a text as entries of words.
//! - [`records`]: what was read.
//! - [`reader`]: entries as directives and records.
//! - `data`: the words behind a type as the record's data.
//! - `special`: fields of data that are more than one number, name or text.
//! - `generate`: `$GENERATE`, one line for many records.
//! - [`rule`]: the rules that files are held to, each with its source.

mod data;
mod generate;
pub mod lexer;
pub mod reader;
pub mod records;
pub mod rule;
pub mod source;
mod special;

pub use reader::{read, read_text};
pub use records::{Entry, Records};
pub use rule::Rule;
pub use source::{Place, Problem, Severity, Sources};

/// The largest file that is read, in bytes.
pub const LARGEST_FILE: u64 = 1 << 30;

/// The longest line, in bytes; a longer one is no line of a zone file.
pub const LONGEST_LINE: usize = 256 << 10;

/// How deep `$INCLUDE` may nest.
pub const DEEPEST_INCLUDE: usize = 8;

/// Files that take part in a zone at most.
pub const FILES_MOST: usize = 1_000;

/// Records that `$GENERATE` makes in one zone at most.
pub const GENERATED_MOST: u32 = 1 << 20;

/// Errors that one run shows, and warnings; the others are counted.
pub const PROBLEMS_MOST: usize = 100;

#[cfg(test)]
mod tests;
