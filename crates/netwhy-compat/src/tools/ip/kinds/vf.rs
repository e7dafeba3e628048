//! Virtual functions of a device.

use netwhy_wire::netlink::{Attributes, Table};

use crate::iproute::{Page, mac};
use crate::session::ToolError;

/// One line for each.
pub(crate) fn list(page: &mut Page<'_>, list: Attributes<'_>) -> Result<(), ToolError> {
    page.list("vfinfo_list");
    for one in list {
        let one: Table<'_, 16> = Table::read(one?.attributes())?;
        page.open("");
        page.line();
        if let Some(address) = one.fixed(1) {
            let number = address.u32(0).unwrap_or(0);
            page.put("vf", format_args!("    vf {number} "), number);
            let text = mac(address.bytes(4, 6).unwrap_or(&[]));
            page.put("address", format_args!("link/ether {text}"), &text);
        }
        if let Some(vlan) = one.fixed(2) {
            let (id, priority) = (vlan.u32(4).unwrap_or(0), vlan.u32(8).unwrap_or(0));
            if id != 0 {
                page.put("vlan", format_args!(", vlan {id}"), id);
            }
            if priority != 0 {
                page.put("qos", format_args!(", qos {priority}"), priority);
            }
        }
        if let Some(rate) = one.fixed(6) {
            let (low, high) = (rate.u32(4).unwrap_or(0), rate.u32(8).unwrap_or(0));
            if high != 0 {
                page.put("max_tx", format_args!(", max_tx_rate {high}Mbps"), high);
            }
            if low != 0 {
                page.put("min_tx", format_args!(", min_tx_rate {low}Mbps"), low);
            }
        }
        for (kind, key, word) in
            [(4, "spoofchk", "spoof checking"), (9, "trust", "trust"), (7, "query_rss_en", "query_rss")]
        {
            if let Some(value) =
                one.fixed(kind).and_then(|fixed| fixed.u32(4)).filter(|value| *value != u32::MAX)
            {
                page.put(key, format_args!(", {word} {}", if value != 0 { "on" } else { "off" }), value != 0);
            }
            if kind == 4
                && let Some(state) = one.fixed(5).and_then(|fixed| fixed.u32(4))
            {
                let word = ["auto", "enable", "disable"].get(state as usize).copied().unwrap_or("unknown");
                page.put("link_state", format_args!(", link-state {word}"), word);
            }
        }
        page.close();
    }
    page.end_list();
    Ok(())
}
