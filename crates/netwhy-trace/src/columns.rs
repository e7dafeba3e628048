//! Columns: `HEADING | layout | value[:format] | condition`, as headers of scripts declare them.
//!
//! A layout is `<7` or `>7` (least width, left or right), `<12.12` (and most), `<16/39` (the second with `-w`), `0`
//! (as it is), or `+` (the frames of a stack on lines of their own below). A value is the path of a field
//! (`flow.saddr`), two with `+` between them (address and port), or a text after `'`. A condition is the name of an option, with `!`
//! when it must not be given.

use std::fmt::Write as _;
use std::net::IpAddr;

use netwhy_bpf::record::Value;

use crate::names::Names;

/// One column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Above it.
    pub heading: String,
    /// Whether it is filled up on the left.
    right: bool,
    /// Least width, narrow and wide.
    widths: (usize, usize),
    /// Most characters.
    most: Option<usize>,
    /// Frames below the line.
    pub below: bool,
    /// Path of the field.
    path: String,
    /// Path of a port after an address.
    port: Option<String>,
    format: Format,
    /// Option it depends on, and whether it is to be given.
    when: Option<(String, bool)>,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Plain,
    /// Time of day, of nanoseconds since boot.
    Wall,
    /// Seconds since the first record with this many digits, of nanoseconds since boot.
    Since,
    /// 4 or 6, of an address.
    Ip,
    /// Milliseconds with digits after the point, of nanoseconds.
    Ms(usize),
    /// Milliseconds with three digits, of microseconds.
    UsMs,
    /// Microseconds, of nanoseconds.
    Us,
    /// Kilobytes, of bytes.
    Kb,
    /// State of a TCP connection.
    State,
    /// Flags of a segment, in parentheses.
    Flags,
    /// Name of an error, `0` for none.
    Errno,
    /// User, of an id.
    User,
    Hex,
    /// Drop or reset reason without its common prefix.
    Reason,
    /// State of a congestion control (`open`, `disorder`, ..).
    Congestion,
    /// Name of an IP protocol.
    Proto,
    /// State of a neighbour.
    Neighbour,
    /// Name of a softirq.
    Softirq,
    /// Type of a socket.
    Socktype,
    /// Family of a socket.
    Family,
    /// Name of an ethertype.
    Ether,
    /// Type and code of an ICMP message, `type * 256 + code`.
    Icmp,
    /// Code of a DNS answer.
    Rcode,
    /// Name asked for in the question of a DNS message.
    DnsName,
    /// Type asked for there.
    DnsType,
}

impl Format {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "wall" => Format::Wall,
            "since" => Format::Since,
            "ip" => Format::Ip,
            "ms" => Format::Ms(2),
            "ms0" => Format::Ms(0),
            "ms3" => Format::Ms(3),
            "usms" => Format::UsMs,
            "us" => Format::Us,
            "kb" => Format::Kb,
            "state" => Format::State,
            "flags" => Format::Flags,
            "errno" => Format::Errno,
            "user" => Format::User,
            "hex" => Format::Hex,
            "reason" => Format::Reason,
            "ca" => Format::Congestion,
            "proto" => Format::Proto,
            "nud" => Format::Neighbour,
            "softirq" => Format::Softirq,
            "socktype" => Format::Socktype,
            "family" => Format::Family,
            "ether" => Format::Ether,
            "icmp" => Format::Icmp,
            "rcode" => Format::Rcode,
            "dnsname" => Format::DnsName,
            "dnstype" => Format::DnsType,
            _ => return None,
        })
    }
}

