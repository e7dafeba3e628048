//! Records of the scripts as events.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netwhy_bpf::namer::Namer;
use netwhy_bpf::record::{Record, Value};
use netwhy_facts::event::{EventPacket, EventWay, KernelEvent};
use netwhy_sys::Errno;

use crate::socket::state_word;

/// An event; `None` for a record of another name or without its fields, which is counted, not guessed at.
pub(super) fn event(record: &Record<'_>, names: &Namer<'_>) -> Option<KernelEvent> {
    let number = |field: &str| number(record, field);
    let at = number("at")?;
    Some(match record.name {
        "drop" => {
            let proto = u16::try_from(number("proto")?).ok()?;
            KernelEvent::Drop {
                at,
                reason: reason(record, "SKB_DROP_REASON_"),
                location: function(names, number("location")?),
                dev: device(record),
                way: way(record),
                packet: Some(EventPacket {
                    proto,
                    src: address(proto, number("sa")?, number("sb")?),
                    dst: address(proto, number("da")?, number("db")?),
                    sport: u16::try_from(number("sport")?).ok()?,
                    dport: u16::try_from(number("dport")?).ok()?,
                    flags: u8::try_from(number("flags")?).ok()?,
                    quoted: number("quoted")? != 0,
                    icmp: icmp(proto, number("quoted")? != 0, number("icmp")?),
                }),
            }
        }
        "reset_sent" => KernelEvent::ResetSent {
            at,
            reason: reason(record, "SK_RST_REASON_"),
            way: way(record),
            target: target(record),
        },
        "reset_received" => KernelEvent::ResetReceived {
            at,
            way: way(record),
            state: state(number("state")?),
            target: target(record),
        },
        "retransmit" => KernelEvent::Retransmit {
            at,
            state: state(number("state")?),
            way: way(record),
            target: target(record),
        },
        "state" => KernelEvent::State {
            at,
            from: state(number("from")?),
            to: state(number("to")?),
            target: target(record),
        },
        "icmp_sent" => KernelEvent::IcmpSent {
            at,
            icmp_type: u8::try_from(number("icmp_type")?).ok()?,
            code: u8::try_from(number("code")?).ok()?,
            way: way(record),
            target: target(record),
        },
        "socket_error" => KernelEvent::SocketError {
            at,
            error: errno(number("error")?),
            soft: errno(number("soft")?),
            target: target(record),
        },
        "neigh_failed" => KernelEvent::NeighFailed { at, dev: device(record), address: hop(record) },
        "neigh_refused" => KernelEvent::NeighRefused { at, dev: device(record), address: hop(record) },
        _ => return None,
    })
}

/// A field that is a number.
fn number(record: &Record<'_>, field: &str) -> Option<u64> {
    record.get(field)?.number().and_then(|number| u64::try_from(number).ok())
}

/// The name of a reason without what all of them begin with; the number where the kernel's types have no name for
/// it (subsystems number their own from the upper 16 bits on), nothing where the kernel tells none.
fn reason(record: &Record<'_>, prefix: &str) -> String {
    match record.get("reason") {
        Some(Value::Enum(_, Some(name))) => name.strip_prefix(prefix).unwrap_or(name).to_owned(),
        Some(Value::Enum(number, None)) if number >> 16 != 0 => {
            format!("reason {} of subsystem {}", number & 0xffff, number >> 16)
        }
        Some(Value::Enum(number, None)) => format!("reason {number}"),
        _ => String::new(),
    }
}

/// The function an address lies in, without the marks compilers add to copies of it.
fn function(names: &Namer<'_>, address: u64) -> String {
    let name = names.name(address);
    name.split('.').next().unwrap_or_default().to_owned()
}

fn way(record: &Record<'_>) -> EventWay {
    match number(record, "way") {
        Some(1) => EventWay::Forward,
        Some(2) => EventWay::Reply,
        Some(3) => EventWay::NextHop,
        _ => EventWay::Unknown,
    }
}

fn device(record: &Record<'_>) -> Option<u32> {
    u32::try_from(number(record, "dev")?).ok().filter(|index| *index != 0)
}

fn target(record: &Record<'_>) -> Option<SocketAddr> {
    let port = u16::try_from(number(record, "tp")?).ok()?;
    Some(SocketAddr::new(address(0, number(record, "ta")?, number(record, "tb")?), port))
}

fn hop(record: &Record<'_>) -> Option<IpAddr> {
    Some(address(0, number(record, "a")?, number(record, "b")?))
}

/// The address behind two words of a key; see `script::words`.
fn address(proto: u16, a: u64, b: u64) -> IpAddr {
    // An IPv4 address has nothing in its upper 96 bits, where an address of IPv6 that is routed always has something.
    match u32::try_from(b) {
        Ok(four) if a == 0 && proto != 58 => Ipv4Addr::from(four.to_ne_bytes()).into(),
        _ => {
            let mut octets = [0; 16];
            for (to, from) in octets.iter_mut().zip(a.to_ne_bytes().into_iter().chain(b.to_ne_bytes())) {
                *to = from;
            }
            Ipv6Addr::from(octets).into()
        }
    }
}

fn icmp(proto: u16, quoted: bool, word: u64) -> Option<(u8, u8)> {
    let [.., icmp_type, code] = word.to_be_bytes();
    (quoted || proto == 1 || proto == 58).then_some((icmp_type, code))
}

/// A state as ss writes it.
fn state(number: u64) -> String {
    state_word(u8::try_from(number).unwrap_or(u8::MAX))
}

fn errno(number: u64) -> String {
    match i32::try_from(number) {
        Ok(0) => String::new(),
        Ok(n) => Errno::new(n).name().to_owned(),
        Err(_) => number.to_string(),
    }
}
