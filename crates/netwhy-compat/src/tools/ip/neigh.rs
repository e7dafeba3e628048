//! `ip neigh show`: neighbours (rtnetlink `RTM_NEWNEIGH`, uapi `linux/neighbour.h`).

use std::net::IpAddr;

use netwhy_wire::netlink::{Builder, Fixed, Table};

use super::route::address_text;
use crate::iproute::words::same_prefix;
use crate::iproute::{AF_INET, Ctx, Look, Page, Paint, lladdr};
use crate::session::ToolError;

pub(crate) const RTM_NEWNEIGH: u16 = 28;
pub(crate) const RTM_DELNEIGH: u16 = 29;
pub(crate) const RTM_GETNEIGH: u16 = 30;

pub(crate) const NDA_DST: u16 = 1;
pub(crate) const NDA_LLADDR: u16 = 2;
const NDA_CACHEINFO: u16 = 3;
const NDA_PROBES: u16 = 4;
const NDA_IFINDEX: u16 = 8;
const NDA_MASTER: u16 = 9;
pub(crate) const NDA_PROTOCOL: u16 = 12;
const NDA_FLAGS_EXT: u16 = 15;

/// Attributes of a neighbour are read up to this number.
const NEIGH_ATTRIBUTES: usize = 18;

pub(crate) const NTF_PROXY: u8 = 0x08;
pub(crate) const NTF_EXT_LEARNED: u8 = 0x10;
const NTF_OFFLOADED: u8 = 0x20;
pub(crate) const NTF_ROUTER: u8 = 0x80;

/// States (`NUD_*`) as they are shown.
pub(crate) const STATES: [(u16, &str); 8] = [
    (0x01, "INCOMPLETE"),
    (0x02, "REACHABLE"),
    (0x04, "STALE"),
    (0x08, "DELAY"),
    (0x10, "PROBE"),
    (0x20, "FAILED"),
    (0x40, "NOARP"),
    (0x80, "PERMANENT"),
];

/// The state of a word of any case; `all` is every one, `none` none.
pub(crate) fn state(word: &str) -> Option<u16> {
    match word {
        "all" => Some(0xff),
        "none" => Some(0),
        word => STATES.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)).map(|(bit, _)| *bit),
    }
}

/// What is shown and what is not.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    pub(crate) index: Option<u32>,
    pub(crate) master: Option<u32>,
    pub(crate) no_master: bool,
    pub(crate) unused: bool,
    /// Which states; 0x100 stands for none.
    pub(crate) states: u16,
    pub(crate) proxy: bool,
    pub(crate) protocol: Option<u8>,
    pub(crate) prefix: Option<(IpAddr, u8)>,
}

impl Default for Filter {
    fn default() -> Self {
        // What needs no discovery is shown only when asked for.
        Filter {
            index: None,
            master: None,
            no_master: false,
            unused: false,
            states: 0xff & !0x40,
            proxy: false,
            protocol: None,
            prefix: None,
        }
    }
}

impl Filter {
    pub(crate) fn takes(&self, payload: &[u8]) -> Result<bool, ToolError> {
        let fixed = Fixed(payload);
        let table: Table<'_, NEIGH_ATTRIBUTES> = Table::after(payload, 12)?;
        let state = fixed.u16(8).unwrap_or(0);
        let flags = fixed.u8(10).unwrap_or(0);
        if self.index.is_some_and(|index| fixed.u32(4) != Some(index)) {
            return Ok(false);
        }
        let shown = if state == 0 { self.states & 0x100 != 0 } else { state & self.states != 0 };
        if !self.proxy && !shown && flags & NTF_PROXY == 0 {
            return Ok(false);
        }
        if self.protocol.is_some_and(|wanted| table.u8(NDA_PROTOCOL).ok().flatten() != Some(wanted)) {
            return Ok(false);
        }
        if let Some((prefix, length)) = self.prefix
            && !table.ip(NDA_DST)?.is_some_and(|own| same_prefix(&prefix, &own, length))
        {
            return Ok(false);
        }
        if self.unused && table.fixed(NDA_CACHEINFO).and_then(|info| info.u32(12)).unwrap_or(0) != 0 {
            return Ok(false);
        }
        Ok(true)
    }
}

