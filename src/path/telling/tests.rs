//! Paths told of what could have been seen.
