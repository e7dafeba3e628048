//! Messages of ctnetlink: tuples, entries, statistics (uapi `linux/netfilter/nfnetlink_conntrack.h`).

use std::net::IpAddr;

use netwhy_facts::conntrack::{CtCpuStats, CtEntry, CtExpect, CtListed, CtStats, CtTuple};
use netwhy_wire::netlink::Builder;

use crate::fields::Fields;

/// `struct nfgenmsg`.
const HEADER: usize = 4;
pub(super) const CTA_TUPLE_ORIG: u16 = 1;
pub(super) const CTA_TUPLE_REPLY: u16 = 2;
pub(super) const CTA_FILTER: u16 = 25;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Which parts of a tuple a listing is filtered by: `CTA_FILTER_F_*` of the kernel (since Linux 5.8; not in
/// its uapi headers, but bits of `CTA_FILTER_ORIG_FLAGS` and `CTA_FILTER_REPLY_FLAGS`).
pub(super) mod part {
    pub(in super::super) const SRC: u32 = 1;
    pub(in super::super) const DST: u32 = 1 << 1;
    pub(in super::super) const PROTO: u32 = 1 << 3;
    pub(in super::super) const SPORT: u32 = 1 << 4;
    pub(in super::super) const DPORT: u32 = 1 << 5;
}

/// An entry (`IPCTNL_MSG_CT_NEW`); `None` without both tuples.
#[must_use]
pub fn entry(payload: &[u8]) -> Option<CtEntry> {
    entry_of(&Fields::of(payload.get(HEADER..)?))
}

fn entry_of(f: &Fields<'_>) -> Option<CtEntry> {
    let tcp_state = || Fields::of(Fields::of(f.bytes(4)?).bytes(1)?).u8(1);
    let packets = |kind| Fields::of(f.bytes(kind)?).be64(1);
    Some(CtEntry {
        orig: tuple(f.bytes(CTA_TUPLE_ORIG.into())?)?,
        reply: tuple(f.bytes(CTA_TUPLE_REPLY.into())?)?,
        status: f.be32(3).unwrap_or(0),
        tcp_state: tcp_state().map(tcp_state_word),
        timeout_s: f.be32(7).unwrap_or(0),
        mark: f.be32(8).unwrap_or(0),
        zone: f.be16(18).unwrap_or(0),
        id: f.be32(12).unwrap_or(0),
        packets: packets(9).zip(packets(10)),
    })
}

/// An entry with all that a listing or an event carries.
#[must_use]
pub fn listed(payload: &[u8]) -> Option<CtListed> {
    let f = Fields::of(payload.get(HEADER..)?);
    let entry = entry_of(&f)?;
    let info = f.bytes(4).map(Fields::of);
    let info = info.as_ref();
    let sctp = info.and_then(|info| info.bytes(3)).map(Fields::of);
    let state = |kind| Fields::of(info?.bytes(kind)?).u8(1);
    let counters = |kind| {
        let pair = Fields::of(f.bytes(kind)?);
        Some((pair.be64(1)?, pair.be64(2)?))
    };
    let zone_of = |kind: u16| Fields::of(f.bytes(kind.into())?).be16(3);
    let stamps = f.bytes(20).map(Fields::of);
    let stamp = |kind| stamps.as_ref()?.be64(kind);
    Some(CtListed {
        proto_state: state(1).or_else(|| state(3)).or_else(|| state(2)),
        vtags: sctp.and_then(|sctp| Some((sctp.be32(2)?, sctp.be32(3)?))),
        timeout_s: f.be32(7),
        mark: f.be32(8),
        zone: f.be16(18),
        orig_zone: zone_of(CTA_TUPLE_ORIG),
        reply_zone: zone_of(CTA_TUPLE_REPLY),
        orig_counters: counters(9),
        reply_counters: counters(10),
        uses: f.be32(11),
        id: f.be32(12),
        start_ns: stamp(1),
        stop_ns: stamp(2),
        helper: f.bytes(5).and_then(|help| Fields::of(help).text(1)),
        secctx: f.bytes(19).and_then(|context| Fields::of(context).text(1)),
        labels: f.bytes(22).map(<[u8]>::to_vec),
        entry,
    })
}

/// An expectation (`IPCTNL_MSG_EXP_NEW`).
#[must_use]
pub fn expectation(payload: &[u8]) -> Option<CtExpect> {
    let f = Fields::of(payload.get(HEADER..)?);
    Some(CtExpect {
        master: tuple(f.bytes(1)?)?,
        tuple: tuple(f.bytes(2)?)?,
        mask: tuple(f.bytes(3)?)?,
        timeout_s: f.be32(4),
        id: f.be32(5),
        helper: f.text(6),
        zone: f.be16(7),
        flags: f.be32(8).unwrap_or(0),
        class: f.be32(9).unwrap_or(0),
    })
}

/// One CPU's statistics under their names.
#[must_use]
pub fn cpu_stats(payload: &[u8]) -> CtCpuStats {
    let f = Fields::of(payload.get(HEADER..).unwrap_or(&[]));
    let names = [
        "",
        "searched",
        "found",
        "new",
        "invalid",
        "ignore",
        "delete",
        "delete_list",
        "insert",
        "insert_failed",
        "drop",
        "early_drop",
        "error",
        "search_restart",
        "clash_resolve",
        "chaintoolong",
    ];
    let sent =
        names.iter().enumerate().filter_map(|(kind, name)| Some(((*name).to_owned(), f.be32(kind)?.into())));
    let cpu = payload.get(2..4).and_then(|id| id.try_into().ok()).map_or(0, u16::from_be_bytes);
    CtCpuStats { cpu, counters: sent.collect() }
}

fn tuple(nest: &[u8]) -> Option<CtTuple> {
    let f = Fields::of(nest);
    let (ip, proto) = (Fields::of(f.bytes(1)?), Fields::of(f.bytes(2)?));
    let address = |four: usize, six: usize| -> Option<IpAddr> {
        match (ip.bytes(four), ip.bytes(six)) {
            (Some(octets), _) => Some(<[u8; 4]>::try_from(octets).ok()?.into()),
            (None, octets) => Some(<[u8; 16]>::try_from(octets?).ok()?.into()),
        }
    };
    let number = proto.u8(1)?;
    let (sport, dport) = match number {
        ICMP => (proto.be16(4), echo(proto.u8(5), proto.u8(6))),
        ICMPV6 => (proto.be16(7), echo(proto.u8(8), proto.u8(9))),
        _ => (proto.be16(2), proto.be16(3)),
    };
    Some(CtTuple {
        src: address(1, 3)?,
        dst: address(2, 4)?,
        proto: number,
        // Protocols without ports have none.
        sport: sport.unwrap_or(0),
        dport: dport.unwrap_or(0),
    })
}

fn echo(kind: Option<u8>, code: Option<u8>) -> Option<u16> {
    Some(u16::from_be_bytes([kind?, code?]))
}

/// `enum tcp_conntrack`, in the words of conntrack(8).
fn tcp_state_word(number: u8) -> String {
    let words = [
        "NONE",
        "SYN_SENT",
        "SYN_RECV",
        "ESTABLISHED",
        "FIN_WAIT",
        "CLOSE_WAIT",
        "LAST_ACK",
        "TIME_WAIT",
        "CLOSE",
        "SYN_SENT2",
    ];
    words.get(usize::from(number)).map_or_else(|| format!("STATE_{number}"), |word| (*word).to_owned())
}

/// One CPU's statistics (`IPCTNL_MSG_CT_GET_STATS_CPU`).
pub fn stats(payload: &[u8]) -> CtStats {
    let f = Fields::of(payload.get(HEADER..).unwrap_or(&[]));
    let count = |kind| f.be32(kind).map_or(0, u64::from);
    CtStats {
        found: count(2),
        invalid: count(4),
        insert_failed: count(9),
        drop: count(10),
        early_drop: count(11),
        error: count(12),
        search_restart: count(13),
        clash_resolve: count(14),
        chaintoolong: count(15),
    }
}

/// `struct nfgenmsg` for the family of an address.
pub(super) fn header(address: &IpAddr) -> Builder {
    Builder::with_header(&[if address.is_ipv4() { 2 } else { 10 }, 0, 0, 0])
}

/// A question for the entry that holds a tuple, in either direction.
pub(super) fn exact(tuple: &CtTuple) -> Builder {
    let mut request = header(&tuple.src);
    write(&mut request, CTA_TUPLE_ORIG, tuple);
    request
}

/// A listing of the entries one of whose tuples agrees in `parts` (bits of [`part`]).
pub(super) fn filtered(direction: u16, tuple: &CtTuple, parts: u32) -> Builder {
    let mut request = header(&tuple.dst);
    write(&mut request, direction, tuple);
    request.nest(CTA_FILTER, |filter| {
        // Both must be there; the numbers are in host order.
        let flags = |of: u16| if of == direction { parts } else { 0 };
        filter.u32(1, flags(CTA_TUPLE_ORIG)).u32(2, flags(CTA_TUPLE_REPLY));
    });
    request
}

pub(super) fn write(request: &mut Builder, direction: u16, tuple: &CtTuple) {
    let four = tuple.src.is_ipv4();
    request.nest(direction, |nest| {
        nest.nest(1, |ip| {
            _ = ip.ip(if four { 1 } else { 3 }, tuple.src).ip(if four { 2 } else { 4 }, tuple.dst)
        });
        nest.nest(2, |proto| {
            proto.u8(1, tuple.proto);
            let [kind, code] = tuple.dport.to_be_bytes();
            match tuple.proto {
                ICMP => proto.be16(4, tuple.sport).u8(5, kind).u8(6, code),
                ICMPV6 => proto.be16(7, tuple.sport).u8(8, kind).u8(9, code),
                _ => proto.be16(2, tuple.sport).be16(3, tuple.dport),
            };
        });
    });
}
