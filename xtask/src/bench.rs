//! The figures of docs/benchmarks.md.

mod probes;

use std::error::Error;
use std::process::Command;

/// Name, package and example of each; every example prints its own figures and measures both sides in one run.
const BENCHES: &[(&str, &str, &str)] = &[
    ("flow-query", "netwhy-collect", "flow_query_cost"),
    ("netlink-dump", "netwhy-sys", "dump_speed"),
    ("classic-sockets", "netwhy-compat", "classic_sockets"),
    ("tcplife", "netwhy-trace", "tcplife_cost"),
];

/// The one that compares programs.
const PROBES: &str = "probes";

/// Runs all, or the one named.
pub(crate) fn run(only: Option<&str>) -> Result<(), Box<dyn Error>> {
    if let Some(only) = only
        && only != PROBES
        && !BENCHES.iter().any(|(name, _, _)| *name == only)
    {
        let names: Vec<&str> = BENCHES.iter().map(|(name, _, _)| *name).chain([PROBES]).collect();
        return Err(format!("{only:?} is none of {}", names.join(", ")).into());
    }
    for (name, package, example) in BENCHES.iter().filter(|(name, _, _)| only.is_none_or(|o| o == *name)) {
        println!("## {name}");
        let done = Command::new("cargo")
            .args(["run", "--release", "--quiet", "--package", package, "--example", example])
            .current_dir(crate::root())
            .status()?;
        if !done.success() {
            return Err(format!("{name} failed").into());
        }
    }
    if only.is_none_or(|only| only == PROBES) {
        println!("## {PROBES}");
        probes::run()?;
    }
    Ok(())
}
