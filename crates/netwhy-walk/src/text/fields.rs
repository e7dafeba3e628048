//! Names of header fields by their place.

use super::values::Ty;

/// A header whose fields have names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    Ether,
    Vlan,
    Arp,
    Ip,
    Ip6,
    Tcp,
    Udp,
    Udplite,
    Sctp,
    Dccp,
    Icmp,
    Icmp6,
    Igmp,
    Ah,
    Esp,
    Comp,
    /// Any transport header: only its ports.
    Th,
}

/// A field: name, first bit, bits, type.
pub(crate) type Field = (&'static str, u32, u32, Ty);

impl Header {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Header::Ether => "ether",
            Header::Vlan => "vlan",
            Header::Arp => "arp",
            Header::Ip => "ip",
            Header::Ip6 => "ip6",
            Header::Tcp => "tcp",
            Header::Udp => "udp",
            Header::Udplite => "udplite",
            Header::Sctp => "sctp",
            Header::Dccp => "dccp",
            Header::Icmp => "icmp",
            Header::Icmp6 => "icmpv6",
            Header::Igmp => "igmp",
            Header::Ah => "ah",
            Header::Esp => "esp",
            Header::Comp => "comp",
            Header::Th => "th",
        }
    }
    /// The transport header of a protocol number.
    pub(crate) fn of_proto(n: u8) -> Option<Self> {
        Some(match n {
            1 => Header::Icmp,
            2 => Header::Igmp,
            6 => Header::Tcp,
            17 => Header::Udp,
            33 => Header::Dccp,
            50 => Header::Esp,
            51 => Header::Ah,
            58 => Header::Icmp6,
            108 => Header::Comp,
            132 => Header::Sctp,
            136 => Header::Udplite,
            _ => return None,
        })
    }
    /// Its fields; bits are counted from the start of its base.
    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Header::Ether => {
                &[("daddr", 0, 48, Ty::Mac), ("saddr", 48, 48, Ty::Mac), ("type", 96, 16, Ty::EtherType)]
            }
            Header::Vlan => &[
                ("pcp", 112, 3, Ty::Int),
                ("dei", 115, 1, Ty::Int),
                ("id", 116, 12, Ty::Int),
                ("type", 128, 16, Ty::EtherType),
            ],
            Header::Arp => &[
                ("htype", 0, 16, Ty::Int),
                ("ptype", 16, 16, Ty::EtherType),
                ("hlen", 32, 8, Ty::Int),
                ("plen", 40, 8, Ty::Int),
                ("operation", 48, 16, Ty::ArpOp),
                ("saddr ether", 64, 48, Ty::Mac),
                ("saddr ip", 112, 32, Ty::Ip4),
                ("daddr ether", 144, 48, Ty::Mac),
                ("daddr ip", 192, 32, Ty::Ip4),
            ],
            Header::Ip => &[
                ("version", 0, 4, Ty::Int),
                ("hdrlength", 4, 4, Ty::Int),
                ("dscp", 8, 6, Ty::Dscp),
                ("ecn", 14, 2, Ty::Ecn),
                ("length", 16, 16, Ty::Int),
                ("id", 32, 16, Ty::Int),
                ("frag-off", 48, 16, Ty::Int),
                ("ttl", 64, 8, Ty::Int),
                ("protocol", 72, 8, Ty::Proto),
                ("checksum", 80, 16, Ty::Int),
                ("saddr", 96, 32, Ty::Ip4),
                ("daddr", 128, 32, Ty::Ip4),
            ],
            Header::Ip6 => &[
                ("version", 0, 4, Ty::Int),
                ("dscp", 4, 6, Ty::Dscp),
                ("ecn", 10, 2, Ty::Ecn),
                ("flowlabel", 12, 20, Ty::Int),
                ("length", 32, 16, Ty::Int),
                ("nexthdr", 48, 8, Ty::Proto),
                ("hoplimit", 56, 8, Ty::Int),
                ("saddr", 64, 128, Ty::Ip6),
                ("daddr", 192, 128, Ty::Ip6),
            ],
            Header::Tcp => &[
                ("sport", 0, 16, Ty::Port),
                ("dport", 16, 16, Ty::Port),
                ("sequence", 32, 32, Ty::Int),
                ("ackseq", 64, 32, Ty::Int),
                ("doff", 96, 4, Ty::Int),
                ("reserved", 100, 4, Ty::Int),
                ("flags", 104, 8, Ty::TcpFlags),
                ("window", 112, 16, Ty::Int),
                ("checksum", 128, 16, Ty::Int),
                ("urgptr", 144, 16, Ty::Int),
            ],
            Header::Udp => &[
                ("sport", 0, 16, Ty::Port),
                ("dport", 16, 16, Ty::Port),
                ("length", 32, 16, Ty::Int),
                ("checksum", 48, 16, Ty::Int),
            ],
            Header::Udplite => &[
                ("sport", 0, 16, Ty::Port),
                ("dport", 16, 16, Ty::Port),
                ("csumcov", 32, 16, Ty::Int),
                ("checksum", 48, 16, Ty::Int),
            ],
            Header::Sctp => &[
                ("sport", 0, 16, Ty::Port),
                ("dport", 16, 16, Ty::Port),
                ("vtag", 32, 32, Ty::Int),
                ("checksum", 64, 32, Ty::Int),
            ],
            Header::Dccp => &[("sport", 0, 16, Ty::Port), ("dport", 16, 16, Ty::Port)],
            Header::Icmp => &[
                ("type", 0, 8, Ty::IcmpType),
                ("code", 8, 8, Ty::IcmpCode),
                ("checksum", 16, 16, Ty::Int),
                ("id", 32, 16, Ty::Int),
                ("sequence", 48, 16, Ty::Int),
                ("gateway", 32, 32, Ty::Int),
            ],
            Header::Icmp6 => &[
                ("type", 0, 8, Ty::Icmp6Type),
                ("code", 8, 8, Ty::Icmp6Code),
                ("checksum", 16, 16, Ty::Int),
                ("id", 32, 16, Ty::Int),
                ("sequence", 48, 16, Ty::Int),
                ("mtu", 32, 32, Ty::Int),
            ],
            Header::Igmp => &[
                ("type", 0, 8, Ty::Int),
                ("mrt", 8, 8, Ty::Int),
                ("checksum", 16, 16, Ty::Int),
                ("group", 32, 32, Ty::Ip4),
            ],
            Header::Ah => &[
                ("nexthdr", 0, 8, Ty::Proto),
                ("hdrlength", 8, 8, Ty::Int),
                ("reserved", 16, 16, Ty::Int),
                ("spi", 32, 32, Ty::Int),
                ("sequence", 64, 32, Ty::Int),
            ],
            Header::Esp => &[("spi", 0, 32, Ty::Int), ("sequence", 32, 32, Ty::Int)],
            Header::Comp => {
                &[("nexthdr", 0, 8, Ty::Proto), ("flags", 8, 8, Ty::Int), ("cpi", 16, 16, Ty::Int)]
            }
            Header::Th => &[("sport", 0, 16, Ty::Port), ("dport", 16, 16, Ty::Port)],
        }
    }
    /// The field of exactly these bits.
    pub(crate) fn exactly(self, at: u32, bits: u32) -> Option<&'static Field> {
        self.fields().iter().find(|f| f.1 == at && f.2 == bits)
    }
    /// The field that begins here and is longer: a comparison of its first bytes.
    pub(crate) fn begins(self, at: u32, bits: u32) -> Option<&'static Field> {
        self.fields().iter().find(|f| f.1 == at && f.2 > bits && matches!(f.3, Ty::Ip4 | Ty::Ip6 | Ty::Mac))
    }
}

