//! `--watch SECONDS` of every tool that reads: the same question again and again, with what changed marked and
//! the rate of numbers that grew.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use netwhy_sys::signal;

use crate::Tool;
use crate::session::{Session, ToolError};

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the tool that runs is one of several runs: it may change nothing and note nothing.
pub(crate) fn is_active() -> bool {
    ACTIVE.get()
}

/// A command line without `--watch`, how long to wait between two runs, and how many there are.
type Asked = (Vec<String>, Duration, Option<u64>);

/// What `--watch` asks for, taken out of a command line: how long to wait, and how often to ask (for ever if it
/// does not say). `--watch 2`, `--watch=0.5`, `--watch 1:10`.
pub(crate) fn asked(args: &[String]) -> Result<Option<Asked>, ToolError> {
    let Some(at) = args.iter().position(|word| word == "--watch" || word.starts_with("--watch=")) else {
        return Ok(None);
    };
    let mut rest = args.to_vec();
    let word = rest.remove(at);
    let value = match word.strip_prefix("--watch=") {
        Some(value) => value.to_owned(),
        None if at < rest.len() => rest.remove(at),
        None => String::new(),
    };
    let (seconds, times) = match value.split_once(':') {
        Some((seconds, times)) => (seconds, Some(times)),
        None => (value.as_str(), None),
    };
    let seconds = seconds.parse::<f64>().ok().filter(|seconds| (0.05..=86_400.0).contains(seconds));
    let times = times.map(|times| times.parse::<u64>().ok().filter(|times| *times > 0));
    match (seconds, times) {
        (Some(seconds), None) => Ok(Some((rest, Duration::from_secs_f64(seconds), None))),
        (Some(seconds), Some(Some(times))) => Ok(Some((rest, Duration::from_secs_f64(seconds), Some(times)))),
        _ => Err(ToolError::usage(
            format!("--watch wants seconds (0.05 and more), or SECONDS:TIMES, not '{value}'"),
            1,
        )),
    }
}

/// Runs a tool every `wait` until it was shown `times` or somebody interrupts.
pub(crate) fn again(
    tool: &Tool,
    session: &mut Session<'_>,
    args: &[String],
    wait: Duration,
    times: Option<u64>,
) -> Result<u8, ToolError> {
    let interrupted = signal::interrupt_flag().ok();
    let stopped = || interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed));
    let mut before: Option<(Instant, String)> = None;
    let mut shown = 0;
    loop {
        let started = Instant::now();
        let mut buffer = Vec::new();
        let code = {
            let mut inner = Session {
                called: session.called.clone(),
                out: &mut buffer,
                err: &mut *session.err,
                scope: session.scope.clone(),
                json: session.json,
                color: session.color,
                columns: session.columns,
            };
            ACTIVE.set(true);
            let code = crate::run(tool, &mut inner, args);
            ACTIVE.set(false);
            code
        };
        let text = String::from_utf8_lossy(&buffer).into_owned();
        show(session, &text, before.as_ref(), started)?;
        if code != 0 {
            return Ok(code);
        }
        shown += 1;
        if times.is_some_and(|times| shown >= times) || stopped() {
            return Ok(0);
        }
        before = Some((started, text));
        // In short pieces, so that an interrupt is heard.
        while started.elapsed() < wait && !stopped() {
            std::thread::sleep((wait.saturating_sub(started.elapsed())).min(Duration::from_millis(100)));
        }
        if stopped() {
            return Ok(0);
        }
    }
}

fn show(
    session: &mut Session<'_>,
    text: &str,
    before: Option<&(Instant, String)>,
    now: Instant,
) -> Result<(), ToolError> {
    if session.columns.is_some() {
        // A terminal: from its top, and nothing left of the time before.
        write!(session.out, "\x1b[H\x1b[2J")?;
    } else if before.is_some() {
        writeln!(session.out)?;
    }
    match before {
        None => write!(session.out, "{text}")?,
        Some((then, old)) => {
            let seconds = now.duration_since(*then).as_secs_f64();
            let marked = mark(text, old, seconds, session.color);
            write!(session.out, "{marked}")?;
        }
    }
    session.out.flush()?;
    Ok(())
}

