//! `bridge link` and `bridge fdb`: ports and forwarding entries (rtnetlink with family `AF_BRIDGE`).

use netwhy_wire::netlink::{Builder, Fixed, Table};

use super::ip::link::{self, LINK_ATTRIBUTES};
use crate::iproute::words::{Words, garbage, pick, wrong};
use crate::iproute::{AF_BRIDGE, Ctx, IP_FLAGS, Look, Options, Page, Paint, RTM_GETLINK, STYLE, WRONG, mac};
use crate::{Session, Tool, ToolError, flags};

/// The tool.
pub static TOOL: Tool =
    Tool { name: "bridge", aliases: &[], about: "ports of bridges and forwarding entries", run };

const USAGE: &str = "Usage: bridge [ OPTIONS ] OBJECT { COMMAND | help }\nwhere  OBJECT := { link | fdb }";

fn run(session: &mut Session<'_>, args: &[String]) -> Result<u8, ToolError> {
    let parsed = flags::parse("bridge", IP_FLAGS, STYLE, args)?;
    if parsed.has("Version") {
        writeln!(session.out, "bridge utility, netwhy-{}", env!("CARGO_PKG_VERSION"))?;
        return Ok(0);
    }
    for refused in ["batch", "all", "family"] {
        if parsed.has(refused) {
            return Err(refusal(&format!("-{refused}")));
        }
    }
    if let Some(name) = parsed.value("netns") {
        session.enter(name);
    }
    let options = Options::read(&parsed, session)?;
    let Some((object, rest)) = parsed.words.split_first() else {
        return Err(ToolError::usage(USAGE, WRONG));
    };
    let Some(object) = pick(object, &["link", "fdb", "mdb", "vlan", "vni", "monitor", "help"]) else {
        return Err(ToolError::usage(format!("Object \"{object}\" is unknown, try \"bridge help\"."), WRONG));
    };
    let mut ctx = Ctx::new(session, options)?;
    let mut words = Words::new(rest);
    let verb = words.next().unwrap_or("show").to_owned();
    let shows = pick(&verb, &["show", "list", "lst"]).is_some();
    let result = match object {
        "link" if shows => links(&mut ctx, words),
        "fdb" if shows => entries(&mut ctx, words),
        other => Err(refusal(&format!("{other} {verb}"))),
    };
    ctx.page.flush()?;
    result.map(|()| 0)
}

fn refusal(what: &str) -> ToolError {
    ToolError::Refused {
        what: format!("bridge {what}"),
        why: "netwhy shows ports and forwarding entries".to_owned(),
        code: WRONG,
    }
}

