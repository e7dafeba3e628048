//! `ip addr show`: addresses below their devices (rtnetlink `RTM_NEWADDR`, uapi `linux/if_addr.h`).

use std::net::IpAddr;

use netwhy_render::escape::escape_terminal;
use netwhy_wire::netlink::{Fixed, Table};

use super::{link, stats};
use crate::iproute::words::same_prefix;
use crate::iproute::{AF_INET, AF_INET6, AF_PACKET, AF_UNSPEC, Ctx, Look, Page, Paint, family_word};
use crate::session::ToolError;

pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_DELADDR: u16 = 21;
pub(crate) const RTM_GETADDR: u16 = 22;

pub(crate) const IFA_ADDRESS: u16 = 1;
pub(crate) const IFA_LOCAL: u16 = 2;
pub(crate) const IFA_LABEL: u16 = 3;
pub(crate) const IFA_BROADCAST: u16 = 4;
const IFA_ANYCAST: u16 = 5;
pub(crate) const IFA_CACHEINFO: u16 = 6;
pub(crate) const IFA_FLAGS: u16 = 8;
pub(crate) const IFA_RT_PRIORITY: u16 = 9;

/// Attributes of an address are read up to this number.
pub(crate) const ADDR_ATTRIBUTES: usize = 12;

const PERMANENT: u32 = 0x80;
/// `IFA_F_` flags in the order they are shown.
const FLAGS: [(u32, &str); 12] = [
    (0x01, "secondary"),
    (0x02, "nodad"),
    (0x04, "optimistic"),
    (0x08, "dadfailed"),
    (0x10, "home"),
    (0x20, "deprecated"),
    (0x40, "tentative"),
    (PERMANENT, "permanent"),
    (0x100, "mngtmpaddr"),
    (0x200, "noprefixroute"),
    (0x400, "autojoin"),
    (0x800, "stable-privacy"),
];

/// The flag of a word; `temporary` is what IPv6 calls `secondary`.
pub(crate) fn flag(word: &str) -> Option<u32> {
    match word {
        "temporary" => Some(0x01),
        "primary" => Some(0x01),
        "dynamic" => Some(PERMANENT),
        word => FLAGS.iter().find(|(_, known)| *known == word).map(|(bit, _)| *bit),
    }
}

/// What is shown and what is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) link: link::Filter,
    pub(crate) scope: Option<u8>,
    pub(crate) prefix: Option<(IpAddr, u8)>,
    pub(crate) label: Option<String>,
    /// Flags that count, and how they have to be.
    pub(crate) flags: (u32, u32),
}

impl Filter {
    /// Whether an address passes.
    pub(crate) fn takes(&self, family: u8, look: &Look, payload: &[u8]) -> Result<bool, ToolError> {
        let fixed = Fixed(payload);
        let own = fixed.u8(0).unwrap_or(0);
        if (family != AF_UNSPEC && family != own)
            || self.scope.is_some_and(|scope| fixed.u8(3) != Some(scope))
            || self.link.index.is_some_and(|index| fixed.u32(4) != Some(index))
        {
            return Ok(false);
        }
        let table: Table<'_, ADDR_ATTRIBUTES> = Table::after(payload, 8)?;
        let flags = flags_of(fixed, &table)?;
        if (flags & self.flags.0) != self.flags.1 {
            return Ok(false);
        }
        if let Some((prefix, length)) = self.prefix {
            let local = table.ip(IFA_LOCAL)?.or(table.ip(IFA_ADDRESS)?);
            if !local.is_some_and(|local| same_prefix(&prefix, &local, length)) {
                return Ok(false);
            }
        }
        if let Some(pattern) = &self.label {
            let device = look.devices.name(fixed.u32(4).unwrap_or(0));
            let label = table.text(IFA_LABEL).unwrap_or(device);
            if !glob(pattern, &label) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A shell pattern with `*` and `?`.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    fn walk(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                walk(rest, text) || text.split_first().is_some_and(|(_, shorter)| walk(pattern, shorter))
            }
            (Some((b'?', rest)), Some((_, text))) => walk(rest, text),
            (Some((one, rest)), Some((other, text))) => one == other && walk(rest, text),
            _ => false,
        }
    }
    walk(pattern.as_bytes(), text.as_bytes())
}