/// The text with its changes marked: words that differ from the same line before stand out, and behind a line
/// stands how fast its numbers grew. Lines are the same if they start with the same words up to their first
/// number, or if they stand at the same place.
fn mark(text: &str, old: &str, seconds: f64, color: bool) -> String {
    let mut by_key: std::collections::HashMap<String, Vec<&str>> = std::collections::HashMap::new();
    for line in old.lines() {
        by_key.entry(key(line)).or_default().push(line);
    }
    for lines in by_key.values_mut() {
        lines.reverse();
    }
    let (on, off) = if color { ("\x1b[7m", "\x1b[0m") } else { ("", "") };
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines() {
        match by_key.get_mut(&key(line)).and_then(Vec::pop) {
            Some(same) if same == line => out.push_str(line),
            Some(other) => mark_line(&mut out, line, other, seconds, (on, off)),
            None => {
                out.push_str(on);
                out.push_str(line);
                out.push_str(off);
                out.push_str(if color { "" } else { "  # new" });
            }
        }
        out.push('\n');
    }
    let gone = by_key.values().map(Vec::len).sum::<usize>();
    if gone > 0 {
        out.push_str(&format!("# gone since: {gone}\n"));
    }
    out
}

/// What a line is about: its words up to the first that is a number.
fn key(line: &str) -> String {
    let words = line.split_whitespace().take_while(|word| number(word).is_none());
    let words: Vec<&str> = words.collect();
    match words.is_empty() {
        // A line of numbers alone is told by its place among them.
        true => String::new(),
        false => words.join(" "),
    }
}

fn number(word: &str) -> Option<f64> {
    word.trim_end_matches([',', ')', ':']).parse().ok()
}

fn mark_line(out: &mut String, line: &str, old: &str, seconds: f64, (on, off): (&str, &str)) {
    let mut olds = old.split_whitespace();
    let mut rates = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let blank = rest.len() - rest.trim_start().len();
        out.push_str(&rest[..blank]);
        rest = &rest[blank..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = &rest[..end];
        rest = &rest[end..];
        if word.is_empty() {
            break;
        }
        let before = olds.next();
        if before == Some(word) {
            out.push_str(word);
            continue;
        }
        out.push_str(on);
        out.push_str(word);
        out.push_str(off);
        if let (Some(new), Some(old)) = (number(word), before.and_then(number))
            && seconds > 0.0
        {
            rates.push(format!("{:+.1}/s", (new - old) / seconds));
        }
    }
    if rates.is_empty() {
        return;
    }
    out.push_str("  # ");
    out.push_str(&rates.join(" "));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_flag_is_taken_out_wherever_it_stands() {
        let (rest, wait, times) = asked(&words("-tan --watch 0.5:3 state established")).unwrap().unwrap();
        assert_eq!(
            (rest, wait, times),
            (words("-tan state established"), Duration::from_millis(500), Some(3))
        );
        let (rest, _, times) = asked(&words("--watch=2 -s")).unwrap().unwrap();
        assert_eq!((rest, times), (words("-s"), None));
        assert!(asked(&words("-tan")).unwrap().is_none());
        for bad in ["--watch", "--watch x", "--watch 0", "--watch 1:0", "--watch=-1"] {
            assert!(asked(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_grew_has_a_rate_and_what_came_is_new() {
        let old = "TcpInSegs 100 0.0\nTcpOutSegs 5 0.0\nGone 1\n";
        let new = "TcpInSegs 160 0.0\nTcpOutSegs 5 0.0\nTcpRetransSegs 1 0.0\n";
        assert_eq!(
            mark(new, old, 2.0, false),
            "TcpInSegs 160 0.0  # +30.0/s\nTcpOutSegs 5 0.0\nTcpRetransSegs 1 0.0  # new\n# gone since: 1\n"
        );
        assert!(mark(new, old, 2.0, true).contains("\x1b[7m160\x1b[0m"));
        assert_eq!(mark(new, new, 2.0, true), new, "nothing changed, nothing marked");
    }
}
