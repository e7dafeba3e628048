//! `prlimit -p PID`, `ulimit -n`, and the lines of `/proc/PID/limits`: what a process may use. Forms from
//! prlimit(1) and its observed output.

use netwhy_facts::process::ProcessLimit;

use crate::flags::{self, Flag, Style};
use crate::{Session, Tool, ToolError};

/// `prlimit`.
pub static TOOL: Tool = Tool {
    name: "prlimit",
    aliases: &["ulimit"],
    about: "limits of a process (ulimit: of netwhy's caller)",
    run,
};

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 1 };
const CHANGES: &str = "netwhy shows limits and does not set them; ulimit and prlimit --NAME=VALUE do";

/// A limit: the word of the kernel's line, the original's name, its letter, its description, its unit.
const LIMITS: &[(&str, &str, char, &str, &str)] = &[
    ("Max address space", "AS", 'v', "address space limit", "bytes"),
    ("Max core file size", "CORE", 'c', "max core file size", "bytes"),
    ("Max cpu time", "CPU", 't', "CPU time", "seconds"),
    ("Max data size", "DATA", 'd', "max data size", "bytes"),
    ("Max file size", "FSIZE", 'f', "max file size", "bytes"),
    ("Max file locks", "LOCKS", 'x', "max number of file locks held", "locks"),
    ("Max locked memory", "MEMLOCK", 'l', "max locked-in-memory address space", "bytes"),
    ("Max msgqueue size", "MSGQUEUE", 'q', "max bytes in POSIX mqueues", "bytes"),
    ("Max nice priority", "NICE", 'e', "max nice prio allowed to raise", ""),
    ("Max open files", "NOFILE", 'n', "max number of open files", "files"),
    ("Max processes", "NPROC", 'u', "max number of processes", "processes"),
    ("Max resident set", "RSS", 'm', "max resident set size", "bytes"),
    ("Max realtime priority", "RTPRIO", 'r', "max real-time priority", ""),
    ("Max realtime timeout", "RTTIME", 'y', "timeout for real-time tasks", "microsecs"),
    ("Max pending signals", "SIGPENDING", 'i', "max number of pending signals", "signals"),
    ("Max stack size", "STACK", 's', "max stack size", "bytes"),
];

