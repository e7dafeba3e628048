//! `tc qdisc show` and `tc class show` (rtnetlink `RTM_NEWQDISC`, `RTM_NEWTCLASS`, uapi `linux/pkt_sched.h`).

use netwhy_wire::netlink::{Builder, Fixed, Table};

use super::{options, units};
use crate::iproute::words::{Words, garbage};
use crate::iproute::{Ctx, Look, Page};
use crate::session::ToolError;

const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_DELTCLASS: u16 = 41;
const RTM_GETTCLASS: u16 = 42;

const TCA_KIND: u16 = 1;
pub(super) const TCA_OPTIONS: u16 = 2;
const TCA_XSTATS: u16 = 4;
const TCA_STATS2: u16 = 7;
const TCA_DUMP_INVISIBLE: u16 = 10;
const TCA_HW_OFFLOAD: u16 = 12;
const TCA_INGRESS_BLOCK: u16 = 13;
const TCA_EGRESS_BLOCK: u16 = 14;

pub(super) type Attributes<'a> = Table<'a, 18>;

const ROOT: u32 = u32::MAX;
const INGRESS: u32 = 0xffff_fff1;

/// What is shown and what is not.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    index: Option<u32>,
    root: bool,
    ingress: bool,
    parent: Option<u32>,
    handle: Option<u32>,
    classid: Option<u32>,
}

impl Filter {
    fn takes(&self, message: Fixed<'_>) -> bool {
        let number = |at: usize| message.u32(at).unwrap_or(0);
        let (index, handle, parent) = (number(4), number(8), number(12));
        self.index.is_none_or(|wanted| wanted == index)
            && (!self.root || parent == ROOT)
            && (!self.ingress || parent == INGRESS)
            && self.parent.is_none_or(|wanted| wanted == parent)
            && self.handle.is_none_or(|wanted| wanted == handle)
    }
}

fn words(ctx: &mut Ctx<'_>, mut words: Words<'_>, invisible: &mut bool) -> Result<Filter, ToolError> {
    let mut filter = Filter::default();
    ctx.load_devices()?;
    while let Some(word) = words.next() {
        match word {
            "dev" => {
                let name = words.value()?;
                filter.index = Some(ctx.device(name)?);
            }
            "root" => filter.root = true,
            "ingress" | "clsact" => filter.ingress = true,
            "parent" => filter.parent = Some(units::read_class(words.value()?)?),
            "handle" => filter.handle = Some(units::read_qdisc(words.value()?)?),
            "classid" => filter.classid = Some(units::read_class(words.value()?)?),
            "invisible" => *invisible = true,
            other => return Err(garbage("dev", other)),
        }
    }
    Ok(filter)
}

/// `tc qdisc show` with its filter taken.
pub(super) fn show(ctx: &mut Ctx<'_>, rest: Words<'_>) -> Result<(), ToolError> {
    let mut invisible = false;
    let filter = words(ctx, rest, &mut invisible)?;
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&filter.index.unwrap_or(0).to_ne_bytes());
    let mut request = Builder::with_header(&header);
    if invisible {
        request.flag(TCA_DUMP_INVISIBLE);
    }
    let request = request.finish().map_err(|error| ToolError::failed(error.to_string(), 2))?;
    ctx.page.list("");
    ctx.dump(RTM_GETQDISC, &request, |page, look, kind, payload| {
        if filter.takes(Fixed(payload)) {
            print(page, look, payload, kind, &filter)?;
            page.turn()?;
        }
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// One qdisc.
pub(super) fn print(
    page: &mut Page<'_>,
    look: &Look,
    payload: &[u8],
    kind: u16,
    filter: &Filter,
) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let number = |at: usize| fixed.u32(at).unwrap_or(0);
    let (index, handle, parent, references) = (number(4), number(8), number(12), number(16));
    let table: Attributes<'_> = Table::after(payload, 20)?;
    let name = table.text(TCA_KIND).unwrap_or_default();
    page.open("");
    if kind == RTM_DELQDISC {
        page.flag("deleted", "deleted ");
    }
    page.say("qdisc ");
    page.put("kind", format_args!("{name} "), &name);
    let text = format!("{:x}:", handle >> 16);
    page.put("handle", format_args!("{text} "), &text);
    if filter.index.is_none() {
        let device = look.devices.name(index);
        page.put("dev", format_args!("dev {device} "), device.as_ref());
    }
    if parent == ROOT {
        page.flag("root", "root ");
    } else if parent != 0 {
        let text = units::handle(parent);
        page.put("parent", format_args!("parent {text} "), &text);
    }
    if references != 1 {
        page.put("refcnt", format_args!("refcnt {references} "), references);
    }
    if table.u8(TCA_HW_OFFLOAD)?.is_some_and(|offloaded| offloaded != 0) {
        page.flag("offloaded", "offloaded ");
    }
    for (kind, key) in [(TCA_INGRESS_BLOCK, "ingress_block"), (TCA_EGRESS_BLOCK, "egress_block")] {
        if let Some(block) = table.u32(kind)? {
            page.put(key, format_args!("{key} {block} "), block);
        }
    }
    page.open("options");
    options::qdisc(page, look, &name, table.get(TCA_OPTIONS))?;
    page.close();
    page.line();
    if look.options.stats > 0 {
        counters(page, &table)?;
        options::qdisc_statistics(page, &name, xstats(&table)?)?;
        page.line();
    }
    page.close();
    Ok(())
}

/// The statistics of the kind.
fn xstats<'a>(table: &Attributes<'a>) -> Result<Option<Fixed<'a>>, ToolError> {
    let second: Option<Table<'_, 10>> = table.nest(TCA_STATS2)?;
    Ok(second.and_then(|second| second.fixed(4)).or_else(|| table.fixed(TCA_XSTATS)))
}

/// ` Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0) ` and the backlog.
pub(super) fn counters(page: &mut Page<'_>, table: &Attributes<'_>) -> Result<bool, ToolError> {
    let Some(second) = table.nest::<10>(TCA_STATS2)? else { return Ok(false) };
    if let Some(basic) = second.fixed(1) {
        let bytes = basic.u64(0).unwrap_or(0);
        let packets = second.u64(8)?.unwrap_or_else(|| basic.u32(8).unwrap_or(0).into());
        page.put("bytes", format_args!(" Sent {bytes} bytes"), bytes);
        page.put("packets", format_args!(" {packets} pkt"), packets);
    }
    let Some(queue) = second.fixed(3) else { return Ok(true) };
    let number = |at: usize| queue.u32(at).unwrap_or(0);
    let (length, backlog, drops, requeues, overlimits) =
        (number(0), number(4), number(8), number(12), number(16));
    page.put("drops", format_args!(" (dropped {drops}, "), drops);
    page.put("overlimits", format_args!("overlimits {overlimits} "), overlimits);
    page.put("requeues", format_args!("requeues {requeues}) "), requeues);
    if let Some(estimate) = second.fixed(2) {
        let (rate, packets) = (estimate.u32(0).unwrap_or(0), estimate.u32(4).unwrap_or(0));
        if rate != 0 || packets != 0 {
            page.line();
            page.put("rate", format_args!(" rate {}", units::rate(rate.into(), false)), rate);
            page.put("pps", format_args!(" {packets}pps"), packets);
        }
    }
    page.line();
    page.put("backlog", format_args!(" backlog {}", units::size(backlog.into())), backlog);
    page.put("qlen", format_args!(" {length}p"), length);
    page.text(format_args!(" requeues {requeues}"));
    Ok(true)
}

/// `tc class show` with its filter taken. Without a device there is nothing to ask for.
pub(super) fn classes(ctx: &mut Ctx<'_>, rest: Words<'_>) -> Result<(), ToolError> {
    let filter = words(ctx, rest, &mut false)?;
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&filter.index.unwrap_or(0).to_ne_bytes());
    header[12..16].copy_from_slice(&filter.parent.unwrap_or(0).to_ne_bytes());
    ctx.page.list("");
    ctx.dump(RTM_GETTCLASS, &header, |page, look, kind, payload| {
        let handle = Fixed(payload).u32(8).unwrap_or(0);
        if filter.classid.is_none_or(|wanted| wanted == handle) {
            print_class(page, look, payload, kind, &filter)?;
            page.turn()?;
        }
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// One class.
pub(super) fn print_class(
    page: &mut Page<'_>,
    look: &Look,
    payload: &[u8],
    kind: u16,
    filter: &Filter,
) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let number = |at: usize| fixed.u32(at).unwrap_or(0);
    let (index, handle, parent, leaf) = (number(4), number(8), number(12), number(16));
    let table: Attributes<'_> = Table::after(payload, 20)?;
    let name = table.text(TCA_KIND).unwrap_or_default();
    page.open("");
    if kind == RTM_DELTCLASS {
        page.flag("deleted", "deleted ");
    }
    page.put("class", format_args!("class {name} "), &name);
    let text = units::handle(handle);
    page.put("handle", format_args!("{text} "), &text);
    if filter.index.is_none() {
        let device = look.devices.name(index);
        page.put("dev", format_args!("dev {device} "), device.as_ref());
    }
    if parent == ROOT {
        page.flag("root", "root ");
    } else {
        let text = units::handle(parent);
        page.put("parent", format_args!("parent {text} "), &text);
    }
    if leaf != 0 {
        let text = format!("{:x}:", leaf >> 16);
        page.put("leaf", format_args!("leaf {text} "), &text);
    }
    page.open("options");
    options::class(page, look, &name, table.get(TCA_OPTIONS))?;
    page.close();
    page.line();
    if look.options.stats > 0 && counters(page, &table)? {
        options::class_statistics(page, &name, xstats(&table)?)?;
        page.line();
    }
    page.close();
    Ok(())
}
