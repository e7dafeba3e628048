//! Runs compiled probe scripts: reads this kernel's types, loads, attaches, reads records, prints.
//!
//! [`kernel::Kernel`] answers the compiler's questions; [`session::run`] takes its result from there. Every probe
//! is a link or a perf event of this process, so nothing is left when it ends, however it ends.
//!
//! | module | one sentence |
//! |---|---|
//! | [`btf`] | the kernel's description of its types |
//! | [`tracefs`] | tracepoints' formats, where tracefs is mounted |
//! | [`symbols`] | names of kernel addresses |
//! | [`elf`] | symbols and statically defined probes of a file |
//! | [`libraries`] | the file a user probe names |
//! | [`users`] | names of user addresses |
//! | [`probing`] | what this kernel attaches |
//! | [`kernel`] | all of these as the compiler asks for them, and the list of probes |
//! | [`load`] | maps and programs, and why one was refused |
//! | [`attach`] | probes |
//! | [`background`] | a run beside other work, whose records are values |
//! | [`namer`] | names of a few kernel addresses, asked of the kernel itself |
//! | [`ladder`] | tracepoints in place of kprobes |
//! | [`record`] | records and tables as values, for a program |
//! | [`session`] | a run from begin to end |
#![forbid(unsafe_code)]

pub mod attach;
pub mod background;
pub mod btf;
pub mod elf;
mod hist;
pub mod kernel;
pub mod ladder;
pub mod libraries;
mod listing;
pub mod load;
pub mod namer;
mod printf;
pub mod probing;
pub mod record;
pub mod session;
mod stub;
pub mod symbols;
mod table;
pub mod tracefs;
mod tseries;
pub mod users;
mod value;
pub mod wildcard;
