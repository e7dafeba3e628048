//! Writes the steps of packets as lines or JSON, and keeps their ways for pcapng.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Instant;

use netwhy_bpf::record::{Record, Sink, Table, Value};
use netwhy_render::escape::escape_terminal;

use super::Ask;
use super::pcapng::Packet;
use crate::names::Names;

/// Packets that are remembered; with more the oldest are forgotten.
const REMEMBERED: usize = 65_536;

struct Followed {
    number: u64,
    last: u64,
    packet: Option<Packet>,
}

pub(crate) struct Show<'a> {
    ask: &'a Ask,
    out: &'a mut dyn Write,
    names: Names,
    packets: HashMap<u64, Followed>,
    next: u64,
    lines: u64,
    deadline: Option<Instant>,
    first: Option<u64>,
}

fn number(record: &Record<'_>, path: &str) -> u64 {
    record.get(path).and_then(Value::number).and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

fn text<'r>(record: &'r Record<'_>, path: &str) -> &'r str {
    match record.get(path) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

/// `address:port->address:port(proto)`; without ports for protocols that have none.
fn tuple(record: &Record<'_>) -> String {
    let end = |address: &str, port: &str| {
        let port = number(record, port);
        match record.get(address) {
            Some(Value::Addr(addr)) if port == 0 => addr.to_string(),
            Some(Value::Addr(addr)) => std::net::SocketAddr::new(*addr, port as u16).to_string(),
            _ => "-".to_owned(),
        }
    };
    let (from, to) = (end("flow.saddr", "flow.sport"), end("flow.daddr", "flow.dport"));
    let proto = Names::protocol(number(record, "flow.proto").into()).to_lowercase();
    format!("{from}->{to}({proto})")
}

/// The point: an event's name or a function's.
pub(crate) fn point(record: &Record<'_>) -> String {
    let name = match text(record, "point") {
        "" => text(record, "place").split('+').next().unwrap_or_default(),
        name => name,
    };
    name.to_owned()
}

/// What became of it there.
fn verdict(record: &Record<'_>) -> String {
    match text(record, "point") {
        "kfree_skb" => {
            let reason = match record.get("reason") {
                Some(Value::Enum(_, Some(name))) => {
                    let short = name.strip_prefix("SKB_DROP_REASON_");
                    short.or_else(|| name.strip_prefix("SKB_")).unwrap_or(name).to_owned()
                }
                Some(other) => other.json().to_string(),
                None => String::new(),
            };
            let place = text(record, "place").split('+').next().unwrap_or_default();
            format!("DROP({reason}) in {place}")
        }
        "consume_skb" => "CONSUMED".to_owned(),
        _ => String::new(),
    }
}

impl<'a> Show<'a> {
    pub(crate) fn new(ask: &'a Ask, out: &'a mut dyn Write) -> Self {
        Show {
            ask,
            out,
            names: Names::new(),
            packets: HashMap::new(),
            next: 1,
            lines: 0,
            deadline: None,
            first: None,
        }
    }

    pub(crate) fn begin(&mut self) -> std::io::Result<()> {
        self.deadline = self.ask.duration.map(|s| Instant::now() + std::time::Duration::from_secs(s));
        if !self.ask.json {
            let time = if self.ask.timestamp == "none" { String::new() } else { format!("{:<16} ", "TIME") };
            writeln!(self.out, "{time}{}", super::HEADINGS)?;
        }
        self.out.flush()
    }

    /// The packets with their ways, in the order of their first points.
    pub(crate) fn packets(self) -> Vec<Packet> {
        let mut all: Vec<(u64, Packet)> =
            self.packets.into_values().filter_map(|one| Some((one.number, one.packet?))).collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, packet)| packet).collect()
    }

    fn stamp(&mut self, ts: u64) -> String {
        let first = *self.first.get_or_insert(ts);
        match self.ask.timestamp.as_str() {
            "none" => String::new(),
            "absolute" | "current" => format!("{:<16} ", self.names.wall(ts)),
            _ => format!("{:<16} ", format!("{:.6}", ts.saturating_sub(first) as f64 / 1e9)),
        }
    }

    fn line(&mut self, record: &Record<'_>, packet: u64, delta: u64) -> std::io::Result<()> {
        let here = record.get("here").and_then(Value::number) == Some(1);
        let device = match here {
            true => format!("{}:{}", escape_terminal(text(record, "dev")), number(record, "ifindex")),
            false => "-".to_owned(),
        };
        let process = format!("{}:{}", escape_terminal(text(record, "comm")), number(record, "pid"));
        let mtu = if here { number(record, "mtu") } else { 0 };
        let mut line = self.stamp(number(record, "ts"));
        let _ = write!(
            line,
            "{packet:<3} {:<3} {process:<16} {:<10} {:<7x} {device:<10} {:#06x} {mtu:<5} {:<5} {delta:>8} {} {}",
            number(record, "cpu"),
            number(record, "netns"),
            number(record, "mark"),
            number(record, "proto"),
            number(record, "len"),
            tuple(record),
            escape_terminal(&point(record)),
        );
        if self.ask.flags && number(record, "flow.proto") == 6 {
            let _ = write!(line, " ({})", Names::tcp_flags(number(record, "flags").into()));
        }
        let verdict = verdict(record);
        if !verdict.is_empty() {
            let _ = write!(line, " {}", escape_terminal(&verdict));
        }
        let frames = match record.get("stack") {
            Some(Value::Stack(frames)) => crate::columns::outside(frames),
            _ => &[],
        };
        if self.ask.caller {
            // The first frame is where the event was; its caller comes after it.
            let _ = write!(line, " <- {}", frames.get(1).map_or("-", String::as_str));
        }
        writeln!(self.out, "{line}")?;
        if self.ask.skb {
            let names = [
                "skbaddr",
                "headaddr",
                "headroom",
                "data_len",
                "truesize",
                "priority",
                "hash",
                "queue",
                "pkt_type",
                "ip_summed",
                "cloned",
                "users",
            ];
            let hex = |name: &str| matches!(name, "skbaddr" | "headaddr" | "hash");
            let all: Vec<String> = names
                .iter()
                .map(|name| match hex(name) {
                    true => format!("{name}={:#x}", number(record, name)),
                    false => format!("{name}={}", number(record, name)),
                })
                .collect();
            writeln!(self.out, "    {}", all.join(" "))?;
        }
        if self.ask.stack {
            for frame in frames {
                writeln!(self.out, "    {}", escape_terminal(frame))?;
            }
        }
        Ok(())
    }

    fn object(&mut self, record: &Record<'_>, packet: u64, delta: u64) -> std::io::Result<()> {
        let mut all = serde_json::Map::new();
        all.insert("packet".to_owned(), packet.into());
        all.insert("delta_ns".to_owned(), delta.into());
        all.insert("func".to_owned(), point(record).into());
        let verdict = verdict(record);
        if !verdict.is_empty() {
            all.insert("verdict".to_owned(), verdict.into());
        }
        for (name, value) in &record.fields {
            if !matches!(*name, "point" | "bytes" | "here") {
                all.insert((*name).to_owned(), value.json());
            }
        }
        serde_json::to_writer(&mut *self.out, &all)?;
        self.out.write_all(b"\n")
    }
}

