//! `ip addr add`, `change`, `replace`, `delete` and `flush`.

use std::net::IpAddr;

use netwhy_wire::netlink::{Builder, Fixed, Table};

use super::super::addr::{
    self, ADDR_ATTRIBUTES, IFA_ADDRESS, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS, IFA_LABEL, IFA_LOCAL,
    IFA_RT_PRIORITY, RTM_DELADDR, RTM_NEWADDR,
};
use super::flags;
use crate::iproute::words::{self, Words, garbage, prefix, wrong};
use crate::iproute::{AF_INET, AF_INET6, Ctx, WRONG};
use crate::session::ToolError;

/// `struct ifaddrmsg`.
fn header(address: &IpAddr, length: u8, scope: u8, index: u32) -> [u8; 8] {
    let family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut bytes = [family, length, 0, scope, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&index.to_ne_bytes());
    bytes
}

/// The last address of a prefix.
fn broadcast(address: &IpAddr, length: u8) -> Option<IpAddr> {
    let IpAddr::V4(four) = address else { return None };
    if length >= 31 {
        return None;
    }
    Some(IpAddr::from((u32::from(*four) | (u32::MAX >> length)).to_be_bytes()))
}

/// `add`, `change`, `replace` and `delete`.
pub(crate) fn modify(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().to_vec();
    let family = ctx.look.options.family;
    let (mut local, mut peer, mut device, mut label, mut brd) = (None, None, None, None, None);
    let (mut bits, mut scope, mut metric) = (0_u32, None, None);
    let (mut valid, mut preferred) = (None::<u32>, None::<u32>);
    let lifetime = |word: &str, what: &str| match word {
        "forever" => Ok(u32::MAX),
        word => words::number(word, &format!("{what} value is invalid\n")),
    };
    while let Some(word) = words.next() {
        match word {
            "peer" | "remote" => peer = Some(prefix(words.value()?, family)?),
            "broadcast" | "brd" => brd = Some(words.value()?),
            "dev" => device = Some(words.value()?),
            "label" => label = Some(words.value()?),
            "metric" | "priority" | "preference" => {
                metric = Some(words::number::<u32>(words.value()?, "metric value is invalid\n")?)
            }
            "scope" => {
                let word = words.value()?;
                let number = ctx.look.tables.scopes(word).and_then(|scope| u8::try_from(scope).ok());
                scope = Some(number.ok_or_else(|| wrong(word, "invalid scope value."))?);
            }
            "valid_lft" => valid = Some(lifetime(words.value()?, "valid_lft")?),
            "preferred_lft" => preferred = Some(lifetime(words.value()?, "preferred_lft")?),
            "home" | "nodad" | "mngtmpaddr" | "noprefixroute" | "autojoin" => {
                bits |= addr::flag(word).unwrap_or(0)
            }
            word => {
                let word = if word == "local" { words.value()? } else { word };
                if local.replace(prefix(word, family)?).is_some() {
                    return Err(garbage("local", word));
                }
            }
        }
    }
    let Some(device) = device else {
        return Err(ToolError::usage("Not enough information: \"dev\" argument is required.", WRONG));
    };
    if let Some(label) = label
        && !label.starts_with(device)
    {
        return Err(ToolError::usage(format!("\"dev\" ({device}) must match \"label\" ({label})."), 1));
    }
    let Some((address, length)) = local.or(peer) else {
        return Err(ToolError::usage("Not enough information: an address is required.", WRONG));
    };
    ctx.load_devices()?;
    let index = ctx.device(device)?;
    let deleting = verb == "delete";
    // Loopback addresses are for this host only.
    let scope = scope.unwrap_or(if address.is_loopback() && !deleting { 254 } else { 0 });
    let length = peer.map_or(length, |(_, length)| length);
    let mut message = Builder::with_header(&header(&address, length, scope, index));
    message.ip(IFA_LOCAL, address).ip(IFA_ADDRESS, peer.map_or(address, |(peer, _)| peer));
    if let Some(word) = brd {
        let found = match word {
            "+" => broadcast(&address, length),
            "-" => None,
            word => Some(words::address(word, AF_INET)?),
        };
        if let Some(found) = found {
            message.ip(IFA_BROADCAST, found);
        }
    }
    if let Some(label) = label {
        message.str(IFA_LABEL, label);
    }
    if let Some(metric) = metric {
        message.u32(IFA_RT_PRIORITY, metric);
    }
    if bits != 0 {
        message.u32(IFA_FLAGS, bits);
    }
    if valid.is_some() || preferred.is_some() {
        let (valid, preferred) = (valid.unwrap_or(u32::MAX), preferred.unwrap_or(u32::MAX));
        if valid == 0 {
            return Err(ToolError::usage("valid_lft is zero", 1));
        }
        if valid < preferred {
            return Err(ToolError::usage("preferred_lft is greater than valid_lft", 1));
        }
        let bytes = [preferred, valid, 0, 0].map(u32::to_ne_bytes).concat();
        message.bytes(IFA_CACHEINFO, &bytes);
    }
    let undo = if deleting || verb != "add" { existing(ctx, index, &address)? } else { None };
    let undo = match (deleting, undo) {
        (true, Some(text)) => Some(format!("ip addr add {text} dev {device}")),
        (true, None) => None,
        (false, Some(text)) => Some(format!("ip addr replace {text} dev {device}")),
        (false, None) => Some(format!("ip addr del {address}/{length} dev {device}")),
    };
    ctx.announce(&format!("ip addr {verb} {}", all.join(" ")), undo.as_deref())?;
    ctx.change(if deleting { RTM_DELADDR } else { RTM_NEWADDR }, flags(verb), message)
}

