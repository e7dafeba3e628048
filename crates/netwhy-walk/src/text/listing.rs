//! The elements of named sets and maps as a listing shows them, and the names of types.

use netwhy_facts::nft::{Data, Expr, NftElem, NftSet};

use super::nft::{limit_text, type_len, verdict_text};
use super::values::{Style, Ty, bytes_unit, duration, quoted, value};

const INTERVAL_END: u32 = 1;
const CATCHALL: u32 = 2;
/// `NFT_SET_INTERVAL`.
const INTERVAL: u32 = 4;

/// nft's data types by number, with the number of elements a line of a listing holds.
const TYPES: &[(u32, &str, usize)] = &[
    (1, "verdict", 1),
    (2, "nf_proto", 2),
    (3, "bitmask", 1),
    (4, "integer", 1),
    (5, "string", 1),
    (6, "ll_addr", 1),
    (7, "ipv4_addr", 2),
    (8, "ipv6_addr", 1),
    (9, "ether_addr", 1),
    (10, "ether_type", 1),
    (11, "arp_op", 2),
    (12, "inet_proto", 5),
    (13, "inet_service", 5),
    (14, "icmp_type", 1),
    (15, "tcp_flag", 5),
    (16, "dccp_pkttype", 1),
    (17, "mh_type", 1),
    (18, "time", 1),
    (19, "mark", 5),
    (20, "iface_index", 1),
    (21, "iface_type", 1),
    (22, "realm", 1),
    (23, "classid", 5),
    (24, "uid", 5),
    (25, "gid", 5),
    (26, "ct_state", 2),
    (27, "ct_dir", 2),
    (28, "ct_status", 2),
    (29, "icmpv6_type", 1),
    (30, "ct_label", 1),
    (31, "pkt_type", 2),
    (32, "icmp_code", 1),
    (33, "icmpv6_code", 1),
    (34, "icmpx_code", 1),
    (35, "devgroup", 1),
    (36, "dscp", 1),
    (37, "ecn", 1),
    (38, "fib_addrtype", 1),
    (39, "boolean", 1),
    (40, "ct_event", 1),
    (41, "ifname", 1),
    (42, "igmp_type", 1),
    (43, "time", 1),
    (44, "hour", 1),
    (45, "day", 1),
    (46, "cgroupsv2", 1),
];

/// The fields of a type: six bits each.
fn numbers(kind: u32) -> Vec<u32> {
    let mut out = Vec::new();
    let mut rest = kind;
    while rest > 0 {
        out.push(rest & 0x3f);
        rest >>= 6;
    }
    out.reverse();
    out
}

/// A type in words: `ipv4_addr . inet_service`; `verdict` for the kernel's own number of it.
pub fn type_words(kind: u32) -> String {
    if kind == 0xffff_ff00 {
        return "verdict".into();
    }
    let name = |number: &u32| {
        let known = TYPES.iter().find(|(one, _, _)| one == number);
        known.map_or_else(|| number.to_string(), |(_, name, _)| (*name).to_owned())
    };
    numbers(kind).iter().map(name).collect::<Vec<_>>().join(" . ")
}

/// A rate limit in words, without the word `limit`: `rate 10/second burst 8 packets`.
pub fn limit_words(expr: &Expr) -> Option<String> {
    let Expr::Limit { rate, unit_s, burst, per_packet, over } = expr else { return None };
    let text = limit_text(*rate, *unit_s, *burst, *per_packet, *over);
    Some(text.strip_prefix("limit ").unwrap_or(&text).to_owned())
}

/// Writes the elements of one set.
pub struct SetWriter<'a> {
    set: &'a NftSet,
    style: &'a dyn Style,
    key: Vec<(Ty, usize)>,
    data: Vec<(Ty, usize)>,
    state: bool,
}

