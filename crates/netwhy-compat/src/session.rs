//! What a tool runs in: where it writes, which namespace it asks about, what the caller's terminal is like.

use std::io::Write;

use netwhy_collect::{CollectError, Collector, Scope};
use netwhy_sys::netns::NetnsRef;

/// A run of a tool.
pub struct Session<'a> {
    /// The name it was called by: `ip6tables` for the tool `iptables`.
    pub called: String,
    /// Results.
    pub out: &'a mut dyn Write,
    /// Warnings, previews and undo lines.
    pub err: &'a mut dyn Write,
    /// Which namespace and which files are read.
    pub scope: Scope,
    /// `netwhy --json TOOL`: the same as the tool's own flag for JSON.
    pub json: bool,
    /// Whether colours are wanted.
    pub color: bool,
    /// Columns of the terminal that `out` is; `None` if it is no terminal.
    pub columns: Option<usize>,
}

impl Session<'_> {
    /// A collector for the namespace that was asked for.
    pub fn collector(&self) -> Result<Collector, ToolError> {
        Ok(Collector::open(self.scope.clone())?)
    }

    /// Looks into another namespace from now on (`ip -n NAME`, `ss -N NAME`).
    pub fn enter(&mut self, word: &str) {
        self.scope = Scope { netns: NetnsRef::parse(word), ..self.scope.clone() };
    }

    /// Says before a change what it does, and after it how to take it back. Goes to standard error, so that
    /// scripts that read the original's output see nothing new.
    pub fn announce(&mut self, what: &str, undo: Option<&str>) -> Result<(), ToolError> {
        announce(self.err, what, undo)
    }
}

/// As [`Session::announce`], for those who hold only its standard error.
pub(crate) fn announce(err: &mut dyn Write, what: &str, undo: Option<&str>) -> Result<(), ToolError> {
    if crate::watch::is_active() {
        return Err(ToolError::usage("--watch repeats what reads, and this changes something", 1));
    }
    let shown = netwhy_render::escape::escape_terminal;
    writeln!(err, "change: {}", shown(what))?;
    match undo {
        Some(undo) => writeln!(err, "undo:   {}", shown(undo))?,
        None => writeln!(err, "undo:   none: what it removes cannot be made again")?,
    }
    Ok(())
}

/// Why a tool ended early.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The command line is wrong; the text says which word.
    #[error("{text}")]
    Usage {
        /// What is wrong.
        text: String,
        /// The exit code the original uses for it.
        code: u8,
    },
    /// The original understands it and netwhy does not.
    #[error("{what} is not supported: {why}")]
    Refused {
        /// The flag or word.
        what: String,
        /// Why, and what to use instead.
        why: String,
        /// The exit code the original uses for unknown words.
        code: u8,
    },
    /// The kernel refused or failed.
    #[error("{text}")]
    Failed {
        /// What it said, with the text of its extended acknowledgement if there was one.
        text: String,
        /// The exit code the original uses for it.
        code: u8,
    },
    /// Facts could not be read.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The output could not be written.
    #[error("write: {0}")]
    Output(#[from] std::io::Error),
}

impl ToolError {
    /// A wrong command line; `code` is the original's exit code for it.
    pub fn usage(text: impl Into<String>, code: u8) -> Self {
        ToolError::Usage { text: text.into(), code }
    }

    /// A kernel's refusal.
    pub fn failed(text: impl Into<String>, code: u8) -> Self {
        ToolError::Failed { text: text.into(), code }
    }

    /// With which code to exit.
    #[must_use]
    pub const fn code(&self) -> u8 {
        match self {
            ToolError::Usage { code, .. }
            | ToolError::Refused { code, .. }
            | ToolError::Failed { code, .. } => *code,
            ToolError::Collect(_) | ToolError::Output(_) => 1,
        }
    }
}
