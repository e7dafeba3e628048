//! Filters (RTM_GETTFILTER; uapi `linux/pkt_cls.h`).

use std::net::IpAddr;

use netwhy_facts::tc::TcFilter;
use netwhy_wire::netlink::{Attribute, Attributes};

use super::{BLOCK, HEADER, Options, action};
use crate::decode::{Decoded, header, mac, structure};

/// One filter from an RTM_NEWTFILTER message; `None` for the messages without a match of their own: the head
/// of each preference, and the hash tables of u32.
pub fn decode_filter(payload: &[u8]) -> Decoded<Option<TcFilter>> {
    let fixed = header(payload, HEADER)?;
    let word = |offset| fixed.u32(offset).unwrap_or(0);
    let info = word(16);
    let mut filter = TcFilter {
        ifindex: word(4),
        parent: word(12),
        pref: (info >> 16) as u16,
        protocol: u16::from_be(info as u16),
        handle: word(8),
        kind: String::new(),
        classid: None,
        bpf: None,
        u32_keys: None,
        actions: Vec::new(),
        options: Options::new(),
    };
    if filter.ifindex == BLOCK {
        filter.ifindex = 0;
        filter.options.insert("block".into(), filter.parent.to_string());
    }
    let mut data = None;
    for attribute in Attributes::after(payload, HEADER) {
        let attribute = attribute?;
        match attribute.kind {
            1 => filter.kind = attribute.text().into_owned(),
            2 => data = Some(attribute),
            11 => {
                let chain = attribute.u32()?;
                if chain != 0 {
                    filter.options.insert("chain".into(), chain.to_string());
                }
            }
            _ => {}
        }
    }
    let Some(data) = data else { return Ok(None) };
    match filter.kind.as_str() {
        "bpf" => bpf(&data, &mut filter)?,
        "u32" => {
            if data.attributes().find(5).is_none() {
                return Ok(None);
            }
            u32_filter(&data, &mut filter)?;
        }
        "matchall" => matchall(&data, &mut filter)?,
        "flower" => flower(&data, &mut filter)?,
        "basic" => basic(&data, &mut filter)?,
        "fw" => fw(&data, &mut filter)?,
        _ => unknown(&mut filter, 0),
    }
    Ok(Some(filter))
}

/// Notes an attribute that may decide the match.
fn unknown(filter: &mut TcFilter, kind: u16) {
    let list = filter.options.entry("unknown".into()).or_default();
    if !list.is_empty() {
        list.push(' ');
    }
    list.push_str(&kind.to_string());
}

fn put(filter: &mut TcFilter, name: &str, value: impl ToString) {
    filter.options.insert(name.to_owned(), value.to_string());
}

/// TCA_CLS_FLAGS_SKIP_SW: the filter exists in hardware only.
fn flags(filter: &mut TcFilter, flags: u32) {
    if flags & 2 != 0 {
        put(filter, "skip_sw", "yes");
    }
}

/// TCA_BPF_*. An id is told since 4.13; a classic program has none.
fn bpf(data: &Attribute<'_>, filter: &mut TcFilter) -> Decoded<()> {
    let (mut id, mut direct) = (None, false);
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => filter.actions = action::decode_list(&attribute)?,
            3 => filter.classid = Some(attribute.u32()?),
            7 => put(filter, "name", attribute.text()),
            8 => direct = attribute.u32()? & 1 != 0,
            9 => flags(filter, attribute.u32()?),
            11 => id = Some(attribute.u32()?),
            _ => {}
        }
    }
    filter.bpf = id.map(|id| (id, direct));
    Ok(())
}

/// TCA_U32_*; TCA_U32_SEL is `struct tc_u32_sel` with its keys.
fn u32_filter(data: &Attribute<'_>, filter: &mut TcFilter) -> Decoded<()> {
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => filter.classid = Some(attribute.u32()?),
            2 => put(filter, "hash", format!("{:x}", attribute.u32()?)),
            3 => put(filter, "link", format!("{:x}", attribute.u32()?)),
            5 => {
                let selector = structure(&attribute, 16)?;
                let keys = usize::from(selector.u8(2).unwrap_or(0));
                let mut decoded = Some(Vec::with_capacity(keys));
                for key in 0..keys {
                    let at = 16 + key * 16;
                    let offset_mask = selector.u32(at + 12);
                    let key = selector.i32(at + 8).zip(selector.be32(at)).zip(selector.be32(at + 4));
                    match (key, offset_mask, &mut decoded) {
                        (Some(((offset, mask), value)), Some(0), Some(list)) => {
                            list.push((offset, mask, value))
                        }
                        // Cut short, or behind an offset that an earlier match computes.
                        _ => decoded = None,
                    }
                }
                // TC_U32_OFFSET, TC_U32_VAROFFSET, TC_U32_EAT: the base moves for the next table.
                if selector.u8(0).unwrap_or(0) & 0x0e != 0 {
                    put(filter, "offset", "moves");
                }
                filter.u32_keys = decoded;
            }
            7 => filter.actions = action::decode_list(&attribute)?,
            8 => put(filter, "indev", attribute.text()),
            10 => {
                let mark = structure(&attribute, 8)?;
                put(
                    filter,
                    "mark",
                    format!("{:#x}/{:#x}", mark.u32(0).unwrap_or(0), mark.u32(4).unwrap_or(0)),
                );
            }
            11 => flags(filter, attribute.u32()?),
            9 | 12 => {}
            other => unknown(filter, other),
        }
    }
    Ok(())
}

