//! The words of a kind of device: `type vxlan id 42 ...` becomes `IFLA_LINKINFO`.

use std::net::IpAddr;

use netwhy_wire::netlink::Builder;

use super::link::Peer;
use crate::iproute::words::{self, Words, garbage, on_off, wrong};
use crate::iproute::{AF_UNSPEC, Ctx, WRONG};
use crate::session::ToolError;

const KIND: u16 = 1;
const DATA: u16 = 2;
const SLAVE_KIND: u16 = 4;
const SLAVE_DATA: u16 = 5;

/// A word of a kind that takes a number: its attribute and the number's size in bytes.
type Number = (&'static str, u16, u8);

/// Kinds that need no word of their own.
const PLAIN: [&str; 8] = ["dummy", "ifb", "nlmon", "wireguard", "vcan", "team", "vsockmon", "netdevsim"];

#[rustfmt::skip]
const BRIDGE: &[Number] = &[
    ("forward_delay", 1, 4), ("hello_time", 2, 4), ("max_age", 3, 4), ("ageing_time", 4, 4), ("stp_state", 5, 4),
    ("priority", 6, 2), ("vlan_filtering", 7, 1), ("group_fwd_mask", 9, 2), ("mcast_router", 22, 1),
    ("mcast_snooping", 23, 1), ("mcast_query_use_ifaddr", 24, 1), ("mcast_querier", 25, 1), ("mcast_hash_max", 27, 4),
    ("mcast_last_member_count", 28, 4), ("mcast_startup_query_count", 29, 4), ("mcast_last_member_interval", 30, 8),
    ("mcast_membership_interval", 31, 8), ("mcast_querier_interval", 32, 8), ("mcast_query_interval", 33, 8),
    ("mcast_query_response_interval", 34, 8), ("mcast_startup_query_interval", 35, 8), ("nf_call_iptables", 36, 1),
    ("nf_call_ip6tables", 37, 1), ("nf_call_arptables", 38, 1), ("vlan_default_pvid", 39, 2),
    ("vlan_stats_enabled", 41, 1), ("mcast_stats_enabled", 42, 1), ("mcast_igmp_version", 43, 1),
    ("mcast_mld_version", 44, 1), ("vlan_stats_per_port", 45, 1),
];

#[rustfmt::skip]
const PORT: &[Number] = &[("priority", 2, 2), ("cost", 3, 4), ("mcast_router", 25, 1), ("group_fwd_mask", 31, 2)];

/// Words of a bridge port that are on or off.
#[rustfmt::skip]
const PORT_FLAGS: &[(&str, u16)] = &[
    ("hairpin", 4), ("guard", 5), ("root_block", 6), ("fastleave", 7), ("mcast_fast_leave", 7), ("learning", 8),
    ("flood", 9), ("proxy_arp", 10), ("proxy_arp_wifi", 12), ("mcast_flood", 27), ("mcast_to_unicast", 28),
    ("vlan_tunnel", 29), ("bcast_flood", 30), ("neigh_suppress", 32), ("isolated", 33), ("locked", 39),
];

const BOND: &[Number] = &[
    ("miimon", 3, 4),
    ("updelay", 4, 4),
    ("downdelay", 5, 4),
    ("use_carrier", 6, 1),
    ("arp_interval", 7, 4),
    ("resend_igmp", 15, 4),
    ("num_grat_arp", 16, 1),
    ("all_slaves_active", 17, 1),
    ("min_links", 18, 4),
    ("lp_interval", 19, 4),
    ("packets_per_slave", 20, 4),
];

fn put(data: &mut Builder, (_, kind, size): Number, word: &str) -> Result<(), ToolError> {
    let number: u64 = words::number(word, "invalid value\n")?;
    let small = || wrong(word, "value is out of range\n");
    match size {
        1 => data.u8(kind, u8::try_from(number).map_err(|_| small())?),
        2 => data.u16(kind, u16::try_from(number).map_err(|_| small())?),
        4 => data.u32(kind, u32::try_from(number).map_err(|_| small())?),
        _ => data.u64(kind, number),
    };
    Ok(())
}

/// The bytes of `IFLA_LINKINFO`. Takes every word behind the kind's name.
pub(super) fn info(
    ctx: &mut Ctx<'_>,
    kind: &str,
    words: &mut Words<'_>,
    lower: Option<u32>,
) -> Result<Vec<u8>, ToolError> {
    let mut data = Builder::new();
    match kind {
        "bridge" => numbers(&mut data, BRIDGE, kind, words)?,
        "bridge_slave" => port(&mut data, words)?,
        "bond" => bond(ctx, &mut data, words)?,
        "veth" => veth(ctx, &mut data, words)?,
        "vxlan" => vxlan(ctx, &mut data, words)?,
        "vlan" => vlan(&mut data, words)?,
        "macvlan" | "macvtap" => macvlan(&mut data, words)?,
        "ipvlan" | "ipvtap" => ipvlan(&mut data, words)?,
        "vrf" => vrf(ctx, &mut data, words)?,
        "geneve" => geneve(&mut data, words)?,
        "gre" | "gretap" => tunnel(ctx, &mut data, words, GRE)?,
        "ipip" | "sit" | "ip6tnl" => tunnel(ctx, &mut data, words, IPIP)?,
        "ip6gre" | "ip6gretap" => tunnel(ctx, &mut data, words, GRE)?,
        _ if PLAIN.contains(&kind) => {
            if let Some(word) = words.next() {
                return Err(garbage("type", word));
            }
        }
        // The kernel says what it thinks of a kind without details.
        _ if words.is_empty() => {}
        other => {
            return Err(ToolError::Refused {
                what: format!("ip link type {other}"),
                why: "netwhy does not know the words of this kind".to_owned(),
                code: WRONG,
            });
        }
    }
    let _ = lower;
    let data = data.finish().map_err(super::too_long)?;
    let mut info = Builder::new();
    let (name, kind_number, data_number) = match kind.strip_suffix("_slave") {
        Some(name) => (name, SLAVE_KIND, SLAVE_DATA),
        None => (kind, KIND, DATA),
    };
    info.str(kind_number, name);
    if !data.is_empty() {
        let nest = info.begin(data_number);
        info.raw(&data);
        info.end(nest);
    }
    info.finish().map_err(super::too_long)
}

fn unknown(kind: &str, word: &str) -> ToolError {
    ToolError::usage(format!("{kind}: unknown command \"{word}\"?"), WRONG)
}

fn numbers(data: &mut Builder, list: &[Number], kind: &str, words: &mut Words<'_>) -> Result<(), ToolError> {
    while let Some(word) = words.next() {
        let number = list.iter().find(|(name, ..)| *name == word).ok_or_else(|| unknown(kind, word))?;
        put(data, *number, words.value()?)?;
    }
    Ok(())
}

fn port(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    while let Some(word) = words.next() {
        if let Some((name, kind)) = PORT_FLAGS.iter().find(|(name, _)| *name == word) {
            data.u8(*kind, u8::from(on_off(name, words.value()?)?));
        } else if word == "state" {
            data.u8(1, words::number(words.value()?, "state is invalid\n")?);
        } else {
            let number = PORT.iter().find(|(name, ..)| *name == word);
            put(data, *number.ok_or_else(|| unknown("bridge_slave", word))?, words.value()?)?;
        }
    }
    Ok(())
}

fn bond(ctx: &mut Ctx<'_>, data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    const MODES: [&str; 7] =
        ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];
    const HASHES: [&str; 6] = ["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"];
    let place = |list: &[&str], word: &str| {
        list.iter()
            .position(|known| *known == word)
            .and_then(|at| u8::try_from(at).ok())
            .ok_or_else(|| wrong(word, "invalid value\n"))
    };
    while let Some(word) = words.next() {
        match word {
            "mode" => {
                let mode = words.value()?;
                data.u8(1, place(&MODES, mode).or_else(|_| words::number(mode, "invalid mode\n"))?);
            }
            "xmit_hash_policy" => {
                data.u8(14, place(&HASHES, words.value()?)?);
            }
            "lacp_rate" => {
                data.u8(21, place(&["slow", "fast"], words.value()?)?);
            }
            "primary" | "active_slave" => {
                let name = words.value()?;
                data.u32(if word == "primary" { 11 } else { 2 }, ctx.device(name)?);
            }
            word => {
                let number = BOND.iter().find(|(name, ..)| *name == word);
                put(data, *number.ok_or_else(|| unknown("bond", word))?, words.value()?)?;
            }
        }
    }
    Ok(())
}

