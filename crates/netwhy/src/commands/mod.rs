//! One file per verb. Each reads its arguments, calls the floors and prints.

mod capabilities;
mod connect;
mod explain;
mod facts;
mod lab;
mod probe;
mod schema;
mod trace;
mod walk;

use clap::CommandFactory;
use netwhy_causes::Report;
use netwhy_render::text::TextOptions;

use crate::cli::{Cli, Color, Command, Global};

/// Runs a parsed command line and says with which code to exit.
pub(crate) fn run(cli: Cli) -> anyhow::Result<u8> {
    let global = &cli.global;
    match cli.command {
        Command::Connect(args) => connect::run(&args, global),
        Command::Lab(args) => lab::run(&args, global),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "netwhy", &mut std::io::stdout());
            Ok(0)
        }
        Command::Walk(args) => walk::run(&args, global),
        Command::Explain(args) => explain::run(&args, global),
        Command::Facts(args) => facts::run(&args, global),
        Command::Capabilities => capabilities::run(global),
        Command::Probe(args) => probe::run(&args, global),
        Command::Trace(args) => trace::run(&args, global),
        Command::Schema => schema::run(global),
    }
}

/// Whether to colour what goes to standard output.
pub(crate) fn use_color(global: &Global) -> bool {
    use std::io::IsTerminal;
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stdout().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
                && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
        }
    }
}

/// How a report is to look on this terminal.
pub(crate) fn text_options(global: &Global) -> TextOptions {
    TextOptions { verbosity: global.verbose, color: use_color(global), width: terminal_width() }
}

/// Columns to fill: `COLUMNS` when it is set, those of the terminal, else 100; never more than a line is pleasant to read.
pub(crate) fn terminal_width() -> usize {
    use std::os::fd::AsFd;
    let told = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let seen = || netwhy_sys::terminal::columns(std::io::stdout().as_fd()).ok().filter(|c| *c > 0);
    told.or_else(|| seen().map(usize::from)).unwrap_or(100).min(140)
}

/// Prints an answer in the form asked for.
pub(crate) fn print_report(report: &Report, global: &Global) -> anyhow::Result<()> {
    if global.json || global.jsonl {
        return print_json(report, global);
    }
    print(&netwhy_render::text::report_text(report, &text_options(global)))
}

/// Prints a value as JSON: one line for `--jsonl`, else one indented document.
pub(crate) fn print_json<T: serde::Serialize>(value: &T, global: &Global) -> anyhow::Result<()> {
    let text = match global.jsonl {
        true => netwhy_render::json::line(value)?,
        false => netwhy_render::json::document(value)?,
    };
    print(&text)
}

/// Writes a result to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
