//! Bonds and their slaves.

use super::Data;
use crate::iproute::{Look, Page, mac};
use crate::session::ToolError;

enum As {
    Plain,
    Word(&'static [&'static str]),
    Device,
}

const MODES: &[&str] =
    &["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"];
const VALIDATE: &[&str] = &["none", "active", "backup", "all", "filter", "filter_active", "filter_backup"];
const HASHES: &[&str] = &["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"];

/// Attribute, key and word, form; in the order they are shown.
#[rustfmt::skip]
const BOND: &[(u16, &str, As)] = &[
    (1, "mode", As::Word(MODES)), (2, "active_slave", As::Device), (3, "miimon", As::Plain), (4, "updelay", As::Plain),
    (5, "downdelay", As::Plain), (28, "peer_notify_delay", As::Plain), (6, "use_carrier", As::Plain),
    (7, "arp_interval", As::Plain), (30, "arp_missed_max", As::Plain), (9, "arp_validate", As::Word(VALIDATE)),
    (10, "arp_all_targets", As::Word(&["any", "all"])), (11, "primary", As::Device),
    (12, "primary_reselect", As::Word(&["always", "better", "failure"])),
    (13, "fail_over_mac", As::Word(&["none", "active", "follow"])), (14, "xmit_hash_policy", As::Word(HASHES)),
    (15, "resend_igmp", As::Plain), (16, "num_peer_notif", As::Plain), (17, "all_slaves_active", As::Plain),
    (18, "min_links", As::Plain), (19, "lp_interval", As::Plain), (20, "packets_per_slave", As::Plain),
    (29, "ad_lacp_active", As::Word(&["off", "on"])), (21, "ad_lacp_rate", As::Word(&["slow", "fast"])),
    (22, "ad_select", As::Word(&["stable", "bandwidth", "count"])),
];

/// The line of a bond.
pub(super) fn bond(page: &mut Page<'_>, look: &Look, data: &Data<'_>, _arphrd: u16) -> Result<(), ToolError> {
    for (kind, key, form) in BOND {
        let Some(attribute) = data.get(*kind) else { continue };
        let number = attribute.uint()?;
        // The words of text are shorter than the keys.
        let word = match *key {
            "num_peer_notif" => "num_grat_arp",
            "ad_lacp_active" => "lacp_active",
            "ad_lacp_rate" => "lacp_rate",
            other => other,
        };
        match form {
            As::Plain => page.put(key, format_args!("{word} {number} "), number),
            As::Word(list) => match usize::try_from(number).ok().and_then(|number| list.get(number)) {
                Some(text) => page.put(key, format_args!("{word} {text} "), *text),
                None => page.put(&format!("{key}_index"), format_args!("{word} {number} "), number),
            },
            As::Device => {
                if let Some(index) = u32::try_from(number).ok().filter(|index| *index != 0) {
                    let name = look.devices.name(index);
                    page.put(key, format_args!("{word} {name} "), name.as_ref());
                }
            }
        }
    }
    if let Some(info) = data.nest::<6>(23)? {
        page.open("ad_info");
        for (kind, key, word) in [
            (1, "aggregator", "ad_aggregator"),
            (2, "num_ports", "ad_num_ports"),
            (3, "actor_key", "ad_actor_key"),
            (4, "partner_key", "ad_partner_key"),
        ] {
            if let Some(number) = info.u16(kind)? {
                page.put(key, format_args!("{word} {number} "), number);
            }
        }
        if let Some(partner) = info.get(5) {
            let text = mac(partner.payload);
            page.put("partner_mac", format_args!("ad_partner_mac {text} "), &text);
        }
        page.close();
    }
    for (kind, key) in [(24, "ad_actor_sys_prio"), (25, "ad_user_port_key")] {
        if let Some(number) = data.u16(kind)? {
            page.put(key, format_args!("{key} {number} "), number);
        }
    }
    if let Some(system) = data.get(26) {
        let text = mac(system.payload);
        page.put("ad_actor_system", format_args!("ad_actor_system {text} "), &text);
    }
    if let Some(number) = data.u8(27)? {
        page.put("tlb_dynamic_lb", format_args!("tlb_dynamic_lb {number} "), number);
    }
    Ok(())
}

/// The line of a bond's slave.
pub(super) fn slave(page: &mut Page<'_>, data: &Data<'_>) -> Result<(), ToolError> {
    if let Some(state) = data.u8(1)? {
        let word = ["ACTIVE", "BACKUP"].get(usize::from(state)).copied().unwrap_or("UNKNOWN");
        page.put("state", format_args!("state {word} "), word);
    }
    if let Some(status) = data.u8(2)? {
        let word =
            ["UP", "GOING_DOWN", "DOWN", "GOING_BACK"].get(usize::from(status)).copied().unwrap_or("UNKNOWN");
        page.put("mii_status", format_args!("mii_status {word} "), word);
    }
    if let Some(count) = data.u32(3)? {
        page.put("link_failure_count", format_args!("link_failure_count {count} "), count);
    }
    if let Some(address) = data.get(4) {
        let text = mac(address.payload);
        page.put("perm_hwaddr", format_args!("perm_hwaddr {text} "), &text);
    }
    if let Some(queue) = data.u16(5)? {
        page.put("queue_id", format_args!("queue_id {queue} "), queue);
    }
    if let Some(priority) = data.i32(9)? {
        page.put("prio", format_args!("prio {priority} "), priority);
    }
    if let Some(id) = data.u16(6)? {
        page.put("ad_aggregator_id", format_args!("ad_aggregator_id {id} "), id);
    }
    for (kind, key) in [(7, "ad_actor_oper_port_state"), (8, "ad_partner_oper_port_state")] {
        if let Some(attribute) = data.get(kind) {
            let state = attribute.uint()?;
            page.put(key, format_args!("{key} {state} "), state);
            const BITS: [&str; 8] = [
                "active",
                "short_timeout",
                "aggregating",
                "in_sync",
                "collecting",
                "distributing",
                "defaulted",
                "expired",
            ];
            let words: Vec<&str> = BITS
                .iter()
                .enumerate()
                .filter(|(bit, _)| state & (1 << bit) != 0)
                .map(|(_, word)| *word)
                .collect();
            page.text(format_args!("{key}_str <{}> ", words.join(",")));
            page.list(&format!("{key}_str"));
            for word in words {
                page.json("", word);
            }
            page.end_list();
        }
    }
    Ok(())
}
