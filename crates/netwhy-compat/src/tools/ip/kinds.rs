//! What `ip -d link` says about a device's kind and about the kind of master it is a port of
//! (`IFLA_LINKINFO`, uapi `linux/if_link.h`).

mod bond;
mod bridge;
mod tunnel;
pub(crate) mod vf;
mod vxlan;

use netwhy_wire::netlink::{Attribute, Table};

use crate::iproute::{Look, Page, mac};
use crate::session::ToolError;

const KIND: u16 = 1;
const DATA: u16 = 2;
const SLAVE_KIND: u16 = 4;
const SLAVE_DATA: u16 = 5;

/// Attributes of a kind are read up to this number.
pub(super) const KIND_ATTRIBUTES: usize = 64;
pub(super) type Data<'a> = Table<'a, KIND_ATTRIBUTES>;

/// The lines of the kind and of the port.
pub(super) fn link_info(
    page: &mut Page<'_>,
    look: &Look,
    info: &Table<'_, 6>,
    arphrd: u16,
) -> Result<(), ToolError> {
    if !info.has(KIND) && !info.has(SLAVE_KIND) {
        return Ok(());
    }
    page.open("linkinfo");
    if let Some(kind) = info.text(KIND) {
        page.line();
        page.put("info_kind", format_args!("    {kind} "), &kind);
        if let Some(data) = info.get(DATA) {
            device(page, look, &kind, &data, arphrd)?;
        }
    }
    if let Some(kind) = info.text(SLAVE_KIND) {
        page.line();
        page.put("info_slave_kind", format_args!("    {kind}_slave "), &kind);
        if let Some(data) = info.get(SLAVE_DATA) {
            port(page, &kind, &data)?;
        }
    }
    page.close();
    Ok(())
}

type Writer = fn(&mut Page<'_>, &Look, &Data<'_>, u16) -> Result<(), ToolError>;

fn device(
    page: &mut Page<'_>,
    look: &Look,
    kind: &str,
    data: &Attribute<'_>,
    arphrd: u16,
) -> Result<(), ToolError> {
    let write: Writer = match kind {
        "bridge" => bridge::bridge,
        "vxlan" => vxlan::vxlan,
        "geneve" => vxlan::geneve,
        "macvlan" | "macvtap" => macvlan,
        "ipvlan" | "ipvtap" => ipvlan,
        "tun" => tun,
        "vlan" => vlan,
        "vrf" => vrf,
        "bond" => bond::bond,
        "ipip" | "sit" => tunnel::ipip,
        "ip6tnl" => tunnel::ip6tnl,
        "gre" | "gretap" | "erspan" | "ip6gre" | "ip6gretap" | "ip6erspan" => tunnel::gre,
        "vti" | "vti6" => tunnel::vti,
        "xfrm" => xfrm,
        // Nothing more is said of the others.
        _ => return Ok(()),
    };
    page.open("info_data");
    write(page, look, &Table::read(data.attributes())?, arphrd)?;
    page.close();
    Ok(())
}

fn port(page: &mut Page<'_>, kind: &str, data: &Attribute<'_>) -> Result<(), ToolError> {
    let table: Data<'_> = Table::read(data.attributes())?;
    match kind {
        "bridge" => {
            page.open("info_slave_data");
            bridge::port(page, &table)?;
            page.close();
        }
        "bond" => {
            page.open("info_slave_data");
            bond::slave(page, &table)?;
            page.close();
        }
        "vrf" => {
            page.open("info_slave_data");
            if let Some(number) = table.u32(1)? {
                page.put("table", format_args!("table {number} "), number);
            }
            page.close();
        }
        _ => {}
    }
    Ok(())
}

fn vrf(page: &mut Page<'_>, _look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    if let Some(number) = data.u32(1)? {
        page.put("table", format_args!("table {number} "), number);
    }
    Ok(())
}

fn xfrm(page: &mut Page<'_>, _look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    if data.has(3) {
        page.flag("external", "external ");
    }
    if let Some(id) = data.u32(2)? {
        page.put("if_id", format_args!("if_id {id:#x} "), format!("{id:#x}"));
    }
    Ok(())
}

fn ipvlan(page: &mut Page<'_>, _look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    if let Some(mode) = data.u16(1)? {
        let word = ["l2", "l3", "l3s"].get(usize::from(mode)).copied().unwrap_or("unknown");
        page.put("mode", format_args!(" mode {word} "), word);
    }
    if let Some(flags) = data.u16(2)? {
        let word = match flags {
            1 => "private",
            2 => "vepa",
            _ => "bridge",
        };
        page.put("mode_flag", format_args!("{word} "), word);
    }
    Ok(())
}