/// Name, field and type of an IPv6 extension header (by number) field.
pub(crate) fn exthdr(kind: u8, at: u32, bits: u32) -> Option<(&'static str, &'static str, Ty)> {
    let name = exthdr_name(kind)?;
    let field = match (kind, at, bits) {
        (_, 0, 8) => ("nexthdr", Ty::Proto),
        (0 | 43 | 60 | 135, 8, 8) => ("hdrlength", Ty::Int),
        (43, 16, 8) => ("type", Ty::Int),
        (43, 24, 8) => ("seg-left", Ty::Int),
        (44, 16, 13) => ("frag-off", Ty::Int),
        (44, 29, 2) => ("reserved2", Ty::Int),
        (44, 31, 1) => ("more-fragments", Ty::Int),
        (44, 32, 32) => ("id", Ty::Int),
        (135, 16, 8) => ("type", Ty::MhType),
        _ => return None,
    };
    Some((name, field.0, field.1))
}

/// Name of an IPv6 extension header.
pub(crate) fn exthdr_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "hbh",
        43 => "rt",
        44 => "frag",
        60 => "dst",
        135 => "mh",
        _ => return None,
    })
}

/// Name of a TCP option.
pub(crate) fn tcp_option(kind: u8) -> String {
    match kind {
        0 => "eol".into(),
        1 => "nop".into(),
        2 => "maxseg".into(),
        3 => "window".into(),
        4 => "sack-perm".into(),
        5 => "sack".into(),
        8 => "timestamp".into(),
        19 => "md5sig".into(),
        30 => "mptcp".into(),
        34 => "fastopen".into(),
        other => other.to_string(),
    }
}

/// Field of a TCP option by its place.
pub(crate) fn tcp_option_field(kind: u8, at: u32, len: u32) -> Option<&'static str> {
    Some(match (kind, at, len) {
        (_, 0, 1) => "kind",
        (_, 1, 1) => "length",
        (2, 2, 2) => "size",
        (3, 2, 1) => "count",
        (8, 2, 4) => "tsval",
        (8, 6, 4) => "tsecr",
        (5, 2, 4) => "left",
        (5, 6, 4) => "right",
        _ => return None,
    })
}

