//! `ip neigh add`, `change`, `replace`, `delete` and `flush`.

use std::net::IpAddr;

use netwhy_wire::netlink::{Attributes, Builder, Fixed, Table};

use super::super::neigh::{
    self, NDA_DST, NDA_LLADDR, NDA_PROTOCOL, NTF_EXT_LEARNED, NTF_PROXY, NTF_ROUTER, RTM_DELNEIGH,
    RTM_GETNEIGH, RTM_NEWNEIGH,
};
use super::{flags, written};
use crate::iproute::words::{self, Words, garbage, wrong};
use crate::iproute::{AF_INET, AF_INET6, Ctx, WRONG};
use crate::session::ToolError;

const PERMANENT: u16 = 0x80;

/// `add`, `change`, `replace` and `delete`.
pub(crate) fn modify(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().to_vec();
    let deleting = verb == "delete";
    let (mut address, mut device, mut hardware, mut protocol) = (None::<IpAddr>, None, None, None);
    let (mut state, mut bits) = (if deleting { 0 } else { PERMANENT }, 0_u8);
    while let Some(word) = words.next() {
        match word {
            "lladdr" => hardware = Some(words::hardware(words.value()?)?),
            "nud" => {
                let word = words.value()?;
                state = neigh::state(word).ok_or_else(|| wrong(word, "nud state is bad"))?;
            }
            "dev" => device = Some(words.value()?),
            "proxy" => bits |= NTF_PROXY,
            "router" => bits |= NTF_ROUTER,
            "extern_learn" => bits |= NTF_EXT_LEARNED,
            "protocol" | "proto" => {
                let word = words.value()?;
                let number = ctx.look.tables.protocols(word).and_then(|number| u8::try_from(number).ok());
                protocol = Some(number.ok_or_else(|| wrong(word, "\"protocol\" value is invalid\n"))?);
            }
            word => {
                let word = if word == "to" { words.value()? } else { word };
                if address.replace(words::address(word, ctx.look.options.family)?).is_some() {
                    return Err(garbage("to", word));
                }
            }
        }
    }
    let (Some(device), Some(address)) = (device, address) else {
        return Err(ToolError::usage("Device and destination are required arguments.", WRONG));
    };
    ctx.load_devices()?;
    let index = ctx.device(device)?;
    let mut header = [0; 12];
    header[0] = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = bits;
    let mut message = Builder::with_header(&header);
    message.ip(NDA_DST, address);
    if let Some(bytes) = &hardware {
        message.bytes(NDA_LLADDR, bytes);
    }
    if let Some(protocol) = protocol {
        message.u8(NDA_PROTOCOL, protocol);
    }
    let before = if verb == "add" { None } else { existing(ctx, header[0], index, &address)? };
    let undo = match (deleting, before) {
        (true, Some(text)) => Some(format!("ip neigh add {text} dev {device}")),
        (true, None) => None,
        (false, Some(text)) => Some(format!("ip neigh replace {text} dev {device}")),
        (false, None) => {
            let proxy = if bits & NTF_PROXY != 0 { "proxy " } else { "" };
            Some(format!("ip neigh del {proxy}{address} dev {device}"))
        }
    };
    ctx.announce(&format!("ip neigh {verb} {}", all.join(" ")), undo.as_deref())?;
    ctx.change(if deleting { RTM_DELNEIGH } else { RTM_NEWNEIGH }, flags(verb), message)
}

/// A neighbour as it is now, in the words that make it.
fn existing(
    ctx: &mut Ctx<'_>,
    family: u8,
    index: u32,
    address: &IpAddr,
) -> Result<Option<String>, ToolError> {
    let mut header = [0; 12];
    header[0] = family;
    for (_, payload) in ctx.gather(RTM_GETNEIGH, &header)? {
        let fixed = Fixed(&payload);
        let table: Table<'_, 4> = Table::after(&payload, 12)?;
        if fixed.u32(4) != Some(index) || table.ip(NDA_DST)? != Some(*address) {
            continue;
        }
        let mut text = address.to_string();
        if let Some(hardware) = table.get(NDA_LLADDR) {
            text.push_str(&format!(" lladdr {}", crate::iproute::mac(hardware.payload)));
        }
        let state = fixed.u16(8).unwrap_or(0);
        if let Some((_, word)) = neigh::STATES.iter().find(|(bit, _)| state & bit != 0) {
            text.push_str(&format!(" nud {}", word.to_lowercase()));
        }
        return Ok(Some(text));
    }
    Ok(None)
}

/// `ip neigh flush`: every neighbour the filter takes that is not fixed.
pub(crate) fn flush(ctx: &mut Ctx<'_>, filter: &neigh::Filter, chosen: bool) -> Result<(), ToolError> {
    if filter.index.is_none() && filter.prefix.is_none() && !chosen {
        return Err(ToolError::usage("Flush requires arguments.", 1));
    }
    let mut header = [0; 12];
    header[0] = ctx.look.options.family;
    if filter.proxy {
        header[10] = NTF_PROXY;
    }
    let mut filter = filter.clone();
    if !chosen {
        // What somebody set stays unless its state is named.
        filter.states &= !(PERMANENT | 0x40);
    }
    for (kind, payload) in ctx.gather(RTM_GETNEIGH, &header)? {
        if !matches!(Fixed(&payload).u8(0), Some(AF_INET | AF_INET6)) || !filter.takes(&payload)? {
            continue;
        }
        let text = written(&ctx.look, |page, look| neigh::print(page, look, &payload, kind, false))?;
        ctx.announce(&format!("remove neighbour {text}"), None)?;
        let mut message = Builder::with_header(payload.get(..12).unwrap_or(&[0; 12]));
        for attribute in Attributes::after(&payload, 12) {
            let attribute = attribute?;
            if attribute.kind == NDA_DST {
                message.bytes(attribute.kind, attribute.payload);
            }
        }
        ctx.change(RTM_DELNEIGH, 0, message)?;
    }
    Ok(())
}
