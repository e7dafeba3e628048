//! Running one line with the real tool and with netwhy, and comparing what they said.

use std::io::{BufRead, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use netwhy_collect::Scope;
use netwhy_compat::{Session, Tool};
use netwhy_sys::caps::{self, Capability};

use crate::line::{Compare, Group, Line, Outcome};

/// No line may take longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of a difference is shown.
const SHOWN: usize = 6;

/// This program as one of the tools.
pub(crate) fn as_tool(tool: &Tool, called: &str, args: &[String]) -> ExitCode {
    let stdout = std::io::stdout();
    let mut out = BufWriter::with_capacity(1 << 16, stdout.lock());
    let mut err = std::io::stderr();
    let mut session = Session {
        called: called.rsplit('/').next().unwrap_or(called).to_owned(),
        out: &mut out,
        err: &mut err,
        scope: Scope::here(),
        json: false,
        color: false,
        columns: None,
    };
    let code = netwhy_compat::run(tool, &mut session, args);
    if out.flush().is_err() {
        return ExitCode::FAILURE;
    }
    ExitCode::from(code)
}

/// Why private namespaces cannot be made.
pub(crate) fn not_possible() -> Option<String> {
    match caps::effective() {
        Ok(held) if held.has(Capability::SysAdmin) && held.has(Capability::NetAdmin) => None,
        Ok(_) => Some("private namespaces need CAP_SYS_ADMIN and CAP_NET_ADMIN".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Runs a shell script that builds state; its words are the error if it fails.
#[allow(dead_code, reason = "a group may build its state otherwise")]
pub(crate) fn shell(script: &str) -> Result<(), String> {
    let output = Command::new("sh").args(["-e", "-c", script]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("sh: {error}"))?;
    if output.status.success() {
        print!("{}", String::from_utf8_lossy(&output.stdout));
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// What one run left.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
    /// What the probe of a change showed.
    state: String,
}

/// The two sets of tools.
pub(crate) struct Tools {
    /// A directory with every tool's name leading to this program.
    ours: PathBuf,
}

impl Tools {
    /// Puts a link for every tool into the private `/run`.
    pub(crate) fn prepare(_group: &Group) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let ours = PathBuf::from("/run/netwhy-tools");
        std::fs::create_dir_all(&ours).map_err(text)?;
        std::fs::create_dir_all("/run/netns").map_err(text)?;
        let exe = std::env::current_exe().map_err(text)?;
        for tool in netwhy_compat::tools::ALL {
            for name in std::iter::once(&tool.name).chain(tool.aliases) {
                std::os::unix::fs::symlink(&exe, ours.join(name)).map_err(text)?;
            }
        }
        Ok(Tools { ours })
    }

    /// What the comparison says, a note, and details to print.
    pub(crate) fn compare(&self, group: &Group, line: &Line) -> (Outcome, String, String) {
        let tool = line.command.split_whitespace().next().unwrap_or_default();
        if !on_path(tool) {
            return (Outcome::Skipped, format!("{tool} is not installed"), String::new());
        }
        if netwhy_compat::find(tool).is_none() {
            return (Outcome::Missing, format!("netwhy has no {tool}"), String::new());
        }
        let pair = self.say(group, line, false).and_then(|real| Ok((real, self.say(group, line, true)?)));
        let (real, ours) = match pair {
            Ok(pair) => pair,
            Err(why) => return (Outcome::Different, why, String::new()),
        };
        let refused = ours.code != Some(0) && ours.err.contains("is not supported");
        if line.refused {
            return match refused {
                true => (Outcome::Refused, line.reason.to_owned(), String::new()),
                false => {
                    (Outcome::Different, "it was to be refused by name".to_owned(), detail(&real, &ours))
                }
            };
        }
        if refused {
            return (Outcome::Different, "refused without being expected".to_owned(), detail(&real, &ours));
        }
        let same_code = real.code == ours.code;
        let same_state = real.state == ours.state;
        let words = real.code == Some(0) || real.err == ours.err;
        if same_code && same_state && real.out == ours.out {
            if words {
                return (Outcome::Identical, String::new(), String::new());
            }
            if !ours.err.trim().is_empty() {
                return (Outcome::Equivalent, "the error in our own words".to_owned(), String::new());
            }
        }
        if same_code && same_state && equivalent(line.compare, &real.out, &ours.out) {
            return (Outcome::Equivalent, line.reason.to_owned(), String::new());
        }
        (Outcome::Different, String::new(), detail(&real, &ours))
    }

    fn say(&self, group: &Group, line: &Line, ours: bool) -> Result<Said, String> {
        let even = |text: &str| (group.normalise)(text);
        let (code, out, err) = match line.watch {
            None => self.run(line.command, ours)?,
            Some((doing, until)) => (Some(0), self.watch(line.command, ours, doing, until)?, String::new()),
        };
        let mut state = String::new();
        if let Some((probe, heal)) = line.change {
            state = self.run(probe, false)?.1;
            shell(heal).map_err(|why| format!("healing failed: {why}"))?;
        }
        Ok(Said { code, out: even(&out), err, state: even(&state) })
    }

    fn command(&self, line: &str, ours: bool) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if ours {
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", self.ours.display()));
        }
        command
    }

    fn run(&self, line: &str, ours: bool) -> Result<(Option<i32>, String, String), String> {
        let mut child = self.command(line, ours).spawn().map_err(|error| error.to_string())?;
        let out = reader(child.stdout.take());
        let err = reader(child.stderr.take());
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                break status;
            }
            if Instant::now() > end {
                finish(&mut child);
                return Err(format!("{} did not end in {PATIENCE:?}", whose(ours)));
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let text = |from: mpsc::Receiver<String>| from.recv_timeout(PATIENCE).unwrap_or_default();
        Ok((status.code(), text(out), text(err)))
    }

    /// Starts it, waits until it listens, makes events happen, and takes lines until the last one.
    fn watch(&self, line: &str, ours: bool, doing: &str, until: &str) -> Result<String, String> {
        let mut child =
            self.command(&format!("exec {line}"), ours).spawn().map_err(|error| error.to_string())?;
        let (sender, lines) = mpsc::channel();
        let output = child.stdout.take().ok_or("no output")?;
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let result = listens(&mut child).and_then(|()| {
            shell(doing)?;
            let end = Instant::now() + PATIENCE;
            let mut text = String::new();
            loop {
                let line = lines.recv_timeout(end.saturating_duration_since(Instant::now()));
                let line =
                    line.map_err(|_| format!("{}: no line with {until} came; so far:\n{text}", whose(ours)))?;
                text.push_str(&line);
                text.push('\n');
                if line.contains(until) {
                    return Ok(text);
                }
            }
        });
        finish(&mut child);
        result
    }
}

fn whose(ours: bool) -> &'static str {
    if ours { "netwhy" } else { "the real tool" }
}

fn finish(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits until a process has joined netlink groups and sleeps.
fn listens(child: &mut Child) -> Result<(), String> {
    let end = Instant::now() + PATIENCE;
    let pid = child.id();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            let mut words = String::new();
            if let Some(err) = &mut child.stderr {
                let _ = err.read_to_string(&mut words);
            }
            return Err(format!("it ended early with {status}: {words}"));
        }
        // Columns: sk, Eth, Pid, Groups, ..., Inode; which are its own, its descriptors say.
        let sockets = std::fs::read_to_string("/proc/net/netlink").unwrap_or_default();
        let own: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok()?.to_str().map(str::to_owned))
            .collect();
        let joined = sockets.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listening = fields.get(3).is_some_and(|groups| *groups != "00000000");
            listening && fields.last().is_some_and(|inode| own.contains(&format!("socket:[{inode}]")))
        });
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let asleep = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'));
        if joined && asleep {
            return Ok(());
        }
        if Instant::now() > end {
            return Err("it joined no netlink group".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn reader(from: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut from) = from {
            let _ = from.read_to_end(&mut bytes);
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').any(|directory| Path::new(directory).join(tool).exists())
}

fn equivalent(compare: Compare, real: &str, ours: &str) -> bool {
    match compare {
        Compare::Exact => false,
        Compare::Sorted => {
            let sorted = |text: &str| {
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            sorted(real) == sorted(ours)
        }
        Compare::Json => {
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            value(real).is_some_and(|real| value(ours) == Some(real))
        }
        Compare::By(same) => same(real, ours),
    }
}

/// Of two long lines the part where they begin to differ.
fn around<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    const LONG: usize = 300;
    if one.len().max(other.len()) < LONG {
        return (one, other);
    }
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &'a str| {
        let start = (0..=same.saturating_sub(80)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (start..=(start + LONG).min(text.len()))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(start);
        text.get(start..end).unwrap_or(text)
    };
    (part(one), part(other))
}

/// The lines that differ.
fn detail(real: &Said, ours: &Said) -> String {
    let mut text = String::new();
    if real.code != ours.code {
        text.push_str(&format!("    codes: {:?}, ours {:?}\n", real.code, ours.code));
    }
    let all = std::env::var_os("CLASSIC_VERBOSE").is_some();
    let mut left = if all { usize::MAX } else { SHOWN };
    for (name, real, ours) in
        [("out", &real.out, &ours.out), ("state", &real.state, &ours.state), ("err", &real.err, &ours.err)]
    {
        if real == ours || (name == "err" && !text.is_empty() && !all) {
            continue;
        }
        let (mut a, mut b) = (real.lines(), ours.lines());
        loop {
            let (one, other) = (a.next(), b.next());
            if one.is_none() && other.is_none() {
                break;
            }
            if one != other && left > 0 {
                left -= 1;
                let (one, other) = around(one.unwrap_or("(end)"), other.unwrap_or("(end)"));
                text.push_str(&format!("    {name} real: {one}\n    {name} ours: {other}\n"));
            }
        }
    }
    text.trim_end().to_owned()
}