/// One neighbour. `filtered`: its device was asked for and is not repeated.
pub(crate) fn print(
    page: &mut Page<'_>,
    look: &Look,
    payload: &[u8],
    kind: u16,
    filtered: bool,
) -> Result<(), ToolError> {
    let fixed = Fixed(payload);
    let table: Table<'_, NEIGH_ATTRIBUTES> = Table::after(payload, 12)?;
    let family = fixed.u8(0).unwrap_or(0);
    let index = fixed.u32(4).unwrap_or(0);
    let flags = fixed.u8(10).unwrap_or(0);
    page.open("");
    match kind {
        RTM_DELNEIGH => page.flag("deleted", "Deleted "),
        RTM_GETNEIGH => page.null("miss", "miss "),
        _ => {}
    }
    if let Some(dst) = table.get(NDA_DST) {
        let text = address_text(family, dst.payload);
        page.paint(Paint::of_family(family), "dst", format_args!("{text} "), &text);
    }
    if !filtered && index != 0 {
        let name = look.devices.name(index);
        page.say("dev ");
        page.paint(Paint::Device, "dev", format_args!("{name} "), name.as_ref());
    }
    if let Some(address) = table.get(NDA_LLADDR) {
        let text = lladdr(address.payload, 0);
        page.say("lladdr ");
        page.paint(Paint::Mac, "lladdr", format_args!("{text} "), &text);
    }
    for (bit, word) in [
        (NTF_ROUTER, "router"),
        (NTF_PROXY, "proxy"),
        (NTF_EXT_LEARNED, "extern_learn"),
        (NTF_OFFLOADED, "offload"),
    ] {
        if flags & bit != 0 {
            page.null(word, &format!("{word} "));
        }
    }
    if table.u32(NDA_FLAGS_EXT)?.is_some_and(|flags| flags & 1 != 0) {
        page.null("managed", "managed ");
    }
    if look.options.stats > 0 {
        if let Some(info) = table.fixed(NDA_CACHEINFO) {
            let number = |at: usize| info.u32(at).unwrap_or(0);
            let references = number(12);
            if references != 0 {
                page.put("refcnt", format_args!(" ref {references}"), references);
            }
            // clock_t, 100 a second: confirmed, used, updated.
            let (confirmed, used, updated) = (number(0) / 100, number(4) / 100, number(8) / 100);
            page.put("used", format_args!(" used {used}"), used);
            page.put("confirmed", format_args!("/{confirmed}"), confirmed);
            page.put("updated", format_args!("/{updated}"), updated);
        }
        if let Some(probes) = table.u32(NDA_PROBES)? {
            page.put("probes", format_args!("probes {probes} "), probes);
        }
    }
    let state = fixed.u16(8).unwrap_or(0);
    if state != 0 {
        page.list("state");
        let words: Vec<&str> =
            STATES.iter().filter(|(bit, _)| state & bit != 0).map(|(_, word)| *word).collect();
        page.text(format_args!("{} ", words.join(",")));
        for word in words {
            page.json("", word);
        }
        page.end_list();
    }
    if let Some(protocol) = table.u8(NDA_PROTOCOL)? {
        let name = look.tables.protocol(protocol.into());
        page.put("protocol", format_args!("proto {name} "), name.as_ref());
    }
    page.say("\n");
    page.close();
    Ok(())
}

/// `ip neigh show` with its filter taken.
pub(crate) fn show(ctx: &mut Ctx<'_>, filter: &Filter) -> Result<(), ToolError> {
    let family = ctx.look.options.family;
    let mut header = [0; 12];
    header[0] = family;
    if filter.proxy {
        header[10] = NTF_PROXY;
    }
    let mut request = Builder::with_header(&header);
    if let Some(index) = filter.index {
        request.u32(NDA_IFINDEX, index);
    }
    if let Some(master) = filter.master {
        request.u32(NDA_MASTER, master);
    }
    let request = request.finish().map_err(|error| ToolError::failed(error.to_string(), 2))?;
    ctx.page.list("");
    ctx.dump(RTM_GETNEIGH, &request, |page, look, kind, payload| {
        // The dump holds bridges' entries too, which are not neighbours.
        let own = Fixed(payload).u8(0).unwrap_or(0);
        if matches!(own, AF_INET | 10) && (family == 0 || own == family) && filter.takes(payload)? {
            print(page, look, payload, kind, filter.index.is_some())?;
            page.turn()?;
        }
        Ok(())
    })?;
    ctx.page.end_list();
    ctx.page.end();
    Ok(())
}
