//! What every bench stands on: programs that are started and ended here, their ports and their memory, the
//! machine, the table of the result, and each way to end early.

pub(crate) mod bench;
pub(crate) mod installed;
pub(crate) mod machine;
pub(crate) mod number;
pub(crate) mod ours;
pub(crate) mod ports;
pub(crate) mod processes;
pub(crate) mod program;
#[allow(dead_code, reason = "a bench of few numbers has a table of its own kind")]
pub(crate) mod row;
pub(crate) mod stop;
pub(crate) mod summary;
pub(crate) mod table;
pub(crate) mod trouble;
