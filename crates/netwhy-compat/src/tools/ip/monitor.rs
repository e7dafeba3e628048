//! `ip monitor`: what the kernel tells about changes, as it happens. With `-j` each event is one JSON object on its
//! own line (the original writes text there).

use std::ops::ControlFlow;

use netwhy_sys::clock;
use netwhy_sys::netlink::Protocol;
use netwhy_wire::netlink::{Builder, Fixed, Table};

use super::{addr, link, misc, neigh, netns, nexthop, route, rule};
use crate::iproute::words::{Words, matches};
use crate::iproute::{AF_INET, AF_INET6, AF_UNSPEC, Ctx, WRONG};
use crate::session::ToolError;

/// An object that is watched: its word, the label of its events, its groups (`RTNLGRP_*`) for IPv4, IPv6 and the
/// rest.
struct Object {
    word: &'static str,
    label: &'static str,
    inet: &'static [u32],
    inet6: &'static [u32],
    other: &'static [u32],
}

const OBJECTS: [Object; 9] = [
    Object { word: "link", label: "LINK", inet: &[], inet6: &[], other: &[1] },
    Object { word: "address", label: "ADDR", inet: &[5], inet6: &[9], other: &[] },
    Object { word: "route", label: "ROUTE", inet: &[7], inet6: &[11], other: &[27] },
    Object { word: "prefix", label: "PREFIX", inet: &[], inet6: &[18], other: &[] },
    Object { word: "neigh", label: "NEIGH", inet: &[], inet6: &[], other: &[3] },
    Object { word: "netconf", label: "NETCONF", inet: &[24], inet6: &[25], other: &[29] },
    Object { word: "rule", label: "RULE", inet: &[8], inet6: &[19], other: &[] },
    Object { word: "nsid", label: "NSID", inet: &[], inet6: &[], other: &[28] },
    Object { word: "nexthop", label: "NEXTHOP", inet: &[], inet6: &[], other: &[32] },
];

impl Object {
    fn groups(&self, family: u8) -> impl Iterator<Item = u32> {
        let inet = if family == AF_INET6 { &[] } else { self.inet };
        let inet6 = if family == AF_INET { &[] } else { self.inet6 };
        let other = if family == AF_UNSPEC || self.inet.is_empty() { self.other } else { &[] };
        inet.iter().chain(inet6).chain(other).copied()
    }
}

/// `ip monitor`.
pub(super) fn run(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let (mut chosen, mut all, mut label, mut device) = (Vec::new(), false, false, None);
    while let Some(word) = words.next() {
        match word {
            "label" => label = true,
            "dev" => device = Some(words.value()?),
            "file" | "all-nsid" => {
                return Err(ToolError::Refused {
                    what: format!("ip monitor {word}"),
                    why: "netwhy listens to one namespace and reads no recordings of rtmon".to_owned(),
                    code: WRONG,
                });
            }
            "all" => (all, label) = (true, true),
            word => match OBJECTS.iter().find(|object| matches(word, object.word)) {
                Some(object) => chosen.push(object),
                None if matches(word, "neighbour") => {
                    chosen.extend(OBJECTS.iter().filter(|one| one.word == "neigh"))
                }
                None if matches!(word, "mroute" | "stats") => {
                    return Err(ToolError::Refused {
                        what: format!("ip monitor {word}"),
                        why: "netwhy does not read these objects".to_owned(),
                        code: WRONG,
                    });
                }
                None => {
                    return Err(ToolError::usage(
                        format!("Argument \"{word}\" is unknown, try \"ip monitor help\"."),
                        WRONG,
                    ));
                }
            },
        }
    }
    if chosen.is_empty() || all {
        chosen = OBJECTS.iter().collect();
    }
    ctx.load_devices()?;
    ctx.load_namespaces();
    let index = device.map(|name| ctx.device(name)).transpose()?;
    let family = ctx.look.options.family;
    let groups: Vec<u32> = chosen.iter().flat_map(|object| object.groups(family)).collect();
    // Lists are for listings: every event is an object of its own.
    let collector = netwhy_collect::Collector::open(ctx.scope.clone())?;
    collector.follow(Protocol::Route, &groups, |heard| {
        let Some(event) = heard else {
            writeln!(ctx.err, "events were lost: the kernel told more than could be read")?;
            return Ok(ControlFlow::Continue(()));
        };
        if index.is_none_or(|index| of_device(event.kind, event.payload).is_none_or(|own| own == index)) {
            one(ctx, label, event.kind, event.payload)?;
            ctx.page.flush()?;
        }
        Ok::<_, ToolError>(ControlFlow::Continue(()))
    })
}

const RTM_NEWNSID: u16 = 88;

/// The device an event is about, if it is about one.
fn of_device(kind: u16, payload: &[u8]) -> Option<u32> {
    match kind {
        16 | 17 | 20 | 21 | 28 | 29 => Fixed(payload).u32(4),
        24 | 25 => {
            let table: Table<'_, { route::ROUTE_ATTRIBUTES }> = Table::after(payload, 12).ok()?;
            table.u32(route::RTA_OIF).ok()?
        }
        _ => None,
    }
}

