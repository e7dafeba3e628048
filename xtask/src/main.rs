//! Chores of the repository: `cargo xtask CHORE`.
//!
//! - `new cause NAME`, `new case NAME`: write a file that compiles, and say what to do next
//! - `bench`: the figures of docs/benchmarks.md, measured in one run
//! - `dist`: the static release binary and its checksum
//! - `vm [KERNEL ...]`: the probe engine's tests on Debian's kernels in QEMU, docs/kernels.md
//! - `man [DIR]`: manual pages and completions, from the command line's own definition

mod bench;
/// The command line of netwhy, as the binary has it.
#[path = "../../crates/netwhy/src/cli.rs"]
#[allow(dead_code, reason = "only its shape is used here")]
mod cli;
mod dist;
mod man;
mod new;
mod vm;

use std::process::ExitCode;

const USAGE: &str =
    "usage: cargo xtask new cause|case NAME | bench [WHAT] | dist | vm [KERNEL ...] | man [DIR]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["new", kind, name] => new::run(kind, name),
        ["bench"] => bench::run(None),
        ["bench", what] => bench::run(Some(what)),
        ["dist"] => dist::run(),
        ["vm", ref rest @ ..] => vm::run(rest),
        ["man"] => man::run(None),
        ["man", dir] => man::run(Some(dir)),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(2)
        }
    }
}

/// The root of the repository.
pub(crate) fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Into::into).unwrap_or_default()
}
