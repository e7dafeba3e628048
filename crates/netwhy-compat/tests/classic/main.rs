//! The compatibility suite: every command line is run with the real tool and with netwhy in one private
//! namespace with rich state; volatile fields are evened out, the rest is compared, and a table is printed.
//!
//! `cargo test -p netwhy-compat --test classic -- ip "route show"` runs the lines of group `ip` that hold
//! "route show"; `-v` shows both outputs where they differ. A harness of its own, because this very program is
//! started again as each tool (by the name it is called) and as the inside of the private namespaces.

mod ethtool;
mod ip;
mod line;
mod nf;
mod run;
mod sock;
mod tc;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use line::{Group, Origin, Outcome};
use netwhy_sys::isolate::{Isolation, Kind};
use netwhy_sys::mount::Mount;

/// Every group of lines.
fn groups() -> Vec<Group> {
    vec![
        ip::group(),
        ethtool::group(),
        tc::group(),
        nf::conntrack(),
        nf::nft(),
        nf::iptables(),
        sock::group(),
    ]
}

/// Shares of lines that must be identical or equivalent, of a hundred.
const SEED_FLOOR: usize = 95;
const MANUAL_FLOOR: usize = 90;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let name = words.first().map_or("", String::as_str);
    if let Some(tool) = netwhy_compat::find(name) {
        return run::as_tool(tool, name, words.get(1..).unwrap_or_default());
    }
    let arguments = words.get(1..).unwrap_or_default();
    if let [hidden, group, rest @ ..] = arguments
        && hidden == "__inside"
    {
        return inside(group, rest);
    }
    let wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    outside(&wanted)
}

/// Runs the groups, each in namespaces of its own, and judges the whole.
fn outside(wanted: &[&str]) -> ExitCode {
    let strict = std::env::var_os("CI").is_some();
    if let Some(why) = run::not_possible() {
        println!("skipped: {why}");
        return if strict { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let verbose = wanted.contains(&"-v");
    let filter: Vec<&str> = wanted.iter().copied().filter(|word| *word != "-v").collect();
    let mut rows: Vec<(String, Outcome, Origin, String)> = Vec::new();
    let mut failed = false;
    for group in groups() {
        if filter.first().is_some_and(|name| *name != group.name) {
            continue;
        }
        match run_group(&group, filter.get(1..).unwrap_or_default(), verbose, &mut rows) {
            Ok(()) => {}
            Err(why) => {
                println!("group {} failed: {why}", group.name);
                failed = true;
            }
        }
    }
    if strict && rows.iter().any(|row| row.1 == Outcome::Skipped) {
        println!("failed: lines were skipped, and CI has every tool");
        failed = true;
    }
    failed |= !judge(&rows, filter.is_empty());
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

type Row = (String, Outcome, Origin, String);

fn run_group(group: &Group, filter: &[&str], verbose: bool, rows: &mut Vec<Row>) -> Result<(), String> {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(exe);
    command.args(["__inside", group.name]).args(filter).stdin(Stdio::null()).stdout(Stdio::piped());
    if verbose {
        command.env("CLASSIC_VERBOSE", "1");
    }
    let text = |error: netwhy_sys::SysError| error.to_string();
    let isolation = Isolation::new()
        .new_namespaces(&[Kind::Net, Kind::Uts])
        .private_mounts_and_sysfs()
        .map_err(text)?
        .mount(Mount::tmpfs(Path::new("/run"), 1 << 26).map_err(text)?);
    let mut child = isolation.spawn(command).map_err(text)?;
    let output = child.stdout.take().ok_or("no output")?;
    for line in BufReader::new(output).lines() {
        let line = line.map_err(|error| error.to_string())?;
        let fields: Vec<&str> = line.split('\t').collect();
        if let ["ROW", outcome, origin, command, note] = fields[..] {
            let outcome = Outcome::parse(outcome).ok_or("an unknown outcome")?;
            let origin = if origin == "seed" { Origin::Seed } else { Origin::Manual };
            println!(
                "{:<10} {origin:?} {command}{}{note}",
                outcome.word(),
                if note.is_empty() { "" } else { "  # " }
            );
            rows.push((group.name.to_owned(), outcome, origin, command.to_owned()));
        } else {
            println!("{line}");
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}

/// Prints the table of counts and holds it against the floors.
fn judge(rows: &[Row], whole: bool) -> bool {
    let mut table: BTreeMap<(String, Origin), BTreeMap<Outcome, usize>> = BTreeMap::new();
    for (group, outcome, origin, _) in rows {
        for name in [group.as_str(), "~all"] {
            *table.entry((name.to_owned(), *origin)).or_default().entry(*outcome).or_default() += 1;
        }
    }
    println!(
        "\n{:<10} {:<7} {}",
        "group",
        "lines",
        Outcome::ALL.map(|one| format!("{:>11}", one.word())).concat()
    );
    let mut good = true;
    for ((group, origin), counts) in &table {
        let of = |outcome| counts.get(&outcome).copied().unwrap_or(0);
        let columns = Outcome::ALL.map(|one| format!("{:>11}", of(one))).concat();
        let name = group.trim_start_matches('~');
        println!("{name:<10} {:<7} {columns}", format!("{origin:?}").to_lowercase());
        let counted = |one: &Outcome| !matches!(one, Outcome::Skipped | Outcome::Missing);
        let judged: usize = Outcome::ALL.into_iter().filter(counted).map(of).sum();
        let same = of(Outcome::Identical) + of(Outcome::Equivalent);
        let floor = if *origin == Origin::Seed { SEED_FLOOR } else { MANUAL_FLOOR };
        if whole && group == "~all" && same * 100 < judged * floor {
            println!("failed: {same} of {judged} {origin:?} lines are as the original's, under {floor} %");
            good = false;
        }
    }
    good
}

/// Inside the namespaces: builds the state and compares every line.
fn inside(name: &str, filter: &[String]) -> ExitCode {
    let Some(group) = groups().into_iter().find(|group| group.name == name) else {
        println!("no group is called {name}");
        return ExitCode::FAILURE;
    };
    let tools = match run::Tools::prepare(&group) {
        Ok(tools) => tools,
        Err(why) => {
            println!("{name}: {why}");
            return ExitCode::FAILURE;
        }
    };
    // What it holds (sockets, processes) lives until the last line was compared.
    let _state = match (group.state)() {
        Ok(state) => state,
        Err(why) => {
            println!("{name}: the state could not be built: {why}");
            return ExitCode::FAILURE;
        }
    };
    for line in &group.lines {
        if !filter.is_empty() && !filter.iter().any(|text| line.command.contains(text.as_str())) {
            continue;
        }
        let (outcome, note, detail) = tools.compare(&group, line);
        let origin = if line.origin == Origin::Seed { "seed" } else { "manual" };
        println!("ROW\t{}\t{origin}\t{}\t{}", outcome.word(), line.command.replace(['\t', '\n'], " "), note);
        if !detail.is_empty() {
            println!("{detail}");
        }
        let _ = std::io::stdout().flush();
    }
    ExitCode::SUCCESS
}
