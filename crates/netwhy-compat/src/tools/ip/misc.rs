//! The smaller objects of `ip`: multicast addresses, per-device settings, neighbour tables, address labels, tokens,
//! tun devices, VRFs.

use netwhy_wire::netlink::{Fixed, Table};

use super::link::{self, IFLA_IFNAME, IFLA_LINKINFO, LINK_ATTRIBUTES};
use super::route::address_text;
use crate::iproute::words::{Words, garbage, pick};
use crate::iproute::{AF_INET, AF_INET6, AF_PACKET, AF_UNSPEC, Ctx, Page, RTM_GETLINK, WRONG, family_word};
use crate::session::ToolError;

fn only_show(words: &mut Words<'_>, object: &str, more: &[&str]) -> Result<(), ToolError> {
    let Some(word) = words.peek() else { return Ok(()) };
    if pick(word, &["show", "list", "lst"]).is_some() {
        words.next();
        return Ok(());
    }
    match pick(word, more) {
        Some(found) => Err(ToolError::Refused {
            what: format!("ip {object} {found}"),
            why: "netwhy only shows these objects".to_owned(),
            code: WRONG,
        }),
        None => {
            Err(ToolError::usage(format!("Command \"{word}\" is unknown, try \"ip {object} help\"."), WRONG))
        }
    }
}

/// The device behind `dev`, or alone.
fn device<'w>(words: &mut Words<'w>) -> Result<Option<&'w str>, ToolError> {
    let mut device = None;
    while let Some(word) = words.next() {
        let name = if word == "dev" { words.value()? } else { word };
        if device.replace(name).is_some() {
            return Err(garbage("dev", name));
        }
    }
    Ok(device)
}

/// One group a device listens to.
struct Group {
    index: u32,
    device: String,
    family: u8,
    address: String,
    users: u32,
    features: Option<&'static str>,
}

/// `ip maddress`.
pub(super) fn maddress(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    only_show(&mut words, "maddr", &["add", "delete", "help"])?;
    let wanted = device(&mut words)?;
    let family = ctx.look.options.family;
    let mut all = Vec::new();
    if matches!(family, AF_UNSPEC | AF_PACKET) {
        all.extend(ctx.collector.net_file("dev_mcast")?.lines().filter_map(hardware_group));
    }
    if matches!(family, AF_UNSPEC | AF_INET) {
        inet_groups(&ctx.collector.net_file("igmp")?, &mut all);
    }
    if matches!(family, AF_UNSPEC | AF_INET6)
        && let Ok(text) = ctx.collector.net_file("igmp6")
    {
        all.extend(text.lines().filter_map(inet6_group));
    }
    all.retain(|group| wanted.is_none_or(|wanted| wanted == group.device));
    // By device, then family as they were read.
    all.sort_by_key(|group| group.index);
    let page = &mut ctx.page;
    page.list("");
    let mut last = None;
    for group in &all {
        if last != Some(group.index) {
            if last.is_some() {
                page.end_list();
                page.close();
            }
            page.open("");
            page.put("ifindex", format_args!("{}:", group.index), group.index);
            page.put("ifname", format_args!("\t{}", group.device), &group.device);
            page.say("\n");
            page.list("maddr");
            last = Some(group.index);
        }
        page.open("");
        if group.family == AF_PACKET {
            page.put("link", format_args!("\tlink  {}", group.address), &group.address);
        } else {
            let word = family_word(group.family);
            page.put("family", format_args!("\t{word:<5} "), word);
            page.put("address", format_args!("{}", group.address), &group.address);
        }
        if group.users != 1 {
            page.put("users", format_args!(" users {}", group.users), group.users);
        }
        if let Some(features) = group.features {
            page.put("features", format_args!(" {features}"), features);
        }
        page.say("\n");
        page.close();
    }
    if last.is_some() {
        page.end_list();
        page.close();
    }
    page.end_list();
    page.end();
    Ok(())
}

/// `3    eth0            2     0     333300000001`: index, device, users, of them static, address.
fn hardware_group(line: &str) -> Option<Group> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [index, device, users, fixed, address] = words[..] else { return None };
    let bytes: Vec<&str> = (0..address.len() / 2).filter_map(|at| address.get(at * 2..at * 2 + 2)).collect();
    Some(Group {
        index: index.parse().ok()?,
        device: device.to_owned(),
        family: AF_PACKET,
        address: bytes.join(":"),
        users: users.parse().ok()?,
        features: (fixed != "0").then_some("static"),
    })
}