impl Column {
    /// Reads a column as a header writes it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('|').map(str::trim).collect();
        let (heading, layout, value, when) = match parts[..] {
            [heading, layout, value] => (heading, layout, value, ""),
            [heading, layout, value, when] => (heading, layout, value, when),
            _ => return Err(format!("`{text}`: a column has three or four parts")),
        };
        let wrong = |what: &str| format!("column {heading}: {what}");
        let (value, format) = value.split_once(':').unwrap_or((value, ""));
        let (path, port) = value.split_once('+').map_or((value, None), |(a, b)| (a, Some(b.to_owned())));
        let format = match format {
            "" => Format::Plain,
            other => Format::parse(other).ok_or_else(|| wrong(&format!("unknown format `{other}`")))?,
        };
        let mut column = Column {
            heading: heading.to_owned(),
            right: layout.starts_with('>'),
            widths: (0, 0),
            most: None,
            below: layout == "+",
            path: path.to_owned(),
            port,
            format,
            when: (!when.is_empty()).then(|| match when.strip_prefix('!') {
                Some(name) => (name.to_owned(), false),
                None => (when.to_owned(), true),
            }),
        };
        let sizes = layout.trim_start_matches(['<', '>']);
        if !matches!(layout, "0" | "+") {
            let (narrow, wide) = sizes.split_once('/').unwrap_or((sizes, sizes));
            let (narrow, most) = narrow.split_once('.').map_or((narrow, None), |(w, m)| (w, Some(m)));
            let number = |text: &str| text.parse::<usize>().map_err(|_| wrong("a layout is like `<7`"));
            let wide = wide.split('.').next().unwrap_or(wide);
            column.widths = (number(narrow)?, number(wide)?);
            column.most = most.map(number).transpose()?;
        }
        Ok(column)
    }

    /// Whether it is shown with these options.
    pub(crate) fn shown(&self, on: impl Fn(&str) -> bool) -> bool {
        self.when.as_ref().is_none_or(|(name, wanted)| on(name) == *wanted)
    }

    fn pad(&self, out: &mut String, text: &str, wide: bool, last: bool) {
        let width = if wide { self.widths.1 } else { self.widths.0 };
        let text = match self.most {
            Some(most) if !wide || self.widths.0 == self.widths.1 => {
                text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
            }
            _ => text,
        };
        let fill = width.saturating_sub(text.chars().count());
        if self.right {
            out.extend(std::iter::repeat_n(' ', fill));
            out.push_str(text);
        } else {
            out.push_str(text);
            if !last {
                out.extend(std::iter::repeat_n(' ', fill));
            }
        }
    }
}

/// What a line is made from.
pub(crate) trait Fields {
    /// A field by its path.
    fn field(&self, path: &str) -> Option<&Value>;
}

impl Fields for netwhy_bpf::record::Record<'_> {
    fn field(&self, path: &str) -> Option<&Value> {
        self.get(path)
    }
}

/// A row of a map: `key`, its parts as `key.0`, and `value`.
impl Fields for (Value, Value) {
    fn field(&self, path: &str) -> Option<&Value> {
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let found = match name {
            "key" => &self.0,
            "value" => &self.1,
            _ => return None,
        };
        rest.map_or(Some(found), |rest| found.get(rest))
    }
}

/// A row of maps joined by key: values by the names of the maps.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) key: Value,
    pub(crate) values: Vec<(String, Value)>,
}

impl Fields for Joined {
    fn field(&self, path: &str) -> Option<&Value> {
        match path.strip_prefix("key") {
            Some("") => Some(&self.key),
            Some(rest) => self.key.get(rest.strip_prefix('.')?),
            None => {
                let (name, rest) = path.split_once('.').map_or((path, None), |(n, r)| (n, Some(r)));
                // A map without this key has counted nothing.
                let found = self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value);
                match rest {
                    None => Some(found.unwrap_or(&ZERO)),
                    Some(rest) => found?.get(rest),
                }
            }
        }
    }
}

const ZERO: Value = Value::Uint(0);

/// How lines are laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Room for IPv6 addresses.
    pub(crate) wide: bool,
    /// Commas and no padding.
    pub(crate) csv: bool,
}

/// The line of headings.
pub(crate) fn headings(columns: &[&Column], layout: Layout) -> String {
    let mut out = String::new();
    let shown: Vec<&&Column> = columns.iter().filter(|c| !c.below).collect();
    for (n, column) in shown.iter().enumerate() {
        if n > 0 {
            out.push(if layout.csv { ',' } else { ' ' });
        }
        match layout.csv {
            true => out.push_str(&column.heading),
            false => column.pad(&mut out, &column.heading, layout.wide, n + 1 == shown.len()),
        }
    }
    out
}

