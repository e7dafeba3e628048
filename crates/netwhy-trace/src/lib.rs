//! The shipped tools: each a script in `probes/` whose header says how it is called and shown.
//!
//! | module | one sentence |
//! |---|---|
//! | [`tools`] | the list |
//! | [`header`] | what a script says of itself |
//! | [`options`] | arguments become named parameters of the script |
//! | [`select`] | parts of a script that depend on the kernel |
//! | [`columns`] | records as lines |
//! | [`manual`] | `--help` and docs/tools.md |
//! | [`pwru`] | follows packets through the kernel |
//! | [`run`] | from arguments to an exit code |
#![forbid(unsafe_code)]

pub mod columns;
pub mod header;
mod hist;
pub mod manual;
mod names;
pub mod options;
pub mod pwru;
pub mod run;
pub mod select;
mod show;
pub mod tools;
