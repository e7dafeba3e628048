//! Every table, with the door its words come through. A family is one file.

mod conntrack;
mod drop;
mod errno;
mod icmp;
mod icmp_mib;
mod ip;
mod ip6;
mod link;
mod mptcp;
mod reset;
mod states;
mod tcp_ext;
mod tcp_info;
mod tcp_mib;
mod xfrm;

use super::row::{Kind, Row};

/// One family of words.
pub(super) struct Table {
    pub(super) kind: Kind,
    /// Written before the name: `TcpExt.`, `Ip6`, `SKB_DROP_REASON_`.
    pub(super) prefix: &'static str,
    /// Where the kernel shows it.
    pub(super) door: &'static str,
    /// The classical command that shows it; `{}` stands for the name without dots.
    pub(super) command: &'static str,
    pub(super) rows: &'static [Row],
}

const SNMP: &str = "/proc/net/snmp";
const SNMP6: &str = "/proc/net/snmp6";
const NETSTAT: &str = "/proc/net/netstat";
const NSTAT: &str = "nstat -az {}";

const fn counters(
    prefix: &'static str,
    door: &'static str,
    command: &'static str,
    rows: &'static [Row],
) -> Table {
    Table { kind: Kind::Counter, prefix, door, command, rows }
}

const fn words(
    kind: Kind,
    prefix: &'static str,
    door: &'static str,
    command: &'static str,
    rows: &'static [Row],
) -> Table {
    Table { kind, prefix, door, command, rows }
}

/// Every table.
#[rustfmt::skip]
pub(super) static ALL: &[Table] = &[
    words(Kind::Errno, "", "connect, send, recv, accept, bind", "strace -f -e trace=network COMMAND", errno::ERRNO),
    counters("Ip.", SNMP, NSTAT, ip::IP),
    counters("Icmp.", SNMP, NSTAT, icmp_mib::ICMP),
    counters("Tcp.", SNMP, NSTAT, tcp_mib::TCP),
    counters("Udp.", SNMP, NSTAT, tcp_mib::UDP),
    counters("UdpLite.", SNMP, NSTAT, tcp_mib::UDP),
    counters("TcpExt.", NETSTAT, NSTAT, tcp_ext::CONNECTING),
    counters("TcpExt.", NETSTAT, NSTAT, tcp_ext::SENDING),
    counters("TcpExt.", NETSTAT, NSTAT, tcp_ext::RECEIVING),
    counters("IpExt.", NETSTAT, NSTAT, ip::IP_EXT),
    counters("MPTcpExt.", NETSTAT, NSTAT, mptcp::MPTCP),
    counters("Ip6", SNMP6, NSTAT, ip6::IP6),
    counters("Icmp6", SNMP6, NSTAT, icmp_mib::ICMP6),
    counters("Udp6", SNMP6, NSTAT, tcp_mib::UDP),
    counters("UdpLite6", SNMP6, NSTAT, tcp_mib::UDP),
    counters("Xfrm.", "/proc/net/xfrm_stat", "cat /proc/net/xfrm_stat", xfrm::XFRM),
    counters("", "/proc/net/sockstat", "ss -s", tcp_mib::SOCKSTAT),
    counters("softnet.", "/proc/net/softnet_stat", "cat /proc/net/softnet_stat", tcp_mib::SOFTNET),
    counters("ct.", "ctnetlink CTA_STATS, /proc/net/stat/nf_conntrack", "conntrack -S", conntrack::STATS),
    counters("", "IFLA_STATS64, tc statistics", "ip -s -s link", link::STATS),
    words(Kind::DropReason, "SKB_DROP_REASON_", "tracepoint skb:kfree_skb", "perf trace -e skb:kfree_skb", drop::LOWER),
    words(Kind::DropReason, "SKB_DROP_REASON_", "tracepoint skb:kfree_skb", "perf trace -e skb:kfree_skb", drop::UPPER),
    words(Kind::ResetReason, "SK_RST_REASON_", "tracepoint tcp:tcp_send_reset", "perf trace -e tcp:tcp_send_reset", reset::RESET),
    words(Kind::IcmpMessage, "icmp ", "the wire", "tcpdump -nni any icmp", icmp::V4),
    words(Kind::IcmpMessage, "icmpv6 ", "the wire", "tcpdump -nni any icmp6", icmp::V6),
    words(Kind::TcpInfo, "", "INET_DIAG_INFO", "ss -tin", tcp_info::FIELDS),
    words(Kind::NeighbourState, "", "RTM_GETNEIGH", "ip neigh show", states::NUD),
    words(Kind::ConntrackState, "", "ctnetlink, rules that match ct state", "conntrack -L", conntrack::STATES),
    words(Kind::TcpState, "", "sock_diag", "ss -tan", states::TCP),
    words(Kind::RouteType, "", "RTM_GETROUTE", "ip route show table all", states::ROUTES),
    words(Kind::DeviceFlag, "", "RTM_GETLINK", "ip link show", link::FLAGS),
    words(Kind::DeviceState, "", "RTM_GETLINK, IFLA_OPERSTATE", "ip link show", link::OPERSTATES),
];
