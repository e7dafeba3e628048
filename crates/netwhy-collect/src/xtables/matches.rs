//! Matches by name and revision (uapi `linux/netfilter/xt_*.h` and the `ipt_`, `ip6t_`, `ebt_` of old).
//!
//! A revision this build has not seen, a structure that is too short, or a condition that does not fit the
//! fact becomes [`XtMatch::Unknown`] with all its bytes.

use std::net::IpAddr;

use netwhy_facts::IpNet;
use netwhy_facts::xtables::XtMatch;
use netwhy_wire::netlink::Fixed;
use netwhy_wire::xtables::device_name;

use super::{Context, Net, pair, prefix_length};

/// A match of iptables, ip6tables, or of nftables' compatibility layer.
pub fn xt_match(context: &Context<'_>, name: &str, revision: u8, data: &[u8]) -> XtMatch {
    decode(context, name, revision, Fixed(data)).unwrap_or_else(|| XtMatch::Unknown {
        name: name.to_owned(),
        revision,
        info: data.to_vec(),
    })
}

fn decode(context: &Context<'_>, name: &str, revision: u8, f: Fixed<'_>) -> Option<XtMatch> {
    Some(match (name, revision) {
        ("tcp", 0) => tcp(f)?,
        ("udp", 0) => {
            let inverted = f.u8(8)?;
            XtMatch::Udp {
                sports: pair(f, 0)?,
                dports: pair(f, 4)?,
                sports_inv: inverted & 1 != 0,
                dports_inv: inverted & 2 != 0,
            }
        }
        ("icmp" | "icmp6", 0) => {
            XtMatch::Icmp { icmp_type: f.u8(0)?, codes: (f.u8(1)?, f.u8(2)?), invert: f.u8(3)? & 1 != 0 }
        }
        ("multiport", 0 | 1) => multiport(f, revision)?,
        ("conntrack", 1..=3) => conntrack(context.net, f, revision)?,
        ("state", 0) => XtMatch::State { mask: f.u32(0)? },
        ("mark", 1) => XtMatch::Mark { mark: f.u32(0)?, mask: f.u32(4)?, invert: f.u8(8)? != 0 },
        ("connmark", 1) => XtMatch::Connmark { mark: f.u32(0)?, mask: f.u32(4)?, invert: f.u8(8)? != 0 },
        ("comment", 0) => XtMatch::Comment { text: f.text(0, f.0.len().min(256))?.into_owned() },
        ("limit", 0) => XtMatch::Limit { avg: f.u32(0)?, burst: f.u32(4)? },
        ("hashlimit", _) => XtMatch::Hashlimit { raw: f.0.to_vec() },
        ("connlimit", 0 | 1) => XtMatch::Connlimit {
            limit: f.u32(16)?,
            mask_len: prefix_length(&context.net.address(f, 0)?)?,
            flags: f.u32(20)?,
        },
        ("addrtype", 0) => {
            let invert = |at, bit| Some(if f.u32(at)? != 0 { bit } else { 0 });
            XtMatch::Addrtype { source: f.u16(0)?, dest: f.u16(2)?, flags: invert(4, 1)? | invert(8, 2)? }
        }
        ("addrtype", 1) => XtMatch::Addrtype { source: f.u16(0)?, dest: f.u16(2)?, flags: f.u32(4)? },
        ("iprange", 1) => iprange(context.net, f)?,
        ("mac", 0) => XtMatch::Mac { mac: super::mac(f.bytes(0, 6)?), invert: f.u32(8)? != 0 },
        ("owner", 1) => {
            let (match_flags, invert_flags) = (f.u8(16)?, f.u8(17)?);
            let asked = |bit: u8, range| (match_flags & bit != 0).then_some(range);
            XtMatch::Owner {
                uid: asked(1, (f.u32(0)?, f.u32(4)?)),
                gid: asked(2, (f.u32(8)?, f.u32(12)?)),
                match_flags,
                invert_flags,
            }
        }
        ("set", 1..=4) => set(context, f, revision)?,
        ("statistic", 0) => {
            let (mode, first, second) = (f.u16(0)?, f.u32(4)?, f.u32(8)?);
            let (probability, every, packet) = if mode == 0 { (first, 0, 0) } else { (0, first, second) };
            XtMatch::Statistic { mode, invert: f.u16(2)? & 1 != 0, probability, every, packet }
        }
        ("length", 0) => XtMatch::Length { min: f.u16(0)?, max: f.u16(2)?, invert: f.u8(4)? != 0 },
        ("ttl" | "hl", 0) => XtMatch::Ttl { mode: f.u8(0)?, ttl: f.u8(1)? },
        ("tos", 1) => XtMatch::Tos { mask: f.u8(0)?, value: f.u8(1)?, invert: f.u8(2)? != 0 },
        ("dscp", 0) => XtMatch::Dscp { dscp: f.u8(0)?, invert: f.u8(1)? != 0 },
        ("pkttype", 0) if context.net == Net::Bridge => {
            XtMatch::Pkttype { pkttype: f.u8(0)?, invert: f.u8(1)? != 0 }
        }
        ("pkttype", 0) => XtMatch::Pkttype { pkttype: u8::try_from(f.i32(0)?).ok()?, invert: f.i32(4)? != 0 },
        ("physdev", 0) => {
            let device = |at| device_name(f, at, at + 16);
            XtMatch::Physdev {
                physin: device(0)?,
                physout: device(32)?,
                invert: f.u8(64)?,
                bitmask: f.u8(65)?,
            }
        }
        ("rpfilter", 0) => XtMatch::Rpfilter { flags: f.u8(0)? },
        ("tcpmss", 0) => XtMatch::Tcpmss { min: f.u16(0)?, max: f.u16(2)?, invert: f.u8(4)? != 0 },
        ("socket", 0) => XtMatch::Socket { flags: 0 },
        ("socket", 1..=3) => XtMatch::Socket { flags: f.u8(0)? },
        ("recent", 0 | 1) => XtMatch::Recent { name: f.text(10, 200)?.into_owned(), raw: f.0.to_vec() },
        // ebtables keeps the mark in a machine word; its bit 2 asks for any of the mask's bits instead.
        ("mark_m", 0) if context.net == Net::Bridge && f.u8(17)? == 1 => XtMatch::Mark {
            mark: u32::try_from(f.u64(0)?).ok()?,
            mask: f.u64(8)? as u32,
            invert: f.u8(16)? != 0,
        },
        _ => return None,
    })
}

