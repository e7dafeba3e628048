//! The words behind `ip OBJECT show`: what is to be shown of it.

use std::net::IpAddr;

use netwhy_wire::netlink::{Builder, Table};

use super::route::{self, Selector};
use super::{addr, change, link, neigh, nexthop, rule};
use crate::iproute::words::{self, Words, garbage, matches, pick, prefix, wrong};
use crate::iproute::{AF_INET, AF_INET6, AF_PACKET, AF_UNSPEC, Ctx, WRONG};
use crate::session::ToolError;

/// The verb an object is asked for; none is `show`. `None`: a verb of changing.
fn verb<'v>(words: &mut Words<'_>, object: &str, verbs: &[&'v str]) -> Result<&'v str, ToolError> {
    let Some(word) = words.peek() else { return Ok("show") };
    let Some(found) = pick(word, verbs) else {
        return Err(ToolError::usage(
            format!("Command \"{word}\" is unknown, try \"ip {object} help\"."),
            WRONG,
        ));
    };
    words.next();
    Ok(match found {
        "list" | "lst" => "show",
        other => other,
    })
}

fn not_yet(object: &str, verb: &str) -> ToolError {
    ToolError::Refused {
        what: format!("ip {object} {verb}"),
        why: "netwhy does not make this change".to_owned(),
        code: WRONG,
    }
}

/// `ip link`.
pub(super) fn link(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let verbs = [
        "add", "change", "set", "replace", "delete", "show", "list", "lst", "xstats", "afstats", "property",
        "help",
    ];
    let found = verb(&mut words, "link", &verbs)?;
    match found {
        "show" => {
            let mut filter = addr::Filter::default();
            link_words(ctx, words, &mut filter)?;
            if ctx.look.options.family == AF_UNSPEC {
                ctx.look.options.family = AF_PACKET;
            }
            ctx.look.options.family = AF_PACKET;
            link::show(ctx, &filter.link)
        }
        "set" => change::link::set(ctx, words),
        "add" | "replace" | "change" => change::link::add(ctx, found, words),
        "delete" => change::link::delete(ctx, words),
        "property" => change::link::property(ctx, words),
        other => Err(not_yet("link", other)),
    }
}

/// `ip addr`.
pub(super) fn address(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let verbs = [
        "add", "change", "chg", "replace", "delete", "show", "list", "lst", "flush", "save", "showdump",
        "restore", "help",
    ];
    let found = verb(&mut words, "address", &verbs)?;
    match found {
        "show" => {
            let mut filter = addr::Filter::default();
            link_words(ctx, words, &mut filter)?;
            addr::show(ctx, &filter)
        }
        "add" | "change" | "chg" | "replace" | "delete" => change::addr::modify(ctx, found, words),
        "flush" => {
            if words.is_empty() {
                return Err(ToolError::usage("Flush requires arguments.", WRONG));
            }
            let mut filter = addr::Filter::default();
            ctx.load_devices()?;
            link_words(ctx, words, &mut filter)?;
            change::addr::flush(ctx, &filter)
        }
        other => Err(not_yet("address", other)),
    }
}

/// The filters `link show` and `addr show` share.
fn link_words(ctx: &mut Ctx<'_>, mut words: Words<'_>, filter: &mut addr::Filter) -> Result<(), ToolError> {
    let mut device: Option<&str> = None;
    while let Some(word) = words.next() {
        match word {
            "to" => filter.prefix = Some(prefix(words.value()?, ctx.look.options.family)?),
            "scope" => {
                let word = words.value()?;
                filter.scope = match word {
                    "all" => None,
                    word => Some(
                        ctx.look
                            .tables
                            .scopes(word)
                            .and_then(|scope| u8::try_from(scope).ok())
                            .ok_or_else(|| wrong(word, "invalid \"scope\" value."))?,
                    ),
                };
            }
            "up" => filter.link.up = true,
            "dynamic" => set_flag(filter, 0x80, false),
            "permanent" => set_flag(filter, 0x80, true),
            "primary" => set_flag(filter, 0x01, false),
            "secondary" | "temporary" => set_flag(filter, 0x01, true),
            "label" => filter.label = Some(words.value()?.to_owned()),
            "group" => {
                let word = words.value()?;
                let group = ctx.look.tables.groups(word);
                filter.link.group = Some(group.ok_or_else(|| wrong(word, "Invalid \"group\" value\n"))?);
            }
            "master" => {
                let word = words.value()?;
                let index = ctx.find_device(word)?;
                filter.link.master = Some(index.ok_or_else(|| wrong(word, "Device does not exist\n"))?);
            }
            "nomaster" => filter.link.no_master = true,
            "vrf" => {
                let word = words.value()?;
                let index = ctx.find_device(word)?;
                filter.link.master = Some(index.ok_or_else(|| wrong(word, "Not a valid VRF name\n"))?);
            }
            "type" => filter.link.kind = Some(words.value()?.to_owned()),
            "dev" if device.is_some() => return Err(garbage("dev", words.value()?)),
            "dev" => device = Some(words.value()?),
            other => {
                let (bare, on) = match other.strip_prefix('-') {
                    Some(bare) => (bare, false),
                    None => (other, true),
                };
                match addr::flag(bare) {
                    Some(bit) if !matches!(bare, "permanent") => set_flag(filter, bit, on),
                    _ if device.is_some() => return Err(garbage("dev", other)),
                    _ => device = Some(other),
                }
            }
        }
    }
    if let Some(name) = device {
        let index = ctx.find_device(name)?;
        filter.link.index =
            Some(index.ok_or_else(|| ToolError::failed(format!("Device \"{name}\" does not exist."), 1))?);
    }
    Ok(())
}

fn set_flag(filter: &mut addr::Filter, bit: u32, on: bool) {
    filter.flags.0 |= bit;
    filter.flags.1 = if on { filter.flags.1 | bit } else { filter.flags.1 & !bit };
}

/// `ip route`.
pub(super) fn route(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let verbs = [
        "add", "change", "chg", "replace", "prepend", "append", "test", "delete", "get", "show", "list",
        "lst", "flush", "save", "restore", "showdump", "help",
    ];
    let found = verb(&mut words, "route", &verbs)?;
    match found {
        "show" | "flush" => route_show(ctx, words, found == "flush"),
        "get" => route_get(ctx, words),
        "add" | "change" | "chg" | "replace" | "append" | "prepend" | "delete" => {
            change::route::modify(ctx, found, words)
        }
        other => Err(not_yet("route", other)),
    }
}

/// A byte by a name of one of iproute2's files.
fn byte(found: Option<u32>, word: &str, why: &str) -> Result<u8, ToolError> {
    found.and_then(|number| u8::try_from(number).ok()).ok_or_else(|| wrong(word, why))
}

/// The selector behind `to` or `from`.
fn selector(words: &mut Words<'_>, first: &str, family: u8) -> Result<Selector, ToolError> {
    let (how, word) = match first {
        "root" | "match" | "exact" => (first, words.value()?),
        word => ("exact", word),
    };
    let (address, length) = prefix(word, family)?;
    Ok(match how {
        "root" => Selector::Root(address, length),
        "match" => Selector::Match(address, length),
        _ => Selector::Exact(address, length),
    })
}

fn route_show(ctx: &mut Ctx<'_>, mut words: Words<'_>, flush: bool) -> Result<(), ToolError> {
    if flush && words.is_empty() {
        return Err(ToolError::usage("\"ip route flush\" requires arguments.", 1));
    }
    let mut filter = route::Filter { table: 254, ..route::Filter::default() };
    let mut devices: (Option<&str>, Option<&str>) = (None, None);
    let family = ctx.look.options.family;
    while let Some(word) = words.next() {
        match word {
            _ if word == "table" || (word.len() > 1 && matches(word, "table")) => {
                let word = words.value()?;
                match word {
                    "all" | "0" => filter.table = 0,
                    "cache" => (filter.table, filter.cached) = (0, true),
                    word => {
                        let table = ctx.look.tables.tables(word);
                        filter.table = table.ok_or_else(|| wrong(word, "table id value is invalid\n"))?;
                    }
                }
            }
            "vrf" => {
                let word = words.value()?;
                return Err(wrong(word, "Invalid VRF\n"));
            }
            "cached" | "cloned" | "cache" => (filter.table, filter.cached) = (0, true),
            "tos" | "dsfield" => {
                let word = words.value()?;
                filter.tos = Some(byte(ctx.look.tables.dsfield(word), word, "TOS value is invalid\n")?);
            }
            "protocol" | "proto" => {
                let word = words.value()?;
                if word != "all" {
                    filter.protocol =
                        Some(byte(ctx.look.tables.protocols(word), word, "invalid \"protocol\"\n")?);
                }
            }
            "scope" => {
                let word = words.value()?;
                if word != "all" {
                    filter.scope = Some(byte(ctx.look.tables.scopes(word), word, "invalid \"scope\"\n")?);
                }
            }
            "type" => {
                let word = words.value()?;
                filter.kind =
                    Some(route_type(word).ok_or_else(|| wrong(word, "node type value is invalid\n"))?);
            }
            "dev" | "oif" => devices.0 = Some(words.value()?),
            "iif" => devices.1 = Some(words.value()?),
            "mark" => filter.mark = Some(words::number(words.value()?, "mark value is invalid")?),
            "metric" | "priority" | "preference" => {
                filter.metric = Some(words::number(words.value()?, "invalid metric")?);
            }
            "via" => {
                let mut word = words.value()?;
                if matches!(word, "inet" | "inet6") {
                    word = words.value()?;
                }
                filter.via = Some(words::address(word, AF_UNSPEC)?);
            }
            "src" => filter.prefsrc = Some(words::address(words.value()?, family)?),
            "realms" | "realm" => {
                let word = words.value()?;
                filter.realm = Some(realms(ctx, word)?);
            }
            "from" => {
                let first = words.value()?;
                filter.src = Some(selector(&mut words, first, family)?);
            }
            "to" => {
                let first = words.value()?;
                if let Some(kind) = route_type(first) {
                    filter.kind = Some(kind);
                } else {
                    filter.dst = Some(selector(&mut words, first, family)?);
                }
            }
            "root" | "match" | "exact" => filter.dst = Some(selector(&mut words, word, family)?),
            word => {
                if let Some(kind) = route_type(word) {
                    filter.kind = Some(kind);
                } else {
                    filter.dst = Some(selector(&mut words, word, family)?);
                }
            }
        }
    }
    ctx.load_devices()?;
    if let Some(name) = devices.0 {
        filter.oif = Some(ctx.device(name)?);
    }
    if let Some(name) = devices.1 {
        filter.iif = Some(ctx.device(name)?);
    }
    let selected = filter
        .dst
        .as_ref()
        .or(filter.src.as_ref())
        .map(|one| if one.address().is_ipv4() { AF_INET } else { AF_INET6 });
    let families: &[u8] = match (family, selected, filter.table) {
        (AF_UNSPEC, Some(AF_INET6), _) => &[AF_INET6],
        (AF_UNSPEC, None, 0) => &[AF_INET, AF_INET6],
        (AF_UNSPEC, ..) => &[AF_INET],
        (AF_INET6, ..) => &[AF_INET6],
        _ => &[AF_INET],
    };
    if flush {
        for family in families {
            let request = route_request(*family, &filter)?;
            change::route::flush(ctx, *family, &request, &filter)?;
        }
        return Ok(());
    }
    ctx.page.list("");
    for family in families {
        dump_routes(ctx, *family, &filter)?;
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// The request for one family's routes; the kernel leaves out what it can tell.
fn route_request(family: u8, filter: &route::Filter) -> Result<Vec<u8>, ToolError> {
    let mut header = [0; 12];
    header[0] = family;
    header[5] = filter.protocol.unwrap_or(0);
    header[7] = filter.kind.unwrap_or(0);
    if filter.cached {
        header[8..].copy_from_slice(&route::CLONED.to_ne_bytes());
    }
    let mut request = Builder::with_header(&header);
    if filter.table != 0 {
        request.u32(route::RTA_TABLE, filter.table);
    }
    if let Some(index) = filter.oif {
        request.u32(route::RTA_OIF, index);
    }
    request.finish().map_err(|error| ToolError::failed(error.to_string(), 2))
}

fn dump_routes(ctx: &mut Ctx<'_>, family: u8, filter: &route::Filter) -> Result<(), ToolError> {
    let request = route_request(family, filter)?;
    // Objects that routes name are shown with them; they are read first.
    let objects = if ctx.look.options.details { nexthops(ctx)? } else { Vec::new() };
    let result = ctx.dump(route::RTM_GETROUTE, &request, |page, look, kind, payload| {
        let object = |page: &mut crate::iproute::Page<'_>, id: u32| nh_info(page, look, &objects, id);
        route::print(page, look, payload, filter, kind, &object)?;
        page.turn()?;
        Ok(())
    });
    match result {
        // A table that does not exist holds nothing.
        Err(ToolError::Failed { text, .. })
            if filter.table != 0 && text.contains("FIB table does not exist") =>
        {
            ctx.page.flush()?;
            Err(ToolError::failed(format!("{text}\nDump terminated"), 2))
        }
        other => other,
    }
}

fn nexthops(ctx: &mut Ctx<'_>) -> Result<Vec<(u32, Vec<u8>)>, ToolError> {
    let all = ctx.gather(nexthop::RTM_GETNEXTHOP, &[0; 8])?;
    let mut known = Vec::new();
    for (_, payload) in all {
        let table: Table<'_, 2> = Table::after(&payload, 8)?;
        if let Some(id) = table.u32(nexthop::NHA_ID)? {
            known.push((id, payload));
        }
    }
    Ok(known)
}

/// The nexthop object of a route, on a line of its own.
fn nh_info(
    page: &mut crate::iproute::Page<'_>,
    look: &crate::iproute::Look,
    objects: &[(u32, Vec<u8>)],
    id: u32,
) {
    if let Some((_, payload)) = objects.iter().find(|(known, _)| *known == id) {
        page.line();
        page.say("\tnh_info ");
        page.open("nh_info");
        // What the kernel sent was whole when it was gathered.
        let _ = nexthop::body(page, look, payload);
        page.close();
    }
}

/// The number of a type of route.
pub(super) fn route_type(word: &str) -> Option<u8> {
    if let Some(place) = route::TYPES.iter().position(|name| *name == word) {
        return u8::try_from(place).ok();
    }
    match word {
        "brd" => Some(3),
        _ => None,
    }
}

/// `FROM/TO` or `TO`.
pub(super) fn realms(ctx: &Ctx<'_>, word: &str) -> Result<u32, ToolError> {
    let one = |part: &str| ctx.look.tables.realms(part).ok_or_else(|| wrong(word, "invalid realms\n"));
    match word.split_once('/') {
        Some((from, to)) => Ok((one(from)? << 16) | one(to)?),
        None => one(word),
    }
}

fn route_get(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let mut family = ctx.look.options.family;
    let mut to: Option<(IpAddr, u8)> = None;
    let mut from = None;
    let mut request_flags = route::LOOKUP_TABLE;
    let mut tos = 0;
    let mut numbers: Vec<(u16, u32)> = Vec::new();
    let mut ports: Vec<(u16, u16)> = Vec::new();
    let (mut protocol, mut devices) = (None, Vec::new());
    let mut connected = false;
    while let Some(word) = words.next() {
        match word {
            "tos" | "dsfield" => {
                let word = words.value()?;
                tos = byte(ctx.look.tables.dsfield(word), word, "TOS value is invalid\n")?;
            }
            "from" => from = Some(prefix(words.value()?, family)?),
            "iif" => devices.push((route::RTA_IIF, words.value()?)),
            "oif" | "dev" => devices.push((route::RTA_OIF, words.value()?)),
            "mark" => numbers.push((route::RTA_MARK, words::number(words.value()?, "invalid mark")?)),
            "uid" => numbers.push((route::RTA_UID, words::number(words.value()?, "invalid UID\n")?)),
            "vrf" => devices.push((route::RTA_OIF, words.value()?)),
            "ipproto" => {
                let word = words.value()?;
                protocol = Some(
                    ctx.look
                        .names
                        .protocol_number(word)
                        .ok_or_else(|| wrong(word, "Invalid \"ipproto\" value\n"))?,
                );
            }
            "sport" => ports.push((route::RTA_SPORT, words::number(words.value()?, "invalid sport\n")?)),
            "dport" => ports.push((route::RTA_DPORT, words::number(words.value()?, "invalid dport\n")?)),
            "notify" => request_flags |= 0x100,
            "connected" => connected = true,
            "fibmatch" => request_flags |= route::FIB_MATCH,
            "as" => return Err(wrong("as", "not supported by netwhy")),
            word => {
                let word = if word == "to" { words.value()? } else { word };
                let found = prefix(word, family)?;
                if family == AF_UNSPEC {
                    family = if found.0.is_ipv4() { AF_INET } else { AF_INET6 };
                }
                to = Some(found);
            }
        }
    }
    let Some((address, length)) = to else {
        return Err(ToolError::usage("need at least a destination address", 1));
    };
    if connected {
        return Err(ToolError::Refused {
            what: "ip route get connected".to_owned(),
            why: "ask again with the source it answers".to_owned(),
            code: WRONG,
        });
    }
    ctx.load_devices()?;
    let mut header = [0; 12];
    header[0] = family;
    header[1] = length;
    header[2] = from.map_or(0, |from| from.1);
    header[3] = tos;
    if family == AF_INET6 {
        // IPv6 tells the real table without being asked, and refuses the flag.
        request_flags &= !route::LOOKUP_TABLE;
    }
    header[8..].copy_from_slice(&request_flags.to_ne_bytes());
    let mut request = Builder::with_header(&header);
    request.ip(route::RTA_DST, address);
    if let Some((from, _)) = from {
        request.ip(route::RTA_SRC, from);
    }
    for (kind, name) in devices {
        let index = ctx.device(name)?;
        request.u32(kind, index);
    }
    for (kind, number) in numbers {
        request.u32(kind, number);
    }
    for (kind, port) in ports {
        request.be16(kind, port);
    }
    if let Some(protocol) = protocol {
        request.u8(route::RTA_IP_PROTO, protocol);
    }
    let replies = ctx.ask(route::RTM_GETROUTE, request)?;
    let filter = route::Filter { get: true, ..route::Filter::default() };
    let objects = if ctx.look.options.details { nexthops(ctx)? } else { Vec::new() };
    ctx.page.list("");
    let look = &ctx.look;
    for (kind, payload) in &replies {
        let object = |page: &mut crate::iproute::Page<'_>, id: u32| nh_info(page, look, &objects, id);
        route::print(&mut ctx.page, look, payload, &filter, *kind, &object)?;
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// `ip rule`.
pub(super) fn rule(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let verbs = ["add", "delete", "flush", "list", "lst", "show", "save", "restore", "help"];
    let found = verb(&mut words, "rule", &verbs)?;
    match found {
        "show" => {}
        "add" | "delete" => return change::rule::modify(ctx, found, words),
        "flush" => return change::rule::flush(ctx),
        other => return Err(not_yet("rule", other)),
    }
    let mut filter = rule::Filter::default();
    let family = ctx.look.options.family;
    while let Some(word) = words.next() {
        match word {
            "preference" | "order" | "priority" | "prio" | "pref" => {
                filter.priority = Some(words::number(words.value()?, "preference value is invalid\n")?);
            }
            "table" | "lookup" => {
                let word = words.value()?;
                let table = ctx.look.tables.tables(word);
                filter.table = Some(table.ok_or_else(|| wrong(word, "table id value is invalid\n"))?);
            }
            "fwmark" => {
                let word = words.value()?;
                let (mark, mask) = word.split_once('/').unwrap_or((word, ""));
                let mark = words::number(mark, "fwmark value is invalid\n")?;
                let mask = if mask.is_empty() {
                    u32::MAX
                } else {
                    words::number(mask, "fwmask value is invalid\n")?
                };
                filter.mark = Some((mark, mask));
            }
            "iif" | "dev" => filter.iif = Some(words.value()?.to_owned()),
            "oif" => filter.oif = Some(words.value()?.to_owned()),
            "tos" | "dsfield" => {
                let word = words.value()?;
                filter.tos = Some(byte(ctx.look.tables.dsfield(word), word, "TOS value is invalid\n")?);
            }
            "l3mdev" => filter.l3mdev = true,
            "uidrange" => {
                let word = words.value()?;
                let (low, high) = word.split_once('-').ok_or_else(|| wrong(word, "invalid UID range\n"))?;
                filter.uids = Some((
                    words::number(low, "invalid UID range\n")?,
                    words::number(high, "invalid UID range\n")?,
                ));
            }
            "protocol" | "proto" => {
                let word = words.value()?;
                filter.protocol =
                    Some(byte(ctx.look.tables.protocols(word), word, "invalid \"protocol\"\n")?);
            }
            "from" => filter.from = Some(prefix(words.value()?, family)?).filter(|net| net.1 != 0),
            "to" => filter.to = Some(prefix(words.value()?, family)?),
            word => filter.to = Some(prefix(word, family)?),
        }
    }
    rule::show(ctx, &filter)
}

/// `ip neigh`.
pub(super) fn neigh(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let verbs = ["add", "change", "chg", "replace", "delete", "get", "show", "list", "lst", "flush", "help"];
    let found = verb(&mut words, "neigh", &verbs)?;
    match found {
        "show" => {}
        "add" | "change" | "chg" | "replace" | "delete" => return change::neigh::modify(ctx, found, words),
        "flush" => {
            let chosen = words.rest().iter().any(|word| word == "nud");
            let filter = neigh_words(ctx, words)?;
            return change::neigh::flush(ctx, &filter, chosen);
        }
        "get" => return neigh_get(ctx, words),
        other => return Err(not_yet("neigh", other)),
    }
    let filter = neigh_words(ctx, words)?;
    neigh::show(ctx, &filter)
}

/// The filter of `show` and `flush`.
fn neigh_words(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<neigh::Filter, ToolError> {
    let mut filter = neigh::Filter::default();
    let mut asked: Option<u16> = None;
    let mut device: Option<&str> = None;
    ctx.load_devices()?;
    while let Some(word) = words.next() {
        match word {
            "dev" => device = Some(words.value()?),
            "master" => {
                let word = words.value()?;
                let index = ctx.find_device(word)?;
                filter.master = Some(index.ok_or_else(|| wrong(word, "Device does not exist\n"))?);
            }
            "nomaster" => filter.no_master = true,
            "vrf" => {
                let word = words.value()?;
                return Err(wrong(word, "Not a valid VRF name\n"));
            }
            "unused" => filter.unused = true,
            "nud" => {
                let word = words.value()?;
                let bits = neigh::state(word).ok_or_else(|| wrong(word, "nud state is bad"))?;
                let bits = match word {
                    "all" => 0xff | 0x100,
                    "none" => 0x100,
                    _ => bits,
                };
                asked = Some(asked.unwrap_or(0) | bits);
            }
            "proxy" => filter.proxy = true,
            "protocol" | "proto" => {
                let word = words.value()?;
                filter.protocol =
                    Some(byte(ctx.look.tables.protocols(word), word, "\"protocol\" value is invalid\n")?);
            }
            word => {
                let word = if word == "to" { words.value()? } else { word };
                let found = prefix(word, ctx.look.options.family)?;
                if ctx.look.options.family == AF_UNSPEC {
                    ctx.look.options.family = if found.0.is_ipv4() { AF_INET } else { AF_INET6 };
                }
                filter.prefix = Some(found);
            }
        }
    }
    if let Some(states) = asked {
        filter.states = states;
    }
    if let Some(name) = device {
        filter.index = Some(ctx.device(name)?);
    }
    Ok(filter)
}

fn neigh_get(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let (mut address, mut device, mut flags) = (None, None, 0);
    while let Some(word) = words.next() {
        match word {
            "dev" => device = Some(words.value()?),
            "proxy" => flags |= neigh::NTF_PROXY,
            word => {
                let word = if word == "to" { words.value()? } else { word };
                address = Some(words::address(word, ctx.look.options.family)?);
            }
        }
    }
    let (Some(address), Some(device)) = (address, device) else {
        return Err(ToolError::usage("Device and address are required arguments.", WRONG));
    };
    ctx.load_devices()?;
    let index = ctx.device(device)?;
    let mut header = [0; 12];
    header[0] = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[10] = flags;
    let mut request = Builder::with_header(&header);
    request.ip(neigh::NDA_DST, address);
    let replies = ctx.ask(neigh::RTM_GETNEIGH, request)?;
    ctx.page.list("");
    for (_, payload) in &replies {
        neigh::print(&mut ctx.page, &ctx.look, payload, neigh::RTM_NEWNEIGH, false)?;
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// `ip nexthop`.
pub(super) fn nexthop(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    let verbs = ["add", "replace", "delete", "show", "list", "lst", "get", "flush", "bucket", "help"];
    let found = verb(&mut words, "nexthop", &verbs)?;
    match found {
        "show" => {}
        "add" | "replace" | "delete" => return change::nexthop::modify(ctx, found, words),
        "flush" => {
            ctx.load_devices()?;
            return change::nexthop::flush(ctx);
        }
        "get" => return nexthop_get(ctx, words),
        other => return Err(not_yet("nexthop", other)),
    }
    let mut filter = nexthop::Filter::default();
    ctx.load_devices()?;
    while let Some(word) = words.next() {
        match word {
            "dev" => filter.oif = Some(ctx.device(words.value()?)?),
            "groups" => filter.groups = true,
            "master" => {
                let word = words.value()?;
                let index = ctx.find_device(word)?;
                filter.master = Some(index.ok_or_else(|| wrong(word, "Device does not exist\n"))?);
            }
            "id" => {
                let id = words::number(words.value()?, "invalid id value")?;
                return nexthop_one(ctx, id);
            }
            "fdb" => filter.fdb = true,
            "protocol" | "proto" => {
                let word = words.value()?;
                filter.protocol =
                    Some(byte(ctx.look.tables.protocols(word), word, "invalid protocol value")?);
            }
            other => return Err(garbage("id", other)),
        }
    }
    nexthop::show(ctx, &filter)
}

fn nexthop_get(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    ctx.load_devices()?;
    match words.next() {
        Some("id") => {
            let id = words::number(words.value()?, "invalid id value")?;
            nexthop_one(ctx, id)
        }
        _ => Err(ToolError::usage("Only 'id' can be used for a 'get' command", WRONG)),
    }
}

fn nexthop_one(ctx: &mut Ctx<'_>, id: u32) -> Result<(), ToolError> {
    let mut request = Builder::with_header(&[0; 8]);
    request.u32(nexthop::NHA_ID, id);
    let replies = ctx.ask(nexthop::RTM_GETNEXTHOP, request)?;
    ctx.page.list("");
    for (kind, payload) in &replies {
        nexthop::print(&mut ctx.page, &ctx.look, payload, *kind)?;
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}