fn veth(ctx: &mut Ctx<'_>, data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    const VETH_INFO_PEER: u16 = 1;
    if words.is_empty() {
        return Ok(());
    }
    match words.next() {
        Some("peer") => {}
        Some(other) => return Err(unknown("veth", other)),
        None => return Ok(()),
    }
    let peer = Peer::read(ctx, words)?;
    let nest = data.begin(VETH_INFO_PEER);
    data.raw(&peer.bytes);
    data.end(nest);
    // The kernel takes the namespace from an open descriptor, which must live until then.
    ctx.keep.extend(peer.keep);
    Ok(())
}

fn vxlan(ctx: &mut Ctx<'_>, data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    let (mut id, mut external, mut port) = (None, false, None);
    while let Some(word) = words.next() {
        match word {
            "id" | "vni" => id = Some(words::number::<u32>(words.value()?, "invalid id\n")?),
            "remote" | "group" => {
                let address = words::address(words.value()?, AF_UNSPEC)?;
                data.ip(if address.is_ipv4() { 2 } else { 16 }, address);
            }
            "local" => {
                let address = words::address(words.value()?, AF_UNSPEC)?;
                data.ip(if address.is_ipv4() { 4 } else { 17 }, address);
            }
            "dev" => {
                let name = words.value()?;
                data.u32(3, ctx.device(name)?);
            }
            "ttl" | "hoplimit" => match words.value()? {
                "inherit" => {
                    data.flag(28);
                }
                "auto" => {
                    data.u8(5, 0);
                }
                word => {
                    data.u8(5, words::number(word, "invalid TTL\n")?);
                }
            },
            "tos" | "dsfield" => match words.value()? {
                "inherit" => {
                    data.u8(6, 1);
                }
                word => {
                    data.u8(6, words::number(word, "TOS value is invalid\n")?);
                }
            },
            "df" => {
                let word = words.value()?;
                let df = ["unset", "set", "inherit"].iter().position(|known| *known == word);
                data.u8(
                    29,
                    df.and_then(|df| u8::try_from(df).ok())
                        .ok_or_else(|| wrong(word, "DF must be 'unset', 'set' or 'inherit'\n"))?,
                );
            }
            "flowlabel" => {
                data.be32(26, words::number(words.value()?, "invalid flowlabel\n")?);
            }
            "ageing" => match words.value()? {
                "none" => {
                    data.u32(8, 0);
                }
                word => {
                    data.u32(8, words::number(word, "ageing timer\n")?);
                }
            },
            "maxaddress" => {
                data.u32(9, words::number(words.value()?, "max addresses\n")?);
            }
            "port" | "srcport" => {
                let low: u16 = words::number(words.value()?, "min port\n")?;
                let high: u16 = words::number(words.value()?, "max port\n")?;
                data.bytes(10, &[low.to_be_bytes(), high.to_be_bytes()].concat());
            }
            "dstport" => port = Some(words::number::<u16>(words.value()?, "dst port\n")?),
            "external" => {
                external = true;
                data.u8(25, 1);
            }
            "gbp" => {
                data.flag(23);
            }
            "gpe" => {
                data.flag(27);
            }
            word => {
                const SWITCHES: [(&str, u16); 10] = [
                    ("learning", 7),
                    ("proxy", 11),
                    ("rsc", 12),
                    ("l2miss", 13),
                    ("l3miss", 14),
                    ("udpcsum", 18),
                    ("udp6zerocsumtx", 19),
                    ("udp6zerocsumrx", 20),
                    ("remcsumtx", 21),
                    ("remcsumrx", 22),
                ];
                let (bare, on) = match word.strip_prefix("no") {
                    Some(bare) => (bare, 0),
                    None => (word, 1),
                };
                let (_, kind) =
                    SWITCHES.iter().find(|(name, _)| *name == bare).ok_or_else(|| unknown("vxlan", word))?;
                data.u8(*kind, on);
            }
        }
    }
    match id {
        Some(id) => {
            data.u32(1, id);
        }
        None if !external => {
            return Err(ToolError::usage("vxlan: missing virtual network identifier", WRONG));
        }
        None => {
            data.u8(7, 0);
        }
    }
    if let Some(port) = port {
        data.be16(15, port);
    }
    Ok(())
}

