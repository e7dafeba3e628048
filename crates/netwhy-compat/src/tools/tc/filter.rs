//! `tc filter show` (rtnetlink `RTM_NEWTFILTER`, uapi `linux/pkt_cls.h`).

use netwhy_wire::netlink::{Attribute, Fixed, Table};

use super::{action, units};
use crate::iproute::words::{self, Words, garbage, wrong};
use crate::iproute::{Ctx, Look, Page};
use crate::session::ToolError;

const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;

/// Where filters hang that see what comes in and what goes out.
pub(super) const INGRESS: u32 = 0xffff_fff2;
pub(super) const EGRESS: u32 = 0xffff_fff3;

/// Ethernet types `tc` has words for.
const PROTOCOLS: [(u16, &str); 6] = [
    (0x0003, "all"),
    (0x0800, "ip"),
    (0x86dd, "ipv6"),
    (0x0806, "arp"),
    (0x8100, "802.1Q"),
    (0x88a8, "802.1ad"),
];

pub(super) fn protocol(number: u16) -> String {
    let known = PROTOCOLS.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("[{number}]"), |(_, word)| (*word).to_owned())
}

/// The number of a protocol by word or number.
pub(super) fn read_protocol(word: &str) -> Result<u16, ToolError> {
    let known =
        PROTOCOLS.iter().find(|(_, known)| known.eq_ignore_ascii_case(word)).map(|(number, _)| *number);
    known.map_or_else(|| words::number(word, "invalid protocol"), Ok)
}

/// `tc filter show` with its filter taken.
pub(super) fn show(ctx: &mut Ctx<'_>, mut rest: Words<'_>) -> Result<(), ToolError> {
    ctx.load_devices()?;
    let (mut index, mut parent, mut named) = (None, 0, false);
    let (mut prio, mut wanted, mut chain) = (0_u32, 0_u16, None::<u32>);
    while let Some(word) = rest.next() {
        match word {
            "dev" => {
                let name = rest.value()?;
                index = Some(ctx.device(name)?);
            }
            "root" => (parent, named) = (u32::MAX, true),
            "ingress" => (parent, named) = (INGRESS, true),
            "egress" => (parent, named) = (EGRESS, true),
            "parent" => (parent, named) = (units::read_class(rest.value()?)?, true),
            "pref" | "preference" | "priority" | "prio" => {
                prio = words::number(rest.value()?, "invalid prio value")?
            }
            "protocol" => wanted = read_protocol(rest.value()?)?,
            "chain" => chain = Some(words::number(rest.value()?, "invalid chain index value")?),
            "block" => return Err(wrong(word, "netwhy does not read shared blocks")),
            other => return Err(garbage("dev", other)),
        }
    }
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&index.unwrap_or(0).to_ne_bytes());
    header[12..16].copy_from_slice(&parent.to_ne_bytes());
    let info = (prio << 16) | u32::from(wanted.to_be());
    header[16..].copy_from_slice(&info.to_ne_bytes());
    ctx.page.list("");
    let shown_parent = named.then_some(parent);
    ctx.dump(RTM_GETTFILTER, &header, |page, look, kind, payload| {
        let own = Fixed(payload).u32(16).unwrap_or(0);
        let table: Table<'_, 18> = Table::after(payload, 20)?;
        let number = table.u32(TCA_CHAIN)?.unwrap_or(0);
        if (prio == 0 || own >> 16 == prio) && chain.is_none_or(|chain| chain == number) {
            print(
                page,
                look,
                payload,
                kind,
                &Asked { parent: shown_parent, prio, protocol: wanted, chain },
                index.is_none(),
            )?;
            page.turn()?;
        }
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// What a listing was asked for, which is not repeated.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    parent: Option<u32>,
    prio: u32,
    protocol: u16,
    chain: Option<u32>,
}

/// One filter.
pub(super) fn print(
    page: &mut Page<'_>,
    look: &Look,
    payload: &[u8],
    kind: u16,
    asked: &Asked,
    with_device: bool,
) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let number = |at: usize| fixed.u32(at).unwrap_or(0);
    let (index, handle, own_parent, info) = (number(4), number(8), number(12), number(16));
    let table: Table<'_, 18> = Table::after(payload, 20)?;
    page.open("");
    if kind == RTM_DELTFILTER {
        page.flag("deleted", "deleted ");
    }
    page.say("filter ");
    if with_device {
        let device = look.devices.name(index);
        page.put("dev", format_args!("dev {device} "), device.as_ref());
    }
    if asked.parent != Some(own_parent) {
        match own_parent {
            u32::MAX => page.flag("root", "root "),
            INGRESS => page.flag("ingress", "ingress "),
            EGRESS => page.flag("egress", "egress "),
            other => {
                let text = units::handle(other);
                page.put("parent", format_args!("parent {text} "), &text);
            }
        }
    }
    if info != 0 {
        let number = u16::from_be(u16::try_from(info & 0xffff).unwrap_or(0));
        if number != asked.protocol {
            let word = protocol(number);
            page.put("protocol", format_args!("protocol {word} "), &word);
        }
        let prio = info >> 16;
        if prio != 0 && prio != asked.prio {
            page.put("pref", format_args!("pref {prio} "), prio);
        }
    }
    let name = table.text(TCA_KIND).unwrap_or_default();
    page.put("kind", format_args!("{name} "), &name);
    if let Some(chain) = table.u32(TCA_CHAIN)?.filter(|chain| asked.chain != Some(*chain)) {
        page.put("chain", format_args!("chain {chain} "), chain);
    }
    if let Some(options) = table.get(TCA_OPTIONS) {
        page.open("options");
        match name.as_ref() {
            "u32" => u32_filter(page, look, handle, &options)?,
            "bpf" => bpf(page, look, handle, &options)?,
            "matchall" => matchall(page, look, handle, &options)?,
            "fw" => fw(page, look, handle, &options)?,
            _ => {
                if handle != 0 {
                    page.put("handle", format_args!("handle {handle:#x} "), format!("{handle:#x}"));
                }
            }
        }
        page.close();
    }
    page.line();
    page.close();
    Ok(())
}

