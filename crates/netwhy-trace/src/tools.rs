//! The tools by name.

use std::ffi::OsStr;
use std::path::Path;

use crate::header::{Tool, parse};

#[path = "list.rs"]
mod list;

/// Names of the tool that is no single script: it follows packets.
pub const PACKET: [&str; 2] = ["pwru", "packet"];

/// Every shipped tool, by name.
///
/// # Panics
/// When a header is wrong, which a test makes sure it is not.
#[must_use]
pub fn all() -> Vec<Tool> {
    list::SCRIPTS.iter().map(|(_, script)| parse(script).expect("headers are tested")).collect()
}

/// A tool by the name it is called with: that of a file, or with the endings distributions give it.
#[must_use]
pub fn find(name: &str) -> Option<Tool> {
    let name = bare(name);
    let (_, script) = list::SCRIPTS.iter().find(|(known, _)| *known == name)?;
    parse(script).ok()
}

/// The tool a program name means (`/usr/share/bcc/tools/tcplife`, `tcplife-bpfcc`), if it means one.
#[must_use]
pub fn tool_of(name: &OsStr) -> Option<&'static str> {
    let file = Path::new(name).file_name()?.to_str()?;
    let name = bare(file);
    let scripts = list::SCRIPTS.iter().map(|(known, _)| *known);
    scripts.chain(PACKET).find(|known| *known == name)
}

fn bare(name: &str) -> &str {
    ["-bpfcc", ".bt", ".py", ".nw"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}
