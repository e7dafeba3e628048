//! One file per verb. Each reads its arguments, calls the floors and prints.

mod connect;
mod lab;

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
        _ => anyhow::bail!("not built yet"),
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

fn terminal_width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).unwrap_or(100)
}

/// Prints an answer in the form asked for.
pub(crate) fn print_report(report: &Report, global: &Global) -> anyhow::Result<()> {
    use std::io::Write;
    let text = if global.jsonl {
        netwhy_render::json::line(report)?
    } else if global.json {
        netwhy_render::json::document(report)?
    } else {
        netwhy_render::text::report_text(report, &text_options(global))
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