/// Devices in lines, their groups in indented lines below, addresses in host order.
fn inet_groups(text: &str, all: &mut Vec<Group>) {
    let mut current: Option<(u32, String)> = None;
    for line in text.lines().skip(1) {
        let mut words = line.split_whitespace();
        if !line.starts_with(['\t', ' ']) {
            let index = words.next().and_then(|word| word.parse().ok());
            let name = words.next().map(|name| name.trim_end_matches(':').to_owned());
            current = index.zip(name);
            continue;
        }
        let (Some((index, device)), Some(address), Some(users)) = (&current, words.next(), words.next())
        else {
            continue;
        };
        let Ok(number) = u32::from_str_radix(address, 16) else { continue };
        all.push(Group {
            index: *index,
            device: device.clone(),
            family: AF_INET,
            address: std::net::Ipv4Addr::from(number.to_ne_bytes()).to_string(),
            users: users.parse().unwrap_or(1),
            features: None,
        });
    }
}

/// `3    eth0            ff0200000000000000000001ff000010     3 00000004 0`.
fn inet6_group(line: &str) -> Option<Group> {
    let mut words = line.split_whitespace();
    let index = words.next()?.parse().ok()?;
    let device = words.next()?.to_owned();
    let number = u128::from_str_radix(words.next()?, 16).ok()?;
    let users = words.next()?.parse().ok()?;
    let address = std::net::Ipv6Addr::from(number).to_string();
    Some(Group { index, device, family: AF_INET6, address, users, features: None })
}

const RTM_GETNETCONF: u16 = 82;

/// One device's settings.
pub(super) fn print_netconf(
    page: &mut Page<'_>,
    look: &crate::iproute::Look,
    payload: &[u8],
    deleted: bool,
) -> Result<(), ToolError> {
    let family = Fixed(payload).u8(0).unwrap_or(0);
    let table: Table<'_, 10> = Table::after(payload, 4)?;
    page.open("");
    if deleted {
        page.flag("deleted", "Deleted ");
    }
    let word = family_word(family);
    page.put("family", format_args!("{word} "), word);
    if let Some(index) = table.i32(1)? {
        let name = match index {
            -1 => "all".into(),
            -2 => "default".into(),
            index => look.devices.name(u32::try_from(index).unwrap_or(0)),
        };
        page.put("interface", format_args!("{name} "), name.as_ref());
    }
    let on = |kind: u16| Ok::<_, ToolError>(table.i32(kind)?.map(|value| value != 0));
    if let Some(on) = on(2)? {
        page.on_off("forwarding", "forwarding", on);
    }
    if let Some(mode) = table.i32(3)? {
        let word = match mode {
            0 => "off",
            1 => "strict",
            2 => "loose",
            _ => "unknown",
        };
        page.put("rp_filter", format_args!("rp_filter {word} "), word);
    }
    for (kind, key, word) in [
        (4, "mc_forwarding", "mc_forwarding"),
        (5, "proxy_neigh", "proxy_neigh"),
        (6, "ignore_routes_with_linkdown", "ignore_routes_with_linkdown"),
        (7, "input", "input"),
    ] {
        if let Some(on) = on(kind)? {
            page.on_off(key, word, on);
        }
    }
    page.say("\n");
    page.close();
    Ok(())
}