fn vlan(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    const FLAGS: [&str; 5] = ["reorder_hdr", "gvrp", "loose_binding", "mvrp", "bridge_binding"];
    let (mut flags, mut mask) = (0_u32, 0_u32);
    while let Some(word) = words.next() {
        match word {
            "protocol" | "proto" => {
                let word = words.value()?;
                let number = match word.to_lowercase().as_str() {
                    "802.1q" => 0x8100,
                    "802.1ad" => 0x88a8,
                    _ => return Err(wrong(word, "protocol is invalid\n")),
                };
                data.be16(5, number);
            }
            "id" => {
                data.u16(1, words::number(words.value()?, "id is invalid\n")?);
            }
            word => {
                let bit =
                    FLAGS.iter().position(|known| *known == word).ok_or_else(|| unknown("vlan", word))?;
                mask |= 1 << bit;
                if on_off(word, words.value()?)? {
                    flags |= 1 << bit;
                }
            }
        }
    }
    if mask != 0 {
        data.bytes(2, &[flags.to_ne_bytes(), mask.to_ne_bytes()].concat());
    }
    Ok(())
}

fn macvlan(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    while let Some(word) = words.next() {
        match word {
            "mode" => {
                let word = words.value()?;
                let mode = match word {
                    "private" => 1,
                    "vepa" => 2,
                    "bridge" => 4,
                    "passthru" => 8,
                    "source" => 16,
                    _ => {
                        return Err(ToolError::usage(
                            format!(
                                "Error: argument of \"mode\" must be \"private\", \"vepa\", \"bridge\", \"passthru\" or \"source\", not \"{word}\""
                            ),
                            WRONG,
                        ));
                    }
                };
                data.u32(1, mode);
            }
            "nopromisc" => {
                data.u16(2, 1);
            }
            "bcqueuelen" => {
                data.u32(7, words::number(words.value()?, "Invalid bcqueuelen\n")?);
            }
            "macaddr" => {
                // MACVLAN_MACADDR_ADD, DEL, FLUSH
                match words.value()? {
                    "add" => {
                        data.u32(3, 0).bytes(4, &words::hardware(words.value()?)?);
                    }
                    "del" => {
                        data.u32(3, 1).bytes(4, &words::hardware(words.value()?)?);
                    }
                    "flush" => {
                        data.u32(3, 2);
                    }
                    other => return Err(unknown("macvlan", other)),
                }
            }
            other => return Err(unknown("macvlan", other)),
        }
    }
    Ok(())
}

