//! An entry as a line: conntrack's own form and the form of its command line (`-o save`).

use netwhy_facts::conntrack::{CtExpect, CtListed, CtTuple};

use super::words;
use crate::fast;

/// What is added to a line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extras {
    /// The network protocol (`-o extended`).
    pub(super) layer3: bool,
    /// The kernel's id.
    pub(super) id: bool,
    /// When it was made and ended (`-o ktimestamp`).
    pub(super) stamps: bool,
    /// Label bits.
    pub(super) labels: bool,
    /// Now, in seconds since 1970: what an entry's age is counted from.
    pub(super) now_s: u64,
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    put(out, name);
    fast::decimal(out, value);
    out.push(b' ');
}

/// Appends the entry, with a space at its end and no newline.
pub(super) fn entry(out: &mut Vec<u8>, one: &CtListed, extras: Extras) {
    let entry = &one.entry;
    let proto = entry.orig.proto;
    if extras.layer3 {
        put(out, if entry.orig.src.is_ipv4() { "ipv4     2 " } else { "ipv6     10 " });
    }
    let name = words::protocol(proto);
    put(out, name);
    out.resize(out.len() + 8_usize.saturating_sub(name.len()), b' ');
    number(out, " ", proto.into());
    if let Some(timeout) = one.timeout_s {
        number(out, "", timeout.into());
    }
    if let Some(state) = one.proto_state.and_then(|state| words::state(proto, state)) {
        put(out, state);
        out.push(b' ');
    }
    direction(out, &entry.orig, one.orig_zone.map(|zone| ("zone-orig=", zone)), one.orig_counters);
    if entry.status & words::SEEN_REPLY == 0 {
        put(out, "[UNREPLIED] ");
    }
    direction(out, &entry.reply, one.reply_zone.map(|zone| ("zone-reply=", zone)), one.reply_counters);
    put(
        out,
        match entry.status {
            bits if bits & words::HW_OFFLOAD != 0 => "[HW_OFFLOAD] ",
            bits if bits & words::OFFLOAD != 0 => "[OFFLOAD] ",
            bits if bits & words::ASSURED != 0 => "[ASSURED] ",
            _ => "",
        },
    );
    if let Some(mark) = one.mark {
        number(out, "mark=", mark.into());
    }
    if let Some(context) = &one.secctx {
        put(out, &format!("secctx={context} "));
    }
    if let Some(zone) = one.zone {
        number(out, "zone=", zone.into());
    }
    if let Some(start) = one.start_ns {
        let end = one.stop_ns.map_or(extras.now_s, |stop| stop / 1_000_000_000);
        number(out, "delta-time=", end.saturating_sub(start / 1_000_000_000));
    }
    if extras.stamps {
        for (name, stamp) in [("start", one.start_ns), ("stop", one.stop_ns)] {
            if let Some(stamp) = stamp {
                put(out, &format!("[{name}={}] ", moment(stamp)));
            }
        }
    }
    if let Some(helper) = &one.helper {
        put(out, &format!("helper={helper} "));
    }
    if let Some(uses) = one.uses {
        number(out, "use=", uses.into());
    }
    if let (true, Some(id)) = (extras.id, one.id) {
        number(out, "id=", id.into());
    }
    if let (true, Some(labels)) = (extras.labels, &one.labels) {
        put(out, &format!("labels={} ", label_bits(labels)));
    }
}

/// The numbers of the label bits that are set.
fn label_bits(labels: &[u8]) -> String {
    let bits = labels.iter().enumerate().flat_map(|(at, byte)| {
        (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| (at * 8 + bit).to_string())
    });
    bits.collect::<Vec<_>>().join(",")
}

/// As ctime(3) writes it.
fn moment(nanoseconds: u64) -> String {
    let seconds = i64::try_from(nanoseconds / 1_000_000_000).unwrap_or(0);
    netwhy_sys::clock::local_time(seconds, "%a %b %e %H:%M:%S %Y").unwrap_or_else(|_| seconds.to_string())
}

