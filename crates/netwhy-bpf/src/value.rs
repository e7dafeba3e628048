//! Bytes of keys, values and arguments as text and as JSON, in bpftrace's forms.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use netwhy_lang::program::{Part, Shape};
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
            Shape::Str { .. } => clean(bytes.split(|&b| b == 0).next().unwrap_or_default()),
            Shape::Buf { .. } => self.buffer(bytes, true),
            Shape::Inet => inet(bytes),
            Shape::Mac => mac(bytes),
            Shape::Ksym => self.symbols.show(word, false),
            Shape::Usym => match self.users.resolve(u32_at(bytes, 8), word) {
                Some(named) => named.symbol,
                None => format!("{word:#x}"),
            },
            Shape::Kstack { depth, mode } => self.stack(word, *depth, mode, None),
            Shape::Ustack { depth, mode } => self.stack(word, *depth, mode, Some(u32_at(bytes, 8))),
            Shape::Timestamp { format } => timestamp(word, format),
            Shape::CgroupPath => format!("cgroup {word}"),
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
            Shape::Struct { members, .. } => {
                let fields: Vec<String> = members
                    .iter()
                    .map(|m| format!(".{} = {}", m.name, raw(bytes, m.offset, m.size, m.signed)))
                    .collect();
                format!("{{ {} }}", fields.join(", "))
            }
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
            Shape::Struct { members, .. } => {
                let fields: Vec<String> = members
                    .iter()
                    .map(|m| format!("{}: {}", quote(&m.name), raw(bytes, m.offset, m.size, m.signed)))
                    .collect();
                format!("{{ {} }}", fields.join(", "))
            }
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

fn raw(bytes: &[u8], offset: u32, size: u32, signed: bool) -> String {
    let rest = bytes.get(offset as usize..).unwrap_or_default();
    let mut wide = [0_u8; 8];
    let size = (size as usize).min(8);
    for (to, from) in wide.iter_mut().zip(rest.iter().take(size)) {
        *to = *from;
    }
    let value = u64::from_le_bytes(wide);
    if signed && size > 0 {
        let shift = 64 - 8 * size as u32;
        return (((value << shift) as i64) >> shift).to_string();
    }
    value.to_string()
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
