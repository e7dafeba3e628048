//! `dmesg`: the kernel's log from `/dev/kmsg`. Forms from dmesg(1) and its observed output.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netwhy_render::escape::escape_terminal;
use netwhy_sys::kmsg::Record;
use netwhy_sys::{clock, signal};

use crate::flags::{self, Flag, Parsed, Style};
use crate::{Session, Tool, ToolError};

/// `dmesg`.
pub static TOOL: Tool = Tool { name: "dmesg", aliases: &[], about: "the kernel's log", run };

const STYLE: Style = Style { single_dash: false, anywhere: true, code: 1 };
const CHANGES: &str = "netwhy reads the log and leaves it as it is";

const FLAGS: &[Flag] = &[
    Flag::switch('h', "help", "show this"),
    Flag::switch('V', "version", "show the version"),
    Flag::switch('w', "follow", "wait for more"),
    Flag::switch('W', "follow-new", "wait, and show only what is new"),
    Flag::switch('T', "ctime", "the time of day"),
    Flag::switch('t', "notime", "no time"),
    Flag::switch('e', "reltime", "time of day, and time since the line before"),
    Flag::switch('d', "show-delta", "time since the line before"),
    Flag::value('\0', "time-format", "FORMAT", "ctime, reltime, delta, notime, iso or raw"),
    Flag::value('l', "level", "LEVELS", "only these levels: emerg,alert,crit,err,warn,notice,info,debug"),
    Flag::value('f', "facility", "NAMES", "only these facilities: kern,user,daemon,..."),
    Flag::switch('k', "kernel", "only the kernel's own lines"),
    Flag::switch('u', "userspace", "only lines that programs wrote"),
    Flag::switch('x', "decode", "facility and level as words"),
    Flag::switch('r', "raw", "facility and level as a number"),
    Flag::switch('H', "human", "as --reltime"),
    Flag::switch('P', "nopager", "no pager").ignored("netwhy starts no pager"),
    Flag::switch('p', "force-prefix", "the prefix on every line of a message"),
    Flag::value('L', "color", "WHEN", "colours").maybe().ignored("lines are not coloured"),
    Flag::switch('S', "syslog", "syslog(2)").ignored("/dev/kmsg holds the same lines"),
    Flag::value('s', "buffer-size", "BYTES", "buffer").ignored("/dev/kmsg is read record by record"),
    Flag::switch('\0', "noescape", "raw bytes").refused("bytes from outside are always escaped"),
    Flag::value('F', "file", "FILE", "from a file").refused("netwhy reads the running kernel's log"),
    Flag::value('\0', "since", "TIME", "from a time on").refused("use -T and look, or --watch"),
    Flag::value('\0', "until", "TIME", "up to a time").refused("use -T and look"),
    Flag::switch('J', "json", "JSON"),
    Flag::switch('C', "clear", "clear").refused(CHANGES),
    Flag::switch('c', "read-clear", "show and clear").refused(CHANGES),
    Flag::switch('D', "console-off", "quieten the console").refused(CHANGES),
    Flag::switch('E', "console-on", "console").refused(CHANGES),
    Flag::value('n', "console-level", "LEVEL", "console's level").refused(CHANGES),
];

