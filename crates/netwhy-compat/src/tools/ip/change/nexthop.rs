//! `ip nexthop add`, `replace`, `delete`.

use netwhy_wire::netlink::Builder;

use super::super::nexthop::{
    self, NHA_BLACKHOLE, NHA_FDB, NHA_GATEWAY, NHA_GROUP, NHA_GROUP_TYPE, NHA_ID, NHA_OIF, RTM_DELNEXTHOP,
    RTM_GETNEXTHOP, RTM_NEWNEXTHOP,
};
use super::{flags, written};
use crate::iproute::words::{self, Words, garbage, wrong};
use crate::iproute::{AF_INET, AF_INET6, AF_UNSPEC, Ctx, WRONG};
use crate::session::ToolError;

/// `1,2/2`: ids between slashes, weights behind commas.
fn members(word: &str) -> Result<Vec<u8>, ToolError> {
    let mut bytes = Vec::new();
    for one in word.split('/') {
        let (id, weight) = one.split_once(',').unwrap_or((one, "1"));
        let id: u32 = words::number(id, "invalid id in group")?;
        let weight: u16 = words::number(weight, "invalid weight in group")?;
        let weight =
            u8::try_from(weight.wrapping_sub(1)).map_err(|_| wrong(word, "invalid weight in group"))?;
        bytes.extend_from_slice(&id.to_ne_bytes());
        bytes.extend_from_slice(&[weight, 0, 0, 0]);
    }
    Ok(bytes)
}

/// `add`, `replace` and `delete`.
pub(crate) fn modify(ctx: &mut Ctx<'_>, verb: &str, mut words: Words<'_>) -> Result<(), ToolError> {
    let all = words.rest().to_vec();
    ctx.load_devices()?;
    let mut family = ctx.look.options.family;
    let (mut id, mut protocol, mut onlink) = (None::<u32>, 0, false);
    let mut body = Builder::new();
    while let Some(word) = words.next() {
        match word {
            "id" => id = Some(words::number(words.value()?, "invalid id value")?),
            "dev" => {
                let name = words.value()?;
                body.u32(NHA_OIF, ctx.device(name)?);
            }
            "via" => {
                let mut word = words.value()?;
                if matches!(word, "inet" | "inet6") {
                    word = words.value()?;
                }
                let gateway = words::address(word, AF_UNSPEC)?;
                family = if gateway.is_ipv4() { AF_INET } else { AF_INET6 };
                body.ip(NHA_GATEWAY, gateway);
            }
            "blackhole" => {
                body.flag(NHA_BLACKHOLE);
                if family == AF_UNSPEC {
                    family = AF_INET;
                }
            }
            "fdb" => {
                body.flag(NHA_FDB);
            }
            "onlink" => onlink = true,
            "group" => {
                body.bytes(NHA_GROUP, &members(words.value()?)?);
            }
            "type" => match words.value()? {
                "mpath" => {
                    body.u16(NHA_GROUP_TYPE, 0);
                }
                "resilient" => {
                    body.u16(NHA_GROUP_TYPE, 1);
                }
                other => return Err(wrong(other, "\"type\" value is invalid\n")),
            },
            "protocol" | "proto" => {
                let word = words.value()?;
                let number = ctx.look.tables.protocols(word).and_then(|number| u8::try_from(number).ok());
                protocol = number.ok_or_else(|| wrong(word, "\"protocol\" value is invalid\n"))?;
            }
            other => return Err(garbage("id", other)),
        }
    }
    let deleting = verb == "delete";
    if family == AF_UNSPEC && !deleting && all.iter().any(|word| word == "dev") {
        family = AF_INET;
    }
    let Some(id) = id else {
        return Err(ToolError::usage("Not enough information: \"id\" is required by netwhy.", WRONG));
    };
    let mut header = [if deleting { AF_UNSPEC } else { family }, 0, protocol, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&(if onlink { 4_u32 } else { 0 }).to_ne_bytes());
    let mut message = Builder::with_header(&header);
    message.u32(NHA_ID, id);
    let body = body.finish().map_err(super::too_long)?;
    if !deleting {
        message.raw(&body);
    }
    let before = if verb == "add" { None } else { existing(ctx, id)? };
    let undo = match (deleting, before) {
        (true, Some(text)) => Some(format!("ip nexthop add {text}; routes that used it are gone")),
        (true, None) => None,
        (false, Some(text)) => Some(format!("ip nexthop replace {text}")),
        (false, None) => Some(format!("ip nexthop del id {id}")),
    };
    ctx.announce(&format!("ip nexthop {verb} {}", all.join(" ")), undo.as_deref())?;
    ctx.change(if deleting { RTM_DELNEXTHOP } else { RTM_NEWNEXTHOP }, flags(verb), message)
}

fn existing(ctx: &mut Ctx<'_>, id: u32) -> Result<Option<String>, ToolError> {
    let mut request = Builder::with_header(&[0; 8]);
    request.u32(NHA_ID, id);
    let Ok(replies) = ctx.ask(RTM_GETNEXTHOP, request) else { return Ok(None) };
    let Some((_, payload)) = replies.first() else { return Ok(None) };
    let text = written(&ctx.look, |page, look| nexthop::body(page, look, payload))?;
    // Its scope follows from its gateway and is not said.
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut kept = Vec::new();
    let mut skip = false;
    for word in words {
        if skip || word == "scope" {
            skip = !skip;
            continue;
        }
        kept.push(word);
    }
    Ok(Some(kept.join(" ")))
}

/// The messages a flush removes are those `show` lists.
pub(crate) fn flush(ctx: &mut Ctx<'_>) -> Result<(), ToolError> {
    for (_, payload) in ctx.gather(RTM_GETNEXTHOP, &[ctx.look.options.family, 0, 0, 0, 0, 0, 0, 0])? {
        let table: netwhy_wire::netlink::Table<'_, 2> = netwhy_wire::netlink::Table::after(&payload, 8)?;
        let Some(id) = table.u32(NHA_ID)? else { continue };
        let undo = existing(ctx, id)?.map(|text| format!("ip nexthop add {text}"));
        ctx.announce(&format!("remove nexthop {id}"), undo.as_deref())?;
        let mut message = Builder::with_header(&[0; 8]);
        message.u32(NHA_ID, id);
        ctx.change(RTM_DELNEXTHOP, 0, message)?;
    }
    Ok(())
}
