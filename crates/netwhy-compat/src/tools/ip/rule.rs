//! `ip rule show`: policy rules (rtnetlink `RTM_NEWRULE`, uapi `linux/fib_rules.h`).

use netwhy_wire::netlink::{Fixed, Table};

use super::route::address_text;
use crate::iproute::{AF_INET, AF_INET6, AF_UNSPEC, Ctx, Look, Page, Paint};
use crate::session::ToolError;

pub(crate) const RTM_NEWRULE: u16 = 32;
pub(crate) const RTM_DELRULE: u16 = 33;
pub(crate) const RTM_GETRULE: u16 = 34;

pub(crate) const FRA_DST: u16 = 1;
pub(crate) const FRA_SRC: u16 = 2;
pub(crate) const FRA_IIFNAME: u16 = 3;
pub(crate) const FRA_GOTO: u16 = 4;
pub(crate) const FRA_PRIORITY: u16 = 6;
pub(crate) const FRA_FWMARK: u16 = 10;
pub(crate) const FRA_FLOW: u16 = 11;
pub(crate) const FRA_TUN_ID: u16 = 12;
pub(crate) const FRA_SUPPRESS_IFGROUP: u16 = 13;
pub(crate) const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
pub(crate) const FRA_TABLE: u16 = 15;
pub(crate) const FRA_FWMASK: u16 = 16;
pub(crate) const FRA_OIFNAME: u16 = 17;
pub(crate) const FRA_L3MDEV: u16 = 19;
pub(crate) const FRA_UID_RANGE: u16 = 20;
pub(crate) const FRA_PROTOCOL: u16 = 21;
pub(crate) const FRA_IP_PROTO: u16 = 22;
pub(crate) const FRA_SPORT_RANGE: u16 = 23;
pub(crate) const FRA_DPORT_RANGE: u16 = 24;

/// Attributes of a rule are read up to this number.
pub(crate) const RULE_ATTRIBUTES: usize = 32;

pub(crate) const INVERT: u32 = 2;
const UNRESOLVED: u32 = 4;
const IIF_DETACHED: u32 = 8;
const OIF_DETACHED: u32 = 0x10;

/// Actions that are not a lookup, as `ip` writes them.
pub(crate) const ACTIONS: [(u8, &str); 4] =
    [(6, "blackhole"), (7, "unreachable"), (8, "prohibit"), (3, "nop")];

/// What is shown and what is not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) priority: Option<u32>,
    pub(crate) table: Option<u32>,
    pub(crate) mark: Option<(u32, u32)>,
    pub(crate) iif: Option<String>,
    pub(crate) oif: Option<String>,
    pub(crate) tos: Option<u8>,
    pub(crate) l3mdev: bool,
    pub(crate) uids: Option<(u32, u32)>,
    pub(crate) protocol: Option<u8>,
    pub(crate) from: Option<(std::net::IpAddr, u8)>,
    pub(crate) to: Option<(std::net::IpAddr, u8)>,
}

impl Filter {
    pub(crate) fn takes(&self, payload: &[u8]) -> Result<bool, ToolError> {
        let fixed = Fixed(payload);
        let table: Table<'_, RULE_ATTRIBUTES> = Table::after(payload, 12)?;
        let number = table.u32(FRA_TABLE)?.unwrap_or_else(|| fixed.u8(4).unwrap_or(0).into());
        let name = |wanted: &Option<String>, kind: u16| {
            wanted.as_ref().is_none_or(|wanted| table.text(kind).is_some_and(|text| text == wanted.as_str()))
        };
        let net = |wanted: Option<(std::net::IpAddr, u8)>, kind: u16, at: usize| {
            Ok::<_, ToolError>(match wanted {
                None => true,
                Some((address, length)) => {
                    fixed.u8(at) == Some(length) && table.ip(kind)?.is_some_and(|own| own == address)
                }
            })
        };
        let range =
            |kind: u16| table.fixed(kind).map(|fixed| (fixed.u32(0).unwrap_or(0), fixed.u32(4).unwrap_or(0)));
        Ok(self.priority.is_none_or(|wanted| table.u32(FRA_PRIORITY).ok().flatten().unwrap_or(0) == wanted)
            && self.table.is_none_or(|wanted| wanted == number)
            && self.tos.is_none_or(|wanted| fixed.u8(3) == Some(wanted))
            && (!self.l3mdev || table.has(FRA_L3MDEV))
            && self.uids.is_none_or(|wanted| range(FRA_UID_RANGE) == Some(wanted))
            && self.protocol.is_none_or(|wanted| table.u8(FRA_PROTOCOL).ok().flatten() == Some(wanted))
            && match self.mark {
                None => true,
                Some((mark, mask)) => {
                    table.u32(FRA_FWMARK)? == Some(mark)
                        && (mask == u32::MAX || table.u32(FRA_FWMASK)? == Some(mask))
                }
            }
            && name(&self.iif, FRA_IIFNAME)
            && name(&self.oif, FRA_OIFNAME)
            && net(self.from, FRA_SRC, 2)?
            && net(self.to, FRA_DST, 1)?)
    }
}