/// `skip_hw`, `in_hw` and their like (`TCA_CLS_FLAGS_*`).
fn hardware(page: &mut Page<'_>, flags: Option<u32>) {
    let Some(flags) = flags else { return };
    for (bit, word) in [(1, "skip_hw"), (2, "skip_sw"), (4, "in_hw"), (8, "not_in_hw")] {
        if flags & bit != 0 {
            page.flag(word, &format!("{word} "));
        }
    }
}

fn u32_filter(
    page: &mut Page<'_>,
    look: &Look,
    handle: u32,
    options: &Attribute<'_>,
) -> Result<(), ToolError> {
    const TERMINAL: u8 = 1;
    let data: Table<'_, 16> = Table::read(options.attributes())?;
    if handle != 0 {
        let (table, bucket, node) = (handle >> 20, (handle >> 12) & 0xff, handle & 0xfff);
        let part = |number: u32| if number == 0 { String::new() } else { format!("{number:x}") };
        let text = match (bucket, node) {
            (0, 0) => format!("{table:x}:"),
            (bucket, 0) => format!("{table:x}:{bucket:x}:"),
            (bucket, node) => format!("{table:x}:{}:{node:x}", part(bucket)),
        };
        page.put("fh", format_args!("fh {text} "), &text);
        if node != 0 {
            page.put("order", format_args!("order {node} "), node);
        }
    }
    if let Some(divisor) = data.u32(4)? {
        page.put("ht_divisor", format_args!("ht divisor {divisor} "), divisor);
        return Ok(());
    }
    let selector = data.fixed(5);
    match data.u32(2)? {
        Some(hash) => {
            let (table, bucket) = (format!("{:x}", hash >> 20), format!("{:x}", (hash >> 12) & 0xff));
            page.put("key_ht", format_args!("key ht {table} "), &table);
            page.put("bkt", format_args!("bkt {bucket} "), &bucket);
        }
        None => page.say("??? "),
    }
    let terminal = selector.and_then(|fixed| fixed.u8(0)).unwrap_or(0) & TERMINAL != 0;
    match data.u32(1)? {
        Some(class) => {
            let text = units::handle(class);
            let star = if terminal { "*" } else { "" };
            page.put("flowid", format_args!("{star}flowid {text} "), &text);
        }
        None if terminal => page.put("terminal", format_args!("terminal flowid "), true),
        None => {}
    }
    if let Some(link) = data.u32(3)? {
        let text = format!("{:x}:", link >> 20);
        page.put("link", format_args!("link {text} "), &text);
    }
    hardware(page, data.u32(11)?);
    if let Some(selector) = selector {
        let count = selector.u8(2).unwrap_or(0);
        for key in 0..usize::from(count) {
            let at = 16 + key * 16;
            let (mask, value) = (selector.be32(at).unwrap_or(0), selector.be32(at + 4).unwrap_or(0));
            let (offset, dynamic) = (selector.i32(at + 8).unwrap_or(0), selector.i32(at + 12).unwrap_or(0));
            page.line();
            let plus = if dynamic != 0 { "nexthdr+" } else { "" };
            page.text(format_args!("  match {value:08x}/{mask:08x} at {plus}{offset}"));
            page.open("match");
            page.json("value", format!("{value:x}"));
            page.json("mask", format!("{mask:x}"));
            page.json("offmask", plus);
            page.json("off", offset);
            page.close();
        }
    }
    if let Some(list) = data.get(7) {
        action::list(page, look, &list)?;
    }
    Ok(())
}

