//! VXLAN and Geneve.

use std::net::IpAddr;

use super::Data;
use crate::iproute::{Look, Page};
use crate::session::ToolError;

fn endpoint(page: &mut Page<'_>, address: IpAddr, one: &str, many: &str) {
    let key = |word: &str| if address.is_ipv6() { format!("{word}6") } else { word.to_owned() };
    let word = if address.is_multicast() { many } else { one };
    page.put(&key(word), format_args!("{word} {address} "), address.to_string());
}

/// The line of a VXLAN device.
pub(super) fn vxlan(
    page: &mut Page<'_>,
    look: &Look,
    data: &Data<'_>,
    _arphrd: u16,
) -> Result<(), ToolError> {
    let on = |kind: u16| Ok::<_, ToolError>(data.u8(kind)?.is_some_and(|value| value != 0));
    if on(25)? {
        page.flag("external", "external ");
    }
    if on(30)? {
        page.flag("vnifilter", "vnifilter ");
    }
    if let Some(id) = data.u32(1)? {
        page.put("id", format_args!("id {id} "), id);
    }
    let given = |kind: u16| Ok::<_, ToolError>(data.ip(kind)?.filter(|address| !address.is_unspecified()));
    if let Some(address) = given(2)?.or(given(16)?) {
        endpoint(page, address, "remote", "group");
    }
    if let Some(address) = given(4)?.or(given(17)?) {
        let key = if address.is_ipv6() { "local6" } else { "local" };
        page.put(key, format_args!("local {address} "), address.to_string());
    }
    if let Some(index) = data.u32(3)?.filter(|index| *index != 0) {
        let name = look.devices.name(index);
        page.put("link", format_args!("dev {name} "), name.as_ref());
    }
    if let Some(range) = data.fixed(10) {
        let (low, high) = (range.be16(0).unwrap_or(0), range.be16(2).unwrap_or(0));
        page.open("port_range");
        page.put("low", format_args!("srcport {low} "), low);
        page.put("high", format_args!("{high} "), high);
        page.close();
    }
    if let Some(port) = data.be16(15)? {
        page.put("port", format_args!("dstport {port} "), port);
    }
    if let Some(learning) = data.u8(7)? {
        // Only its absence is said in text.
        let learning = learning != 0;
        if !learning {
            page.say("nolearning ");
        }
        page.json("learning", learning);
    }
    for (kind, word) in [(11, "proxy"), (12, "rsc"), (13, "l2miss"), (14, "l3miss")] {
        if on(kind)? {
            page.flag(word, &format!("{word} "));
        }
    }
    if let Some(tos) = data.u8(6)?.filter(|tos| *tos != 0) {
        let text = format!("{tos:#x}");
        if tos == 1 {
            page.put("tos", format_args!("tos inherit "), &text);
        } else {
            page.put("tos", format_args!("tos {text} "), &text);
        }
    }
    if on(28)? {
        page.put("ttl", format_args!("ttl inherit "), "inherit");
    } else if let Some(ttl) = data.u8(5)? {
        if ttl == 0 {
            page.put("ttl", format_args!("ttl auto "), ttl);
        } else {
            page.put("ttl", format_args!("ttl {ttl} "), ttl);
        }
    }
    dont_fragment(page, data.u8(29)?);
    if let Some(label) = data.be32(26)?.filter(|label| *label != 0) {
        page.put("label", format_args!("flowlabel {label:#x} "), format!("{label:#x}"));
    }
    if let Some(seconds) = data.u32(8)? {
        if seconds == 0 {
            page.put("ageing", format_args!("ageing none "), seconds);
        } else {
            page.put("ageing", format_args!("ageing {seconds} "), seconds);
        }
    }
    if let Some(most) = data.u32(9)?.filter(|most| *most != 0) {
        page.put("limit", format_args!("maxaddr {most} "), most);
    }
    for (kind, key, word) in [
        (18, "udp_csum", "udpcsum"),
        (19, "udp_zero_csum6_tx", "udp6zerocsumtx"),
        (20, "udp_zero_csum6_rx", "udp6zerocsumrx"),
    ] {
        if let Some(value) = data.u8(kind)? {
            page.put(key, format_args!("{}{word} ", if value != 0 { "" } else { "no" }), value != 0);
        }
    }
    for (kind, key, word) in [(21, "remcsum_tx", "remcsumtx"), (22, "remcsum_rx", "remcsumrx")] {
        if on(kind)? {
            page.flag(key, &format!("{word} "));
        }
    }
    for (kind, word) in [(23, "gbp"), (27, "gpe")] {
        if data.has(kind) {
            page.flag(word, &format!("{word} "));
        }
    }
    Ok(())
}

fn dont_fragment(page: &mut Page<'_>, value: Option<u8>) {
    let word = match value {
        None => return,
        Some(0) => "unset",
        Some(1) => "set",
        Some(_) => "inherit",
    };
    if word == "unset" {
        page.json("df", word);
    } else {
        page.put("df", format_args!("df {word} "), word);
    }
}

/// The line of a Geneve device.
pub(super) fn geneve(
    page: &mut Page<'_>,
    _look: &Look,
    data: &Data<'_>,
    _arphrd: u16,
) -> Result<(), ToolError> {
    if data.has(6) {
        page.flag("external", "external ");
    }
    if let Some(id) = data.u32(1)? {
        page.put("id", format_args!("id {id} "), id);
    }
    if let Some(address) = data.ip(2)?.or(data.ip(7)?).filter(|address| !address.is_unspecified()) {
        endpoint(page, address, "remote", "remote");
    }
    if data.u8(12)?.is_some_and(|inherit| inherit != 0) {
        page.put("ttl", format_args!("ttl inherit "), "inherit");
    } else if let Some(ttl) = data.u8(3)? {
        if ttl == 0 {
            page.put("ttl", format_args!("ttl auto "), ttl);
        } else {
            page.put("ttl", format_args!("ttl {ttl} "), ttl);
        }
    }
    if let Some(tos) = data.u8(4)?.filter(|tos| *tos != 0) {
        let text = format!("{tos:#x}");
        let shown = if tos == 1 { "inherit" } else { text.as_str() };
        page.put("tos", format_args!("tos {shown} "), &text);
    }
    dont_fragment(page, data.u8(13)?);
    if let Some(label) = data.be32(11)?.filter(|label| *label != 0) {
        page.put("label", format_args!("flowlabel {label:#x} "), format!("{label:#x}"));
    }
    if let Some(port) = data.be16(5)? {
        page.put("port", format_args!("dstport {port} "), port);
    }
    for (kind, key, word) in [
        (8, "udp_csum", "udpcsum"),
        (9, "udp_zero_csum6_tx", "udp6zerocsumtx"),
        (10, "udp_zero_csum6_rx", "udp6zerocsumrx"),
    ] {
        if let Some(value) = data.u8(kind)? {
            page.put(key, format_args!("{}{word} ", if value != 0 { "" } else { "no" }), value != 0);
        }
    }
    if data.has(14) {
        page.flag("innerprotoinherit", "innerprotoinherit ");
    }
    Ok(())
}