fn flags_of(fixed: Fixed<'_>, table: &Table<'_, ADDR_ATTRIBUTES>) -> Result<u32, ToolError> {
    Ok(table.u32(IFA_FLAGS)?.unwrap_or_else(|| fixed.u8(2).unwrap_or(0).into()))
}

/// `127.0.0.1/8 `, with the far end of a point-to-point address.
fn local(
    page: &mut Page<'_>,
    family: u8,
    length: u8,
    table: &Table<'_, ADDR_ATTRIBUTES>,
) -> Result<(), ToolError> {
    let paint = Paint::of_family(family);
    let far = table.ip(IFA_ADDRESS)?;
    let Some(near) = table.ip(IFA_LOCAL)?.or(far) else { return Ok(()) };
    page.paint(paint, "local", format_args!("{near}"), near.to_string());
    if let Some(far) = far.filter(|far| *far != near) {
        page.say(" peer ");
        page.paint(paint, "address", format_args!("{far}"), far.to_string());
    }
    page.put("prefixlen", format_args!("/{length} "), length);
    Ok(())
}

fn seconds(page: &mut Page<'_>, key: &str, word: &str, value: u32) {
    match value {
        u32::MAX => page.put(key, format_args!("{word} forever"), value),
        value => page.put(key, format_args!("{word} {value}sec"), value),
    }
}

/// One address. `named`: its device stands in front, as in `-o` and in `monitor`.
pub(crate) fn print(
    page: &mut Page<'_>,
    look: &Look,
    payload: &[u8],
    kind: u16,
    named: bool,
) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, ADDR_ATTRIBUTES> = Table::after(payload, 8)?;
    let (family, length) = (fixed.u8(0).unwrap_or(0), fixed.u8(1).unwrap_or(0));
    let index = fixed.u32(4).unwrap_or(0);
    if look.options.brief {
        page.open("");
        local(page, family, length, &table)?;
        page.close();
        return Ok(());
    }
    page.open("");
    if kind == RTM_DELADDR {
        page.flag("deleted", "Deleted ");
    }
    if named {
        let name = look.devices.name(index);
        page.put("index", format_args!("{index}: "), index);
        page.put("dev", format_args!("{name}"), name.as_ref());
    }
    let word = family_word(family);
    page.put("family", format_args!("    {word} "), word);
    local(page, family, length, &table)?;
    if let Some(metric) = table.u32(IFA_RT_PRIORITY)? {
        page.put("metric", format_args!("metric {metric} "), metric);
    }
    for (kind, key, word) in [(IFA_BROADCAST, "broadcast", "brd"), (IFA_ANYCAST, "anycast", "any")] {
        if let Some(address) = table.ip(kind)? {
            page.text(format_args!("{word} "));
            page.paint(Paint::of_family(family), key, format_args!("{address} "), address.to_string());
        }
    }
    let scope = look.tables.scope(fixed.u8(3).unwrap_or(0).into());
    page.put("scope", format_args!("scope {scope} "), scope.as_ref());
    flags(page, family, flags_of(fixed, &table)?);
    if let Some(label) = table.text(IFA_LABEL) {
        page.put("label", format_args!("{}", escape_terminal(&label)), &label);
    }
    if let Some(times) = table.fixed(IFA_CACHEINFO) {
        page.line();
        page.say("       ");
        seconds(page, "valid_life_time", "valid_lft", times.u32(4).unwrap_or(0));
        page.say(" ");
        seconds(page, "preferred_life_time", "preferred_lft", times.u32(0).unwrap_or(0));
    }
    page.say("\n");
    page.close();
    Ok(())
}

