//! Writes a report or a fact down: as text for a screen, as JSON for a program. Decides nothing.
//!
//! Everything that came from outside this program (process names, DNS text, rule comments) passes
//! [`escape`] before it can reach a terminal.
#![forbid(unsafe_code)]

pub mod catalogue;
pub mod escape;
pub mod explain;
pub mod json;
pub mod locus;
pub mod schema;
pub mod text;
pub mod walk;

pub use escape::escape_terminal;
pub use text::{TextOptions, report_text};
