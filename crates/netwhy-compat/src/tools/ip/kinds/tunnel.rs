//! IP tunnels: ipip, sit, gre and their IPv6 siblings, vti.

use super::Data;
use crate::iproute::{Look, Page};
use crate::session::ToolError;

fn endpoints(page: &mut Page<'_>, data: &Data<'_>, remote: u16, local: u16) -> Result<(), ToolError> {
    for (kind, word) in [(remote, "remote"), (local, "local")] {
        let address = data.ip(kind)?;
        match address.filter(|address| !address.is_unspecified() || address.is_ipv6()) {
            Some(address) => page.put(word, format_args!("{word} {address} "), address.to_string()),
            None => page.put(word, format_args!("{word} any "), "any"),
        }
    }
    Ok(())
}

fn over(page: &mut Page<'_>, look: &Look, index: Option<u32>) {
    if let Some(index) = index.filter(|index| *index != 0) {
        let name = look.devices.name(index);
        page.put("link", format_args!("dev {name} "), name.as_ref());
    }
}

fn lifetime(page: &mut Page<'_>, ttl: Option<u8>, tos: Option<u8>) {
    match ttl.filter(|ttl| *ttl != 0) {
        Some(ttl) => page.put("ttl", format_args!("ttl {ttl} "), ttl),
        None => page.put("ttl", format_args!("ttl inherit "), 0_u8),
    }
    if let Some(tos) = tos.filter(|tos| *tos != 0) {
        let text = format!("{tos:#x}");
        let shown = if tos & 1 == 1 { "inherit" } else { text.as_str() };
        page.put("tos", format_args!("tos {shown} "), &text);
    }
}

fn mtu_discovery(page: &mut Page<'_>, value: Option<u8>) {
    if let Some(value) = value {
        page.put("pmtudisc", format_args!("{}pmtudisc ", if value != 0 { "" } else { "no" }), value != 0);
    }
}

fn mark(page: &mut Page<'_>, value: Option<u32>) {
    if let Some(mark) = value.filter(|mark| *mark != 0) {
        page.put("fwmark", format_args!("fwmark {mark:#x} "), format!("{mark:#x}"));
    }
}

/// `ipip` and `sit`.
pub(super) fn ipip(page: &mut Page<'_>, look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    if data.has(19) {
        page.flag("external", "external ");
    }
    if let Some(protocol) = data.u8(9)? {
        let word = match protocol {
            4 => "ipip",
            41 => "ip6ip",
            137 => "mplsip",
            _ => "any",
        };
        page.put("proto", format_args!("{word} "), word);
    }
    endpoints(page, data, 3, 2)?;
    over(page, look, data.u32(1)?);
    lifetime(page, data.u8(4)?, data.u8(5)?);
    mtu_discovery(page, data.u8(10)?);
    if let Some(length) = data.u16(13)?.filter(|length| *length != 0)
        && let Some(prefix) = data.ip(11)?
    {
        page.put("prefix", format_args!("6rd-prefix {prefix}/{length} "), prefix.to_string());
        page.json("prefixlen", length);
    }
    mark(page, data.u32(20)?);
    Ok(())
}

/// `ip6tnl`.
pub(super) fn ip6tnl(
    page: &mut Page<'_>,
    look: &Look,
    data: &Data<'_>,
    _arphrd: u16,
) -> Result<(), ToolError> {
    if data.has(19) {
        page.flag("external", "external ");
    }
    if let Some(protocol) = data.u8(9)? {
        let word = match protocol {
            4 => "ipip6",
            41 => "ip6ip6",
            _ => "any",
        };
        page.put("proto", format_args!("{word} "), word);
    }
    endpoints(page, data, 3, 2)?;
    over(page, look, data.u32(1)?);
    let flags = data.u32(8)?.unwrap_or(0);
    if flags & 1 != 0 {
        page.flag("ip6_tnl_f_ign_encap_limit", "encaplimit none ");
    } else if let Some(limit) = data.u8(6)? {
        page.put("encap_limit", format_args!("encaplimit {limit} "), limit);
    }
    if let Some(ttl) = data.u8(4)? {
        page.put("ttl", format_args!("hoplimit {ttl} "), ttl);
    }
    if let Some(info) = data.be32(7)? {
        let (class, label) = ((info >> 20) & 0xff, info & 0xf_ffff);
        if flags & 2 != 0 {
            page.flag("ip6_tnl_f_use_orig_tclass", "tclass inherit ");
        } else {
            page.put("tclass", format_args!("tclass {class:#04x} "), format!("{class:#04x}"));
        }
        if flags & 4 != 0 {
            page.flag("ip6_tnl_f_use_orig_flowlabel", "flowlabel inherit ");
        } else {
            page.put("flowlabel", format_args!("flowlabel {label:#07x} "), format!("{label:#07x}"));
        }
        page.put("flowinfo", format_args!("(flowinfo {info:#010x}) "), format!("{info:#010x}"));
    }
    mark(page, data.u32(20)?);
    Ok(())
}

/// `gre`, `gretap`, `erspan` and their IPv6 siblings.
pub(super) fn gre(page: &mut Page<'_>, look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    /// `GRE_KEY`, `GRE_SEQ`, `GRE_CSUM` in network order.
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const CHECKSUM: u16 = 0x8000;
    if data.has(18) {
        page.flag("external", "external ");
    }
    endpoints(page, data, 7, 6)?;
    over(page, look, data.u32(1)?);
    lifetime(page, data.u8(8)?, data.u8(9)?);
    mtu_discovery(page, data.u8(10)?.filter(|value| *value == 0));
    for (flags, kind, word) in [(2, 4, "ikey"), (3, 5, "okey")] {
        if data.be16(flags)?.is_some_and(|flags| flags & KEY != 0)
            && let Some(key) = data.be32(kind)?
        {
            let text = std::net::Ipv4Addr::from(key).to_string();
            page.put(word, format_args!("{word} {text} "), &text);
        }
    }
    for (bit, word) in [(SEQUENCE, "seq"), (CHECKSUM, "csum")] {
        for (flags, side) in [(2, "i"), (3, "o")] {
            if data.be16(flags)?.is_some_and(|flags| flags & bit != 0) {
                page.flag(&format!("{side}{word}"), &format!("{side}{word} "));
            }
        }
    }
    mark(page, data.u32(20)?);
    Ok(())
}

/// `vti` and `vti6`.
pub(super) fn vti(page: &mut Page<'_>, look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    endpoints(page, data, 5, 4)?;
    over(page, look, data.u32(1)?);
    for (kind, word) in [(2, "ikey"), (3, "okey")] {
        if let Some(key) = data.be32(kind)?.filter(|key| *key != 0) {
            let text = std::net::Ipv4Addr::from(key).to_string();
            page.put(word, format_args!("{word} {text} "), &text);
        }
    }
    mark(page, data.u32(6)?);
    Ok(())
}
