//! Types of values in nftables rules, and how nft(8) writes them.

use std::net::IpAddr;

/// Type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ty {
    /// Big-endian number.
    Int,
    /// Host-order number.
    Host,
    Port,
    Proto,
    NfProto,
    Mark,
    IfIndex,
    IfName,
    Text,
    EtherType,
    Mac,
    Ip4,
    Ip6,
    CtState,
    CtDir,
    CtStatus,
    TcpFlags,
    IcmpType,
    Icmp6Type,
    IcmpCode,
    Icmp6Code,
    Uid,
    PktType,
    Dscp,
    Ecn,
    FibType,
    Exists,
    Class,
    HwType,
    Day,
    Hour,
    ArpOp,
    Seconds,
    Group,
    Bool,
    /// Printed as hexadecimal: raw payload.
    Raw,
}

impl Ty {
    /// Whether values are kept in host order.
    pub(crate) fn host_order(self) -> bool {
        matches!(
            self,
            Ty::Host
                | Ty::Mark
                | Ty::IfIndex
                | Ty::CtState
                | Ty::CtStatus
                | Ty::Uid
                | Ty::FibType
                | Ty::Class
                | Ty::HwType
                | Ty::Hour
                | Ty::Seconds
                | Ty::Group
                | Ty::Exists
        )
    }
    /// Flags that are written by name, with commas.
    pub(crate) fn is_flags(self) -> bool {
        matches!(self, Ty::CtState | Ty::CtStatus | Ty::TcpFlags)
    }
    /// From nft's own numbers of data types.
    pub(crate) fn of_number(n: u32) -> Option<Ty> {
        Some(match n {
            2 => Ty::NfProto,
            4 => Ty::Int,
            5 => Ty::Text,
            7 => Ty::Ip4,
            8 => Ty::Ip6,
            6 | 9 => Ty::Mac,
            10 => Ty::EtherType,
            11 => Ty::ArpOp,
            12 => Ty::Proto,
            13 => Ty::Port,
            14 => Ty::IcmpType,
            15 => Ty::TcpFlags,
            19 => Ty::Mark,
            20 => Ty::IfIndex,
            21 => Ty::HwType,
            23 => Ty::Class,
            24 | 25 => Ty::Uid,
            26 => Ty::CtState,
            27 => Ty::CtDir,
            28 => Ty::CtStatus,
            29 => Ty::Icmp6Type,
            31 => Ty::PktType,
            32 => Ty::IcmpCode,
            33 => Ty::Icmp6Code,
            35 => Ty::Group,
            36 => Ty::Dscp,
            37 => Ty::Ecn,
            38 => Ty::FibType,
            39 => Ty::Bool,
            41 => Ty::IfName,
            _ => return None,
        })
    }
}

/// A big-endian number of up to 8 bytes.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)))
}

/// A number in the order of its type.
pub(crate) fn ordered(ty: Ty, big_endian: bool, bytes: &[u8]) -> Option<u64> {
    if ty.host_order() && !big_endian && cfg!(target_endian = "little") {
        let mut b = bytes.to_vec();
        b.reverse();
        return number(&b);
    }
    number(bytes)
}

fn lookup(table: &[(u64, &str)], n: u64) -> Option<String> {
    table.iter().find(|(k, _)| *k == n).map(|(_, name)| (*name).to_string())
}

