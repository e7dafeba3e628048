//! `ip nexthop show`: nexthop objects (rtnetlink `RTM_NEWNEXTHOP`, uapi `linux/nexthop.h`).

use netwhy_wire::netlink::{Builder, Fixed, Table};

use super::route::address_text;
use crate::iproute::{Ctx, Look, Page, Paint};
use crate::session::ToolError;

pub(crate) const RTM_NEWNEXTHOP: u16 = 104;
pub(crate) const RTM_DELNEXTHOP: u16 = 105;
pub(crate) const RTM_GETNEXTHOP: u16 = 106;

pub(crate) const NHA_ID: u16 = 1;
pub(crate) const NHA_GROUP: u16 = 2;
pub(crate) const NHA_GROUP_TYPE: u16 = 3;
pub(crate) const NHA_BLACKHOLE: u16 = 4;
pub(crate) const NHA_OIF: u16 = 5;
pub(crate) const NHA_GATEWAY: u16 = 6;
pub(crate) const NHA_GROUPS: u16 = 9;
pub(crate) const NHA_MASTER: u16 = 10;
pub(crate) const NHA_FDB: u16 = 11;
const NHA_RES_GROUP: u16 = 12;

/// Attributes of a nexthop are read up to this number.
const NEXTHOP_ATTRIBUTES: usize = 20;

/// One nexthop without the end of its line.
pub(crate) fn body(page: &mut Page<'_>, look: &Look, payload: &[u8]) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, NEXTHOP_ATTRIBUTES> = Table::after(payload, 8)?;
    let (family, scope, protocol) =
        (fixed.u8(0).unwrap_or(0), fixed.u8(1).unwrap_or(0), fixed.u8(2).unwrap_or(0));
    if let Some(id) = table.u32(NHA_ID)? {
        page.put("id", format_args!("id {id} "), id);
    }
    if let Some(group) = table.get(NHA_GROUP) {
        members(page, group.payload);
        if let Some(kind) = table.u16(NHA_GROUP_TYPE)?.filter(|kind| *kind != 0) {
            let word = if kind == 1 { "resilient" } else { "unknown" };
            page.put("type", format_args!("type {word} "), word);
        }
    }
    if let Some(resilient) = table.nest::<8>(NHA_RES_GROUP)? {
        page.open("resilient_args");
        if let Some(buckets) = resilient.u16(1)? {
            page.put("buckets", format_args!("buckets {buckets} "), buckets);
        }
        for (kind, key) in [(2, "idle_timer"), (3, "unbalanced_timer")] {
            if let Some(ticks) = resilient.u32(kind)? {
                page.put(key, format_args!("{key} {} ", ticks / 100), ticks / 100);
            }
        }
        if let Some(ticks) = resilient.u64(4)? {
            page.put("unbalanced_time", format_args!("unbalanced_time {} ", ticks / 100), ticks / 100);
        }
        page.close();
    }
    if let Some(gateway) = table.get(NHA_GATEWAY) {
        let text = address_text(family, gateway.payload);
        page.say("via ");
        page.paint(Paint::of_family(family), "gateway", format_args!("{text} "), &text);
    }
    if let Some(index) = table.u32(NHA_OIF)? {
        let name = look.devices.name(index);
        page.say("dev ");
        page.paint(Paint::Device, "dev", format_args!("{name} "), name.as_ref());
    }
    if scope != 0 || look.options.details {
        let name = look.tables.scope(scope.into());
        page.put("scope", format_args!("scope {name} "), name.as_ref());
    }
    if table.has(NHA_BLACKHOLE) {
        page.null("blackhole", "blackhole ");
    }
    if protocol != 0 || look.options.details {
        let name = look.tables.protocol(protocol.into());
        page.put("protocol", format_args!("proto {name} "), name.as_ref());
    }
    let flags = fixed.u32(4).unwrap_or(0);
    page.list("flags");
    for (bit, word) in [
        (1, "dead"),
        (4, "onlink"),
        (2, "pervasive"),
        (8, "offload"),
        (0x40, "trap"),
        (0x10, "linkdown"),
        (0x20, "unresolved"),
    ] {
        if flags & bit != 0 {
            page.put("", format_args!("{word} "), word);
        }
    }
    page.end_list();
    if table.has(NHA_FDB) {
        page.null("fdb", "fdb");
    }
    Ok(())
}

/// `group 1,2/2 `: ids, weights behind a comma.
fn members(page: &mut Page<'_>, bytes: &[u8]) {
    page.list("group");
    for (number, entry) in bytes.chunks_exact(8).enumerate() {
        let entry = Fixed(entry);
        let (id, weight) = (entry.u32(0).unwrap_or(0), u16::from(entry.u8(4).unwrap_or(0)) + 1);
        page.open("");
        let lead = if number == 0 { "group " } else { "/" };
        page.put("id", format_args!("{lead}{id}"), id);
        if weight > 1 {
            page.put("weight", format_args!(",{weight}"), weight);
        }
        page.close();
    }
    page.say(" ");
    page.end_list();
}

/// One nexthop.
pub(crate) fn print(page: &mut Page<'_>, look: &Look, payload: &[u8], kind: u16) -> Result<(), ToolError> {
    page.open("");
    if kind == RTM_DELNEXTHOP {
        page.flag("deleted", "Deleted ");
    }
    body(page, look, payload)?;
    page.say("\n");
    page.close();
    Ok(())
}

/// What a listing asks the kernel for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) oif: Option<u32>,
    pub(crate) master: Option<u32>,
    pub(crate) groups: bool,
    pub(crate) fdb: bool,
    pub(crate) protocol: Option<u8>,
}

/// `ip nexthop show` with its filter taken.
pub(crate) fn show(ctx: &mut Ctx<'_>, filter: &Filter) -> Result<(), ToolError> {
    let mut request = Builder::with_header(&[ctx.look.options.family, 0, 0, 0, 0, 0, 0, 0]);
    if let Some(index) = filter.oif {
        request.u32(NHA_OIF, index);
    }
    if let Some(index) = filter.master {
        request.u32(NHA_MASTER, index);
    }
    if filter.groups {
        request.flag(NHA_GROUPS);
    }
    if filter.fdb {
        request.flag(NHA_FDB);
    }
    let request = request.finish().map_err(|error| ToolError::failed(error.to_string(), 2))?;
    ctx.page.list("");
    ctx.dump(RTM_GETNEXTHOP, &request, |page, look, kind, payload| {
        if filter.protocol.is_none_or(|wanted| Fixed(payload).u8(2) == Some(wanted)) {
            print(page, look, payload, kind)?;
            page.turn()?;
        }
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}
