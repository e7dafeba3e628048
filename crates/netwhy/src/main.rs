//! netwhy: names why the network of this Linux host misbehaves, with proof.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod compat;
mod place;
mod session;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // A reader that goes away (`netwhy ... | head`) is no error worth a message.
    let _ = netwhy_sys::signal::default_sigpipe();
    let args: Vec<std::ffi::OsString> = std::env::args_os().collect();
    if let Some(code) = netwhy_lab::hidden_main(&args) {
        return ExitCode::from(u8::try_from(code).unwrap_or(5));
    }
    if let Some(asked) = compat::asked(&args) {
        return ExitCode::from(asked.run());
    }
    if let Some((name, rest)) = tool_of(&args) {
        let rest: Vec<String> = rest.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
        return ExitCode::from(netwhy_trace::run::main(name, &rest));
    }
    let cli = match cli::Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // clap's own codes: 0 for --help and --version, 2 for bad usage.
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match commands::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let text = format!("{error:#}");
            eprintln!("netwhy: {}", netwhy_render::escape::escape_terminal(&text));
            ExitCode::from(if error.is::<cli::Usage>() { 2 } else { 5 })
        }
    }
}

/// The shipped tool that is meant, by the name netwhy is called with or by the first word, and its arguments.
fn tool_of(args: &[std::ffi::OsString]) -> Option<(&'static str, &[std::ffi::OsString])> {
    let by_name = netwhy_trace::tools::tool_of(args.first()?);
    if let Some(name) = by_name {
        return Some((name, args.get(1..)?));
    }
    // A word, not a path: `netwhy ./tcplife` is no tool.
    let word = args.get(1).filter(|word| !word.to_string_lossy().contains('/'))?;
    Some((netwhy_trace::tools::tool_of(word)?, args.get(2..)?))
}