/// TCA_MATCHALL_*.
fn matchall(data: &Attribute<'_>, filter: &mut TcFilter) -> Decoded<()> {
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => filter.classid = Some(attribute.u32()?),
            2 => filter.actions = action::decode_list(&attribute)?,
            3 => flags(filter, attribute.u32()?),
            _ => {}
        }
    }
    Ok(())
}

/// TCA_BASIC_*: the expression tree (ematch) is not decoded.
fn basic(data: &Attribute<'_>, filter: &mut TcFilter) -> Decoded<()> {
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => filter.classid = Some(attribute.u32()?),
            2 => unknown(filter, 2),
            3 => filter.actions = action::decode_list(&attribute)?,
            _ => {}
        }
    }
    Ok(())
}

/// TCA_FW_*: the handle is the mark to match.
fn fw(data: &Attribute<'_>, filter: &mut TcFilter) -> Decoded<()> {
    let mut mask = u32::MAX;
    for attribute in data.attributes() {
        let attribute = attribute?;
        match attribute.kind {
            1 => filter.classid = Some(attribute.u32()?),
            3 => put(filter, "indev", attribute.text()),
            4 => filter.actions = action::decode_list(&attribute)?,
            5 => mask = attribute.u32()?,
            _ => {}
        }
    }
    let mark = filter.handle;
    put(filter, "mark", format!("{mark:#x}/{mask:#x}"));
    Ok(())
}

/// TCA_FLOWER_*: addresses, ports, protocol, MAC addresses, TCP flags, ICMP type and code, VLAN id. A mask
/// comes as an attribute of its own, and an absent key matches everything.
fn flower(data: &Attribute<'_>, filter: &mut TcFilter) -> Decoded<()> {
    let find = |kind: u16| data.attributes().find(kind);
    for attribute in data.attributes() {
        let attribute = attribute?;
        let masked = |value: IpAddr, mask: u16| match find(mask).and_then(|mask| mask.ip().ok()) {
            Some(mask) => format!("{value}/{mask}"),
            None => value.to_string(),
        };
        let port = |mask: u16| -> Decoded<String> {
            let value = attribute.be16()?;
            Ok(match find(mask).and_then(|mask| mask.be16().ok()).filter(|mask| *mask != u16::MAX) {
                Some(mask) => format!("{value}/{mask:#x}"),
                None => value.to_string(),
            })
        };
        match attribute.kind {
            1 => filter.classid = Some(attribute.u32()?),
            2 => put(filter, "indev", attribute.text()),
            3 => filter.actions = action::decode_list(&attribute)?,
            4 => put(filter, "dst_mac", masked_mac(&attribute, find(5))),
            6 => put(filter, "src_mac", masked_mac(&attribute, find(7))),
            8 => put(filter, "eth_type", format!("{:#06x}", attribute.be16()?)),
            9 => put(filter, "ip_proto", attribute.u8()?),
            10 | 14 => put(filter, "src_ip", masked(attribute.ip()?, attribute.kind + 1)),
            12 | 16 => put(filter, "dst_ip", masked(attribute.ip()?, attribute.kind + 1)),
            18 => put(filter, "src_port", port(35)?),
            19 => put(filter, "dst_port", port(36)?),
            20 => put(filter, "src_port", port(37)?),
            21 => put(filter, "dst_port", port(38)?),
            22 => flags(filter, attribute.u32()?),
            23 => put(filter, "vlan_id", attribute.u16()?),
            25 => put(filter, "vlan_eth_type", format!("{:#06x}", attribute.be16()?)),
            49 | 53 => put(filter, "icmp_code", attribute.u8()?),
            51 | 55 => put(filter, "icmp_type", attribute.u8()?),
            71 => {
                let mask = find(72).map(|mask| mask.be16()).transpose()?.unwrap_or(u16::MAX);
                put(filter, "tcp_flags", format!("{:#x}/{mask:#x}", attribute.be16()?));
            }
            // Masks of the keys above, the number of copies in hardware, and the fragment flags' mask.
            5 | 7 | 11 | 13 | 15 | 17 | 35..=38 | 50 | 52 | 54 | 56 | 72 | 86 => {}
            other => unknown(filter, other),
        }
    }
    Ok(())
}

fn masked_mac(value: &Attribute<'_>, mask: Option<Attribute<'_>>) -> String {
    match mask.filter(|mask| mask.payload.iter().any(|byte| *byte != 0xff)) {
        Some(mask) => format!("{}/{}", mac(value.payload), mac(mask.payload)),
        None => mac(value.payload),
    }
}
