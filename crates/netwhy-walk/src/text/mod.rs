//! Rules, chains and ends in words.

pub(crate) mod element;
pub(crate) mod fields;
pub(crate) mod listing;
pub(crate) mod nft;
pub mod parse;
mod typeof_;
pub(crate) mod values;
pub(crate) mod xt;

use netwhy_facts::Locus;
use netwhy_facts::nft::{Nft, NftChain, NftFamily, NftRule};
use netwhy_facts::xtables::XtRule;

use crate::path::End;

pub use element::element_text;
pub use listing::{SetWriter, limit_words, type_words};
pub use typeof_::typeof_words;
pub use values::Style;

/// An nftables rule as nft(8) writes it. Devices told by index are named only when they are the loopback device.
pub fn rule_text(nft: &Nft, rule: &NftRule) -> String {
    rule_text_named(nft, rule, &|_| None)
}

/// An nftables rule as nft(8) writes it, with the names of devices told by index.
pub fn rule_text_named(nft: &Nft, rule: &NftRule, names: &dyn Fn(u32) -> Option<String>) -> String {
    nft::Decompiler::new(nft, rule, &values::Plain(names)).text()
}

/// An nftables rule as nft(8) writes it, in a style; without `state` counters and the like lack their numbers.
pub fn rule_text_styled(nft: &Nft, rule: &NftRule, style: &dyn Style, state: bool) -> String {
    let decompiler = nft::Decompiler::new(nft, rule, style);
    if state { decompiler.text() } else { decompiler.without_state().text() }
}

/// An nftables rule as an object is named by it: as [`rule_text_named`], without what changes while it works
/// (counters, used quota, last use).
pub fn rule_spec(nft: &Nft, rule: &NftRule, names: &dyn Fn(u32) -> Option<String>) -> String {
    nft::Decompiler::new(nft, rule, &values::Plain(names)).without_state().text()
}

/// A legacy rule as iptables-save writes it.
pub fn xt_rule_text(chain: &str, rule: &XtRule) -> String {
    xt::rule(chain, rule)
}

/// A rule of iptables with words between its matches and its target, such as `-c 0 0`.
pub fn xt_rule_text_with(chain: &str, rule: &XtRule, between: &str) -> String {
    xt::rule_with(chain, rule, between)
}

/// The source (0) or destination (1) of a rule with its mask, which may be no prefix.
pub fn xt_address_text(rule: &XtRule, side: usize) -> Option<(String, bool)> {
    let (net, invert) = if side == 0 { rule.src.as_ref() } else { rule.dst.as_ref() }?;
    Some((xt::masked(rule, side, net), *invert))
}

/// The name of a base chain's hook.
pub fn hook_name(chain: &NftChain) -> &'static str {
    let Some(hook) = &chain.hook else { return "none" };
    match (chain.family, hook.num) {
        (NftFamily::Netdev, 0) => "ingress",
        (NftFamily::Netdev, _) => "egress",
        (NftFamily::Arp, 0) => "input",
        (NftFamily::Arp, 1) => "output",
        (NftFamily::Arp, _) => "forward",
        (_, 0) => "prerouting",
        (_, 1) => "input",
        (_, 2) => "forward",
        (_, 3) => "output",
        (_, 4) => "postrouting",
        _ => "ingress",
    }
}