const CT_STATE: &[(u64, &str)] =
    &[(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
const CT_STATUS: &[(u64, &str)] = &[
    (1, "expected"),
    (2, "seen-reply"),
    (4, "assured"),
    (8, "confirmed"),
    (16, "snat"),
    (32, "dnat"),
    (512, "dying"),
];
const TCP_FLAGS: &[(u64, &str)] =
    &[(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")];
const ICMP_TYPE: &[(u64, &str)] = &[
    (0, "echo-reply"),
    (3, "destination-unreachable"),
    (4, "source-quench"),
    (5, "redirect"),
    (8, "echo-request"),
    (9, "router-advertisement"),
    (10, "router-solicitation"),
    (11, "time-exceeded"),
    (12, "parameter-problem"),
    (13, "timestamp-request"),
    (14, "timestamp-reply"),
    (15, "info-request"),
    (16, "info-reply"),
    (17, "address-mask-request"),
    (18, "address-mask-reply"),
];
const ICMP6_TYPE: &[(u64, &str)] = &[
    (1, "destination-unreachable"),
    (2, "packet-too-big"),
    (3, "time-exceeded"),
    (4, "parameter-problem"),
    (128, "echo-request"),
    (129, "echo-reply"),
    (130, "mld-listener-query"),
    (131, "mld-listener-report"),
    (132, "mld-listener-done"),
    (133, "nd-router-solicit"),
    (134, "nd-router-advert"),
    (135, "nd-neighbor-solicit"),
    (136, "nd-neighbor-advert"),
    (137, "nd-redirect"),
    (138, "router-renumbering"),
    (141, "ind-neighbor-solicit"),
    (142, "ind-neighbor-advert"),
    (143, "mld2-listener-report"),
];
const DSCP: &[(u64, &str)] = &[
    (0, "cs0"),
    (8, "cs1"),
    (16, "cs2"),
    (24, "cs3"),
    (32, "cs4"),
    (40, "cs5"),
    (48, "cs6"),
    (56, "cs7"),
    (10, "af11"),
    (12, "af12"),
    (14, "af13"),
    (18, "af21"),
    (20, "af22"),
    (22, "af23"),
    (26, "af31"),
    (28, "af32"),
    (30, "af33"),
    (34, "af41"),
    (36, "af42"),
    (38, "af43"),
    (46, "ef"),
];
const FIB: &[(u64, &str)] = &[
    (0, "unspec"),
    (1, "unicast"),
    (2, "local"),
    (3, "broadcast"),
    (4, "anycast"),
    (5, "multicast"),
    (6, "blackhole"),
    (7, "unreachable"),
    (8, "prohibit"),
];
const HW: &[(u64, &str)] = &[
    (1, "ether"),
    (512, "ppp"),
    (768, "ipip"),
    (769, "ipip6"),
    (772, "loopback"),
    (776, "sit"),
    (778, "ipgre"),
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Flags by name with commas, in the order of their bits; the rest as a number.
pub(crate) fn flags(ty: Ty, n: u64) -> String {
    let table = match ty {
        Ty::CtState => CT_STATE,
        Ty::CtStatus => CT_STATUS,
        _ => TCP_FLAGS,
    };
    let mut words: Vec<String> = Vec::new();
    let mut rest = n;
    for (bit, name) in table {
        if n & bit != 0 {
            words.push((*name).to_string());
            rest &= !bit;
        }
    }
    if rest != 0 || words.is_empty() {
        words.push(format!("{rest:#x}"));
    }
    words.join(",")
}

/// A text in quotes; control characters and quotes are escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if c == '"' || c == '\\' || c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

/// A value. `names` tells a device by its index; `big_endian` says a host-order value was converted.
pub(crate) fn value(ty: Ty, bytes: &[u8], big_endian: bool, names: &dyn Fn(u32) -> Option<String>) -> String {
    let n = ordered(ty, big_endian, bytes);
    let hex = || format!("0x{}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>());
    let named = |table: &[(u64, &str)]| match n {
        Some(n) => lookup(table, n).unwrap_or_else(|| n.to_string()),
        None => hex(),
    };
    match ty {
        Ty::Ip4 => match <[u8; 4]>::try_from(bytes) {
            Ok(b) => IpAddr::from(b).to_string(),
            Err(_) => hex(),
        },
        Ty::Ip6 => match <[u8; 16]>::try_from(bytes) {
            Ok(b) => IpAddr::from(b).to_string(),
            Err(_) => hex(),
        },
        Ty::Mac => bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
        Ty::IfName | Ty::Text => {
            let end = bytes.iter().position(|b| *b == 0);
            let name = String::from_utf8_lossy(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default());
            // A comparison that ends before the terminating zero is one of a prefix.
            if ty == Ty::IfName && end.is_none() && bytes.len() < 16 {
                quoted(&format!("{name}*"))
            } else {
                quoted(&name)
            }
        }
        Ty::IfIndex => match n.and_then(|n| u32::try_from(n).ok()) {
            Some(i) => match names(i) {
                Some(name) => quoted(&name),
                None if i == 1 => quoted("lo"),
                None => i.to_string(),
            },
            None => hex(),
        },
        Ty::Mark => n.map_or_else(hex, |n| format!("0x{n:08x}")),
        Ty::Raw => n.map_or_else(hex, |n| format!("{n:#x}")),
        Ty::Proto => n.and_then(|n| u8::try_from(n).ok()).map_or_else(hex, super::proto_name),
        Ty::NfProto => named(&[(2, "ipv4"), (10, "ipv6")]),
        Ty::EtherType => match n {
            Some(n) => lookup(
                &[
                    (0x0800, "ip"),
                    (0x0806, "arp"),
                    (0x86dd, "ip6"),
                    (0x8100, "vlan"),
                    (0x8100, "8021q"),
                    (0x88a8, "8021ad"),
                ],
                n,
            )
            .unwrap_or_else(|| format!("0x{n:04x}")),
            None => hex(),
        },
        Ty::CtState | Ty::CtStatus | Ty::TcpFlags => n.map_or_else(hex, |n| flags(ty, n)),
        Ty::CtDir => named(&[(0, "original"), (1, "reply")]),
        Ty::IcmpType => named(ICMP_TYPE),
        Ty::Icmp6Type => named(ICMP6_TYPE),
        Ty::IcmpCode => n.and_then(|n| u8::try_from(n).ok()).map_or_else(hex, super::icmp_unreach),
        Ty::Icmp6Code => n.and_then(|n| u8::try_from(n).ok()).map_or_else(hex, super::icmp6_unreach),
        Ty::Uid => match n {
            Some(0) => "0".into(),
            _ => n.map_or_else(hex, |n| n.to_string()),
        },
        Ty::PktType => named(&[(0, "host"), (1, "broadcast"), (2, "multicast"), (3, "other")]),
        Ty::Dscp => match n {
            Some(n) => lookup(DSCP, n).unwrap_or_else(|| format!("0x{n:02x}")),
            None => hex(),
        },
        Ty::Ecn => named(&[(0, "not-ect"), (1, "ect1"), (2, "ect0"), (3, "ce")]),
        Ty::FibType => named(FIB),
        Ty::HwType => named(HW),
        Ty::ArpOp => named(&[
            (1, "request"),
            (2, "reply"),
            (3, "rrequest"),
            (4, "rreply"),
            (8, "inrequest"),
            (9, "inreply"),
            (10, "nak"),
        ]),
        Ty::Exists => named(&[(0, "missing"), (1, "exists")]),
        Ty::Class => match n {
            Some(0) => "none".into(),
            Some(0xffff_ffff) => "root".into(),
            Some(n) => format!("{:x}:{:x}", n >> 16, n & 0xffff),
            None => hex(),
        },
        Ty::Day => n.and_then(|n| DAYS.get(usize::try_from(n).ok()?)).map_or_else(hex, |d| quoted(d)),
        Ty::Hour => n.map_or_else(hex, |n| quoted(&format!("{:02}:{:02}", n / 3600, n % 3600 / 60))),
        Ty::Seconds => n.map_or_else(hex, |n| format!("{}s", n / 1000)),
        Ty::Int | Ty::Host | Ty::Port | Ty::Group | Ty::Bool => n.map_or_else(hex, |n| n.to_string()),
    }
}

/// A duration of nft: 1d2h3m4s500ms.
pub(crate) fn duration(ms: u64) -> String {
    let mut out = String::new();
    let mut rest = ms;
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        let n = rest / size;
        rest %= size;
        if n > 0 {
            out.push_str(&format!("{n}{unit}"));
        }
    }
    if out.is_empty() { "0s".into() } else { out }
}

/// Bytes in the largest unit that divides them.
pub(crate) fn bytes_unit(n: u64) -> (u64, &'static str) {
    let units = ["bytes", "kbytes", "mbytes", "gbytes"];
    let mut n = n;
    for (i, unit) in units.iter().enumerate() {
        if n == 0 || !n.is_multiple_of(1024) || i + 1 == units.len() {
            return (n, unit);
        }
        n /= 1024;
    }
    (n, "bytes")
}