/// Learns the name of a device that is new.
fn learn(ctx: &mut Ctx<'_>, index: u32) {
    if index == 0 || ctx.look.devices.flags(index).is_some() {
        return;
    }
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    // It may be gone already.
    let Ok(replies) = ctx.ask(crate::iproute::RTM_GETLINK, Builder::with_header(&header)) else { return };
    for (_, payload) in replies {
        remember(ctx, &payload);
    }
}

fn remember(ctx: &mut Ctx<'_>, payload: &[u8]) {
    let Ok(table) = Table::<'_, 4>::after(payload, 16) else { return };
    if let Some(name) = table.text(link::IFLA_IFNAME) {
        let fixed = Fixed(payload);
        ctx.look.devices.put(fixed.u32(4).unwrap_or(0), &name, fixed.u32(8).unwrap_or(0));
    }
}

fn stamp(ctx: &mut Ctx<'_>) {
    let options = &ctx.look.options;
    if !options.timestamp {
        return;
    }
    let now = clock::realtime();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(0);
    let micros = now.subsec_micros();
    if ctx.page.is_json() {
        let text = clock::local_time(seconds, "%Y-%m-%dT%H:%M:%S").unwrap_or_default();
        ctx.page.json("timestamp", format!("{text}.{micros:06}"));
    } else if options.short_time {
        let text = clock::local_time(seconds, "%Y-%m-%dT%H:%M:%S").unwrap_or_default();
        ctx.page.text(format_args!("[{text}.{micros:06}] "));
    } else {
        let text = clock::local_time(seconds, "%a %b %e %H:%M:%S %Y").unwrap_or_default();
        ctx.page.text(format_args!("Timestamp: {text} {micros} usec\n"));
    }
}

fn one(ctx: &mut Ctx<'_>, label: bool, kind: u16, payload: &[u8]) -> Result<(), ToolError> {
    let what = match kind {
        16 | 17 => "LINK",
        20 | 21 => "ADDR",
        24 | 25 => "ROUTE",
        28..=30 => "NEIGH",
        32 | 33 => "RULE",
        52 => "PREFIX",
        80 | 81 => "NETCONF",
        88 | 89 => "NSID",
        104 | 105 => "NEXTHOP",
        _ => return Ok(()),
    };
    if let Some(index) = of_device(kind, payload) {
        learn(ctx, index);
    }
    if kind == link::RTM_NEWLINK {
        remember(ctx, payload);
    }
    if kind == RTM_NEWNSID {
        // A name that is gone stays known for the event of its end.
        let old = ctx.look.namespaces.take().unwrap_or_default();
        let mut all = crate::iproute::netns_ids(&ctx.collector, &ctx.scope);
        all.extend(old);
        ctx.look.namespaces = std::cell::OnceCell::from(all);
    }
    ctx.page.open("");
    stamp(ctx);
    if label {
        let label = OBJECTS.iter().find(|object| object.label == what).map_or(what, |object| object.label);
        ctx.page.put("label", format_args!("[{label}]"), label);
    }
    ctx.page.open(&what.to_lowercase());
    let (page, look) = (&mut ctx.page, &ctx.look);
    // What these write is an object of its own; here it is a member.
    match kind {
        16 | 17 => link::print(page, look, payload, link::For::Event, kind)?,
        20 | 21 => addr::print(page, look, payload, kind, true)?,
        24 | 25 => {
            let filter = route::Filter { event: true, cached: false, ..route::Filter::default() };
            route::print(page, look, payload, &filter, kind, &|_, _| {})?;
        }
        28..=30 => neigh::print(page, look, payload, kind, false)?,
        32 | 33 => rule::print(page, look, payload, kind)?,
        80 | 81 => misc::print_netconf(page, look, payload, kind == 81)?,
        88 | 89 => netns::print_id(page, look, payload, kind == 89)?,
        104 | 105 => nexthop::print(page, look, payload, kind)?,
        _ => prefix(ctx, payload)?,
    }
    ctx.page.close();
    ctx.page.close();
    ctx.page.end();
    if kind == link::RTM_DELLINK
        && let Some(index) = Fixed(payload).u32(4)
        && Fixed(payload).u8(0) == Some(AF_UNSPEC)
    {
        ctx.look.devices.remove(index);
    }
    Ok(())
}

/// `struct prefixmsg`: a prefix a router announced.
fn prefix(ctx: &mut Ctx<'_>, payload: &[u8]) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, 4> = Table::after(payload, 12)?;
    let page = &mut ctx.page;
    if let Some(address) = table.get(1) {
        let text = route::address_text(AF_INET6, address.payload);
        let length = fixed.u8(9).unwrap_or(0);
        page.put("prefix", format_args!("prefix {text}/{length} "), format!("{text}/{length}"));
    }
    if let Some(index) = fixed.u32(4) {
        let name = ctx.look.devices.name(index);
        page.put("dev", format_args!("dev {name} "), name.as_ref());
    }
    let flags = fixed.u8(10).unwrap_or(0);
    for (bit, word) in [(1, "onlink"), (2, "autoconf")] {
        if flags & bit != 0 {
            page.flag(word, &format!("{word} "));
        }
    }
    if let Some(times) = table.fixed(2) {
        let (preferred, valid) = (times.u32(0).unwrap_or(0), times.u32(4).unwrap_or(0));
        page.put("valid", format_args!("valid {valid} "), valid);
        page.put("preferred", format_args!("preferred {preferred} "), preferred);
    }
    page.say("\n");
    Ok(())
}