fn ports(page: &mut Page<'_>, word: &str, range: Fixed<'_>) {
    let (low, high) = (range.u16(0).unwrap_or(0), range.u16(2).unwrap_or(0));
    if low == high {
        page.put(word, format_args!(" {word} {low}"), low);
    } else {
        page.put(&format!("{word}_start"), format_args!(" {word} {low}"), low);
        page.put(&format!("{word}_end"), format_args!("-{high}"), high);
    }
}

fn network(page: &mut Page<'_>, key: &str, length_key: &str, family: u8, bytes: &[u8], length: u8) {
    let most = if family == AF_INET6 { 128 } else { 32 };
    let text = address_text(family, bytes);
    page.paint(Paint::of_family(family), key, format_args!("{text}"), &text);
    if length != most {
        page.put(length_key, format_args!("/{length}"), length);
    }
}

/// One rule.
pub(crate) fn print(page: &mut Page<'_>, look: &Look, payload: &[u8], kind: u16) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, RULE_ATTRIBUTES> = Table::after(payload, 12)?;
    let byte = |at: usize| fixed.u8(at).unwrap_or(0);
    let (family, flags) = (byte(0), fixed.u32(8).unwrap_or(0));
    page.open("");
    if kind == RTM_DELRULE {
        page.flag("deleted", "Deleted ");
    }
    let priority = table.u32(FRA_PRIORITY)?.unwrap_or(0);
    page.put("priority", format_args!("{priority}:\t"), priority);
    if flags & INVERT != 0 {
        page.null("not", "not ");
    }
    match table.get(FRA_SRC) {
        Some(source) => {
            page.say("from ");
            network(page, "src", "srclen", family, source.payload, byte(2));
        }
        None if byte(2) != 0 => {
            page.put("src", format_args!("from 0/{}", byte(2)), "0");
            page.json("srclen", byte(2));
        }
        None => page.put("src", format_args!("from all"), "all"),
    }
    if let Some(destination) = table.get(FRA_DST) {
        page.say(" to ");
        network(page, "dst", "dstlen", family, destination.payload, byte(1));
    }
    if byte(3) != 0 {
        let word = look.tables.ds(byte(3).into());
        page.put("tos", format_args!(" tos {word}"), word.as_ref());
    }
    if let Some(mark) = table.u32(FRA_FWMARK)? {
        let mask = table.u32(FRA_FWMASK)?.unwrap_or(u32::MAX);
        if mark != 0 || mask != 0 {
            page.put("fwmark", format_args!(" fwmark {mark:#x}"), format!("{mark:#x}"));
            if mask != u32::MAX {
                page.put("fwmask", format_args!("/{mask:#x}"), format!("{mask:#x}"));
            }
        }
    }
    for (kind, word, detached) in [(FRA_IIFNAME, "iif", IIF_DETACHED), (FRA_OIFNAME, "oif", OIF_DETACHED)] {
        if let Some(name) = table.text(kind) {
            page.text(format_args!(" {word} "));
            page.paint(Paint::Device, word, format_args!("{name}"), &name);
            if flags & detached != 0 {
                page.null(&format!("{word}_detached"), " [detached]");
            }
        }
    }
    if table.u8(FRA_L3MDEV)?.is_some_and(|value| value != 0) {
        page.null("l3mdev", " lookup [l3mdev-table]");
    }
    if let Some(range) = table.fixed(FRA_UID_RANGE) {
        let (low, high) = (range.u32(0).unwrap_or(0), range.u32(4).unwrap_or(0));
        page.put("uid_start", format_args!(" uidrange {low}"), low);
        page.put("uid_end", format_args!("-{high}"), high);
    }
    if let Some(number) = table.u8(FRA_IP_PROTO)? {
        let name = match look.names.known_protocol(number).filter(|_| !look.options.numeric) {
            Some(name) => name.to_owned(),
            None => format!("ipproto-{number}"),
        };
        page.put("ipproto", format_args!(" ipproto {name}"), &name);
    }
    if let Some(range) = table.fixed(FRA_SPORT_RANGE) {
        ports(page, "sport", range);
    }
    if let Some(range) = table.fixed(FRA_DPORT_RANGE) {
        ports(page, "dport", range);
    }
    if let Some(id) = table.be64(FRA_TUN_ID)?.filter(|id| *id != 0) {
        page.put("tun_id", format_args!(" tun_id {id}"), id);
    }
    let number = table.u32(FRA_TABLE)?.unwrap_or_else(|| byte(4).into());
    if number != 0 && byte(7) != 7 {
        let name = look.tables.table(number);
        page.put("table", format_args!(" lookup {name}"), name.as_ref());
        if let Some(length) = table.i32(FRA_SUPPRESS_PREFIXLEN)?.filter(|length| *length != -1) {
            page.put("suppress_prefixlen", format_args!(" suppress_prefixlength {length}"), length);
        }
        if let Some(group) = table.u32(FRA_SUPPRESS_IFGROUP)?.filter(|group| *group != u32::MAX) {
            let name = look.tables.group(group);
            page.put("suppress_ifgroup", format_args!(" suppress_ifgroup {name}"), name.as_ref());
        }
    }
    if let Some(value) = table.u32(FRA_FLOW)?.filter(|value| *value != 0) {
        let (from, to) = (value >> 16, value & 0xffff);
        let to = look.tables.realm(to);
        if from == 0 {
            page.put("flow_to", format_args!(" realms {to}"), to.as_ref());
        } else {
            let from = look.tables.realm(from);
            page.put("flow_from", format_args!(" realms {from}/"), from.as_ref());
            page.put("flow_to", format_args!("{to}"), to.as_ref());
        }
    }
    match byte(7) {
        2 => match table.u32(FRA_GOTO)? {
            Some(target) => {
                page.put("goto", format_args!(" goto {target}"), target);
                if flags & UNRESOLVED != 0 {
                    page.null("unresolved", " [unresolved]");
                }
            }
            None => page.put("goto", format_args!(" goto none"), "none"),
        },
        1 => {}
        other => match ACTIONS.iter().find(|(number, _)| *number == other) {
            _ if look.options.numeric => page.put("action", format_args!(" {other}"), other.to_string()),
            Some((_, "nop")) => page.null("nop", " nop"),
            Some((_, word)) => page.put("action", format_args!(" {word}"), *word),
            None => page.put("action", format_args!(" {other}"), other.to_string()),
        },
    }
    if let Some(protocol) = table.u8(FRA_PROTOCOL)?
        && (look.options.details)
    {
        let name = look.tables.protocol(protocol.into());
        page.put("protocol", format_args!(" proto {name}"), name.as_ref());
    }
    page.say("\n");
    page.close();
    Ok(())
}

/// `ip rule show` with its filter taken.
pub(crate) fn show(ctx: &mut Ctx<'_>, filter: &Filter) -> Result<(), ToolError> {
    let mut request = [0; 12];
    request[0] = match ctx.look.options.family {
        AF_UNSPEC => AF_INET,
        family => family,
    };
    ctx.page.list("");
    ctx.dump(RTM_GETRULE, &request, |page, look, kind, payload| {
        if filter.takes(payload)? {
            print(page, look, payload, kind)?;
            page.turn()?;
        }
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}
