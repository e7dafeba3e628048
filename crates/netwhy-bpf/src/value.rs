//! Bytes of keys, values and arguments as text and as JSON, in bpftrace's forms.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use netwhy_lang::program::{Part, Raw, Shape};
use netwhy_sys::bpf::Map;

use crate::symbols::Symbols;
use crate::users::Users;

/// What is needed to make sense of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) symbols: &'a Symbols,
    pub(crate) users: &'a Users,
    /// The map with stacks, if the script has one.
    pub(crate) stacks: Option<&'a Map>,
    /// The longest string the script reads, and what is shown after one that is longer.
    pub(crate) strlen: u32,
    pub(crate) trailer: &'a str,
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u32::from_ne_bytes(*b))
}

/// The bytes of a part.
pub(crate) fn part<'a>(bytes: &'a [u8], part: &Part) -> &'a [u8] {
    let rest = bytes.get(part.offset as usize..).unwrap_or_default();
    rest.get(..part.shape.size() as usize).unwrap_or(rest)
}

/// Text from outside, without what could move a terminal's cursor.
pub(crate) fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Reader<'_> {
    /// As `print` shows it.
    pub(crate) fn text(&self, shape: &Shape, bytes: &[u8]) -> String {
        let word = u64_at(bytes, 0);
        match shape {
            Shape::Int { signed: true } => (word as i64).to_string(),
            Shape::Int { signed: false } => word.to_string(),
            Shape::Bool => (word != 0).to_string(),
            Shape::Ptr => format!("{word:#x}"),
            Shape::Enum { values } => match values.iter().find(|(_, value)| *value == word as i64) {
                Some((name, _)) => name.clone(),
                None => (word as i64).to_string(),
            },
            Shape::Str { size } => {
                let text = bytes.split(|&b| b == 0).next().unwrap_or_default();
                let mut shown = clean(text);
                // One byte more than the limit was read: a string that fills it goes on.
                if *size == self.strlen + 1 && text.len() >= self.strlen as usize {
                    shown.push_str(self.trailer);
                }
                shown
            }
            Shape::Buf { .. } => self.buffer(bytes, true),
            Shape::Inet => inet(bytes),
            Shape::Mac => mac(bytes),
            Shape::Ksym if word == 0 => "0".to_owned(),
            Shape::Ksym => self.symbols.show(word, false),
            Shape::Usym => match self.users.resolve(u32_at(bytes, 8), word) {
                Some(named) => named.symbol,
                None => format!("{word:#x}"),
            },
            Shape::Kstack { depth, mode } => self.stack(word, *depth, mode, None),
            Shape::Ustack { depth, mode } => self.stack(word, *depth, mode, Some(u32_at(bytes, 8))),
            Shape::Timestamp { format } => timestamp(word, format),
            Shape::CgroupPath => cgroup_path(word),
            Shape::Username => username(word),
            Shape::Errno => netwhy_lang::error_text(word),
            Shape::Signal => signal(word),
            Shape::Tuple { parts, .. } if parts.iter().any(|part| !part.name.is_empty()) => {
                let fields: Vec<String> = parts
                    .iter()
                    .map(|p| format!(".{} = {}", p.name, self.text(&p.shape, part(bytes, p))))
                    .collect();
                format!("{{ {} }}", fields.join(", "))
            }
            Shape::Tuple { parts, .. } => format!("({})", self.list(parts, bytes, ", ")),
            Shape::Array { elem, len } => {
                let size = elem.size().max(1) as usize;
                let values: Vec<String> =
                    bytes.chunks(size).take(*len as usize).map(|one| self.text(elem, one)).collect();
                format!("[{}]", values.join(","))
            }
            Shape::Raw { of, .. } => raw(of, bytes, false),
        }
    }

    fn list(&self, parts: &[Part], bytes: &[u8], between: &str) -> String {
        let all: Vec<String> = parts.iter().map(|p| self.text(&p.shape, part(bytes, p))).collect();
        all.join(between)
    }

    /// A map's key: several parts without parentheses.
    pub(crate) fn key(&self, shape: &Shape, bytes: &[u8], between: &str) -> String {
        match shape {
            Shape::Tuple { parts, .. } if parts.iter().any(|part| !part.name.is_empty()) => {
                if between == ", " {
                    return self.text(shape, bytes);
                }
                let fields = parts
                    .iter()
                    .map(|p| format!(".{}={}", p.name, self.key(&p.shape, part(bytes, p), between)))
                    .collect::<Vec<_>>();
                format!("{{{}}}", fields.join(between))
            }
            Shape::Tuple { parts, .. } => self.list(parts, bytes, between),
            other => self.text(other, bytes),
        }
    }

    /// As `-f json` shows it.
    pub(crate) fn json(&self, shape: &Shape, bytes: &[u8]) -> String {
        let word = u64_at(bytes, 0);
        match shape {
            Shape::Int { signed: true } => (word as i64).to_string(),
            Shape::Int { signed: false } | Shape::Ptr => word.to_string(),
            Shape::Bool => (word != 0).to_string(),
            Shape::Tuple { parts, .. } if parts.iter().any(|part| !part.name.is_empty()) => {
                let fields: Vec<String> = parts
                    .iter()
                    .map(|p| format!("{}: {}", quote(&p.name), self.json(&p.shape, part(bytes, p))))
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }
            Shape::Tuple { parts, .. } => {
                let all: Vec<String> = parts.iter().map(|p| self.json(&p.shape, part(bytes, p))).collect();
                format!("[{}]", all.join(","))
            }
            Shape::Array { elem, len } => {
                let size = elem.size().max(1) as usize;
                let all: Vec<String> =
                    bytes.chunks(size).take(*len as usize).map(|one| self.json(elem, one)).collect();
                format!("[{}]", all.join(","))
            }
            Shape::Raw { of, .. } => raw(of, bytes, true),
            Shape::Enum { .. } => (word as i64).to_string(),
            other => quote(&self.text(other, bytes)),
        }
    }

    /// Hex escapes for what cannot be printed, or for everything.
    pub(crate) fn buffer(&self, bytes: &[u8], readable: bool) -> String {
        let length = u32_at(bytes, 0) as usize;
        let rest = bytes.get(4..).unwrap_or_default();
        let mut out = String::new();
        for &b in rest.get(..length).unwrap_or(rest) {
            if readable && (b' '..=b'~').contains(&b) {
                out.push(b.into());
            } else {
                let _ = write!(out, "\\x{b:02x}");
            }
        }
        out
    }

    /// The addresses of a stack. A negative id is an error number: the stack could not be had, or its place was
    /// taken.
    pub(crate) fn frames(&self, id: u64, depth: u32) -> Option<Vec<u64>> {
        let frames = self.stacks?.lookup(&u32::try_from(id).ok()?.to_ne_bytes()).ok()??;
        let all = frames.chunks_exact(8).map(|b| u64_at(b, 0)).take_while(|a| *a != 0);
        Some(all.take(depth as usize).collect())
    }

    /// A user address as `function+offset`, in hex when it has no name or its process is gone.
    pub(crate) fn user_frame(&self, pid: u32, address: u64) -> String {
        match self.users.resolve(pid, address) {
            Some(named) => format!("{}+{}", named.symbol, named.offset),
            None => format!("{address:#x}"),
        }
    }

    /// `pid` for a user's stack.
    fn stack(&self, id: u64, depth: u32, mode: &str, pid: Option<u32>) -> String {
        let mut out = String::from("\n");
        for frame in self.frames(id, depth).unwrap_or_default() {
            let _ = match (mode, pid) {
                ("raw", _) => writeln!(out, "{frame:x}"),
                ("perf", Some(pid)) => {
                    let module = self.users.resolve(pid, frame).map(|named| named.module);
                    let module = module.unwrap_or_else(|| "[unknown]".to_owned());
                    writeln!(out, "\t{frame:x} {} ({module})", self.user_frame(pid, frame))
                }
                ("perf", None) => writeln!(out, "\t{frame:x} {}", self.symbols.show(frame, true)),
                (_, Some(pid)) => writeln!(out, "        {}", self.user_frame(pid, frame)),
                (_, None) => writeln!(out, "        {}", self.symbols.show(frame, true)),
            };
        }
        out
    }
}