fn bpf(page: &mut Page<'_>, look: &Look, handle: u32, options: &Attribute<'_>) -> Result<(), ToolError> {
    let data: Table<'_, 16> = Table::read(options.attributes())?;
    if handle != 0 {
        page.put("handle", format_args!("handle {handle:#x} "), format!("{handle:#x}"));
    }
    if let Some(class) = data.u32(3)? {
        let text = units::handle(class);
        page.put("flowid", format_args!("flowid {text} "), &text);
    }
    if let Some(name) = data.text(7) {
        page.put("bpf_name", format_args!("{} ", netwhy_render::escape::escape_terminal(&name)), &name);
    }
    if data.u32(8)?.is_some_and(|flags| flags & 1 != 0) {
        page.flag("direct-action", "direct-action ");
    }
    hardware(page, data.u32(9)?);
    if let (Some(length), Some(code)) = (data.u16(4)?, data.get(5)) {
        let one = |bytes: &[u8]| {
            let fixed = Fixed(bytes);
            format!(
                "{} {} {} {}",
                fixed.u16(0).unwrap_or(0),
                fixed.u8(2).unwrap_or(0),
                fixed.u8(3).unwrap_or(0),
                fixed.u32(4).unwrap_or(0)
            )
        };
        let text: Vec<String> = code.payload.chunks_exact(8).map(one).collect();
        page.text(format_args!("bytecode '{length},{}'", text.join(",")));
        page.open("bytecode");
        page.json("length", length);
        page.list("insns");
        for bytes in code.payload.chunks_exact(8) {
            let fixed = Fixed(bytes);
            page.open("");
            page.json("code", fixed.u16(0).unwrap_or(0));
            page.json("jt", fixed.u8(2).unwrap_or(0));
            page.json("jf", fixed.u8(3).unwrap_or(0));
            page.json("k", fixed.u32(4).unwrap_or(0));
            page.close();
        }
        page.end_list();
        page.close();
    }
    if let Some(id) = data.u32(11)? {
        page.put("id", format_args!("id {id} "), id);
    }
    if let Some(tag) = data.get(10) {
        let text: String = tag.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        page.put("tag", format_args!("tag {text} "), &text);
    }
    if let Some(list) = data.get(1) {
        action::list(page, look, &list)?;
    }
    Ok(())
}

fn matchall(page: &mut Page<'_>, look: &Look, handle: u32, options: &Attribute<'_>) -> Result<(), ToolError> {
    let data: Table<'_, 8> = Table::read(options.attributes())?;
    if handle != 0 {
        page.put("handle", format_args!("handle {handle:#x} "), format!("{handle:#x}"));
    }
    if let Some(class) = data.u32(1)? {
        let text = units::handle(class);
        page.put("flowid", format_args!("flowid {text} "), &text);
    }
    page.line();
    page.say("  ");
    hardware(page, data.u32(3)?);
    if let Some(list) = data.get(2) {
        action::list(page, look, &list)?;
    }
    Ok(())
}

fn fw(page: &mut Page<'_>, look: &Look, handle: u32, options: &Attribute<'_>) -> Result<(), ToolError> {
    let data: Table<'_, 8> = Table::read(options.attributes())?;
    page.put("handle", format_args!("handle {handle:#x}"), format!("{handle:#x}"));
    if let Some(mask) = data.u32(5)?.filter(|mask| *mask != u32::MAX) {
        page.put("mask", format_args!("/{mask:#x}"), format!("{mask:#x}"));
    }
    page.say(" ");
    if let Some(class) = data.u32(1)? {
        let text = units::handle(class);
        page.put("classid", format_args!("classid {text} "), &text);
    }
    if let Some(list) = data.get(4) {
        action::list(page, look, &list)?;
    }
    Ok(())
}