impl Sink for Show<'_> {
    fn record(&mut self, record: Record<'_>) -> std::io::Result<()> {
        if self.done() {
            return Ok(());
        }
        let (id, ts) = (number(&record, "id"), number(&record, "ts"));
        if self.packets.len() >= REMEMBERED && !self.packets.contains_key(&id) {
            let oldest = self.next.saturating_sub(REMEMBERED as u64 / 2);
            self.packets.retain(|_, one| one.number >= oldest);
        }
        let next = self.next;
        let followed = self.packets.entry(id).or_insert(Followed { number: next, last: ts, packet: None });
        if followed.number == next {
            self.next += 1;
        }
        let delta = ts.saturating_sub(followed.last);
        followed.last = ts;
        let packet = followed.number;
        if let Some(Value::Bytes(bytes)) = record.get("bytes") {
            let one = followed.packet.get_or_insert_with(|| Packet::new(ts, number(&record, "len"), bytes));
            one.step(&format!(
                "+{} us cpu {} netns {} {} {} {}",
                delta / 1000,
                number(&record, "cpu"),
                number(&record, "netns"),
                tuple(&record),
                point(&record),
                verdict(&record)
            ));
        }
        self.lines += 1;
        match self.ask.json {
            true => self.object(&record, packet, delta),
            false => self.line(&record, packet, delta / 1000),
        }
    }

    fn table(&mut self, _: Table<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn text(&mut self, text: &str) -> std::io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    fn rest(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    fn done(&self) -> bool {
        self.ask.limit.is_some_and(|limit| self.lines >= limit)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