const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "show this"),
    Flag::switch('V', "version", "show the version"),
    Flag::value('p', "pid", "PID", "of this process"),
    Flag::switch('\0', "noheadings", "leave the heading out"),
    Flag::switch('\0', "raw", "columns one blank apart"),
    Flag::value('o', "output", "COLUMNS", "these columns")
        .refused("all columns are shown; --json for a program"),
    Flag::switch('j', "json", "JSON"),
    Flag::switch('\0', "verbose", "more").ignored("there is nothing more to say"),
    Flag::switch('v', "as", "address space"),
    Flag::switch('c', "core", "core file size"),
    Flag::switch('t', "cpu", "CPU time"),
    Flag::switch('d', "data", "data size"),
    Flag::switch('f', "fsize", "file size"),
    Flag::switch('x', "locks", "file locks"),
    Flag::switch('l', "memlock", "locked memory"),
    Flag::switch('q', "msgqueue", "bytes in POSIX queues"),
    Flag::switch('e', "nice", "nice priority"),
    Flag::switch('n', "nofile", "open files"),
    Flag::switch('u', "nproc", "processes"),
    Flag::switch('m', "rss", "resident set"),
    Flag::switch('r', "rtprio", "realtime priority"),
    Flag::switch('y', "rttime", "realtime timeout"),
    Flag::switch('i', "sigpending", "pending signals"),
    Flag::switch('s', "stack", "stack size"),
    Flag::switch('H', "hard", "ulimit: the hard limit"),
    Flag::switch('S', "soft", "ulimit: the soft limit"),
    Flag::switch('a', "all", "ulimit: every limit"),
];

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = match flags::parse("prlimit", FLAGS, STYLE, args) {
        Err(_)
            if args
                .iter()
                .any(|word| word.starts_with("--") && word.contains('=') && !word.starts_with("--pid")) =>
        {
            return Err(ToolError::Refused { what: "setting a limit".into(), why: CHANGES.into(), code: 1 });
        }
        other => other?,
    };
    if parsed.has("help") {
        writeln!(session.out, "Usage: prlimit [options] [-p PID]")?;
        write!(session.out, "{}", flags::help(FLAGS, STYLE))?;
        return Ok(0);
    }
    if parsed.has("version") {
        writeln!(session.out, "prlimit from netwhy {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    if let Some(word) = parsed.words.first() {
        return Err(ToolError::Refused {
            what: format!("{} {word}", session.called),
            why: CHANGES.into(),
            code: 1,
        });
    }
    let pid = match parsed.value("pid") {
        Some(word) => {
            word.parse().map_err(|_| ToolError::usage(format!("prlimit: {word} is no process id"), 1))?
        }
        None => std::process::id(),
    };
    let limits = session.collector()?.limits(pid)?;
    let of = |word: &str| limits.iter().find(|limit| limit.name == word);
    let chosen: Vec<_> = LIMITS.iter().filter(|limit| parsed.has(&limit.1.to_lowercase())).collect();
    if session.called == "ulimit" {
        return ulimit(session, &chosen, parsed.has("all"), parsed.has("hard"), &limits);
    }
    let rows: Vec<[String; 5]> = LIMITS
        .iter()
        .filter(|limit| chosen.is_empty() || chosen.iter().any(|one| one.1 == limit.1))
        .filter_map(|(word, name, _, description, unit)| {
            let limit = of(word)?;
            Some([
                (*name).into(),
                (*description).into(),
                shown(limit.soft),
                shown(limit.hard),
                (*unit).into(),
            ])
        })
        .collect();
    if parsed.has("json") || session.json {
        let rows: Vec<_> = LIMITS
            .iter()
            .filter_map(|(word, name, _, description, unit)| {
                let limit = of(word)?;
                Some(serde_json::json!({
                    "resource": name, "description": description, "soft": limit.soft, "hard": limit.hard, "units": unit,
                }))
            })
            .filter(|row| chosen.is_empty() || chosen.iter().any(|one| row["resource"] == one.1))
            .collect();
        writeln!(session.out, "{}", serde_json::json!({ "prlimit": rows }))?;
        return Ok(0);
    }
    let heading = ["RESOURCE", "DESCRIPTION", "SOFT", "HARD", "UNITS"].map(str::to_owned);
    let all: Vec<&[String; 5]> =
        (!parsed.has("noheadings")).then_some(&heading).into_iter().chain(&rows).collect();
    let width = |column: usize| match parsed.has("raw") {
        true => 0,
        false => all.iter().map(|row| row[column].len()).max().unwrap_or(0),
    };
    let widths = [0, 1, 2, 3].map(width);
    for row in all {
        let [name, description, soft, hard, unit] = row;
        // Columns one blank apart hold no blanks themselves.
        let description =
            if parsed.has("raw") { description.replace(' ', "\\x20") } else { description.clone() };
        writeln!(
            session.out,
            "{name:<a$} {description:<b$} {soft:>c$} {hard:>d$} {unit}",
            a = widths[0],
            b = widths[1],
            c = widths[2],
            d = widths[3],
        )?;
    }
    Ok(0)
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or("unlimited".to_owned(), |limit| limit.to_string())
}

/// As the shells' built-in shows it: sizes in units of 1,024 bytes.
fn ulimit(
    session: &mut Session<'_>,
    chosen: &[&(&str, &str, char, &str, &str)],
    all: bool,
    hard: bool,
    limits: &[ProcessLimit],
) -> Result<u8, ToolError> {
    let file_size = LIMITS.iter().filter(|limit| limit.1 == "FSIZE");
    let rows: Vec<_> = match (all, chosen.is_empty()) {
        (true, _) => LIMITS.iter().collect(),
        (false, true) => file_size.collect(),
        (false, false) => chosen.to_vec(),
    };
    let single = rows.len() == 1;
    for (word, _, letter, description, unit) in rows {
        let Some(limit) = limits.iter().find(|limit| limit.name == *word) else { continue };
        let value = if hard { limit.hard } else { limit.soft };
        let divided = *unit == "bytes" && *letter != 'q';
        let value = shown(value.map(|value| if divided { value / 1024 } else { value }));
        match single {
            true => writeln!(session.out, "{value}")?,
            false => {
                let unit = if divided { "kbytes, " } else { "" };
                writeln!(session.out, "{description:<35} ({unit}-{letter}) {value}")?;
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_of_the_kernel_has_a_name() {
        let limits = netwhy_collect::Collector::here().unwrap().limits(std::process::id()).unwrap();
        for limit in &limits {
            assert!(LIMITS.iter().any(|(word, ..)| *word == limit.name), "{}", limit.name);
        }
        assert_eq!(limits.len(), LIMITS.len());
    }
}
