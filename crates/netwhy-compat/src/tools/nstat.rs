//! `nstat`: protocol counters, and how much they grew since the last call. Forms from nstat(8) and its observed
//! output; the history file is the original's, so that either may follow the other.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use netwhy_facts::mib::Counter;
use netwhy_render::explain::{Found, lookup};

use crate::flags::{self, Flag, Style};
use crate::{Session, Tool, ToolError};

/// `nstat`.
pub static TOOL: Tool = Tool {
    name: "nstat",
    aliases: &[],
    about: "protocol counters and their growth since the last call",
    run,
};

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 255 };
const DAEMON: &str = "netwhy runs no daemon; --watch SECONDS shows growth and rates";

const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "show this"),
    Flag::switch('V', "version", "show the version"),
    Flag::switch('a', "ignore", "absolute values: ignore the history"),
    Flag::switch('z', "zeros", "counters that are zero too"),
    Flag::switch('r', "reset", "forget the history: absolute values, and start from now"),
    Flag::switch('n', "nooutput", "only note the values"),
    Flag::switch('s', "noupdate", "do not note the values"),
    Flag::switch('j', "json", "JSON"),
    Flag::switch('p', "pretty", "JSON over several lines"),
    Flag::switch('v', "verbose", "what each counter means"),
    Flag::value('d', "scan", "SECS", "daemon").refused(DAEMON),
    Flag::value('t', "interval", "SECS", "time over which a daemon averages")
        .ignored("there is no daemon whose averages it would choose"),
];

/// Numbers in the files that count nothing.
const NO_COUNTERS: &[&str] = &[
    "IpForwarding",
    "IpDefaultTTL",
    "TcpRtoAlgorithm",
    "TcpRtoMin",
    "TcpRtoMax",
    "TcpMaxConn",
    "TcpCurrEstab",
];

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("nstat", FLAGS, STYLE, args)?;
    if parsed.has("help") {
        writeln!(session.out, "Usage: nstat [ OPTIONS ] [ PATTERN... ]")?;
        write!(session.out, "{}", flags::help(FLAGS, STYLE))?;
        return Ok(0);
    }
    if parsed.has("version") {
        writeln!(session.out, "nstat utility, netwhy-{}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    let collector = session.collector()?;
    let counters = match collector.counters() {
        netwhy_facts::Reading::Known { value, .. } => value,
        absent => {
            let why = absent.absence().map(|why| why.to_string()).unwrap_or_default();
            return Err(ToolError::failed(format!("nstat: {why}"), 255));
        }
    };
    let history = history_file();
    let before = match parsed.has("ignore") || parsed.has("reset") {
        true => HashMap::new(),
        false => read_history(&history),
    };
    if !parsed.has("nooutput") {
        let rows: Vec<(String, u64)> = counters
            .iter()
            .map(|one| (full_name(one), one))
            .filter(|(name, _)| !NO_COUNTERS.contains(&name.as_str()))
            .filter(|(name, _)| wanted(name, &parsed.words))
            .map(|(name, one)| {
                let old = before.get(&name).copied().unwrap_or(0);
                // A counter below its old value is another boot's, or another namespace's.
                let now = one.value as u64;
                (name, now.checked_sub(old).unwrap_or(now))
            })
            .filter(|(_, value)| *value != 0 || parsed.has("zeros"))
            .collect();
        if parsed.has("json") || session.json {
            json(session, &rows, parsed.has("pretty"))?;
        } else {
            writeln!(session.out, "#kernel")?;
            for (name, value) in &rows {
                session.out.write_all(line(name, *value).as_bytes())?;
                if parsed.has("verbose") {
                    explain(session, name)?;
                }
            }
        }
    }
    if !parsed.has("noupdate") && !crate::watch::is_active() {
        write_history(&history, &counters)
            .map_err(|error| ToolError::failed(format!("nstat: {}: {error}", history.display()), 255))?;
    }
    Ok(0)
}

fn full_name(one: &Counter) -> String {
    format!("{}{}", one.group, one.name)
}

/// Patterns of `*` and `?`, in either case; none wants all.
fn wanted(name: &str, patterns: &[String]) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| crate::write::glob(pattern, name))
}

