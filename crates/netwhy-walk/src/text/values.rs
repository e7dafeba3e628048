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
    /// Milliseconds, written as a duration.
    Seconds,
    Group,
    /// Nanoseconds since 1970.
    Moment,
    CtLabel,
    CtEvent,
    MhType,
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
                | Ty::Moment
                | Ty::CtEvent
        )
    }
    /// Flags that are written by name, with commas.
    pub(crate) fn is_flags(self) -> bool {
        matches!(self, Ty::CtState | Ty::CtStatus | Ty::TcpFlags | Ty::CtEvent)
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
            17 => Ty::MhType,
            18 => Ty::Seconds,
            19 => Ty::Mark,
            20 => Ty::IfIndex,
            21 => Ty::HwType,
            22 | 46 => Ty::Host,
            23 => Ty::Class,
            24 | 25 => Ty::Uid,
            26 => Ty::CtState,
            27 => Ty::CtDir,
            28 => Ty::CtStatus,
            29 => Ty::Icmp6Type,
            31 => Ty::PktType,
            32 => Ty::IcmpCode,
            30 => Ty::CtLabel,
            33 => Ty::Icmp6Code,
            35 => Ty::Group,
            36 => Ty::Dscp,
            37 => Ty::Ecn,
            38 => Ty::FibType,
            39 => Ty::Bool,
            40 => Ty::CtEvent,
            41 => Ty::IfName,
            43 => Ty::Moment,
            44 => Ty::Hour,
            45 => Ty::Day,
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
const CT_EVENT: &[(u64, &str)] = &[
    (1, "new"),
    (2, "related"),
    (4, "destroy"),
    (8, "reply"),
    (16, "assured"),
    (32, "protoinfo"),
    (64, "helper"),
    (128, "mark"),
    (256, "seqadj"),
    (512, "secmark"),
    (1024, "label"),
];
const MH_TYPE: &[(u64, &str)] = &[
    (0, "binding-refresh-request"),
    (1, "home-test-init"),
    (2, "careof-test-init"),
    (3, "home-test"),
    (4, "careof-test"),
    (5, "binding-update"),
    (6, "binding-acknowledgement"),
    (7, "binding-error"),
    (8, "fast-binding-update"),
    (9, "fast-binding-acknowledgement"),
    (10, "fast-binding-advertisement"),
    (11, "experimental-mobility-header"),
    (12, "home-agent-switch-message"),
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
        Ty::CtEvent => CT_EVENT,
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

/// A text in quotes; control characters and quotes are escaped, backslashes stay as nft(8) leaves them.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if c == '"' || c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

/// How values are written: which of them by name.
pub trait Style {
    /// The name of a device by its index.
    fn device(&self, index: u32) -> Option<String>;
    /// Numbers instead of the words of nft (`-n`).
    fn numeric(&self) -> bool {
        false
    }
    /// Numbers instead of the names of protocols (`-p`).
    fn numeric_protocols(&self) -> bool {
        false
    }
    /// The name of a port (`-S`).
    fn service(&self, _port: u16) -> Option<String> {
        None
    }
    /// Local time as `YYYY-MM-DD HH:MM:SS` of a moment in seconds since 1970.
    fn moment(&self, _seconds: u64) -> Option<String> {
        None
    }
    /// The name of a user (`-u`).
    fn user(&self, _number: u32) -> Option<String> {
        None
    }
}

/// The usual style, with devices named by a function.
pub(crate) struct Plain<'a>(pub(crate) &'a dyn Fn(u32) -> Option<String>);

impl Style for Plain<'_> {
    fn device(&self, index: u32) -> Option<String> {
        (self.0)(index)
    }
}