fn ipvlan(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    while let Some(word) = words.next() {
        match word {
            "mode" => {
                let word = words.value()?;
                let mode = ["l2", "l3", "l3s"].iter().position(|known| *known == word);
                data.u16(
                    1,
                    mode.and_then(|mode| u16::try_from(mode).ok())
                        .ok_or_else(|| wrong(word, "mode must be l2, l3 or l3s\n"))?,
                );
            }
            "private" => {
                data.u16(2, 1);
            }
            "vepa" => {
                data.u16(2, 2);
            }
            "bridge" => {
                data.u16(2, 0);
            }
            other => return Err(unknown("ipvlan", other)),
        }
    }
    Ok(())
}

fn vrf(ctx: &Ctx<'_>, data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    while let Some(word) = words.next() {
        match word {
            "table" => {
                let word = words.value()?;
                data.u32(
                    1,
                    ctx.look.tables.tables(word).ok_or_else(|| wrong(word, "table id value is invalid\n"))?,
                );
            }
            other => return Err(unknown("vrf", other)),
        }
    }
    Ok(())
}

fn geneve(data: &mut Builder, words: &mut Words<'_>) -> Result<(), ToolError> {
    while let Some(word) = words.next() {
        match word {
            "id" | "vni" => {
                data.u32(1, words::number(words.value()?, "invalid id\n")?);
            }
            "remote" => {
                let address = words::address(words.value()?, AF_UNSPEC)?;
                data.ip(if address.is_ipv4() { 2 } else { 7 }, address);
            }
            "dstport" => {
                data.be16(5, words::number(words.value()?, "dst port\n")?);
            }
            "ttl" | "hoplimit" => {
                data.u8(3, words::number(words.value()?, "invalid TTL\n")?);
            }
            "external" => {
                data.flag(6);
            }
            other => return Err(unknown("geneve", other)),
        }
    }
    Ok(())
}