/// `bridge link`.
fn links(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    if ctx.look.options.details || ctx.look.options.stats > 0 {
        return Err(refusal("-d link; use ip -d link show, which has every setting of a port"));
    }
    ctx.load_devices()?;
    let mut index = None;
    while let Some(word) = words.next() {
        match word {
            "dev" => {
                let name = words.value()?;
                index = Some(known(ctx, name)?);
            }
            other => return Err(garbage("dev", other)),
        }
    }
    let mut request = [0; 16];
    request[0] = AF_BRIDGE;
    ctx.page.list("");
    ctx.dump(RTM_GETLINK, &request, |page, look, _, payload| {
        if index.is_none_or(|wanted| Fixed(payload).u32(4) == Some(wanted)) {
            port(page, look, payload)?;
        }
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

fn port(page: &mut Page<'_>, look: &Look, payload: &[u8]) -> Result<(), ToolError> {
    const IFLA_PROTINFO: u16 = 12;
    const STATES: [&str; 5] = ["disabled", "listening", "learning", "forwarding", "blocking"];
    let fixed = Fixed(payload);
    let table: Table<'_, LINK_ATTRIBUTES> = Table::after(payload, 16)?;
    let Some(info) = table.nest::<64>(IFLA_PROTINFO)? else { return Ok(()) };
    page.open("");
    let index = fixed.u32(4).unwrap_or(0);
    page.put("ifindex", format_args!("{index}: "), index);
    link::name(page, look, &table, 0)?;
    link::flags(page, look, fixed.u32(8).unwrap_or(0), &table)?;
    if let Some(mtu) = table.u32(link::IFLA_MTU)? {
        page.put("mtu", format_args!("mtu {mtu} "), mtu);
    }
    if let Some(master) = table.u32(link::IFLA_MASTER)? {
        let name = look.devices.name(master);
        page.say("master ");
        page.paint(Paint::Device, "master", format_args!("{name} "), name.as_ref());
    }
    if let Some(state) = info.u8(1)? {
        match STATES.get(usize::from(state)) {
            Some(word) => page.put("state", format_args!("state {word} "), *word),
            None => page.put("state", format_args!("state ({state}) "), state),
        }
    }
    if let Some(priority) = info.u16(2)? {
        page.put("priority", format_args!("priority {priority} "), priority);
    }
    if let Some(cost) = info.u32(3)? {
        page.put("cost", format_args!("cost {cost} "), cost);
    }
    page.line();
    page.close();
    Ok(())
}

/// A device by name; `bridge` ends with 255 where there is none.
fn known(ctx: &mut Ctx<'_>, name: &str) -> Result<u32, ToolError> {
    ctx.find_device(name)?.ok_or_else(|| ToolError::failed(format!("Cannot find device \"{name}\""), WRONG))
}

/// `bridge fdb`.
fn entries(ctx: &mut Ctx<'_>, mut words: Words<'_>) -> Result<(), ToolError> {
    const RTM_GETNEIGH: u16 = 30;
    const NDA_IFINDEX: u16 = 8;
    const NDA_MASTER: u16 = 9;
    ctx.load_devices()?;
    let (mut device, mut bridge, mut port) = (None, None, None);
    while let Some(word) = words.next() {
        match word {
            "dev" | "brport" => {
                let name = words.value()?;
                let index = known(ctx, name)?;
                if word == "dev" {
                    device = Some(index);
                } else {
                    port = Some(index);
                }
            }
            "br" => {
                let name = words.value()?;
                bridge = Some(ctx.find_device(name)?.ok_or_else(|| wrong(name, "Device does not exist"))?);
            }
            other => return Err(refusal(&format!("fdb show {other}"))),
        }
    }
    let mut header = [0; 12];
    header[0] = AF_BRIDGE;
    let mut request = Builder::with_header(&header);
    if let Some(index) = bridge {
        request.u32(NDA_MASTER, index);
    }
    if let Some(index) = device.or(port) {
        request.u32(NDA_IFINDEX, index);
    }
    let request = request.finish().map_err(|error| ToolError::failed(error.to_string(), 2))?;
    ctx.page.list("");
    ctx.dump(RTM_GETNEIGH, &request, |page, look, _, payload| {
        let fixed = Fixed(payload);
        let own = fixed.u32(4);
        if fixed.u8(0) == Some(AF_BRIDGE)
            && (device.is_none() || own == device)
            && (port.is_none() || own == port)
        {
            entry(page, look, payload, device.or(port).is_some())?;
            page.turn()?;
        }
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

fn entry(page: &mut Page<'_>, look: &Look, payload: &[u8], filtered: bool) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, 18> = Table::after(payload, 12)?;
    let (state, flags) = (fixed.u16(8).unwrap_or(0), fixed.u8(10).unwrap_or(0));
    page.open("");
    if let Some(address) = table.get(2) {
        let text = mac(address.payload);
        page.paint(Paint::Mac, "mac", format_args!("{text} "), &text);
    }
    if !filtered {
        let name = look.devices.name(fixed.u32(4).unwrap_or(0));
        page.say("dev ");
        page.paint(Paint::Device, "ifname", format_args!("{name} "), name.as_ref());
    }
    if let Some(address) = table.ip(1)? {
        page.put("dst", format_args!("dst {address} "), address.to_string());
    }
    if let Some(vlan) = table.u16(5)? {
        page.put("vlan", format_args!("vlan {vlan} "), vlan);
    }
    if let Some(port) = table.be16(6)? {
        page.put("port", format_args!("port {port} "), port);
    }
    if let Some(vni) = table.u32(7)? {
        page.put("vni", format_args!("vni {vni} "), vni);
    }
    if let Some(index) = table.u32(8)? {
        let name = look.devices.name(index);
        page.put("viaIf", format_args!("via {name} "), name.as_ref());
    }
    if look.options.stats > 0
        && let Some(info) = table.fixed(3)
    {
        let (used, updated) = (info.u32(4).unwrap_or(0) / 100, info.u32(8).unwrap_or(0) / 100);
        page.put("used", format_args!("used {used}"), used);
        page.put("updated", format_args!("/{updated} "), updated);
    }
    page.list("flags");
    for (bit, word) in
        [(0x02, "self"), (0x80, "router"), (0x10, "extern_learn"), (0x20, "offload"), (0x40, "sticky")]
    {
        if flags & bit != 0 {
            page.put("", format_args!("{word} "), word);
        }
    }
    page.end_list();
    if let Some(master) = table.u32(9)? {
        let name = look.devices.name(master);
        page.put("master", format_args!("master {name} "), name.as_ref());
    }
    let word = [(0x80, "permanent"), (0x40, "static"), (0x04, "stale")]
        .into_iter()
        .find(|(bit, _)| state & bit != 0)
        .map_or("", |(_, word)| word);
    page.put("state", format_args!("{word}"), word);
    page.say("\n");
    page.close();
    Ok(())
}