/// A value as `-n` shows it, where that differs.
fn numeric(ty: Ty, n: u64) -> Option<String> {
    Some(match ty {
        Ty::CtState | Ty::CtStatus | Ty::TcpFlags | Ty::CtEvent => {
            let bits = (0..64).map(|bit| 1_u64 << bit).filter(|bit| n & bit != 0);
            let words: Vec<String> = bits.map(|bit| format!("{bit:#x}")).collect();
            if words.is_empty() { "0x0".into() } else { words.join(",") }
        }
        Ty::EtherType => format!("0x{n:04x}"),
        Ty::Dscp => format!("0x{n:02x}"),
        Ty::Ecn => format!("0x{n:x}"),
        Ty::Proto
        | Ty::NfProto
        | Ty::CtDir
        | Ty::IcmpType
        | Ty::Icmp6Type
        | Ty::IcmpCode
        | Ty::Icmp6Code
        | Ty::PktType
        | Ty::Exists
        | Ty::FibType
        | Ty::HwType
        | Ty::Group
        | Ty::Day
        | Ty::ArpOp => n.to_string(),
        _ => return None,
    })
}

/// A value; `big_endian` says a host-order value was converted.
pub(crate) fn value(ty: Ty, bytes: &[u8], big_endian: bool, style: &dyn Style) -> String {
    let n = ordered(ty, big_endian, bytes);
    let plain_number = style.numeric() || (ty == Ty::Proto && style.numeric_protocols());
    if plain_number && let Some(text) = n.and_then(|n| numeric(ty, n)) {
        return text;
    }
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
            Some(i) => match style.device(i) {
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
                &[(0x0800, "ip"), (0x0806, "arp"), (0x86dd, "ip6"), (0x8100, "8021q"), (0x88a8, "8021ad")],
                n,
            )
            .unwrap_or_else(|| format!("0x{n:04x}")),
            None => hex(),
        },
        Ty::CtState | Ty::CtStatus | Ty::TcpFlags | Ty::CtEvent => n.map_or_else(hex, |n| flags(ty, n)),
        Ty::MhType => named(MH_TYPE),
        Ty::Moment => match n.and_then(|n| style.moment(n / 1_000_000_000)) {
            Some(text) => quoted(&text),
            None => n.map_or_else(hex, |n| n.to_string()),
        },
        Ty::CtLabel => label(bytes).map_or_else(hex, |bit| bit.to_string()),
        Ty::CtDir => named(&[(0, "original"), (1, "reply")]),
        Ty::IcmpType => named(ICMP_TYPE),
        Ty::Icmp6Type => named(ICMP6_TYPE),
        Ty::IcmpCode => n.and_then(|n| u8::try_from(n).ok()).map_or_else(hex, super::icmp_unreach),
        Ty::Icmp6Code => n.and_then(|n| u8::try_from(n).ok()).map_or_else(hex, super::icmp6_unreach),
        Ty::Uid => match n.and_then(|n| style.user(u32::try_from(n).ok()?)) {
            Some(name) => quoted(&name),
            None => n.map_or_else(hex, |n| n.to_string()),
        },
        Ty::Port => match n.and_then(|n| style.service(u16::try_from(n).ok()?)) {
            Some(name) => quoted(&name),
            None => n.map_or_else(hex, |n| n.to_string()),
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
        Ty::Hour => n.map_or_else(hex, |n| {
            let seconds = if n % 60 == 0 { String::new() } else { format!(":{:02}", n % 60) };
            quoted(&format!("{:02}:{:02}{seconds}", n / 3600, n % 3600 / 60))
        }),
        Ty::Seconds => n.map_or_else(hex, duration),
        Ty::Group if n == Some(0) => quoted("default"),
        Ty::Int | Ty::Host | Ty::Group | Ty::Bool => n.map_or_else(hex, |n| n.to_string()),
    }
}

/// The number of the one label bit that is set; the bits are in host order, word by word.
pub(crate) fn label(bytes: &[u8]) -> Option<u32> {
    let mut found = None;
    for (at, byte) in (0..).zip(bytes) {
        match (byte.count_ones(), found) {
            (0, _) => {}
            (1, None) => found = Some(at * 8 + byte.trailing_zeros()),
            _ => return None,
        }
    }
    found
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