/// `ip netconf`.
pub(super) fn netconf(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    only_show(&mut words, "netconf", &["help"])?;
    let name = device(&mut words)?;
    ctx.load_devices()?;
    let index = name.map(|name| ctx.device(name)).transpose()?;
    let families: &[u8] = match ctx.look.options.family {
        AF_UNSPEC => &[AF_INET, AF_INET6],
        AF_INET6 => &[AF_INET6],
        _ => &[AF_INET],
    };
    ctx.page.list("");
    for family in families {
        ctx.dump(RTM_GETNETCONF, &[*family, 0, 0, 0], |page, look, _, payload| {
            let table: Table<'_, 10> = Table::after(payload, 4)?;
            let own = table.i32(1)?.and_then(|own| u32::try_from(own).ok());
            if index.is_none() || own == index {
                print_netconf(page, look, payload, false)?;
            }
            Ok(())
        })?;
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

const RTM_GETNEIGHTBL: u16 = 66;

/// `ip ntable`.
pub(super) fn ntable(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    only_show(&mut words, "ntable", &["change", "help"])?;
    let (mut name, mut device) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "dev" => device = Some(words.value()?),
            "name" => name = Some(words.value()?),
            other => return Err(garbage("dev", other)),
        }
    }
    if ctx.look.options.stats > 0 && device.is_none() {
        return Err(ToolError::Refused {
            what: "ip -s ntable without dev".to_owned(),
            why: "the statistics of the whole table are in netwhy facts neighbours".to_owned(),
            code: WRONG,
        });
    }
    ctx.load_devices()?;
    let index = match device {
        Some("none") => Some(0),
        Some(name) => Some(ctx.device(name)?),
        None => None,
    };
    ctx.page.list("");
    ctx.dump(RTM_GETNEIGHTBL, &[ctx.look.options.family, 0, 0, 0], |page, look, _, payload| {
        let table: Table<'_, 12> = Table::after(payload, 4)?;
        if name.is_some_and(|wanted| table.text(1).is_none_or(|own| own != wanted)) {
            return Ok(());
        }
        let parameters: Option<Table<'_, 22>> = table.nest(6)?;
        let own = parameters.as_ref().map(|own| own.u32(1)).transpose()?.flatten().unwrap_or(0);
        if index.is_some_and(|wanted| wanted != own) {
            return Ok(());
        }
        page.open("");
        let word = family_word(Fixed(payload).u8(0).unwrap_or(0));
        page.put("family", format_args!("{word} "), word);
        if let Some(name) = table.text(1) {
            page.put("name", format_args!("{name} "), &name);
        }
        page.line();
        thresholds(page, &table)?;
        if let Some(parameters) = parameters {
            print_parameters(page, look, &parameters)?;
        }
        page.say("\n");
        page.close();
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

fn thresholds(page: &mut Page<'_>, table: &Table<'_, 12>) -> Result<(), ToolError> {
    if !table.has(2) {
        return Ok(());
    }
    page.say("    ");
    for (kind, word) in [(2, "thresh1"), (3, "thresh2"), (4, "thresh3")] {
        if let Some(number) = table.u32(kind)? {
            page.put(word, format_args!("{word} {number} "), number);
        }
    }
    if let Some(milliseconds) = table.u64(8)? {
        page.put("gc_interval", format_args!("gc_int {milliseconds} "), milliseconds);
    }
    page.line();
    Ok(())
}

fn print_parameters(
    page: &mut Page<'_>,
    look: &crate::iproute::Look,
    table: &Table<'_, 22>,
) -> Result<(), ToolError> {
    if let Some(index) = table.u32(1)?.filter(|index| *index != 0) {
        let name = look.devices.name(index);
        page.put("dev", format_args!("    dev {name} "), name.as_ref());
        page.line();
    }
    page.say("    ");
    // Four lines of attributes (NDTPA_*) and their words.
    #[rustfmt::skip]
    const LINES: [&[(u16, &str)]; 4] = [
        &[(2, "refcnt"), (3, "reachable"), (4, "base_reachable"), (5, "retrans")],
        &[(6, "gc_stale"), (7, "delay_probe"), (8, "queue")],
        &[(9, "app_probes"), (10, "ucast_probes"), (11, "mcast_probes")],
        &[(12, "anycast_delay"), (13, "proxy_delay"), (14, "proxy_queue"), (15, "locktime")],
    ];
    for (number, line) in LINES.iter().enumerate() {
        if number > 0 {
            page.line();
            page.say("    ");
        }
        for (kind, word) in *line {
            if let Some(attribute) = table.get(*kind) {
                let value = attribute.uint()?;
                page.put(word, format_args!("{word} {value} "), value);
            }
        }
    }
    page.line();
    Ok(())
}

const RTM_GETADDRLABEL: u16 = 74;

/// `ip addrlabel`.
pub(super) fn addrlabel(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    only_show(&mut words, "addrlabel", &["add", "delete", "flush", "help"])?;
    ctx.load_devices()?;
    let mut request = [0; 12];
    request[0] = AF_INET6;
    ctx.page.list("");
    ctx.dump(RTM_GETADDRLABEL, &request, |page, look, _, payload| {
        let fixed = Fixed(payload);
        let table: Table<'_, 4> = Table::after(payload, 12)?;
        page.open("");
        if let Some(address) = table.get(1) {
            let text = address_text(fixed.u8(0).unwrap_or(0), address.payload);
            let length = fixed.u8(2).unwrap_or(0);
            page.put("address", format_args!("prefix {text}"), &text);
            page.put("prefixlen", format_args!("/{length} "), length);
        }
        if let Some(index) = fixed.u32(4).filter(|index| *index != 0) {
            let name = look.devices.name(index);
            page.put("ifname", format_args!("dev {name} "), name.as_ref());
        }
        if let Some(label) = table.u32(2)? {
            page.put("label", format_args!("label {label} "), label);
        }
        page.say("\n");
        page.close();
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// `ip token`.
pub(super) fn token(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    if words.peek().is_some_and(|word| word == "get") {
        words.next();
    } else {
        only_show(&mut words, "token", &["set", "delete", "help"])?;
    }
    let name = device(&mut words)?;
    ctx.load_devices()?;
    let index = name.map(|name| ctx.device(name)).transpose()?;
    let mut request = [0; 16];
    request[0] = AF_INET6;
    ctx.page.list("");
    ctx.dump(RTM_GETLINK, &request, |page, look, _, payload| {
        const IFLA_PROTINFO: u16 = 12;
        const IFLA_INET6_TOKEN: u16 = 7;
        const NO_TOKEN: u32 = 0x8 | 0x80;
        let fixed = Fixed(payload);
        let own = fixed.u32(4).unwrap_or(0);
        let flags = fixed.u32(8).unwrap_or(0);
        if index.is_some_and(|wanted| wanted != own) || flags & NO_TOKEN != 0 {
            return Ok(());
        }
        let table: Table<'_, LINK_ATTRIBUTES> = Table::after(payload, 16)?;
        let Some(inet6) = table.nest::<10>(IFLA_PROTINFO)? else { return Ok(()) };
        let Some(token) = inet6.get(IFLA_INET6_TOKEN) else { return Ok(()) };
        let text = address_text(AF_INET6, token.payload);
        let name = look.devices.name(own);
        page.open("");
        page.put("token", format_args!("token {text} "), &text);
        page.put("ifname", format_args!("dev {name}"), name.as_ref());
        page.say("\n");
        page.close();
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// `ip tuntap`.
pub(super) fn tuntap(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    only_show(&mut words, "tuntap", &["add", "delete", "help"])?;
    if ctx.look.options.details {
        return Err(ToolError::Refused {
            what: "ip -d tuntap".to_owned(),
            why: "it looks for the processes behind each device by reading every descriptor".to_owned(),
            code: WRONG,
        });
    }
    let filter = link::Filter { kind: Some("tun".to_owned()), ..link::Filter::default() };
    let links = link::gather(ctx, &filter, AF_UNSPEC)?;
    let page = &mut ctx.page;
    page.list("");
    for one in &links {
        let table: Table<'_, LINK_ATTRIBUTES> = Table::after(one, 16)?;
        let Some(info) = table.nest::<6>(IFLA_LINKINFO)? else { continue };
        let Some(data) = info.nest::<10>(2)? else { continue };
        let name = table.text(IFLA_IFNAME).unwrap_or_default();
        page.open("");
        page.put("ifname", format_args!("{name}:"), &name);
        let mut flags = vec![if data.u8(3)? == Some(1) { "tun" } else { "tap" }];
        for (kind, word) in [(4, "pi"), (5, "vnet_hdr"), (7, "multi_queue"), (6, "persist")] {
            if data.u8(kind)?.is_some_and(|value| value != 0) {
                flags.push(word);
            }
        }
        page.list("flags");
        for flag in flags {
            page.put("", format_args!(" {flag}"), flag);
        }
        page.end_list();
        for (kind, word) in [(1, "user"), (2, "group")] {
            if let Some(id) = data.u32(kind)? {
                page.put(word, format_args!(" {word} {id}"), id);
            }
        }
        page.say("\n");
        page.close();
    }
    page.end_list();
    page.end();
    Ok(())
}

/// `ip vrf`.
pub(super) fn vrf(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    only_show(&mut words, "vrf", &["exec", "identify", "pids", "help"])?;
    let wanted = words.next();
    let filter = link::Filter { kind: Some("vrf".to_owned()), ..link::Filter::default() };
    let links = link::gather(ctx, &filter, AF_UNSPEC)?;
    if let Some(name) = wanted
        && ctx.find_device(name)?.is_none()
    {
        return Err(ToolError::usage("Invalid VRF", WRONG));
    }
    let mut rows: Vec<(String, u32)> = Vec::new();
    for one in &links {
        let table: Table<'_, LINK_ATTRIBUTES> = Table::after(one, 16)?;
        let Some(info) = table.nest::<6>(IFLA_LINKINFO)? else { continue };
        let number = info.nest::<4>(2)?.map(|data| data.u32(1)).transpose()?.flatten().unwrap_or(0);
        let name = table.text(IFLA_IFNAME).unwrap_or_default().into_owned();
        if wanted.is_none_or(|wanted| wanted == name) {
            rows.push((name, number));
        }
    }
    let page = &mut ctx.page;
    if wanted.is_none() {
        page.say("Name              Table\n-----------------------\n");
    }
    page.list("");
    for (name, number) in &rows {
        page.open("");
        page.put("name", format_args!("{name:<16}  "), name);
        page.put("table", format_args!("{number:>5}"), *number);
        page.say("\n");
        page.close();
    }
    page.end_list();
    if rows.is_empty() && wanted.is_none() {
        page.say("No VRF has been configured\n");
    }
    page.end();
    Ok(())
}
