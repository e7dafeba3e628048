//! Targets by name and revision (uapi `linux/netfilter/xt_*.h`, `nf_nat.h` and the `ipt_`, `ip6t_` of old).

use std::net::IpAddr;

use netwhy_facts::xtables::XtTarget;
use netwhy_wire::netlink::Fixed;

use super::{Context, Net};

/// A target of iptables, ip6tables, or of nftables' compatibility layer.
pub fn xt_target(context: &Context<'_>, name: &str, revision: u8, data: &[u8]) -> XtTarget {
    decode(context, name, revision, Fixed(data)).unwrap_or_else(|| XtTarget::Unknown {
        name: name.to_owned(),
        revision,
        info: data.to_vec(),
    })
}

fn decode(context: &Context<'_>, name: &str, revision: u8, f: Fixed<'_>) -> Option<XtTarget> {
    let net = context.net;
    Some(match (name, revision) {
        ("REJECT", 0) => XtTarget::Reject { with: reject_word(net, f.u32(0)?)?.to_owned() },
        ("SNAT", 0..=2) => {
            let Range { flags, addr_min, addr_max, port_min, port_max } = range(net, f, revision)?;
            XtTarget::Snat { addr_min, addr_max, port_min, port_max, flags }
        }
        ("DNAT", 0..=2) => {
            let Range { flags, addr_min, addr_max, port_min, port_max } = range(net, f, revision)?;
            XtTarget::Dnat { addr_min, addr_max, port_min, port_max, flags }
        }
        ("MASQUERADE", 0) => {
            let Range { flags, port_min, port_max, .. } = range(net, f, 0)?;
            XtTarget::Masquerade { port_min, port_max, flags }
        }
        ("REDIRECT", 0) => {
            let Range { flags, port_min, port_max, .. } = range(net, f, 0)?;
            XtTarget::Redirect { port_min, port_max, flags }
        }
        ("NETMAP", 0) => {
            let Range { addr_min, addr_max, .. } = range(net, f, 0)?;
            XtTarget::Netmap { addr_min, addr_max }
        }
        ("MARK", 2) => XtTarget::Mark { mark: f.u32(0)?, mask: f.u32(4)? },
        ("CONNMARK", 1) => connmark(f, f.u8(12)?)?,
        // Shifted marks, of revision 2, fit no fact.
        ("CONNMARK", 2) if f.u8(13)? == 0 => connmark(f, f.u8(14)?)?,
        ("LOG", 0) => XtTarget::Log { prefix: f.text(2, 30)?.into_owned(), level: f.u8(0)?, flags: f.u8(1)? },
        ("NFLOG", 0) => XtTarget::Nflog { group: f.u16(4)?, prefix: f.text(12, 64)?.into_owned() },
        ("NFQUEUE", 0) => XtTarget::Nfqueue { num: f.u16(0)?, total: 1, bypass: false },
        ("NFQUEUE", 1) => XtTarget::Nfqueue { num: f.u16(0)?, total: f.u16(2)?, bypass: false },
        ("NFQUEUE", 2 | 3) => {
            XtTarget::Nfqueue { num: f.u16(0)?, total: f.u16(2)?, bypass: f.u16(4)? & 1 != 0 }
        }
        ("TPROXY", 0 | 1) => {
            let addr = if revision == 0 { Net::Ipv4.address(f, 8)? } else { net.address(f, 8)? };
            XtTarget::Tproxy {
                addr: (!addr.is_unspecified()).then_some(addr),
                port: f.be16(if revision == 0 { 12 } else { 24 })?,
                mark: f.u32(4)?,
                mask: f.u32(0)?,
            }
        }
        // XT_CT_NOTRACK_ALIAS: it was written as the old target.
        ("CT", 1..=2) if f.u16(0)? & 3 == 3 => XtTarget::Notrack,
        ("CT", 0..=2) => XtTarget::Ct { notrack: f.u16(0)? & 1 != 0, zone: f.u16(2)? },
        ("NOTRACK", 0) => XtTarget::Notrack,
        ("TCPMSS", 0) => {
            let mss = f.u16(0)?;
            XtTarget::Tcpmss { mss: (mss != u16::MAX).then_some(mss) }
        }
        ("DSCP", 0) => XtTarget::Dscp { dscp: f.u8(0)? },
        ("TTL" | "HL", 0) => XtTarget::Ttl { mode: f.u8(0)?, ttl: f.u8(1)? },
        ("SET", 1..=3) => {
            let set = |at| {
                let index = f.u16(at)?;
                // IPSET_INVALID_ID: none.
                Some((index != u16::MAX).then(|| context.set(index)))
            };
            XtTarget::Set { add: set(0)?, del: set(4)?, map: if revision == 3 { set(8)? } else { None } }
        }
        ("CHECKSUM", 0) => XtTarget::Checksum,
        ("TOS", 1) => XtTarget::Tos { value: f.u8(0)?, mask: f.u8(1)? },
        ("CLASSIFY", 0) => XtTarget::Classify { class: f.u32(0)? },
        _ => return None,
    })
}

fn connmark(f: Fixed<'_>, mode: u8) -> Option<XtTarget> {
    Some(XtTarget::Connmark { mode, mark: f.u32(0)?, ctmask: f.u32(4)?, nfmask: f.u32(8)? })
}

/// What a translation changes to.
struct Range {
    flags: u32,
    addr_min: Option<IpAddr>,
    addr_max: Option<IpAddr>,
    port_min: Option<u16>,
    port_max: Option<u16>,
}

/// Revision 0 for IPv4 is `struct nf_nat_ipv4_multi_range_compat` with its one range, everything else starts
/// as `struct nf_nat_range`. What the flags do not mention is not set.
fn range(net: Net, f: Fixed<'_>, revision: u8) -> Option<Range> {
    let (flags, low, high, ports) = match (net, revision) {
        (Net::Ipv4, 0) => (f.u32(4)?, net.address(f, 8)?, net.address(f, 12)?, 16),
        _ => (f.u32(0)?, net.address(f, 4)?, net.address(f, 20)?, 36),
    };
    let (port_low, port_high) = (f.be16(ports)?, f.be16(ports + 2)?);
    // NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_PROTO_SPECIFIED.
    let (with_address, with_ports) = (flags & 1 != 0, flags & 2 != 0);
    Some(Range {
        flags,
        addr_min: with_address.then_some(low),
        addr_max: with_address.then_some(high),
        port_min: with_ports.then_some(port_low),
        port_max: with_ports.then_some(port_high),
    })
}

/// What a refused sender is told, in the words of iptables.
fn reject_word(net: Net, with: u32) -> Option<&'static str> {
    let words: &[&str] = match net {
        Net::Ipv6 => &[
            "icmp6-no-route",
            "icmp6-adm-prohibited",
            "icmp6-not-neighbour",
            "icmp6-addr-unreachable",
            "icmp6-port-unreachable",
            "icmp6-echo-reply",
            "tcp-reset",
            "icmp6-policy-fail",
            "icmp6-reject-route",
        ],
        _ => &[
            "icmp-net-unreachable",
            "icmp-host-unreachable",
            "icmp-proto-unreachable",
            "icmp-port-unreachable",
            "icmp-echo-reply",
            "icmp-net-prohibited",
            "icmp-host-prohibited",
            "tcp-reset",
            "icmp-admin-prohibited",
        ],
    };
    words.get(with as usize).copied()
}
