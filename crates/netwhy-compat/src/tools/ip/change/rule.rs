//! `ip rule add`, `delete` and `flush`.

use netwhy_wire::netlink::{Attributes, Builder, Fixed};

use super::super::read::realms;
use super::super::rule::{
    self, ACTIONS, FRA_DPORT_RANGE, FRA_DST, FRA_FLOW, FRA_FWMARK, FRA_FWMASK, FRA_GOTO, FRA_IIFNAME,
    FRA_IP_PROTO, FRA_L3MDEV, FRA_OIFNAME, FRA_PRIORITY, FRA_PROTOCOL, FRA_SPORT_RANGE, FRA_SRC,
    FRA_SUPPRESS_IFGROUP, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_TUN_ID, FRA_UID_RANGE, INVERT, RTM_DELRULE,
    RTM_GETRULE, RTM_NEWRULE,
};
use super::{family_flag, flags, written};
use crate::iproute::words::{self, Words, prefix, wrong};
use crate::iproute::{AF_INET, AF_INET6, AF_UNSPEC, Ctx};
use crate::session::ToolError;

/// `80` or `80-90` as a `struct fib_rule_port_range`.
fn ports(word: &str) -> Result<Vec<u8>, ToolError> {
    let (low, high) = word.split_once('-').unwrap_or((word, word));
    let number = |text: &str| words::number::<u16>(text, "invalid port range\n").map(u16::to_ne_bytes);
    Ok([number(low)?, number(high)?].concat())
}

/// `add` and `delete`.
pub(crate) fn modify(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().to_vec();
    let deleting = verb == "delete";
    let mut family = ctx.look.options.family;
    let mut header = [0_u8; 12];
    let mut bits = 0_u32;
    let mut body = Builder::new();
    let (mut table, mut has_table, mut priority) = (0_u32, false, None);
    // FR_ACT_TO_TBL for a new rule; 0, anything, when one is removed.
    header[7] = u8::from(!deleting);
    while let Some(word) = words.next() {
        match word {
            "not" => bits |= INVERT,
            "from" | "to" => {
                let (address, length) = prefix(words.value()?, family)?;
                if family == AF_UNSPEC && length != 0 {
                    family = if address.is_ipv4() { AF_INET } else { AF_INET6 };
                }
                let (kind, at) = if word == "from" { (FRA_SRC, 2) } else { (FRA_DST, 1) };
                if length != 0 {
                    body.ip(kind, address);
                }
                header[at] = length;
            }
            "preference" | "pref" | "priority" | "prio" | "order" => {
                let number = words::number(words.value()?, "preference value is invalid\n")?;
                body.u32(FRA_PRIORITY, number);
                priority = Some(number);
            }
            "tos" | "dsfield" => {
                let word = words.value()?;
                let tos = ctx.look.tables.dsfield(word).and_then(|tos| u8::try_from(tos).ok());
                header[3] = tos.ok_or_else(|| wrong(word, "TOS value is invalid\n"))?;
            }
            "fwmark" => {
                let (mark, mask) = {
                    let word = words.value()?;
                    word.split_once('/').unwrap_or((word, ""))
                };
                body.u32(FRA_FWMARK, words::number(mark, "fwmark value is invalid\n")?);
                if !mask.is_empty() {
                    body.u32(FRA_FWMASK, words::number(mask, "fwmask value is invalid\n")?);
                }
            }
            "realms" | "realm" => {
                let word = words.value()?;
                body.u32(FRA_FLOW, realms(ctx, word)?);
            }
            "protocol" | "proto" => {
                let word = words.value()?;
                let number = ctx.look.tables.protocols(word).and_then(|number| u8::try_from(number).ok());
                body.u8(FRA_PROTOCOL, number.ok_or_else(|| wrong(word, "\"protocol\" value is invalid\n"))?);
            }
            "tun_id" => {
                let id: u64 = words::number(words.value()?, "\"tun_id\" value is invalid\n")?;
                body.bytes(FRA_TUN_ID, &id.to_be_bytes());
            }
            "table" | "lookup" => {
                let word = words.value()?;
                table = ctx.look.tables.tables(word).ok_or_else(|| wrong(word, "invalid table ID\n"))?;
                has_table = true;
            }
            "suppress_prefixlength" | "sup_pl" => {
                body.u32(
                    FRA_SUPPRESS_PREFIXLEN,
                    words::number(words.value()?, "suppress_prefixlength value is invalid\n")?,
                );
            }
            "suppress_ifgroup" | "sup_group" => {
                let word = words.value()?;
                body.u32(
                    FRA_SUPPRESS_IFGROUP,
                    ctx.look
                        .tables
                        .groups(word)
                        .ok_or_else(|| wrong(word, "Invalid \"suppress_ifgroup\" value\n"))?,
                );
            }
            "dev" | "iif" => {
                body.str(FRA_IIFNAME, words.value()?);
            }
            "oif" => {
                body.str(FRA_OIFNAME, words.value()?);
            }
            "l3mdev" => {
                body.u8(FRA_L3MDEV, 1);
                has_table = true;
            }
            "uidrange" => {
                let word = words.value()?;
                let (low, high) = word.split_once('-').ok_or_else(|| wrong(word, "invalid UID range\n"))?;
                let number =
                    |text: &str| words::number::<u32>(text, "invalid UID range\n").map(u32::to_ne_bytes);
                body.bytes(FRA_UID_RANGE, &[number(low)?, number(high)?].concat());
            }
            "ipproto" => {
                let word = words.value()?;
                body.u8(
                    FRA_IP_PROTO,
                    ctx.look
                        .names
                        .protocol_number(word)
                        .ok_or_else(|| wrong(word, "Invalid \"ipproto\" value\n"))?,
                );
            }
            "sport" => {
                body.bytes(FRA_SPORT_RANGE, &ports(words.value()?)?);
            }
            "dport" => {
                body.bytes(FRA_DPORT_RANGE, &ports(words.value()?)?);
            }
            "goto" => {
                body.u32(FRA_GOTO, words::number(words.value()?, "invalid target\n")?);
                (header[7], has_table) = (2, true);
            }
            "nat" | "map-to" => return Err(wrong(word, "netwhy adds no translating rules\n")),
            word => {
                let word = if word == "type" { words.value()? } else { word };
                let action = ACTIONS.iter().find(|(_, name)| *name == word).map(|(number, _)| *number);
                header[7] = action.ok_or_else(|| wrong(word, "Failed to parse rule type\n"))?;
                has_table = true;
            }
        }
    }
    if !deleting && !has_table {
        table = 254;
    }
    header[0] = if family == AF_UNSPEC { AF_INET } else { family };
    header[4] = u8::try_from(table).unwrap_or(0);
    header[8..].copy_from_slice(&bits.to_ne_bytes());
    let mut message = Builder::with_header(&header);
    if table > 255 {
        message.u32(FRA_TABLE, table);
    }
    let body = body.finish().map_err(super::too_long)?;
    message.raw(&body);
    let six = if header[0] == AF_INET6 { "-6 " } else { family_flag(ctx) };
    let other = if deleting { "add" } else { "del" };
    let undo = match (deleting, priority) {
        // Removed by its number alone: what it was stands in the kernel's words.
        (true, Some(number)) if all.len() == 2 => {
            existing(ctx, header[0], number)?.map(|text| format!("ip {six}rule add pref {number} {text}"))
        }
        _ => Some(format!("ip {six}rule {other} {}", all.join(" "))),
    };
    ctx.announce(&format!("ip {six}rule {verb} {}", all.join(" ")), undo.as_deref())?;
    ctx.change(
        if deleting { RTM_DELRULE } else { RTM_NEWRULE },
        if deleting { 0 } else { flags("add") },
        message,
    )
}

