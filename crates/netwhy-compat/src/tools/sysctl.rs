//! `sysctl`: settings of `/proc/sys`, read and written. Forms from sysctl(8) and its observed output; a path such
//! as `/proc/sys/net/ipv4/ip_forward` is taken for the name it is.

use netwhy_change::sysctl::Setting;
use netwhy_collect::{CollectError, Collector};
use netwhy_render::escape::escape_terminal;

use crate::flags::{self, Flag, Parsed, Style};
use crate::{Session, Tool, ToolError};

/// `sysctl`.
pub static TOOL: Tool = Tool { name: "sysctl", aliases: &[], about: "settings of /proc/sys", run };

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 1 };

const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "show this"),
    Flag::switch('V', "version", "show the version"),
    Flag::switch('a', "all", "every setting"),
    Flag::switch('A', "All", "the same"),
    Flag::switch('X', "xall", "the same"),
    Flag::switch('n', "values", "values without names"),
    Flag::switch('N', "names", "names without values"),
    Flag::switch('b', "binary", "values without the newline"),
    Flag::switch('e', "ignore", "say nothing of names that do not exist"),
    Flag::switch('q', "quiet", "do not show what was written"),
    Flag::switch('w', "write", "write: NAME=VALUE"),
    Flag::value('r', "pattern", "REGEX", "only names that match"),
    Flag::value('p', "load", "FILE", "write what a file says").maybe(),
    Flag::value('f', "file", "FILE", "the same").maybe(),
    Flag::switch('\0', "deprecated", "settings with newer names too"),
    Flag::switch('\0', "dry-run", "say what would be written"),
    Flag::switch('\0', "system", "write what the system's files say")
        .refused("name the files, one after the other, with -p"),
    Flag::switch('j', "json", "JSON: one object of names and values"),
];

/// Settings that live on under another name.
const DEPRECATED: &[&str] = &["base_reachable_time", "retrans_time"];

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("sysctl", FLAGS, STYLE, args)?;
    if parsed.has("help") {
        writeln!(session.out, "Usage: sysctl [options] [variable[=value] ...]")?;
        write!(session.out, "{}", flags::help(FLAGS, STYLE))?;
        return Ok(0);
    }
    if parsed.has("version") {
        writeln!(session.out, "sysctl from netwhy {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    let mut run = Run {
        collector: session.collector()?,
        pattern: parsed.value("pattern").map(Pattern::new).transpose()?,
        json: (session.json || parsed.has("json")).then(serde_json::Map::new),
        failed: false,
        parsed: &parsed,
    };
    let all = parsed.has("all") || parsed.has("All") || parsed.has("xall");
    let files = parsed.has("load") || parsed.has("file");
    if files {
        run.load(session)?;
    } else if all {
        run.show(session, "")?;
    } else if parsed.words.is_empty() {
        return Err(ToolError::usage(
            "sysctl: no variables specified\nTry `sysctl --help' for more information.",
            1,
        ));
    }
    if !files {
        for word in &parsed.words {
            run.one(session, word)?;
        }
    }
    if let Some(object) = run.json {
        writeln!(session.out, "{}", serde_json::Value::Object(object))?;
    }
    Ok(u8::from(run.failed))
}

struct Run<'a> {
    collector: Collector,
    pattern: Option<Pattern>,
    json: Option<serde_json::Map<String, serde_json::Value>>,
    failed: bool,
    parsed: &'a Parsed,
}