fn macvlan(page: &mut Page<'_>, _look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    if let Some(mode) = data.u32(1)? {
        let word = match mode {
            1 => "private",
            2 => "vepa",
            4 => "bridge",
            8 => "passthru",
            16 => "source",
            _ => "unknown",
        };
        page.put("mode", format_args!("mode {word} "), word);
    }
    if data.u16(2)?.is_some_and(|flags| flags & 1 != 0) {
        page.flag("nopromisc", "nopromisc ");
    }
    if data.u16(2)?.is_some_and(|flags| flags & 2 != 0) {
        page.flag("nodst", "nodst ");
    }
    for (kind, key) in [(7, "bcqueuelen"), (8, "usedbcqueuelen")] {
        if let Some(length) = data.u32(kind)? {
            page.put(key, format_args!("{key} {length} "), length);
        }
    }
    // Only the mode `source` has a list.
    if data.u32(1)? == Some(16)
        && let Some(count) = data.u32(6)?
    {
        page.put("macaddr_count", format_args!("remotes ({count}) "), count);
        page.list("macaddr_data");
        if let Some(list) = data.get(5) {
            for one in list.attributes() {
                let text = mac(one?.payload);
                page.put("", format_args!("{text} "), &text);
            }
        }
        page.end_list();
    }
    Ok(())
}

fn tun(page: &mut Page<'_>, _look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    if let Some(kind) = data.u8(3)? {
        let word = match kind {
            1 => "tun",
            2 => "tap",
            _ => "UNKNOWN",
        };
        page.put("type", format_args!("type {word} "), word);
    }
    let on = |kind: u16| Ok::<_, ToolError>(data.u8(kind)?.map(|value| value != 0));
    if let Some(on) = on(4)? {
        page.on_off("pi", "pi", on);
    }
    if let Some(on) = on(5)? {
        page.on_off("vnet_hdr", "vnet_hdr", on);
    }
    if let Some(many) = on(7)? {
        page.put("multi_queue", format_args!("{}", if many { "multi_queue " } else { "" }), many);
        if many {
            for (kind, key) in [(8, "numqueues"), (9, "numdisabled")] {
                if let Some(count) = data.u32(kind)? {
                    page.put(key, format_args!("{key} {count} "), count);
                }
            }
        }
    }
    if let Some(on) = on(6)? {
        page.on_off("persist", "persist", on);
    }
    for (kind, key, file) in [(1, "user", "/etc/passwd"), (2, "group", "/etc/group")] {
        if let Some(id) = data.u32(kind)? {
            let name = account(file, id);
            page.put(key, format_args!("{key} {name} "), &name);
        }
    }
    Ok(())
}

/// The name of a user or a group, or its number.
fn account(file: &str, id: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id.to_string()).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| id.to_string())
}

fn vlan(page: &mut Page<'_>, _look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    if let Some(protocol) = data.be16(5)? {
        let word = match protocol {
            0x8100 => "802.1Q".to_owned(),
            0x88a8 => "802.1ad".to_owned(),
            other => format!("[{other:#06x}]"),
        };
        page.put("protocol", format_args!("protocol {word} "), &word);
    }
    if let Some(id) = data.u16(1)? {
        page.put("id", format_args!("id {id} "), id);
    }
    if let Some(flags) = data.fixed(2).and_then(|fixed| fixed.u32(0)) {
        const WORDS: [&str; 5] = ["REORDER_HDR", "GVRP", "LOOSE_BINDING", "MVRP", "BRIDGE_BINDING"];
        let words: Vec<&str> = WORDS
            .iter()
            .enumerate()
            .filter(|(bit, _)| flags & (1 << bit) != 0)
            .map(|(_, word)| *word)
            .collect();
        page.text(format_args!("<{}> ", words.join(",")));
        page.list("flags");
        for word in words {
            page.json("", word);
        }
        page.end_list();
    }
    for (kind, key, word) in [(4, "ingress_qos", "ingress-qos-map"), (3, "egress_qos", "egress-qos-map")] {
        let Some(map) = data.get(kind) else { continue };
        page.line();
        page.text(format_args!("      {word} {{ "));
        page.list(key);
        for one in map.attributes() {
            let one = one?.fixed();
            let (from, to) = (one.u32(0).unwrap_or(0), one.u32(4).unwrap_or(0));
            page.open("");
            page.put("from", format_args!("{from}"), from);
            page.put("to", format_args!(":{to} "), to);
            page.close();
        }
        page.end_list();
        page.say("} ");
    }
    Ok(())
}
