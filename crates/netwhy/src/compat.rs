//! `netwhy TOOL ...` and a symlink named TOOL: the classical command lines.

use std::ffi::OsString;
use std::io::{BufWriter, IsTerminal, Write};

use netwhy_compat::{Session, Tool};

use crate::cli::{Color, Global};
use crate::place::Place;

/// The tool a command line asks for, if it is one: `argv[0]` names it, or the first word after netwhy's own
/// options (`--netns NAME`, `--json`, `--color WHEN`).
pub(crate) fn asked(args: &[OsString]) -> Option<Asked> {
    // The classical tools read text; words that are none reach them as what a terminal would show.
    let words: Vec<String> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (first, rest) = words.split_first()?;
    if let Some(tool) = netwhy_compat::find(first) {
        return Some(Asked::new(tool, first, rest, Global::default()));
    }
    let mut global = Global::default();
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-j" | "--json" => global.json = true,
            "--netns" => global.netns = Some(rest.next()?.clone()),
            "--container" => global.container = Some(rest.next()?.clone()),
            "--color" => global.color = color(rest.next()?)?,
            word if word.starts_with("--netns=") => global.netns = Some(word["--netns=".len()..].to_owned()),
            word if word.starts_with("--container=") => {
                global.container = Some(word["--container=".len()..].to_owned());
            }
            word if word.starts_with("--color=") => global.color = color(&word["--color=".len()..])?,
            // A path is no verb.
            word if word.contains('/') => return None,
            word => return Some(Asked::new(netwhy_compat::find(word)?, word, rest.as_slice(), global)),
        }
    }
    None
}

fn color(word: &str) -> Option<Color> {
    match word {
        "auto" => Some(Color::Auto),
        "always" => Some(Color::Always),
        "never" => Some(Color::Never),
        _ => None,
    }
}

/// A tool and what it is told.
pub(crate) struct Asked {
    tool: &'static Tool,
    called: String,
    args: Vec<String>,
    global: Global,
}

impl Asked {
    fn new(tool: &'static Tool, called: &str, args: &[String], global: Global) -> Self {
        let called = called.rsplit('/').next().unwrap_or(called).to_owned();
        Asked { tool, called, args: args.to_vec(), global }
    }

    /// Runs it; the code is the original's.
    pub(crate) fn run(self) -> u8 {
        let scope = match Place::of(&self.global) {
            Ok(place) => place.scope,
            Err(error) => {
                eprintln!("netwhy: {}", netwhy_render::escape::escape_terminal(&format!("{error:#}")));
                return 2;
            }
        };
        let stdout = std::io::stdout();
        let columns = stdout.is_terminal().then(crate::commands::terminal_width);
        let mut out = BufWriter::with_capacity(1 << 16, stdout.lock());
        let mut err = std::io::stderr();
        let mut session = Session {
            called: self.called,
            out: &mut out,
            err: &mut err,
            scope,
            json: self.global.json,
            color: crate::commands::use_color(&self.global),
            columns,
        };
        let code = netwhy_compat::run(self.tool, &mut session, &self.args);
        match out.flush() {
            Ok(()) => code,
            Err(error) => {
                eprintln!("netwhy: write: {error}");
                1
            }
        }
    }
}
