//! Names ss(8) has for numbers of the kernel.

/// Netlink protocols by number (uapi `linux/netlink.h`), under the names of `/etc/iproute2/nl_protos`.
const NETLINK: &[(u32, &str)] = &[
    (0, "rtnl"),
    (1, "unused"),
    (2, "usersock"),
    (3, "fw"),
    (4, "tcpdiag"),
    (5, "nflog"),
    (6, "xfrm"),
    (7, "selinux"),
    (8, "iscsi"),
    (9, "audit"),
    (10, "fiblookup"),
    (11, "connector"),
    (12, "nft"),
    (13, "ip6fw"),
    (14, "dec-rt"),
    (15, "uevent"),
    (16, "genl"),
    (18, "scsi-trans"),
    (19, "ecryptfs"),
    (20, "rdma"),
    (21, "crypto"),
];

/// Ethernet protocols (uapi `linux/if_ether.h`).
const ETHERNET: &[(u16, &str)] = &[
    (0x0003, "all"),
    (0x0800, "ip"),
    (0x0806, "arp"),
    (0x8035, "rarp"),
    (0x8100, "802.1Q"),
    (0x86dd, "ipv6"),
    (0x8847, "mpls_uc"),
    (0x8848, "mpls_mc"),
    (0x8863, "ppp_disc"),
    (0x8864, "ppp_ses"),
    (0x88a8, "802.1ad"),
    (0x88cc, "LLDP"),
    (0x88ca, "tipc"),
    (0x88a2, "aoe"),
    (0x0004, "802_2"),
];

pub(super) fn netlink_name(number: u32) -> Option<&'static str> {
    NETLINK.iter().find(|(own, _)| *own == number).map(|(_, name)| *name)
}

pub(super) fn netlink_number(word: &str) -> Option<u32> {
    let named = NETLINK.iter().find(|(_, name)| *name == word).map(|(number, _)| *number);
    named.or_else(|| word.parse().ok())
}

pub(super) fn ethernet_name(number: u16) -> Option<&'static str> {
    ETHERNET.iter().find(|(own, _)| *own == number).map(|(_, name)| *name)
}

pub(super) fn ethernet_number(word: &str) -> Option<u16> {
    ETHERNET.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)).map(|(number, _)| *number)
}

/// States by the number the kernel gives them, as printed.
pub(super) const fn state(number: u8) -> &'static str {
    match number {
        1 => "ESTAB",
        2 => "SYN-SENT",
        3 | 12 => "SYN-RECV",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        6 => "TIME-WAIT",
        7 | 13 => "UNCONN",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => "UNKNOWN",
    }
}

/// The number of a state as printed; 0 for none.
pub(super) fn state_number(word: &str) -> u8 {
    (1..=11).find(|number| state(*number) == word).unwrap_or(0)
}

const fn bit(state: u8) -> u32 {
    1 << state
}

/// Every state.
pub(super) const ALL: u32 = 0xfff;
/// Everything but LISTEN and CLOSE.
pub(super) const CONNECTED: u32 = ALL & !(bit(7) | bit(10)) & !1;
/// States the kernel keeps in small structures: SYN-RECV, TIME-WAIT.
const BUCKET: u32 = bit(3) | bit(6);

/// What is listed when no state is asked for.
pub(super) const CONNECTED_BIG: u32 = CONNECTED & !BUCKET;

/// The states a word of a state filter names.
pub(super) fn states(word: &str) -> Option<u32> {
    Some(match word {
        "all" => ALL,
        "connected" => CONNECTED,
        "synchronized" => CONNECTED & !bit(2),
        "bucket" => BUCKET,
        "big" => ALL & !BUCKET,
        "established" => bit(1),
        "syn-sent" => bit(2),
        "syn-recv" => bit(3),
        "fin-wait-1" => bit(4),
        "fin-wait-2" => bit(5),
        "time-wait" => bit(6),
        "unconnected" | "close" | "closed" => bit(7),
        "close-wait" => bit(8),
        "last-ack" => bit(9),
        "listen" | "listening" => bit(10),
        "closing" => bit(11),
        "bound-inactive" => bit(13),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_to_each_other() {
        for (number, name) in NETLINK {
            assert_eq!((netlink_name(*number), netlink_number(name)), (Some(*name), Some(*number)));
        }
        assert_eq!(ethernet_number("IP").and_then(ethernet_name), Some("ip"));
        assert_eq!(states("synchronized").unwrap() & bit(2), 0);
        assert_eq!(states("bucket").unwrap() | states("big").unwrap(), ALL);
        assert_eq!(states("nosuch"), None);
    }
}
