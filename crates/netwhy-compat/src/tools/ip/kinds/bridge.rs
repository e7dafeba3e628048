//! Bridges and their ports.

use netwhy_wire::netlink::Fixed;

use super::Data;
use crate::iproute::page::Value;
use crate::iproute::{Look, Page, mac};
use crate::session::ToolError;

/// `8000.2:0:0:0:0:20`: priority and address.
fn bridge_id(fixed: Fixed<'_>) -> String {
    let bytes = fixed.bytes(0, 8).unwrap_or(&[0; 8]);
    let (priority, address) = bytes.split_at(2);
    let address: Vec<String> = address.iter().map(|byte| format!("{byte:x}")).collect();
    let priority: String = priority.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{priority}.{}", address.join(":"))
}

/// Hundredths of a second.
fn timer(page: &mut Page<'_>, key: &str, hundredths: u64) {
    let (seconds, rest) = (hundredths / 100, hundredths % 100);
    let number = Value::Number(format!("{seconds}.{rest:02}"));
    page.put(key, format_args!("{key} {seconds:>4}.{rest:02} "), number);
}

enum As {
    /// A number.
    Plain,
    /// Hundredths of a second.
    Timer,
    /// Eight bytes.
    Id,
    /// A hardware address.
    Mac,
    /// A mask, hexadecimal.
    Mask,
    /// An Ethernet type.
    Protocol,
    /// A bit of `IFLA_BR_MULTI_BOOLOPT`.
    Bit(u32),
}

/// Attribute, key, word in text, form; in the order they are shown.
#[rustfmt::skip]
const BRIDGE: &[(u16, &str, &str, As)] = &[
    (1, "forward_delay", "forward_delay", As::Plain), (2, "hello_time", "hello_time", As::Plain),
    (3, "max_age", "max_age", As::Plain), (4, "ageing_time", "ageing_time", As::Plain),
    (5, "stp_state", "stp_state", As::Plain), (6, "priority", "priority", As::Plain),
    (7, "vlan_filtering", "vlan_filtering", As::Plain), (8, "vlan_protocol", "vlan_protocol", As::Protocol),
    (11, "bridge_id", "bridge_id", As::Id), (10, "root_id", "designated_root", As::Id),
    (12, "root_port", "root_port", As::Plain), (13, "root_path_cost", "root_path_cost", As::Plain),
    (14, "topology_change", "topology_change", As::Plain),
    (15, "topology_change_detected", "topology_change_detected", As::Plain),
    (16, "hello_timer", "", As::Timer), (17, "tcn_timer", "", As::Timer),
    (18, "topology_change_timer", "", As::Timer), (19, "gc_timer", "", As::Timer),
    (39, "vlan_default_pvid", "vlan_default_pvid", As::Plain),
    (41, "vlan_stats_enabled", "vlan_stats_enabled", As::Plain),
    (45, "vlan_stats_per_port", "vlan_stats_per_port", As::Plain),
    (9, "group_fwd_mask", "group_fwd_mask", As::Mask), (20, "group_addr", "group_address", As::Mac),
    (23, "mcast_snooping", "mcast_snooping", As::Plain),
    (46, "no_linklocal_learn", "no_linklocal_learn", As::Bit(0)),
    (46, "mcast_vlan_snooping", "mcast_vlan_snooping", As::Bit(1)),
    (22, "mcast_router", "mcast_router", As::Plain),
    (24, "mcast_query_use_ifaddr", "mcast_query_use_ifaddr", As::Plain),
    (25, "mcast_querier", "mcast_querier", As::Plain),
    (26, "mcast_hash_elasticity", "mcast_hash_elasticity", As::Plain),
    (27, "mcast_hash_max", "mcast_hash_max", As::Plain),
    (28, "mcast_last_member_cnt", "mcast_last_member_count", As::Plain),
    (29, "mcast_startup_query_cnt", "mcast_startup_query_count", As::Plain),
    (30, "mcast_last_member_intvl", "mcast_last_member_interval", As::Plain),
    (31, "mcast_membership_intvl", "mcast_membership_interval", As::Plain),
    (32, "mcast_querier_intvl", "mcast_querier_interval", As::Plain),
    (33, "mcast_query_intvl", "mcast_query_interval", As::Plain),
    (34, "mcast_query_response_intvl", "mcast_query_response_interval", As::Plain),
    (35, "mcast_startup_query_intvl", "mcast_startup_query_interval", As::Plain),
    (42, "mcast_stats_enabled", "mcast_stats_enabled", As::Plain),
    (43, "mcast_igmp_version", "mcast_igmp_version", As::Plain),
    (44, "mcast_mld_version", "mcast_mld_version", As::Plain),
    (36, "nf_call_iptables", "nf_call_iptables", As::Plain),
    (37, "nf_call_ip6tables", "nf_call_ip6tables", As::Plain),
    (38, "nf_call_arptables", "nf_call_arptables", As::Plain),
];

/// The line of a bridge.
pub(super) fn bridge(
    page: &mut Page<'_>,
    _look: &Look,
    data: &Data<'_>,
    _arphrd: u16,
) -> Result<(), ToolError> {
    for (kind, key, word, form) in BRIDGE {
        let Some(attribute) = data.get(*kind) else { continue };
        match form {
            As::Plain => {
                let number = attribute.uint()?;
                page.put(key, format_args!("{word} {number} "), number);
            }
            As::Timer => timer(page, key, attribute.uint()?),
            As::Id => {
                let text = bridge_id(attribute.fixed());
                page.put(key, format_args!("{word} {text} "), &text);
            }
            As::Mac => {
                let text = mac(attribute.payload);
                page.put(key, format_args!("{word} {text} "), &text);
            }
            As::Mask => {
                let mask = attribute.u16()?;
                let text = hash(mask.into());
                page.put(key, format_args!("{word} {text} "), &text);
            }
            As::Protocol => {
                let text = match attribute.be16()? {
                    0x8100 => "802.1Q".to_owned(),
                    0x88a8 => "802.1ad".to_owned(),
                    other => format!("[{other:#06x}]"),
                };
                page.put(key, format_args!("{word} {text} "), &text);
            }
            As::Bit(bit) => {
                let (value, mask) =
                    (attribute.fixed().u32(0).unwrap_or(0), attribute.fixed().u32(4).unwrap_or(0));
                if mask & (1 << bit) != 0 {
                    let value = (value >> bit) & 1;
                    page.put(key, format_args!("{word} {value} "), value);
                }
            }
        }
    }
    Ok(())
}