impl<'a> SetWriter<'a> {
    /// Of a set; without `state` its counters lack their numbers and its elements their remaining time.
    pub fn new(set: &'a NftSet, style: &'a dyn Style, state: bool) -> Self {
        let columns = |kind: u32, bytes: u32| -> Vec<(Ty, usize)> {
            let kinds = numbers(kind);
            let alone = kinds.len() < 2;
            let one = |number: &u32| {
                let ty = if *number == 39 { Ty::Exists } else { Ty::of_number(*number).unwrap_or(Ty::Raw) };
                (ty, if alone { bytes as usize } else { type_len(ty) })
            };
            if kinds.is_empty() { vec![(Ty::Raw, bytes as usize)] } else { kinds.iter().map(one).collect() }
        };
        let key = columns(set.key_type, set.key_len);
        let data = columns(set.data_type.unwrap_or(0), set.data_len.unwrap_or(0));
        SetWriter { set, style, key, data, state }
    }

    /// How many elements stand on a line.
    pub fn per_line(&self) -> usize {
        let kinds = numbers(self.set.key_type);
        let known =
            |number: u32| TYPES.iter().find(|(one, _, _)| *one == number).map_or(1, |(_, _, count)| *count);
        match kinds.as_slice() {
            [one] => known(*one),
            _ => 1,
        }
    }

    /// Whether keys are compared from their last byte: values in the host's order.
    pub fn host_order(&self) -> bool {
        let interval = self.set.flags & INTERVAL != 0;
        matches!(self.key.as_slice(), [(ty, _)] if (ty.host_order() || *ty == Ty::IfName) && !interval)
    }

    /// The element in words, given the one behind it; `None` if it is only the end of an interval.
    pub fn element(&self, elem: &NftElem, next: Option<&NftElem>) -> Option<String> {
        let mut out = self.key(elem, next)?;
        self.rest(&mut out, elem);
        if let Some(data) = &elem.data {
            out.push_str(" : ");
            out.push_str(&self.data(data));
        } else if let Some(object) = &elem.object {
            out.push_str(&format!(" : {}", quoted(object)));
        }
        Some(out)
    }

    /// The key in words: a value, a prefix, a range or fields joined by dots.
    pub fn key(&self, elem: &NftElem, next: Option<&NftElem>) -> Option<String> {
        if elem.flags & INTERVAL_END != 0 {
            return None;
        }
        if elem.flags & CATCHALL != 0 {
            return Some("*".into());
        }
        let interval = self.set.flags & INTERVAL != 0;
        if let [(ty, _)] = self.key.as_slice() {
            let last = match &elem.key_end {
                Some(end) => end.clone(),
                None if interval => match next.filter(|next| next.flags & CATCHALL == 0) {
                    Some(next) => before(&next.key),
                    None => vec![0xff; elem.key.len()],
                },
                None => return Some(value(*ty, &elem.key, false, self.style)),
            };
            return Some(span(*ty, &elem.key, &last, true, self.style));
        }
        let mut at = 0;
        let mut out = String::new();
        for (ty, len) in &self.key {
            let from = elem.key.get(at..at + len).unwrap_or_default();
            let to = elem.key_end.as_ref().and_then(|end| end.get(at..at + len)).unwrap_or(from);
            if at > 0 {
                out.push_str(" . ");
            }
            out.push_str(&span(*ty, from, to, false, self.style));
            at += len.div_ceil(4) * 4;
        }
        Some(out)
    }

    /// Time, state and comment.
    fn rest(&self, out: &mut String, elem: &NftElem) {
        for expr in &elem.exprs {
            match expr {
                Expr::Counter { .. } if !self.state => out.push_str(" counter"),
                Expr::Counter { packets, bytes } => {
                    out.push_str(&format!(" counter packets {packets} bytes {bytes}"))
                }
                Expr::Quota { bytes, consumed, over } => {
                    let (n, unit) = bytes_unit(*bytes);
                    let over = if *over { "over " } else { "" };
                    out.push_str(&format!(" quota {over}{n} {unit}"));
                    if *consumed > 0 && self.state {
                        let (n, unit) = bytes_unit(*consumed);
                        out.push_str(&format!(" used {n} {unit}"));
                    }
                }
                Expr::Connlimit { count, over } => {
                    out.push_str(&format!(" ct count {}{count}", if *over { "over " } else { "" }));
                }
                Expr::Limit { .. } => {
                    out.push_str(&format!(" limit {}", limit_words(expr).unwrap_or_default()));
                }
                Expr::Last { .. } if !self.state => out.push_str(" last"),
                Expr::Last { set, ms } => {
                    let used = if *set { duration(*ms) } else { "never".into() };
                    out.push_str(&format!(" last used {used}"));
                }
                other => out.push_str(&format!(" [{}]", name_of(other))),
            }
        }
        if let Some(timeout) = elem.timeout_ms.filter(|ms| *ms > 0 && Some(*ms) != self.set.timeout_ms) {
            out.push_str(&format!(" timeout {}", self.time(timeout)));
        }
        if let Some(left) = elem.expires_ms.filter(|ms| *ms > 0 && self.state) {
            out.push_str(&format!(" expires {}", self.time(left)));
        }
        if let Some(comment) = &elem.comment {
            out.push_str(&format!(" comment {}", quoted(comment)));
        }
    }

