//! The command lines engineers already know, answered from the facts netwhy collects.
//!
//! A tool is one file or folder in `tools/` with a [`Tool`]: a table of its flags and a function that reads
//! facts and writes what the original would write. What the original understands and netwhy does not is
//! refused by name, never ignored. Forms and texts come from manuals and observed output, never from GPL source.
#![forbid(unsafe_code)]

pub mod fast;
pub mod flags;
mod iproute;
pub mod names;
pub mod session;
pub mod sockets;
pub mod tools;
mod watch;
pub mod write;

pub use session::{Session, ToolError};

/// One classical tool.
pub struct Tool {
    /// What is typed: `ss`.
    pub name: &'static str,
    /// Other names it goes by: `ip6tables` for `iptables`.
    pub aliases: &'static [&'static str],
    /// What it shows, in a few words.
    pub about: &'static str,
    /// Runs it with the words after its name. The exit code is the original's.
    pub run: fn(&mut Session<'_>, &[String]) -> Result<u8, ToolError>,
}

/// The tool that goes by a name, which may be a path such as `/usr/bin/ss`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Tool> {
    let stem = name.rsplit('/').next().unwrap_or(name);
    tools::ALL.iter().copied().find(|tool| tool.name == stem || tool.aliases.contains(&stem))
}

/// Runs a tool, again and again with `--watch`, and turns its error into the message and exit code the original would use.
pub fn run(tool: &Tool, session: &mut Session<'_>, args: &[String]) -> u8 {
    let ran = match watch::asked(args) {
        _ if watch::is_active() => (tool.run)(session, args),
        Ok(Some((rest, wait, times))) => watch::again(tool, session, &rest, wait, times),
        Ok(None) => (tool.run)(session, args),
        Err(error) => Err(error),
    };
    match ran {
        Ok(code) => code,
        Err(error) => {
            let text = error.to_string();
            // The output so far belongs before the complaint.
            let _ = session.out.flush();
            let _ = writeln!(session.err, "{}", netwhy_render::escape::escape_lines(&text));
            error.code()
        }
    }
}