fn explain(session: &mut Session<'_>, name: &str) -> Result<(), ToolError> {
    let Found::Entries(entries) = lookup(name) else {
        writeln!(session.out, "    no explanation of {name} in this build")?;
        return Ok(());
    };
    if let Some(entry) = entries.first() {
        writeln!(session.out, "    {}", entry.meaning)?;
        if !entry.mistaken_for.is_empty() {
            writeln!(session.out, "    Not: {}", entry.mistaken_for)?;
        }
    }
    Ok(())
}

fn json(session: &mut Session<'_>, rows: &[(String, u64)], pretty: bool) -> Result<(), ToolError> {
    let (open, between, close) = if pretty {
        ("{\n    \"kernel\": {\n", ",\n", "\n    }\n}\n")
    } else {
        ("{\"kernel\":{", ",", "}}\n")
    };
    write!(session.out, "{open}")?;
    for (index, (name, value)) in rows.iter().enumerate() {
        if index > 0 {
            write!(session.out, "{between}")?;
        }
        match pretty {
            true => write!(session.out, "        \"{name}\": {value}")?,
            false => write!(session.out, "\"{name}\":{value}")?,
        }
    }
    write!(session.out, "{close}")?;
    Ok(())
}

/// `$NSTAT_HISTORY`, or a file of the user's own in `/tmp`.
fn history_file() -> PathBuf {
    match std::env::var_os("NSTAT_HISTORY") {
        Some(path) => path.into(),
        None => format!("/tmp/.nstat.u{}", netwhy_sys::process::effective_ids().0).into(),
    }
}

/// Values by name; empty if there is no history, or it is not our own.
fn read_history(path: &PathBuf) -> HashMap<String, u64> {
    let own = netwhy_sys::process::effective_ids().0;
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return HashMap::new() };
    if !metadata.is_file() || metadata.uid() != own {
        return HashMap::new();
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut found = HashMap::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse)) {
            found.insert(name.to_owned(), value);
        }
    }
    found
}

/// Writes a file beside it and puts that in its place: a link somebody laid there is not followed.
fn write_history(path: &PathBuf, counters: &[Counter]) -> std::io::Result<()> {
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let mut text = String::from("#kernel\n");
    for one in counters {
        let name = full_name(one);
        if one.value != 0 && !NO_COUNTERS.contains(&name.as_str()) {
            text.push_str(&line(&name, one.value as u64));
        }
    }
    let written = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn line(name: &str, value: u64) -> String {
    format!("{name:<32}{value:<16} {:>5}\n", "0.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_again_and_links_are_not_followed() {
        let path = std::env::temp_dir().join(format!("netwhy-nstat-{}", std::process::id()));
        let counter = |name: &str, value| Counter { group: "Tcp".into(), name: name.into(), value };
        write_history(&path, &[counter("InSegs", 44), counter("MaxConn", -1), counter("OutSegs", 0)])
            .unwrap();
        assert_eq!(read_history(&path), HashMap::from([("TcpInSegs".to_owned(), 44)]));
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read_history(&link).is_empty());
        write_history(&link, &[counter("InSegs", 45)]).unwrap();
        assert_eq!(read_history(&path)["TcpInSegs"], 44, "what the link led to is as it was");
        assert_eq!(read_history(&link)["TcpInSegs"], 45);
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(&link).unwrap();
    }

    #[test]
    fn patterns_are_alternatives_in_either_case() {
        let patterns = ["tcp*".to_owned(), "*Drops".to_owned()];
        assert!(wanted("TcpInSegs", &patterns) && wanted("TcpExtListenDrops", &patterns[1..]));
        assert!(!wanted("IpInReceives", &patterns) && wanted("IpInReceives", &[]));
    }
}