/// A rule by its number, in `ip`'s words behind the number.
fn existing(ctx: &mut Ctx<'_>, family: u8, priority: u32) -> Result<Option<String>, ToolError> {
    let mut request = [0; 12];
    request[0] = family;
    let filter = rule::Filter { priority: Some(priority), ..rule::Filter::default() };
    for (kind, payload) in ctx.gather(RTM_GETRULE, &request)? {
        if filter.takes(&payload)? {
            let text = written(&ctx.look, |page, look| rule::print(page, look, &payload, kind))?;
            return Ok(text.split_once(' ').map(|(_, rest)| rest.to_owned()));
        }
    }
    Ok(None)
}

/// `ip rule flush`: every rule but the first, as the original.
pub(crate) fn flush(ctx: &mut Ctx<'_>) -> Result<(), ToolError> {
    let mut request = [0; 12];
    request[0] = match ctx.look.options.family {
        AF_UNSPEC => AF_INET,
        family => family,
    };
    for (kind, payload) in ctx.gather(RTM_GETRULE, &request)? {
        let priority =
            Attributes::after(&payload, 12).find(FRA_PRIORITY).and_then(|one| one.u32().ok()).unwrap_or(0);
        if priority == 0 {
            continue;
        }
        let text = written(&ctx.look, |page, look| rule::print(page, look, &payload, kind))?;
        let six = family_flag(ctx);
        let rest = text.split_once(' ').map_or("", |(_, rest)| rest);
        ctx.announce(
            &format!("remove rule {text}"),
            Some(&format!("ip {six}rule add pref {priority} {rest}")),
        )?;
        let mut message = Builder::with_header(Fixed(&payload).bytes(0, 12).unwrap_or(&[0; 12]));
        for attribute in Attributes::after(&payload, 12) {
            let attribute = attribute?;
            message.bytes(attribute.kind, attribute.payload);
        }
        ctx.change(RTM_DELRULE, 0, message)?;
    }
    Ok(())
}