impl Run<'_> {
    fn one(&mut self, session: &mut Session<'_>, word: &str) -> Result<(), ToolError> {
        match word.split_once('=') {
            Some((name, value)) => self.set(session, name.trim(), value.trim()),
            None if self.parsed.has("write") => {
                self.complain(session, &format!("sysctl: \"{word}\" must be of the form name=value"))
            }
            None => self.show(session, word),
        }
    }

    fn complain(&mut self, session: &mut Session<'_>, text: &str) -> Result<(), ToolError> {
        self.failed = true;
        session.out.flush()?;
        writeln!(session.err, "{}", escape_terminal(text))?;
        Ok(())
    }

    fn show(&mut self, session: &mut Session<'_>, word: &str) -> Result<(), ToolError> {
        let path = path_of(word);
        let mut found: Vec<(String, Result<String, CollectError>)> = Vec::new();
        let read = self.collector.settings(&path, &mut |path, value| found.push((path.to_owned(), value)));
        if let Err(error) = read {
            if self.parsed.has("ignore") {
                return Ok(());
            }
            let why = error.errno().map_or(error.to_string(), |errno| errno.description().to_owned());
            return self.complain(session, &format!("sysctl: cannot stat /proc/sys/{path}: {why}"));
        }
        let single = found.len() == 1 && found.first().is_some_and(|(own, _)| *own == path);
        for (path, value) in found {
            let last = path.rsplit('/').next().unwrap_or_default();
            if !single && DEPRECATED.contains(&last) && !self.parsed.has("deprecated") {
                continue;
            }
            let name = name_of(&path);
            if self.pattern.as_ref().is_some_and(|pattern| !pattern.matches(&name)) {
                continue;
            }
            match value {
                Ok(value) => self.print(session, &name, &value)?,
                Err(error)
                    if self.parsed.has("names") && !error.errno().is_some_and(|errno| errno.is_denied()) =>
                {
                    self.print(session, &name, "")?;
                }
                // Of many, those that may not be read are left out.
                Err(_) if !single => {}
                Err(error) if error.errno().is_some_and(|errno| errno.is_denied()) => {
                    self.complain(session, &format!("sysctl: permission denied on key '{name}'"))?;
                }
                Err(error) => self.complain(session, &format!("sysctl: reading key \"{name}\": {error}"))?,
            }
        }
        Ok(())
    }

    fn print(&mut self, session: &mut Session<'_>, name: &str, value: &str) -> Result<(), ToolError> {
        let value = value.strip_suffix('\n').unwrap_or(value);
        if let Some(object) = &mut self.json {
            object.insert(name.to_owned(), value.into());
            return Ok(());
        }
        let name = escape_terminal(name);
        if self.parsed.has("names") {
            writeln!(session.out, "{name}")?;
            return Ok(());
        }
        if self.parsed.has("binary") {
            write!(session.out, "{value}")?;
            return Ok(());
        }
        // A value of several lines names itself on each.
        for line in value.split('\n') {
            let line: String = line.split('\t').map(escape_terminal).collect::<Vec<_>>().join("\t");
            match self.parsed.has("values") {
                true => writeln!(session.out, "{line}")?,
                false => writeln!(session.out, "{name} = {line}")?,
            }
        }
        Ok(())
    }

    fn set(&mut self, session: &mut Session<'_>, word: &str, value: &str) -> Result<(), ToolError> {
        let path = path_of(word);
        let name = name_of(&path);
        let proc = session.scope.proc.clone();
        let work = || -> std::io::Result<(Setting, String)> {
            let setting = Setting::at(&proc, &path)?;
            std::fs::metadata(proc.join("sys").join(&path))?;
            // What cannot be read is written all the same, and cannot be undone.
            let old = setting.value();
            Ok((setting, old.unwrap_or_default()))
        };
        let (setting, old) = match self.collector.inside(work)? {
            Ok(pair) => pair,
            Err(_) if self.parsed.has("ignore") => return Ok(()),
            Err(error) => {
                let text = format!("sysctl: cannot stat /proc/sys/{path}: {}", words_of(&error));
                return self.complain(session, &text);
            }
        };
        if !self.parsed.has("dry-run") {
            let undo = (!old.is_empty()).then(|| format!("sysctl -w {name}='{old}'"));
            session.announce(&format!("{name} = {value} (was {old})"), undo.as_deref())?;
            if let Err(error) = self.collector.inside(|| setting.set(value))? {
                let text = format!("sysctl: setting key \"{name}\": {}", words_of(&error));
                return self.complain(session, &text);
            }
        }
        if self.parsed.has("quiet") { Ok(()) } else { self.print(session, &name, value) }
    }

    fn load(&mut self, session: &mut Session<'_>) -> Result<(), ToolError> {
        let named: Vec<&str> = self.parsed.values("load").chain(self.parsed.values("file")).collect();
        let mut files: Vec<String> = named.into_iter().map(str::to_owned).collect();
        files.extend(self.parsed.words.iter().cloned());
        if files.is_empty() {
            files.push("/etc/sysctl.conf".to_owned());
        }
        for file in files {
            let text = match file.as_str() {
                "-" => std::io::read_to_string(std::io::stdin()),
                path => std::fs::read_to_string(path),
            };
            let text = match text {
                Ok(text) => text,
                Err(error) => {
                    self.complain(session, &format!("sysctl: cannot open \"{file}\": {}", words_of(&error)))?;
                    continue;
                }
            };
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with(['#', ';']) {
                    continue;
                }
                match line.split_once('=') {
                    Some((name, value)) => {
                        // A dash before the name forgives its failure.
                        let (name, forgiven) = match name.trim().strip_prefix('-') {
                            Some(rest) => (rest, true),
                            None => (name.trim(), false),
                        };
                        let failed = self.failed;
                        self.set(session, name, value.trim())?;
                        if forgiven {
                            self.failed = failed;
                        }
                    }
                    None => {
                        let text = format!("sysctl: {file}({}): invalid syntax, continuing...", number + 1);
                        self.complain(session, &text)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn words_of(error: &std::io::Error) -> String {
    netwhy_sys::Errno::from(error).description().to_owned()
}

/// The path below `/proc/sys` of a name: whichever of `.` and `/` comes first parts it, and the other is the
/// other's stand-in.
fn path_of(word: &str) -> String {
    if let Some(path) = word.strip_prefix("/proc/sys/") {
        return path.trim_end_matches('/').to_owned();
    }
    match word.find(['.', '/']).and_then(|at| word.as_bytes().get(at)) {
        Some(b'/') | None => word.to_owned(),
        Some(_) => word
            .chars()
            .map(|letter| match letter {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
    }
}

/// The dotted name of a path.
fn name_of(path: &str) -> String {
    path.chars()
        .map(|letter| match letter {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
}

/// The part of regular expressions that names of settings are looked for with: `^`, `$`, `.`, `*`, `+`, `?`,
/// `[...]`, `|`, `\`.
struct Pattern {
    alternatives: Vec<Vec<(Atom, Times)>>,
    starts: Vec<bool>,
    ends: Vec<bool>,
}

#[derive(Debug)]
enum Atom {
    Any,
    One(char),
    Set(Vec<(char, char)>, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    Maybe,
    Some,
    Any,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, ToolError> {
        let bad = |why: &str| ToolError::usage(format!("sysctl: pattern {text}: {why}"), 1);
        let mut pattern = Pattern { alternatives: Vec::new(), starts: Vec::new(), ends: Vec::new() };
        for part in text.split('|') {
            let start = part.starts_with('^');
            let body = part.strip_prefix('^').unwrap_or(part);
            let end = body.ends_with('$') && !body.ends_with("\\$");
            let body = if end { body.strip_suffix('$').unwrap_or(body) } else { body };
            let mut atoms: Vec<(Atom, Times)> = Vec::new();
            let mut letters = body.chars();
            while let Some(letter) = letters.next() {
                let times = match letter {
                    '*' => Times::Any,
                    '+' => Times::Some,
                    '?' => Times::Maybe,
                    '(' | ')' | '{' | '}' => return Err(bad("groups and counts are not understood")),
                    _ => {
                        let atom = match letter {
                            '.' => Atom::Any,
                            '\\' => Atom::One(letters.next().ok_or_else(|| bad("it ends in \\"))?),
                            '[' => set(&mut letters).ok_or_else(|| bad("[ without ]"))?,
                            plain => Atom::One(plain),
                        };
                        atoms.push((atom, Times::Once));
                        continue;
                    }
                };
                match atoms.last_mut() {
                    Some(last) => last.1 = times,
                    None => return Err(bad("nothing stands before its first repetition")),
                }
            }
            pattern.alternatives.push(atoms);
            pattern.starts.push(start);
            pattern.ends.push(end);
        }
        Ok(pattern)
    }

    fn matches(&self, name: &str) -> bool {
        let text: Vec<char> = name.chars().collect();
        self.alternatives.iter().zip(self.starts.iter().zip(&self.ends)).any(|(atoms, (start, end))| {
            let last = if *start { 0 } else { text.len() };
            (0..=last).any(|from| here(atoms, text.get(from..).unwrap_or(&[]), *end))
        })
    }
}

fn set(letters: &mut std::str::Chars<'_>) -> Option<Atom> {
    let body: String = letters.by_ref().take_while(|letter| *letter != ']').collect();
    let not = body.starts_with('^');
    let body: Vec<char> = body.trim_start_matches('^').chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(first) = body.get(at) {
        match (body.get(at + 1), body.get(at + 2)) {
            (Some('-'), Some(last)) => {
                ranges.push((*first, *last));
                at += 3;
            }
            _ => {
                ranges.push((*first, *first));
                at += 1;
            }
        }
    }
    (!ranges.is_empty()).then_some(Atom::Set(ranges, not))
}

impl Atom {
    fn takes(&self, letter: char) -> bool {
        match self {
            Atom::Any => true,
            Atom::One(own) => *own == letter,
            Atom::Set(ranges, not) => ranges.iter().any(|(a, b)| (*a..=*b).contains(&letter)) != *not,
        }
    }
}

fn here(atoms: &[(Atom, Times)], text: &[char], end: bool) -> bool {
    let Some(((atom, times), rest)) = atoms.split_first() else { return !end || text.is_empty() };
    let (least, most) = match times {
        Times::Once => (1, 1),
        Times::Maybe => (0, 1),
        Times::Some => (1, usize::MAX),
        Times::Any => (0, usize::MAX),
    };
    let fits = text.iter().take(most).take_while(|letter| atom.takes(**letter)).count();
    (least..=fits).rev().any(|taken| here(rest, text.get(taken..).unwrap_or(&[]), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_lead_to_each_other() {
        for (word, path) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("/proc/sys/net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"),
            ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
        ] {
            assert_eq!(path_of(word), path, "{word}");
        }
        assert_eq!(name_of("net/ipv4/conf/eth0.100/forwarding"), "net.ipv4.conf.eth0/100.forwarding");
    }

    #[test]
    fn patterns_are_the_plain_part_of_regular_expressions() {
        for (pattern, name, found) in [
            ("tcp_[rw]mem", "net.ipv4.tcp_rmem", true),
            ("^net.ipv4.tcp_w", "net.ipv4.tcp_wmem", true),
            ("^ipv4", "net.ipv4.tcp_wmem", false),
            ("mem$", "net.ipv4.tcp_wmem", true),
            ("tcp.*mem$", "net.ipv4.tcp_mem_x", false),
            ("conf\\.(all)", "x", false),
            ("rp_filter|forwarding", "net.ipv4.conf.lo.forwarding", true),
            ("v[0-9]+\\.", "net.ipv4.conf.v12.x", true),
        ] {
            match Pattern::new(pattern) {
                Ok(compiled) => assert_eq!(compiled.matches(name), found, "{pattern} {name}"),
                Err(error) => assert!(!found && error.to_string().contains("groups"), "{pattern}"),
            }
        }
    }
}