/// Name of a `meta` key and the type of its value; true when it is written without the word `meta`.
pub(crate) fn meta(key: u32) -> Option<(&'static str, Ty, bool)> {
    Some(match key {
        0 => ("length", Ty::Host, false),
        1 => ("protocol", Ty::EtherType, false),
        2 => ("priority", Ty::Class, false),
        3 => ("mark", Ty::Mark, false),
        4 => ("iif", Ty::IfIndex, true),
        5 => ("oif", Ty::IfIndex, true),
        6 => ("iifname", Ty::IfName, true),
        7 => ("oifname", Ty::IfName, true),
        8 => ("iiftype", Ty::HwType, false),
        9 => ("oiftype", Ty::HwType, false),
        10 => ("skuid", Ty::Uid, false),
        11 => ("skgid", Ty::Uid, false),
        12 => ("nftrace", Ty::Bool, false),
        13 => ("rtclassid", Ty::Host, false),
        14 => ("secmark", Ty::Host, false),
        15 => ("nfproto", Ty::NfProto, false),
        16 => ("l4proto", Ty::Proto, false),
        17 => ("ibrname", Ty::IfName, false),
        18 => ("obrname", Ty::IfName, false),
        19 => ("pkttype", Ty::PktType, false),
        20 => ("cpu", Ty::Host, false),
        21 => ("iifgroup", Ty::Group, true),
        22 => ("oifgroup", Ty::Group, true),
        23 => ("cgroup", Ty::Host, false),
        24 => ("random", Ty::Int, false),
        25 => ("ipsec", Ty::Exists, false),
        26 => ("iifkind", Ty::IfName, false),
        27 => ("oifkind", Ty::IfName, false),
        28 => ("ibrpvid", Ty::Host, false),
        29 => ("ibrvproto", Ty::EtherType, false),
        30 => ("time", Ty::Moment, false),
        31 => ("day", Ty::Day, false),
        32 => ("hour", Ty::Hour, false),
        33 => ("sdif", Ty::IfIndex, false),
        34 => ("sdifname", Ty::IfName, false),
        35 => ("broute", Ty::Bool, false),
        _ => return None,
    })
}

/// Name of a `ct` key and the type of its value.
pub(crate) fn ct(key: u32, v6: bool) -> Option<(&'static str, Ty)> {
    let address = if v6 { Ty::Ip6 } else { Ty::Ip4 };
    Some(match key {
        0 => ("state", Ty::CtState),
        1 => ("direction", Ty::CtDir),
        2 => ("status", Ty::CtStatus),
        3 => ("mark", Ty::Mark),
        4 => ("secmark", Ty::Host),
        5 => ("expiration", Ty::Seconds),
        6 => ("helper", Ty::Text),
        7 => ("l3proto", Ty::NfProto),
        8 => ("saddr", address),
        9 => ("daddr", address),
        10 => ("protocol", Ty::Proto),
        11 => ("proto-src", Ty::Port),
        12 => ("proto-dst", Ty::Port),
        13 => ("label", Ty::CtLabel),
        14 => ("packets", Ty::Host),
        15 => ("bytes", Ty::Host),
        16 => ("avgpkt", Ty::Host),
        17 => ("zone", Ty::Host),
        18 => ("event", Ty::CtEvent),
        19 => ("ip saddr", Ty::Ip4),
        20 => ("ip daddr", Ty::Ip4),
        21 => ("ip6 saddr", Ty::Ip6),
        22 => ("ip6 daddr", Ty::Ip6),
        23 => ("id", Ty::Int),
        _ => return None,
    })
}

/// Name of an IPv4 option's field by its place.
pub(crate) fn ip_option_field(kind: u8, at: u32, len: u32) -> Option<&'static str> {
    Some(match (kind, at, len) {
        (_, 0, 1) => "type",
        (_, 1, 1) => "length",
        (7 | 131 | 137, 2, 1) => "ptr",
        (7 | 131 | 137, 3, 4) => "addr",
        (148, 2, 2) => "value",
        _ => return None,
    })
}

/// Name of an SCTP chunk.
pub(crate) fn sctp_chunk(kind: u8) -> String {
    let names = [
        "data",
        "init",
        "init-ack",
        "sack",
        "heartbeat",
        "heartbeat-ack",
        "abort",
        "shutdown",
        "shutdown-ack",
        "error",
        "cookie-echo",
        "cookie-ack",
        "ecne",
        "cwr",
        "shutdown-complete",
    ];
    match kind {
        0x80 => "asconf-ack".into(),
        0xc0 => "forward-tsn".into(),
        0xc1 => "asconf".into(),
        _ => names.get(usize::from(kind)).map_or_else(|| kind.to_string(), |name| (*name).into()),
    }
}