    /// A duration, in seconds alone where numbers are wanted.
    fn time(&self, ms: u64) -> String {
        if self.style.numeric() { format!("{}s", ms / 1000) } else { duration(ms) }
    }

    fn data(&self, data: &Data) -> String {
        let bytes = match data {
            Data::Verdict(verdict) => return verdict_text(verdict),
            Data::Value(bytes) => bytes,
        };
        // An interval of data: its two ends, one behind the other.
        if self.set.more.as_ref().is_some_and(|more| more.data_interval)
            && let ([(ty, _)], Some(half)) =
                (self.data.as_slice(), bytes.len().checked_div(2).filter(|n| *n > 0))
        {
            let (from, to) = bytes.split_at(half);
            return span(*ty, from, to, false, self.style);
        }
        let mut at = 0;
        let mut words = Vec::new();
        for (ty, len) in &self.data {
            let part = bytes.get(at..at + len).unwrap_or(bytes.get(at..).unwrap_or_default());
            words.push(value(*ty, part, false, self.style));
            at += len.div_ceil(4) * 4;
        }
        words.join(" . ")
    }
}

fn name_of(expr: &Expr) -> &str {
    match expr {
        Expr::Unknown { name, .. } => name,
        _ => "expression",
    }
}

/// The value one below.
fn before(key: &[u8]) -> Vec<u8> {
    let mut out = key.to_vec();
    for byte in out.iter_mut().rev() {
        let (lower, borrow) = byte.overflowing_sub(1);
        *byte = lower;
        if !borrow {
            break;
        }
    }
    out
}

/// From one value to another: a single value, a prefix where the type is written with one, or a range.
pub(crate) fn span(ty: Ty, from: &[u8], to: &[u8], big_endian: bool, style: &dyn Style) -> String {
    if from == to {
        return value(ty, from, big_endian, style);
    }
    if ty == Ty::IfName {
        // The bytes both begin with are the name's beginning.
        let same = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        let name = String::from_utf8_lossy(from.get(..same).unwrap_or_default()).into_owned();
        return quoted(&format!("{name}*"));
    }
    if matches!(ty, Ty::Ip4 | Ty::Ip6 | Ty::Mark) {
        let differ: Vec<u8> = from.iter().zip(to).map(|(a, b)| a ^ b).collect();
        let ones: u32 = differ.iter().map(|b| b.count_ones()).sum();
        let bits = u32::try_from(from.len()).unwrap_or(0) * 8;
        let lowest = differ.iter().rev().enumerate().all(|(i, b)| {
            let below = ones.saturating_sub(u32::try_from(i).unwrap_or(0) * 8).min(8);
            u32::from(*b) == (1u32 << below) - 1
        });
        let zero = from.iter().zip(&differ).all(|(a, d)| a & d == 0);
        if lowest && zero {
            return format!("{}/{}", value(ty, from, big_endian, style), bits - ones);
        }
    }
    if ty == Ty::Port {
        // The ends of a range of ports keep their numbers.
        let port = |bytes: &[u8]| value(Ty::Int, bytes, big_endian, style);
        return format!("{}-{}", port(from), port(to));
    }
    format!("{}-{}", value(ty, from, big_endian, style), value(ty, to, big_endian, style))
}
