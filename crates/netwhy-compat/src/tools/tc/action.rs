//! Actions of filters (uapi `linux/tc_act/*.h`).

use netwhy_wire::netlink::{Attribute, Table};

use super::units;
use crate::iproute::{Look, Page};
use crate::session::ToolError;

/// What becomes of a packet (`TC_ACT_*`).
fn verdict(number: i32) -> String {
    let word = match number {
        -1 => "continue",
        0 => "pass",
        1 => "reclassify",
        2 => "drop",
        3 => "pipe",
        4 | 5 => "stolen",
        6 => "repeat",
        7 => "redirect",
        8 => "trap",
        other => return format!("action {other:#x}"),
    };
    word.to_owned()
}

/// The list of a filter's actions, each with its statistics.
pub(super) fn list(page: &mut Page<'_>, look: &Look, list: &Attribute<'_>) -> Result<(), ToolError> {
    page.list("actions");
    for one in list.attributes() {
        let one = one?;
        let table: Table<'_, 12> = Table::read(one.attributes())?;
        page.open("");
        page.line();
        page.put("order", format_args!("\taction order {}: ", one.kind), one.kind);
        let kind = table.text(1).unwrap_or_default();
        let options: Option<Table<'_, 16>> = table.nest(2)?;
        if let Some(options) = &options {
            print(page, look, &kind, options)?;
        } else {
            page.put("kind", format_args!("{kind} "), &kind);
        }
        if look.options.stats > 0 {
            counters(page, &table)?;
        }
        page.line();
        page.close();
    }
    page.end_list();
    Ok(())
}

/// `struct tc_gen`: index, capab, action, refcnt, bindcnt.
fn common(page: &mut Page<'_>, options: &Table<'_, 16>, parms: u16) -> (u32, i32) {
    let Some(fixed) = options.fixed(parms) else { return (0, 0) };
    let _ = &page;
    (fixed.u32(0).unwrap_or(0), fixed.i32(8).unwrap_or(0))
}

fn references(page: &mut Page<'_>, options: &Table<'_, 16>, parms: u16) {
    let Some(fixed) = options.fixed(parms) else { return };
    let (index, count, bound) =
        (fixed.u32(0).unwrap_or(0), fixed.i32(12).unwrap_or(0), fixed.i32(16).unwrap_or(0));
    page.put("index", format_args!("\tindex {index} "), index);
    page.put("ref", format_args!("ref {count} "), count);
    page.put("bind", format_args!("bind {bound}"), bound);
}

/// When it was made and last used (`struct tcf_t`, clock_t).
fn times(page: &mut Page<'_>, fixed: Option<netwhy_wire::netlink::Fixed<'_>>) {
    let Some(fixed) = fixed else { return };
    for (at, key, word) in [(0, "installed", "installed"), (8, "last_used", "used")] {
        if let Some(ticks) = fixed.u64(at) {
            let seconds = ticks / 100;
            page.put(key, format_args!(" {word} {seconds} sec"), seconds);
        }
    }
    if let Some(seconds) = fixed.u64(24).map(|ticks| ticks / 100).filter(|seconds| *seconds != 0) {
        page.put("first_used", format_args!(" firstused {seconds} sec"), seconds);
    }
}

fn print(page: &mut Page<'_>, look: &Look, kind: &str, options: &Table<'_, 16>) -> Result<(), ToolError> {
    match kind {
        "gact" => {
            page.put("kind", format_args!("{kind} "), kind);
            let (_, action) = common(page, options, 2);
            let word = verdict(action);
            page.put("control_action", format_args!("action {word}"), &word);
            page.line();
            page.text(format_args!("\t random type none pass val 0"));
            page.line();
            let fixed = options.fixed(2);
            let number = |at: usize| fixed.and_then(|fixed| fixed.u32(at)).unwrap_or(0);
            page.put("index", format_args!("\t index {} ", number(0)), number(0));
            page.put("ref", format_args!("ref {} ", number(12)), number(12));
            page.put("bind", format_args!("bind {}", number(16)), number(16));
        }
        "mirred" => {
            let (_, action) = common(page, options, 2);
            let fixed = options.fixed(2);
            let (how, index) = (
                fixed.and_then(|fixed| fixed.i32(20)).unwrap_or(0),
                fixed.and_then(|fixed| fixed.u32(24)).unwrap_or(0),
            );
            let word = match how {
                1 => "Egress Redirect",
                2 => "Egress Mirror",
                3 => "Ingress Redirect",
                4 => "Ingress Mirror",
                _ => "unknown",
            };
            let device = look.devices.name(index);
            let control = verdict(action);
            page.put("kind", format_args!("{kind} "), kind);
            let (direction, what) = word.split_once(' ').unwrap_or(("", word));
            page.json("mirred_action", what.to_lowercase());
            page.json("direction", direction.to_lowercase());
            page.put("to_dev", format_args!("({word} to device {device})"), device.as_ref());
            page.put("control_action", format_args!(" {control}"), &control);
            page.line();
            references(page, options, 2);
            if look.options.stats > 0 {
                times(page, options.fixed(1));
            }
        }
        "police" => {
            // struct tc_police: index, action, limit, burst, mtu, rate and peak rate of 12 bytes, references.
            let fixed = options.fixed(1);
            let number = |at: usize| fixed.and_then(|fixed| fixed.u32(at)).unwrap_or(0);
            let rate = options.u64(8)?.unwrap_or_else(|| number(28).into());
            let burst = units::bytes_in(rate, number(12));
            page.put("kind", format_args!(" {kind} "), kind);
            page.text(format_args!("{:#x} ", number(0)));
            page.put("rate", format_args!("rate {} ", units::rate(rate, look.options.iec)), rate);
            page.put("burst", format_args!("burst {} ", units::size(burst)), burst);
            page.put("mtu", format_args!("mtu {} ", units::size(number(16).into())), number(16));
            let word = verdict(number(4).cast_signed());
            page.put("control_action", format_args!("action {word} "), &word);
        }
        other => {
            page.put("kind", format_args!("{other} "), other);
        }
    }
    Ok(())
}

fn counters(page: &mut Page<'_>, table: &Table<'_, 12>) -> Result<(), ToolError> {
    let Some(second) = table.nest::<10>(4)? else { return Ok(()) };
    page.line();
    page.say("\tAction statistics:");
    page.line();
    page.open("stats");
    if let Some(basic) = second.fixed(1) {
        let (bytes, packets) = (basic.u64(0).unwrap_or(0), basic.u32(8).unwrap_or(0));
        page.put("bytes", format_args!("\tSent {bytes} bytes"), bytes);
        page.put("packets", format_args!(" {packets} pkt"), packets);
    }
    if let Some(queue) = second.fixed(3) {
        let number = |at: usize| queue.u32(at).unwrap_or(0);
        page.put("drops", format_args!(" (dropped {}, ", number(8)), number(8));
        page.put("overlimits", format_args!("overlimits {} ", number(16)), number(16));
        page.put("requeues", format_args!("requeues {}) ", number(12)), number(12));
        page.line();
        page.put("backlog", format_args!("\tbacklog {}", units::size(number(4).into())), number(4));
        page.put("qlen", format_args!(" {}p", number(0)), number(0));
        page.text(format_args!(" requeues {}", number(12)));
    }
    page.close();
    Ok(())
}