/// Protocols by the names of Debian's `/etc/protocols`.
const PROTOCOLS: &[(u8, &str)] = &[
    (0, "ip"),
    (1, "icmp"),
    (2, "igmp"),
    (3, "ggp"),
    (4, "ipencap"),
    (5, "st"),
    (6, "tcp"),
    (8, "egp"),
    (9, "igp"),
    (12, "pup"),
    (17, "udp"),
    (20, "hmp"),
    (22, "xns-idp"),
    (27, "rdp"),
    (29, "iso-tp4"),
    (33, "dccp"),
    (36, "xtp"),
    (37, "ddp"),
    (38, "idpr-cmtp"),
    (41, "ipv6"),
    (43, "ipv6-route"),
    (44, "ipv6-frag"),
    (45, "idrp"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (57, "skip"),
    (58, "ipv6-icmp"),
    (59, "ipv6-nonxt"),
    (60, "ipv6-opts"),
    (73, "rspf"),
    (81, "vmtp"),
    (88, "eigrp"),
    (89, "ospf"),
    (93, "ax.25"),
    (94, "ipip"),
    (97, "etherip"),
    (98, "encap"),
    (103, "pim"),
    (108, "ipcomp"),
    (112, "vrrp"),
    (115, "l2tp"),
    (124, "isis"),
    (132, "sctp"),
    (133, "fc"),
    (135, "mobility-header"),
    (136, "udplite"),
    (137, "mpls-in-ip"),
    (138, "manet"),
    (139, "hip"),
    (140, "shim6"),
    (141, "wesp"),
    (142, "rohc"),
    (143, "ethernet"),
];

/// Name of an IP protocol, or its number.
pub fn proto_name(n: u8) -> String {
    PROTOCOLS
        .iter()
        .find(|(number, _)| *number == n)
        .map_or_else(|| n.to_string(), |(_, name)| (*name).to_owned())
}

/// An IP protocol by its name; `icmpv6` is nft's own name of one.
pub fn proto_number(name: &str) -> Option<u8> {
    let name = if name == "icmpv6" { "ipv6-icmp" } else { name };
    PROTOCOLS.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

/// What `reject` answers with, in the words of `End::Rejected`.
pub(crate) fn reject_word(reject_type: u32, code: u8, v6: bool) -> String {
    match (reject_type, v6) {
        (1, _) => "tcp reset".into(),
        (2, false) => format!(
            "icmp {}",
            ["net-unreachable", "port-unreachable", "host-unreachable", "admin-prohibited"]
                .get(usize::from(code))
                .copied()
                .unwrap_or("unreachable")
        ),
        (2, true) => format!(
            "icmpv6 {}",
            ["no-route", "port-unreachable", "addr-unreachable", "admin-prohibited"]
                .get(usize::from(code))
                .copied()
                .unwrap_or("unreachable")
        ),
        (_, false) => format!("icmp {}", icmp_unreach(code)),
        (_, true) => format!("icmpv6 {}", icmp6_unreach(code)),
    }
}

/// ICMP destination-unreachable codes.
pub(crate) fn icmp_unreach(code: u8) -> String {
    match code {
        0 => "net-unreachable".into(),
        1 => "host-unreachable".into(),
        2 => "prot-unreachable".into(),
        3 => "port-unreachable".into(),
        9 => "net-prohibited".into(),
        10 => "host-prohibited".into(),
        13 => "admin-prohibited".into(),
        n => n.to_string(),
    }
}

/// ICMPv6 destination-unreachable codes.
pub(crate) fn icmp6_unreach(code: u8) -> String {
    match code {
        0 => "no-route".into(),
        1 => "admin-prohibited".into(),
        3 => "addr-unreachable".into(),
        4 => "port-unreachable".into(),
        5 => "policy-fail".into(),
        6 => "reject-route".into(),
        n => n.to_string(),
    }
}

/// A locus in few words.
pub fn locus_text(locus: &Locus) -> String {
    match locus {
        Locus::NftRule { family, table, chain, handle, text } => {
            format!("nft {family} {table} {chain} handle {handle} ({text})")
        }
        Locus::NftChain { family, table, chain, policy, .. } => {
            format!("nft {family} {table} {chain} policy {policy}")
        }
        Locus::IptRule { command, table, chain, number, text } => {
            format!("{command} -t {table} {chain} rule {number} ({text})")
        }
        Locus::IptChain { command, table, chain, policy } => {
            format!("{command} -t {table} {chain} policy {policy}")
        }
        Locus::Route { table, dst, route_type, .. } => format!("{route_type} route {dst} of table {table}"),
        Locus::MissingRoute { table, dst } => format!("no route to {dst} in table {table}"),
        Locus::Rule { priority, text, .. } => format!("policy rule {priority} ({text})"),
        Locus::Sysctl { name, value } => format!("{name} = {value}"),
        Locus::Link { dev, .. } => format!("device {dev}"),
        Locus::Neighbour { dev, address, state } => format!("neighbour {address} on {dev} ({state})"),
        Locus::Address { dev, address, .. } => format!("address {address} on {dev}"),
        Locus::Socket { local, .. } => format!("socket {local}"),
        Locus::MissingListener { proto, address, port } => {
            format!("no {} listener on {}", proto.name(), std::net::SocketAddr::new(*address, *port))
        }
        Locus::BridgePort { bridge, port, state } => format!("port {port} of {bridge} ({state})"),
        other => other.kind(),
    }
}

/// An end in few words.
pub fn end_text(end: &End) -> String {
    match end {
        End::Delivered { locus } => format!("delivered to {}", locus_text(locus)),
        End::Sent { dev, next_hop } => match next_hop {
            Some(n) => format!("sent through {dev} toward {n}"),
            None => format!("sent through {dev}"),
        },
        End::Dropped { locus } => format!("dropped by {}", locus_text(locus)),
        End::Rejected { locus, with } => format!("rejected with {with} by {}", locus_text(locus)),
        End::NoSocket { locus } => locus_text(locus),
        End::Unroutable { locus, error } => format!("{error}: {}", locus_text(locus)),
        End::Unresolved { locus } => format!("unresolved {}", locus_text(locus)),
        End::Stolen { to, .. } => format!("handed to {to}"),
        End::Insufficient { what, .. } => format!("not known: {what}"),
    }
}