fn inet(bytes: &[u8]) -> String {
    let rest = bytes.get(4..).unwrap_or_default();
    match (u32_at(bytes, 0), rest.first_chunk::<4>(), rest.first_chunk::<16>()) {
        (2, Some(four), _) => Ipv4Addr::from(*four).to_string(),
        (10, _, Some(sixteen)) => Ipv6Addr::from(*sixteen).to_string(),
        _ => String::new(),
    }
}

fn mac(bytes: &[u8]) -> String {
    let all: Vec<String> = bytes.iter().take(6).map(|b| format!("{b:02X}")).collect();
    all.join(":")
}

/// Bytes as C lays them out, as text or as JSON.
fn raw(of: &Raw, bytes: &[u8], json: bool) -> String {
    match of {
        Raw::Int { size, signed } => number(bytes, *size, *signed),
        Raw::Bool => (bytes.first().copied().unwrap_or(0) != 0).to_string(),
        Raw::Ptr if json => u64_at(bytes, 0).to_string(),
        Raw::Ptr => format!("{:#x}", u64_at(bytes, 0)),
        Raw::Enum { size, values } => {
            let text = number(bytes, *size, true);
            match values.iter().find(|(_, value)| !json && text == value.to_string()) {
                Some((name, _)) => name.clone(),
                None => text,
            }
        }
        Raw::Chars { size } => {
            let all = bytes.get(..*size as usize).unwrap_or(bytes);
            let text = clean(all.split(|&b| b == 0).next().unwrap_or_default());
            if json { quote(&text) } else { text }
        }
        Raw::Array { elem, step, len } => {
            let all = bytes.chunks((*step).max(1) as usize).take(*len as usize);
            let all: Vec<String> = all.map(|one| raw(elem, one, json)).collect();
            format!("[{}]", all.join(","))
        }
        Raw::Struct { members } => {
            let all: Vec<String> = members
                .iter()
                .filter(|m| !m.name.is_empty() || matches!(m.of, Raw::Struct { .. }))
                .map(|m| {
                    let rest = bytes.get(m.offset as usize..).unwrap_or_default();
                    let value = match (m.bits, &m.of) {
                        (Some((from, count)), Raw::Int { .. }) => bits(rest, from, count, false),
                        (_, of) => raw(of, rest, json),
                    };
                    if json {
                        format!("{}: {value}", quote(&m.name))
                    } else {
                        format!(".{} = {value}", m.name)
                    }
                })
                .collect();
            if json { format!("{{{}}}", all.join(", ")) } else { format!("{{ {} }}", all.join(", ")) }
        }
        Raw::None if json => "null".to_owned(),
        Raw::None => "<no value>".to_owned(),
    }
}