fn tcp(f: Fixed<'_>) -> Option<XtMatch> {
    let inverted = f.u8(11)?;
    Some(XtMatch::Tcp {
        sports: pair(f, 0)?,
        dports: pair(f, 4)?,
        option: f.u8(8)?,
        flag_mask: f.u8(9)?,
        flag_cmp: f.u8(10)?,
        sports_inv: inverted & 1 != 0,
        dports_inv: inverted & 2 != 0,
        flags_inv: inverted & 4 != 0,
        option_inv: inverted & 8 != 0,
    })
}

/// Up to 15 ports; since revision 1 a flag at a port says that a range starts there.
fn multiport(f: Fixed<'_>, revision: u8) -> Option<XtMatch> {
    let (side, count) = (f.u8(0)?, usize::from(f.u8(1)?));
    if count > 15 {
        return None;
    }
    let mut ports = Vec::new();
    let mut at = 0;
    while at < count {
        let port = f.u16(2 + 2 * at)?;
        let range = revision == 1 && f.u8(32 + at)? != 0;
        let last = if range { f.u16(2 + 2 * (at + 1))? } else { port };
        at += if range { 2 } else { 1 };
        ports.push((port, last));
    }
    Some(XtMatch::Multiport { side, ports, invert: revision == 1 && f.u8(47)? != 0 })
}

fn conntrack(net: Net, f: Fixed<'_>, revision: u8) -> Option<XtMatch> {
    let match_flags = f.u16(146)?;
    let address = |at, bit: u16| -> Option<Option<IpNet>> {
        if match_flags & bit == 0 {
            return Some(None);
        }
        let len = prefix_length(&net.address(f, at + 16)?)?;
        Some(Some(IpNet::new(net.address(f, at)?, len)))
    };
    // One port in network order before revision 3, a range in host order since.
    let port = |at: usize, high: usize| {
        Some(match revision {
            3 => (f.u16(at)?, f.u16(high)?),
            _ => (f.be16(at)?, f.be16(at)?),
        })
    };
    let (state_mask, status_mask) = match revision {
        1 => (f.u8(150)?.into(), f.u8(151)?.into()),
        _ => (f.u16(150)?, f.u16(152)?),
    };
    Some(XtMatch::Conntrack {
        match_flags,
        invert_flags: f.u16(148)?,
        state_mask,
        status_mask,
        orig_src: address(0, 1 << 2)?,
        orig_dst: address(32, 1 << 3)?,
        repl_src: address(64, 1 << 4)?,
        repl_dst: address(96, 1 << 5)?,
        expires: (f.u32(128)?, f.u32(132)?),
        proto: f.u16(136)?,
        orig_sport: port(138, 154)?,
        orig_dport: port(140, 156)?,
        repl_sport: port(142, 158)?,
        repl_dport: port(144, 160)?,
    })
}

fn iprange(net: Net, f: Fixed<'_>) -> Option<XtMatch> {
    let flags = f.u8(64)?;
    let range = |at, bit: u8| -> Option<Option<(IpAddr, IpAddr)>> {
        if flags & bit == 0 {
            return Some(None);
        }
        Some(Some((net.address(f, at)?, net.address(f, at + 16)?)))
    };
    Some(XtMatch::Iprange {
        src: range(0, 1)?,
        dst: range(32, 2)?,
        src_inv: flags & 0x10 != 0,
        dst_inv: flags & 0x20 != 0,
    })
}

/// `struct xt_set_info`, and since revision 3 conditions on the member's counters, which no fact holds.
fn set(context: &Context<'_>, f: Fixed<'_>, revision: u8) -> Option<XtMatch> {
    let counted = match revision {
        3 => f.u8(8)? != 0 || f.u8(24)? != 0,
        4 => f.u8(16)? != 0 || f.u8(32)? != 0,
        _ => false,
    };
    if counted {
        return None;
    }
    let (dim, flags) = (f.u8(2)?, f.u8(3)?);
    Some(XtMatch::Set { set: context.set(f.u16(0)?), dim, flags, invert: flags & 1 != 0 })
}