/// One line, and the lines of stacks below it.
pub(crate) fn line(
    out: &mut String,
    columns: &[&Column],
    fields: &impl Fields,
    layout: Layout,
    names: &mut Names,
) {
    let mut text = String::with_capacity(48);
    let last = columns.iter().filter(|c| !c.below).count();
    for (n, column) in columns.iter().filter(|c| !c.below).enumerate() {
        text.clear();
        write_value(&mut text, column, fields, names);
        if n > 0 {
            out.push(if layout.csv { ',' } else { ' ' });
        }
        match layout.csv {
            true => out.push_str(&text),
            false => column.pad(out, &text, layout.wide, n + 1 == last),
        }
    }
    out.push('\n');
    for column in columns.iter().filter(|c| c.below) {
        if let Some(Value::Stack(frames)) = fields.field(&column.path) {
            for frame in outside(frames) {
                out.push('\t');
                out.push_str(frame);
                out.push('\n');
            }
            out.push('\n');
        }
    }
}

/// The frames of a stack without those of the probe itself.
pub(crate) fn outside(frames: &[String]) -> &[String] {
    let own = ["bpf_prog_", "bpf_trace_run", "__traceiter_", "__bpf_trace_"];
    let begin = frames.iter().position(|frame| !own.iter().any(|prefix| frame.starts_with(prefix)));
    frames.get(begin.unwrap_or(0)..).unwrap_or(frames)
}

fn write_value(out: &mut String, column: &Column, fields: &impl Fields, names: &mut Names) {
    if let Some(literal) = column.path.strip_prefix('\'') {
        out.push_str(literal);
        return;
    }
    // A field this kernel does not have: the script leaves it out.
    let Some(value) = fields.field(&column.path) else {
        out.push('-');
        return;
    };
    let port = column.port.as_ref().map(|path| fields.field(path));
    write_one(out, column.format, value, names);
    if let Some(port) = port {
        out.push(':');
        match port {
            Some(port) => write_one(out, Format::Plain, port, names),
            None => out.push('-'),
        }
    }
}

fn write_one(out: &mut String, format: Format, value: &Value, names: &mut Names) {
    let number = value.number();
    let small = || number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    // Writing to a string does not fail.
    let _ = match (format, number) {
        (Format::Ip, _) => match value {
            Value::Addr(IpAddr::V4(_)) => out.write_str("4"),
            Value::Addr(IpAddr::V6(_)) => out.write_str("6"),
            _ => out.write_str("-"),
        },
        (Format::Reason, _) => {
            let text = match value {
                Value::Enum(_, Some(name)) => {
                    let known = ["SKB_DROP_REASON_", "SK_RST_REASON_", "SKB_"];
                    known.iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name).to_owned()
                }
                other => plain(other),
            };
            out.write_str(&text)
        }
        (Format::DnsName, _) => match value {
            Value::Bytes(bytes) => {
                let (name, _) = Names::dns_question(bytes);
                out.write_str(&netwhy_render::escape::escape_terminal(&name))
            }
            _ => out.write_str("-"),
        },
        (Format::DnsType, _) => match value {
            Value::Bytes(bytes) => out.write_str(&Names::dns_question(bytes).1),
            _ => out.write_str("-"),
        },
        (Format::Plain, _) | (_, None) => out.write_str(&plain(value)),
        (Format::Wall, Some(_)) => out.write_str(names.wall(small())),
        (Format::Since, Some(_)) => {
            let ns = names.since(small());
            write!(out, "{}.{:06}", ns / 1_000_000_000, ns % 1_000_000_000 / 1000)
        }
        (Format::Ms(digits), Some(n)) => write!(out, "{:.digits$}", n as f64 / 1e6),
        (Format::UsMs, Some(n)) => write!(out, "{:.3}", n as f64 / 1e3),
        (Format::Us, Some(n)) => write!(out, "{}", n / 1000),
        (Format::Kb, Some(n)) => write!(out, "{}", n / 1024),
        (Format::State, Some(n)) => out.write_str(&Names::tcp_state(n)),
        (Format::Flags, Some(n)) => write!(out, "({})", Names::tcp_flags(n)),
        (Format::Errno, Some(n)) => out.write_str(&Names::errno(n)),
        (Format::User, Some(_)) => out.write_str(names.user(small())),
        (Format::Hex, Some(n)) => write!(out, "{n:x}"),
        (Format::Congestion, Some(n)) => out.write_str(&Names::congestion(n)),
        (Format::Proto, Some(n)) => out.write_str(&Names::protocol(n)),
        (Format::Neighbour, Some(n)) => out.write_str(&Names::neighbour(n)),
        (Format::Softirq, Some(n)) => out.write_str(&Names::softirq(n)),
        (Format::Socktype, Some(n)) => out.write_str(&Names::socket_type(n)),
        (Format::Family, Some(n)) => out.write_str(&Names::family(n)),
        (Format::Ether, Some(n)) => out.write_str(&Names::ethertype(n)),
        (Format::Icmp, Some(n)) => out.write_str(&Names::icmp(n)),
        (Format::Rcode, Some(n)) => out.write_str(&Names::rcode(n)),
    };
}