/// The words that make an address as it is now.
fn existing(ctx: &mut Ctx<'_>, index: u32, address: &IpAddr) -> Result<Option<String>, ToolError> {
    let mut filter = addr::Filter::default();
    filter.link.index = Some(index);
    for payload in addr::matching(ctx, &filter)? {
        let table: Table<'_, ADDR_ATTRIBUTES> = Table::after(&payload, 8)?;
        if table.ip(IFA_LOCAL)?.or(table.ip(IFA_ADDRESS)?) == Some(*address) {
            return remake(ctx, &payload).map(Some);
        }
    }
    Ok(None)
}

/// `192.0.2.1/24 brd 192.0.2.255 scope global label eth0`.
fn remake(ctx: &Ctx<'_>, payload: &[u8]) -> Result<String, ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, ADDR_ATTRIBUTES> = Table::after(payload, 8)?;
    let length = fixed.u8(1).unwrap_or(0);
    let far = table.ip(IFA_ADDRESS)?;
    let near = table.ip(IFA_LOCAL)?.or(far);
    let mut text = match (near, far) {
        (Some(near), Some(far)) if near != far => format!("{near} peer {far}/{length}"),
        (Some(near), _) => format!("{near}/{length}"),
        _ => String::new(),
    };
    if let Some(broadcast) = table.ip(IFA_BROADCAST)? {
        text.push_str(&format!(" brd {broadcast}"));
    }
    text.push_str(&format!(" scope {}", ctx.look.tables.scope(fixed.u8(3).unwrap_or(0).into())));
    if let Some(label) = table.text(IFA_LABEL) {
        text.push_str(&format!(" label {label}"));
    }
    if let Some(times) = table.fixed(IFA_CACHEINFO) {
        for (at, word) in [(4, "valid_lft"), (0, "preferred_lft")] {
            if let Some(seconds) = times.u32(at).filter(|seconds| *seconds != u32::MAX) {
                text.push_str(&format!(" {word} {seconds}"));
            }
        }
    }
    let bits = table.u32(IFA_FLAGS)?.unwrap_or(0);
    for word in ["home", "nodad", "mngtmpaddr", "noprefixroute", "autojoin"] {
        if addr::flag(word).is_some_and(|bit| bits & bit != 0) {
            text.push_str(&format!(" {word}"));
        }
    }
    Ok(text)
}

/// `ip addr flush`: every address the filter takes.
pub(crate) fn flush(ctx: &mut Ctx<'_>, filter: &addr::Filter) -> Result<(), ToolError> {
    let all = addr::matching(ctx, filter)?;
    if all.is_empty() && ctx.look.options.stats > 0 {
        ctx.page.say("Nothing to flush.\n");
    }
    for payload in all {
        let fixed = Fixed(&payload);
        let table: Table<'_, ADDR_ATTRIBUTES> = Table::after(&payload, 8)?;
        let index = fixed.u32(4).unwrap_or(0);
        let Some(address) = table.ip(IFA_LOCAL)?.or(table.ip(IFA_ADDRESS)?) else { continue };
        let text = remake(ctx, &payload)?;
        let device = ctx.look.devices.name(index).into_owned();
        ctx.announce(
            &format!("remove {text} from {device}"),
            Some(&format!("ip addr add {text} dev {device}")),
        )?;
        let mut message = Builder::with_header(&header(&address, fixed.u8(1).unwrap_or(0), 0, index));
        message.ip(IFA_LOCAL, address);
        if let Some(far) = table.ip(IFA_ADDRESS)? {
            message.ip(IFA_ADDRESS, far);
        }
        match ctx.change(RTM_DELADDR, 0, message) {
            // Secondaries go with their primary.
            Err(ToolError::Failed { text, .. }) if text.contains("Cannot assign requested address") => {}
            other => other?,
        }
    }
    Ok(())
}