/// Attributes of an IP tunnel: device below, local, remote, TTL, TOS, input and output key (0: it has none).
struct Tunnel {
    link: u16,
    local: u16,
    remote: u16,
    ttl: u16,
    tos: u16,
    keys: Option<(u16, u16, u16, u16)>,
}

const IPIP: &Tunnel = &Tunnel { link: 1, local: 2, remote: 3, ttl: 4, tos: 5, keys: None };
const GRE: &Tunnel = &Tunnel { link: 1, local: 6, remote: 7, ttl: 8, tos: 9, keys: Some((2, 3, 4, 5)) };

fn tunnel(
    ctx: &mut Ctx<'_>,
    data: &mut Builder,
    words: &mut Words<'_>,
    numbers: &Tunnel,
) -> Result<(), ToolError> {
    const GRE_KEY: u16 = 0x2000;
    while let Some(word) = words.next() {
        match word {
            "local" | "remote" => {
                let address: IpAddr = words::address(words.value()?, AF_UNSPEC)?;
                data.ip(if word == "local" { numbers.local } else { numbers.remote }, address);
            }
            "dev" => {
                let name = words.value()?;
                data.u32(numbers.link, ctx.device(name)?);
            }
            "ttl" | "hoplimit" => match words.value()? {
                "inherit" => {
                    data.u8(numbers.ttl, 0);
                }
                word => {
                    data.u8(numbers.ttl, words::number(word, "invalid TTL\n")?);
                }
            },
            "tos" => {
                data.u8(numbers.tos, words::number(words.value()?, "invalid TOS\n")?);
            }
            "key" => {
                let (iflags, oflags, ikey, okey) = numbers.keys.ok_or_else(|| unknown("tunnel", word))?;
                let word = words.value()?;
                let key = match word.parse::<std::net::Ipv4Addr>() {
                    Ok(address) => u32::from(address),
                    Err(_) => words::number(word, "invalid value for \"key\"\n")?,
                };
                data.be16(iflags, GRE_KEY).be16(oflags, GRE_KEY).be32(ikey, key).be32(okey, key);
            }
            other => return Err(unknown("tunnel", other)),
        }
    }
    Ok(())
}