/// As C's `%#x`: zero has no prefix.
fn hash(number: u32) -> String {
    if number == 0 { "0".to_owned() } else { format!("{number:#x}") }
}

/// States of a port.
pub(crate) const STATES: [&str; 5] = ["disabled", "listening", "learning", "forwarding", "blocking"];

#[derive(Clone, Copy)]
enum PortAs {
    State,
    Plain,
    OnOff,
    Hash,
    Id,
    Timer,
    Mask,
}

/// Attribute, key, word in text, form; in the order they are shown.
#[rustfmt::skip]
const PORT: &[(u16, &str, &str, PortAs)] = &[
    (1, "state", "state", PortAs::State), (2, "priority", "priority", PortAs::Plain), (3, "cost", "cost", PortAs::Plain),
    (4, "hairpin", "hairpin", PortAs::OnOff), (5, "guard", "guard", PortAs::OnOff),
    (6, "root_block", "root_block", PortAs::OnOff), (7, "fastleave", "fastleave", PortAs::OnOff),
    (8, "learning", "learning", PortAs::OnOff), (9, "flood", "flood", PortAs::OnOff),
    (17, "id", "port_id", PortAs::Hash), (18, "no", "port_no", PortAs::Hash),
    (15, "designated_port", "designated_port", PortAs::Plain), (16, "designated_cost", "designated_cost", PortAs::Plain),
    (14, "bridge_id", "designated_bridge", PortAs::Id), (13, "root_id", "designated_root", PortAs::Id),
    (23, "hold_timer", "", PortAs::Timer), (21, "message_age_timer", "", PortAs::Timer),
    (22, "forward_delay_timer", "", PortAs::Timer),
    (19, "topology_change_ack", "topology_change_ack", PortAs::Plain),
    (20, "config_pending", "config_pending", PortAs::Plain), (10, "proxy_arp", "proxy_arp", PortAs::OnOff),
    (12, "proxy_arp_wifi", "proxy_arp_wifi", PortAs::OnOff), (25, "multicast_router", "mcast_router", PortAs::Plain),
    (7, "", "mcast_fast_leave", PortAs::OnOff), (27, "mcast_flood", "mcast_flood", PortAs::OnOff),
    (30, "bcast_flood", "bcast_flood", PortAs::OnOff),
    (28, "mcast_to_unicast", "mcast_to_unicast", PortAs::OnOff),
    (32, "neigh_suppress", "neigh_suppress", PortAs::OnOff), (31, "group_fwd_mask", "group_fwd_mask", PortAs::Mask),
    (29, "vlan_tunnel", "vlan_tunnel", PortAs::OnOff), (33, "isolated", "isolated", PortAs::OnOff),
    (39, "locked", "locked", PortAs::OnOff),
];

/// The line of a port.
pub(super) fn port(page: &mut Page<'_>, data: &Data<'_>) -> Result<(), ToolError> {
    for (kind, key, word, form) in PORT {
        let Some(attribute) = data.get(*kind) else { continue };
        match form {
            PortAs::State => {
                let state = attribute.u8()?;
                match STATES.get(usize::from(state)) {
                    Some(text) => page.put(key, format_args!("state {text} "), *text),
                    None => page.put("state_index", format_args!("state ({state}) "), state),
                }
            }
            PortAs::Plain => {
                let number = attribute.uint()?;
                page.put(key, format_args!("{word} {number} "), number);
            }
            PortAs::OnOff if key.is_empty() => {
                page.text(format_args!("{word} {} ", if attribute.u8()? != 0 { "on" } else { "off" }));
            }
            PortAs::OnOff => page.on_off(key, word, attribute.u8()? != 0),
            PortAs::Hash => {
                let text = format!("{:#x}", attribute.u16()?);
                page.put(key, format_args!("{word} {text} "), &text);
            }
            PortAs::Id => {
                let text = bridge_id(attribute.fixed());
                page.put(key, format_args!("{word} {text} "), &text);
            }
            PortAs::Timer => timer(page, key, attribute.uint()?),
            PortAs::Mask => {
                let mask = attribute.u16()?;
                let text = hash(mask.into());
                page.put(key, format_args!("{word} {text} "), &text);
                let text = mask_words(mask);
                page.put("group_fwd_mask_str", format_args!("group_fwd_mask_str {text} "), &text);
            }
        }
    }
    if let Some(backup) = data.u32(34)? {
        page.put("backup_port", format_args!("backup_port {backup} "), backup);
    }
    Ok(())
}

/// Names of the reserved groups, and the rest in hexadecimal.
fn mask_words(mask: u16) -> String {
    let mut words = Vec::new();
    let mut left = mask;
    for (bit, word) in [(0, "stp"), (2, "lacp"), (14, "lldp")] {
        if left & (1 << bit) != 0 {
            words.push(word.to_owned());
            left &= !(1 << bit);
        }
    }
    if left != 0 || words.is_empty() {
        words.push(format!("{left:#x}"));
    }
    words.join(",")
}