/// `label = key` of a table's row.
pub(crate) fn labelled(column: &Column, row: &(Value, Value), names: &mut Names) -> String {
    let mut out = format!("{} = ", column.heading);
    write_value(&mut out, column, row, names);
    out
}

fn plain(value: &Value) -> String {
    match value {
        Value::Absent => "-".to_owned(),
        Value::Int(n) | Value::Enum(n, None) => n.to_string(),
        Value::Uint(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Text(text) | Value::Enum(_, Some(text)) => {
            netwhy_render::escape::escape_terminal(text).into_owned()
        }
        Value::Addr(addr) => addr.to_string(),
        Value::Stack(frames) => frames.join(";"),
        Value::Bytes(bytes) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
        Value::Parts(parts) => parts.iter().map(|(_, value)| plain(value)).collect::<Vec<_>>().join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netwhy_bpf::record::Record;

    fn columns(text: &str) -> Vec<Column> {
        text.lines().map(|line| Column::parse(line).unwrap()).collect()
    }

    #[test]
    fn lines_are_laid_out_under_their_headings() {
        let all = columns(
            "PID | <7 | pid\nCOMM | <4.4 | comm\nIP | <2 | a:ip\nSADDR:SPORT | <20/44 | a+port\nMS | >6 | t:ms\nE | 0 | e:errno",
        );
        let all: Vec<&Column> = all.iter().collect();
        let record = Record {
            name: "x",
            fields: vec![
                ("pid", Value::Uint(12)),
                ("comm", Value::Text("nginx".into())),
                ("a", Value::Addr([192, 0, 2, 1].into())),
                ("port", Value::Uint(80)),
                ("t", Value::Uint(1_500_000)),
                ("e", Value::Int(111)),
            ],
        };
        let mut out = headings(&all, Layout::default());
        out.push('\n');
        line(&mut out, &all, &record, Layout::default(), &mut Names::new());
        assert_eq!(
            out,
            "PID     COMM IP SADDR:SPORT              MS E\n12      ngin 4  192.0.2.1:80           1.50 ECONNREFUSED\n"
        );
        let mut csv = String::new();
        line(&mut csv, &all, &record, Layout { csv: true, wide: false }, &mut Names::new());
        assert_eq!(csv, "12,nginx,4,192.0.2.1:80,1.50,ECONNREFUSED\n");
    }

    #[test]
    fn what_is_absent_is_a_dash() {
        let all = columns("A | <3 | none\nB | 0 | b:ms");
        let all: Vec<&Column> = all.iter().collect();
        let mut out = String::new();
        let record = Record { name: "x", fields: vec![("b", Value::Absent)] };
        line(&mut out, &all, &record, Layout::default(), &mut Names::new());
        assert_eq!(out, "-   -\n");
    }

    #[test]
    fn mistakes_are_named() {
        for text in ["A | <3", "A | 3x | b", "A | <3 | b:moon"] {
            assert!(Column::parse(text).is_err(), "{text}");
        }
    }
}