const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
/// Facilities by number (uapi `sys/syslog.h`).
const FACILITIES: [&str; 12] =
    ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    Raw,
    None,
    Day,
    Iso,
    Delta,
    Relative,
}

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("dmesg", FLAGS, STYLE, args)?;
    if parsed.has("help") {
        writeln!(session.out, "Usage: dmesg [options]")?;
        write!(session.out, "{}", flags::help(FLAGS, STYLE))?;
        return Ok(0);
    }
    if parsed.has("version") {
        writeln!(session.out, "dmesg from netwhy {}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    if let Some(word) = parsed.words.first() {
        return Err(ToolError::usage(format!("dmesg: '{word}' is one word too many"), 1));
    }
    let show = Show::of(&parsed)?;
    let json = parsed.has("json") || session.json;
    let follow = parsed.has("follow") || parsed.has("follow-new");
    let interrupted = signal::interrupt_flag().ok();
    let mut last = Last::default();
    let mut failed: Option<std::io::Error> = None;
    let mut objects = 0_u64;
    let collector = session.collector()?;
    let out = &mut *session.out;
    let lost = collector.kernel_records(follow, parsed.has("follow-new"), &mut |record| {
        let written = match record {
            None => out.flush(),
            Some(record) if !show.wants(record) => Ok(()),
            Some(record) if json => {
                objects += 1;
                out.write_all(object(record, objects == 1).as_bytes())
            }
            Some(record) => out.write_all(show.line(record, &mut last).as_bytes()),
        };
        if let Err(error) = written {
            failed = Some(error);
            return ControlFlow::Break(());
        }
        match interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    let lost = lost.map_err(|error| match error.errno() {
        Some(errno) if errno.is_denied() => {
            ToolError::failed(format!("dmesg: read kernel buffer failed: {}", errno.description()), 1)
        }
        _ => error.into(),
    })?;
    if json {
        let end = if objects == 0 { "{\n   \"dmesg\": [\n\n   ]\n}" } else { "\n      }\n   ]\n}" };
        writeln!(session.out, "{end}")?;
    }
    if lost > 0 {
        writeln!(session.err, "dmesg: {lost} times records were overwritten before they were read")?;
    }
    Ok(0)
}

/// A record as JSON, laid out as the original does; without its closing brace.
fn object(record: &Record, first: bool) -> String {
    let start = if first { "{\n   \"dmesg\": [\n      {\n" } else { "\n      },{\n" };
    let (seconds, micros) = (record.at.as_secs(), record.at.subsec_micros());
    let level = u16::from(record.facility) << 3 | u16::from(record.level);
    let text = serde_json::Value::from(record.text.as_str());
    format!(
        "{start}         \"pri\": {level},\n         \"time\": {seconds:>5}.{micros:06},\n         \"msg\": {text}"
    )
}

/// What was shown before.
#[derive(Default)]
struct Last {
    at: Option<Duration>,
    minute: String,
}

struct Show {
    time: Time,
    levels: Option<Vec<u8>>,
    facilities: Option<Vec<u8>>,
    user: bool,
    decode: bool,
    raw: bool,
    prefix: bool,
    /// The time of day of the start of the log's clock.
    boot: Duration,
}

impl Show {
    fn of(parsed: &Parsed) -> Result<Self, ToolError> {
        let mut time = Time::Raw;
        for (flag, value) in parsed.given() {
            time = match (flag, value) {
                ("ctime", _) | ("time-format", Some("ctime")) => Time::Day,
                ("notime", _) | ("time-format", Some("notime")) => Time::None,
                ("reltime" | "human", _) | ("time-format", Some("reltime")) => Time::Relative,
                ("show-delta", _) | ("time-format", Some("delta")) => Time::Delta,
                ("time-format", Some("iso")) => Time::Iso,
                ("time-format", Some("raw")) => Time::Raw,
                ("time-format", Some(other)) => {
                    return Err(ToolError::usage(format!("dmesg: unknown time format: {other}"), 1));
                }
                _ => time,
            };
        }
        let list = |flag: &str, names: &[&str]| -> Result<Option<Vec<u8>>, ToolError> {
            let Some(words) = parsed.value(flag) else { return Ok(None) };
            let mut found = Vec::new();
            for word in words.split(',') {
                let plain = word.trim_matches('+');
                let number = names.iter().position(|name| *name == plain);
                let number = number.and_then(|number| u8::try_from(number).ok());
                let number =
                    number.ok_or_else(|| ToolError::usage(format!("dmesg: unknown {flag} '{word}'"), 1))?;
                let most = u8::try_from(names.len()).unwrap_or(u8::MAX);
                match (word.starts_with('+'), word.ends_with('+')) {
                    // Itself and everything more, or less, urgent.
                    (_, true) => found.extend(0..=number),
                    (true, _) => found.extend(number..most),
                    _ => found.push(number),
                }
            }
            Ok(Some(found))
        };
        Ok(Show {
            time,
            levels: list("level", &LEVELS)?,
            facilities: match parsed.has("kernel") {
                true => Some(vec![0]),
                false => list("facility", &FACILITIES)?,
            },
            user: parsed.has("userspace"),
            decode: parsed.has("decode"),
            raw: parsed.has("raw"),
            prefix: parsed.has("force-prefix"),
            boot: Duration::from_secs(clock::realtime().saturating_sub(clock::since_boot()).as_secs()),
        })
    }

    fn wants(&self, record: &Record) -> bool {
        self.levels.as_ref().is_none_or(|levels| levels.contains(&record.level))
            && self.facilities.as_ref().is_none_or(|names| names.contains(&record.facility))
            && !(self.user && record.facility == 0)
    }

    fn line(&self, record: &Record, last: &mut Last) -> String {
        let mut prefix = String::new();
        if self.raw {
            prefix.push_str(&format!("<{}>", u16::from(record.facility) << 3 | u16::from(record.level)));
        } else if self.decode {
            let facility = FACILITIES.get(usize::from(record.facility)).copied().unwrap_or("local");
            let level = LEVELS.get(usize::from(record.level)).copied().unwrap_or("debug");
            prefix.push_str(&format!("{facility:<6}:{level:<6}: "));
        }
        prefix.push_str(&self.stamp(record, last));
        last.at = Some(record.at);
        let mut out = String::new();
        for (number, line) in record.text.split('\n').enumerate() {
            match number {
                0 => out.push_str(&prefix),
                _ if self.prefix => out.push_str(&prefix),
                // What follows stands under the first line's text.
                _ => out.push_str(&" ".repeat(prefix.chars().count())),
            }
            // A tab moves nothing but what follows.
            out.push_str(&line.split('\t').map(escape_terminal).collect::<Vec<_>>().join("\t"));
            out.push('\n');
        }
        out
    }

    fn stamp(&self, record: &Record, last: &mut Last) -> String {
        let (seconds, micros) = (record.at.as_secs(), record.at.subsec_micros());
        let time = if self.raw { Time::Raw } else { self.time };
        // Lines from before the clock ran have no time to count from.
        let before = last.at.filter(|before| !before.is_zero());
        let since = before.map_or(Duration::ZERO, |before| record.at.saturating_sub(before));
        let delta = format!("{}.{:06}", since.as_secs(), since.subsec_micros());
        let day = self.boot + record.at;
        let local = |format: &str| {
            let seconds = i64::try_from(day.as_secs()).unwrap_or(i64::MAX);
            clock::local_time(seconds, format).unwrap_or_else(|_| format!("{seconds}"))
        };
        match time {
            Time::None => String::new(),
            Time::Raw => format!("[{seconds:>5}.{micros:06}] "),
            Time::Day => format!("[{}] ", local("%a %b %e %H:%M:%S %Y")),
            Time::Iso => {
                let zone = local("%z");
                let (hours, minutes) = zone.split_at(zone.len().min(3));
                format!("{},{:06}{hours}:{minutes} ", local("%Y-%m-%dT%H:%M:%S"), day.subsec_micros())
            }
            Time::Delta => format!("[{seconds:>5}.{micros:06} <{:>12}>] ", delta),
            Time::Relative => {
                // A line of another minute shows the time of day, the others how long after the one before.
                let minute = local("%b%e %H:%M");
                if minute == last.minute {
                    return format!("[{:>11}] ", format!("+{delta}"));
                }
                last.minute = minute.clone();
                format!("[{minute}] ")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(line: &str) -> Show {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Show::of(&flags::parse("dmesg", FLAGS, STYLE, &words).unwrap()).unwrap()
    }

    fn record(level: u8, facility: u8, text: &str) -> Record {
        let at = Duration::new(3508, 470_820_000);
        Record { level, facility, sequence: 1, at, text: text.into(), fields: Vec::new() }
    }

    #[test]
    fn lines_carry_time_level_and_facility_as_asked() {
        let one = record(6, 0, "p0: left promiscuous mode");
        let line = |flags: &str| show(flags).line(&one, &mut Last::default());
        assert_eq!(line(""), "[ 3508.470820] p0: left promiscuous mode\n");
        assert_eq!(line("-x"), "kern  :info  : [ 3508.470820] p0: left promiscuous mode\n");
        assert_eq!(line("-r"), "<6>[ 3508.470820] p0: left promiscuous mode\n");
        assert_eq!(line("-t"), "p0: left promiscuous mode\n");
        assert_eq!(line("-d"), "[ 3508.470820 <    0.000000>] p0: left promiscuous mode\n");
    }

    #[test]
    fn levels_and_facilities_choose() {
        let (info, error, user) = (record(6, 0, ""), record(3, 0, ""), record(6, 1, ""));
        let chosen = |flags: &str| [&info, &error, &user].map(|one| show(flags).wants(one));
        assert_eq!(chosen("-l err,warn"), [false, true, false]);
        assert_eq!(chosen("-l err+"), [false, true, false]);
        assert_eq!(chosen("-k"), [true, true, false]);
        assert_eq!(chosen("-u"), [false, false, true]);
        assert!(
            show("")
                .line(&record(6, 0, "a\nb\x1b[2J"), &mut Last::default())
                .ends_with("] a\n               b\\x1b[2J\n")
        );
    }
}