fn bits(bytes: &[u8], from: u32, count: u32, signed: bool) -> String {
    let mut wide = [0_u8; 16];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    let value = (u128::from_le_bytes(wide) >> from.min(127)) as u64;
    let cut = 64 - count.clamp(1, 64);
    let value = value << cut;
    if signed { ((value as i64) >> cut).to_string() } else { (value >> cut).to_string() }
}

fn number(bytes: &[u8], size: u32, signed: bool) -> String {
    bits(bytes, 0, size.clamp(1, 8) * 8, signed)
}

/// The name of a user: the one /etc/passwd gives, else the number.
fn username(uid: u64) -> String {
    let passwd = netwhy_sys::procfs::Tree::at("/").read("etc/passwd").unwrap_or_default();
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    found.map_or_else(|| uid.to_string(), |name| clean(name.as_bytes()))
}

/// The paths of a cgroup in the mounted hierarchies: the directory whose inode is the id.
fn cgroup_path(id: u64) -> String {
    use std::os::unix::fs::MetadataExt;
    let root = std::path::Path::new("/sys/fs/cgroup");
    let mut todo = vec![root.to_path_buf()];
    // Hierarchies are small; the bound is for a broken one.
    for _ in 0..100_000 {
        let Some(at) = todo.pop() else { break };
        if std::fs::metadata(&at).is_ok_and(|meta| meta.ino() == id) {
            let path =
                at.strip_prefix(root).map_or_else(|_| String::new(), |p| p.to_string_lossy().into_owned());
            return clean(format!("unified:/{path}").as_bytes());
        }
        let inner = std::fs::read_dir(&at).into_iter().flatten().filter_map(Result::ok);
        todo.extend(inner.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
    }
    format!("cgroup {id}")
}

/// What strsignal(3) says.
fn signal(number: u64) -> String {
    const TEXTS: [&str; 31] = [
        "Hangup",
        "Interrupt",
        "Quit",
        "Illegal instruction",
        "Trace/breakpoint trap",
        "Aborted",
        "Bus error",
        "Floating point exception",
        "Killed",
        "User defined signal 1",
        "Segmentation fault",
        "User defined signal 2",
        "Broken pipe",
        "Alarm clock",
        "Terminated",
        "Stack fault",
        "Child exited",
        "Continued",
        "Stopped (signal)",
        "Stopped",
        "Stopped (tty input)",
        "Stopped (tty output)",
        "Urgent I/O condition",
        "CPU time limit exceeded",
        "File size limit exceeded",
        "Virtual timer expired",
        "Profiling timer expired",
        "Window changed",
        "I/O possible",
        "Power failure",
        "Bad system call",
    ];
    let text = number.checked_sub(1).and_then(|at| TEXTS.get(usize::try_from(at).ok()?));
    text.map_or_else(|| format!("Unknown signal {number}"), |text| (*text).to_owned())
}

/// Seconds since 1970 as local time.
pub(crate) fn local(seconds: i64, format: &str) -> String {
    netwhy_sys::clock::local_time(seconds, format).unwrap_or_else(|_| seconds.to_string())
}

/// Nanoseconds since boot as local time.
pub(crate) fn timestamp(since_boot: u64, format: &str) -> String {
    let now = netwhy_sys::clock::realtime().as_nanos() as i128;
    let boot = now - netwhy_sys::clock::since_boot().as_nanos() as i128;
    wall(boot + i128::from(since_boot), format)
}

/// Nanoseconds since the epoch as local time; `%f` is microseconds.
pub(crate) fn wall(ns: i128, format: &str) -> String {
    let micros = ns.rem_euclid(1_000_000_000) / 1000;
    let format = format.replace("%f", &format!("{micros:06}"));
    let seconds = i64::try_from(ns.div_euclid(1_000_000_000)).unwrap_or(0);
    netwhy_sys::clock::local_time(seconds, &format).unwrap_or_else(|_| seconds.to_string())
}
