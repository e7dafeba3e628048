//! Manual pages (man/netwhy.1, man/netwhy-connect.1 ...) and completions for bash, zsh and fish.

use std::error::Error;
use std::fs;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Writes them below `dir`, by default `target/man`.
pub(crate) fn run(dir: Option<&str>) -> Result<(), Box<dyn Error>> {
    let dir = dir.map_or_else(|| crate::root().join("target/man"), Into::into);
    fs::create_dir_all(&dir)?;
    // `netwhy help connect` is a convenience of the command line, not a page.
    let quiet = |c: clap::Command| c.disable_help_subcommand(true);
    let mut command = quiet(Cli::command()).mut_subcommand("lab", quiet);
    command.build();
    clap_mangen::generate_to(command.clone(), &dir)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "netwhy", &dir)?;
    }
    println!("wrote {}", dir.display());
    Ok(())
}