fn flags(page: &mut Page<'_>, family: u8, flags: u32) {
    let mut left = flags;
    for (bit, word) in FLAGS {
        left &= !bit;
        // What is not permanent says so.
        if bit == PERMANENT {
            if flags & bit == 0 {
                page.flag("dynamic", "dynamic ");
            }
            continue;
        }
        if flags & bit == 0 {
            continue;
        }
        let word = if bit == 1 && family == AF_INET6 { "temporary" } else { word };
        page.flag(word, &format!("{word} "));
    }
    if left != 0 {
        page.put("ifa_flags", format_args!("flags {left:02x} "), format!("{left:02x}"));
    }
}

/// The addresses of the namespace, by family or all.
fn addresses(ctx: &mut Ctx<'_>, family: u8) -> Result<Vec<Vec<u8>>, ToolError> {
    let mut request = [0; 8];
    request[0] = family;
    Ok(ctx.gather(RTM_GETADDR, &request)?.into_iter().map(|(_, payload)| payload).collect())
}

/// `ip addr show` with its filters taken.
pub(crate) fn show(ctx: &mut Ctx<'_>, filter: &Filter) -> Result<(), ToolError> {
    let family = ctx.look.options.family;
    // IPv6 has its own view of devices, with less in it.
    let view = if family == AF_INET6 && filter.link.index.is_none() { AF_INET6 } else { AF_UNSPEC };
    if view == AF_INET6 {
        ctx.load_devices()?;
    }
    let links = link::gather(ctx, &filter.link, view)?;
    // A prefix of a family asks for that family.
    let asked = match filter.prefix {
        Some((IpAddr::V4(_), _)) if family == AF_UNSPEC => AF_INET,
        Some((IpAddr::V6(_), _)) if family == AF_UNSPEC => AF_INET6,
        _ => family,
    };
    ctx.look.options.family = asked;
    let all = if asked == AF_PACKET { Vec::new() } else { addresses(ctx, asked)? };
    let (brief, oneline) = (ctx.look.options.brief, ctx.look.options.oneline);
    ctx.page.list("");
    for one in &links {
        let index = Fixed(one).u32(4).unwrap_or(0);
        let own: Vec<&Vec<u8>> = all.iter().filter(|address| Fixed(address).u32(4) == Some(index)).collect();
        let mut shown = Vec::new();
        for address in &own {
            if filter.takes(asked, &ctx.look, address)? {
                shown.push(address.as_slice());
            }
        }
        // A device without any address stays, unless a family was asked for.
        if shown.is_empty() && (!own.is_empty() || !matches!(asked, AF_UNSPEC | AF_PACKET)) {
            continue;
        }
        ctx.page.open("");
        if filter.label.is_none() || ctx.page.is_json() {
            if brief {
                link::print_brief(&mut ctx.page, &ctx.look, one, link::For::Addr)?;
            } else if !oneline {
                link::print(&mut ctx.page, &ctx.look, one, link::For::Addr, link::RTM_NEWLINK)?;
            }
        }
        if asked != AF_PACKET {
            ctx.page.list("addr_info");
            for address in shown {
                print(&mut ctx.page, &ctx.look, address, RTM_NEWADDR, oneline)?;
            }
            ctx.page.end_list();
        }
        if brief {
            ctx.page.say("\n");
        }
        if ctx.look.options.stats > 0 && !brief && !oneline {
            let table = Table::after(one, 16)?;
            stats::link(&mut ctx.page, &ctx.look, &table)?;
            ctx.page.say("\n");
        }
        ctx.page.close();
        ctx.page.turn()?;
    }
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}

/// The addresses a filter takes, for `flush`.
pub(crate) fn matching(ctx: &mut Ctx<'_>, filter: &Filter) -> Result<Vec<Vec<u8>>, ToolError> {
    let family = ctx.look.options.family;
    let all = addresses(ctx, family)?;
    let mut taken = Vec::new();
    for address in all {
        if filter.takes(family, &ctx.look, &address)? {
            taken.push(address);
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, fits) in [
            ("eth0*", "eth0:alias", true),
            ("eth?", "eth0", true),
            ("eth?", "eth10", false),
            ("*", "", true),
            ("a", "b", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