fn direction(out: &mut Vec<u8>, tuple: &CtTuple, zone: Option<(&str, u16)>, counters: Option<(u64, u64)>) {
    put(out, "src=");
    fast::address(out, tuple.src);
    put(out, " dst=");
    fast::address(out, tuple.dst);
    out.push(b' ');
    match tuple.proto {
        1 | 58 => {
            let [kind, code] = tuple.dport.to_be_bytes();
            number(out, "type=", kind.into());
            number(out, "code=", code.into());
            number(out, "id=", tuple.sport.into());
        }
        47 => put(out, &format!("srckey=0x{:x} dstkey=0x{:x} ", tuple.sport, tuple.dport)),
        proto if words::has_ports(proto) => {
            number(out, "sport=", tuple.sport.into());
            number(out, "dport=", tuple.dport.into());
        }
        _ => {}
    }
    if let Some((name, zone)) = zone {
        number(out, name, zone.into());
    }
    if let Some((packets, bytes)) = counters {
        number(out, "packets=", packets);
        number(out, "bytes=", bytes);
    }
}

/// An entry as the options that make it (`-o save`), after the command's letter.
pub(super) fn options(one: &CtListed) -> String {
    let (entry, tuple, reply) = (&one.entry, &one.entry.orig, &one.entry.reply);
    let mut out = String::new();
    if let Some(timeout) = one.timeout_s {
        out.push_str(&format!("-t {timeout} "));
    }
    out.push_str(&format!("-u {} ", words::status(entry.status)));
    for (option, zone) in [("-w", one.zone), ("--orig-zone", one.orig_zone), ("--reply-zone", one.reply_zone)]
    {
        if let Some(zone) = zone {
            out.push_str(&format!("{option} {zone} "));
        }
    }
    let from = if entry.is_dnat() { "-g" } else { "-r" };
    let to = if entry.is_snat() { "-n" } else { "-q" };
    out.push_str(&format!("-s {} -d {} {from} {} {to} {} ", tuple.src, tuple.dst, reply.src, reply.dst));
    match words::protocol(tuple.proto) {
        "unknown" => out.push_str(&format!("-p {} ", tuple.proto)),
        name => out.push_str(&format!("-p {name} ")),
    }
    match tuple.proto {
        proto @ (1 | 58) => {
            let name = if proto == 1 { "icmp" } else { "icmpv6" };
            let [kind, code] = tuple.dport.to_be_bytes();
            out.push_str(&format!("--{name}-type {kind} --{name}-code {code} --{name}-id {} ", tuple.sport));
        }
        47 => out.push_str(&format!(
            "--srckey {} --dstkey {} --reply-key-src {} --reply-key-dst {} ",
            tuple.sport, tuple.dport, reply.sport, reply.dport
        )),
        33 if tuple.sport == 0 && tuple.dport == 0 => {}
        proto if words::has_ports(proto) => out.push_str(&format!(
            "--sport {} --dport {} --reply-port-src {} --reply-port-dst {} ",
            tuple.sport, tuple.dport, reply.sport, reply.dport
        )),
        _ => {}
    }
    if let Some(state) = one.proto_state.and_then(|state| words::state(tuple.proto, state)) {
        out.push_str(&format!("--state {state} "));
    }
    if let Some((orig, reply)) = one.vtags {
        // The original reads and writes tags in host order; what one prints the other must take.
        let host = |tag: u32| u32::from_ne_bytes(tag.to_be_bytes());
        let (orig, reply) = (host(orig), host(reply));
        out.push_str(&format!("--orig-vtag {orig} --reply-vtag {reply} "));
    }
    out.truncate(out.trim_end().len());
    out
}

/// An expectation, with a space at its end and no newline.
pub(super) fn expect(out: &mut Vec<u8>, one: &CtExpect) {
    if let Some(timeout) = one.timeout_s {
        number(out, "", timeout.into());
    }
    number(out, "proto=", one.tuple.proto.into());
    let mut part = |source: &str, destination: &str, tuple: &CtTuple| {
        put(out, source);
        fast::address(out, tuple.src);
        put(out, destination);
        fast::address(out, tuple.dst);
        out.push(b' ');
        number(out, "sport=", tuple.sport.into());
        number(out, "dport=", tuple.dport.into());
    };
    part("src=", " dst=", &one.tuple);
    part("mask-src=", " mask-dst=", &one.mask);
    part("master-src=", " master-dst=", &one.master);
    if let Some(zone) = one.zone {
        number(out, "zone=", zone.into());
    }
    for (bit, word) in [(1, "PERMANENT "), (2, "INACTIVE "), (4, "USERSPACE ")] {
        if one.flags & bit != 0 {
            put(out, word);
        }
    }
    number(out, "class=", one.class.into());
    if let Some(helper) = &one.helper {
        put(out, &format!("helper={helper} "));
    }
}
