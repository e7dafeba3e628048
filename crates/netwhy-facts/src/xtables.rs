//! Legacy xtables: rules of iptables, ip6tables, arptables and ebtables as their blobs hold them.
//! Source: getsockopt IPT_SO_GET_INFO/GET_ENTRIES and the like (uapi linux/netfilter/x_tables.h). Scope: namespace. Needs CAP_NET_ADMIN.
//! Rules made by iptables-nft are nftables rules and live in `nft`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::IpNet;
use crate::reading::Reading;
use crate::store::Fact;

/// Legacy tables present in the namespace. A table that was never registered is absent (reading it would load a module).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Xtables(pub Vec<XtTable>);

impl Fact for Xtables {
    const KIND: &'static str = "xtables";
}

/// Which program family a table belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum XtFamily {
    Iptables,
    Ip6tables,
    Arptables,
    Ebtables,
}

impl XtFamily {
    /// The program's name.
    pub fn command(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Ip6tables => "ip6tables",
            Self::Arptables => "arptables",
            Self::Ebtables => "ebtables",
        }
    }
}

/// One table: raw, mangle, nat, filter, security, broute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct XtTable {
    pub family: XtFamily,
    pub name: String,
    pub chains: Reading<Vec<XtChain>>,
}

/// One chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct XtChain {
    pub name: String,
    /// NF_INET_* number of a built-in chain (PREROUTING 0, INPUT 1, FORWARD 2, OUTPUT 3, POSTROUTING 4).
    pub hook: Option<u32>,
    /// Policy of a built-in chain.
    pub policy: Option<XtVerdict>,
    /// Packets and bytes that met the policy.
    pub counters: (u64, u64),
    pub rules: Vec<XtRule>,
}

/// One rule, in order; its number in the chain is its position + 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct XtRule {
    pub src: Option<(IpNet, bool)>,
    pub dst: Option<(IpNet, bool)>,
    /// Mask of an address when it is not a prefix: (source mask, destination mask) as bytes.
    pub odd_masks: Option<(Vec<u8>, Vec<u8>)>,
    /// Input device name, trailing `+` for a prefix; and whether inverted.
    pub iif: Option<(String, bool)>,
    /// Output device.
    pub oif: Option<(String, bool)>,
    /// Protocol number and whether inverted.
    pub proto: Option<(u16, bool)>,
    /// `-f` / `! -f` (IPT_F_FRAG, IPT_INV_FRAG).
    pub fragment: Option<bool>,
    pub goto: bool,
    pub matches: Vec<XtMatch>,
    pub target: XtTarget,
    /// Packets and bytes, since the rule was made or zeroed.
    pub counters: (u64, u64),
    /// ARP or Ethernet selectors of arptables and ebtables in text, when the rule has any this build does not evaluate.
    pub extra: Vec<String>,
}

/// Verdict of a standard target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum XtVerdict {
    Accept,
    Drop,
    Queue,
    Return,
    /// Jump to a user chain by name.
    Jump(String),
    /// No verdict: the next rule.
    Continue,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "target", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum XtTarget {
    Standard {
        verdict: XtVerdict,
    },
    /// `with`: icmp-port-unreachable and so on, or tcp-reset.
    Reject {
        with: String,
    },
    Snat {
        addr_min: Option<IpAddr>,
        addr_max: Option<IpAddr>,
        port_min: Option<u16>,
        port_max: Option<u16>,
        flags: u32,
    },
    Dnat {
        addr_min: Option<IpAddr>,
        addr_max: Option<IpAddr>,
        port_min: Option<u16>,
        port_max: Option<u16>,
        flags: u32,
    },
    Masquerade {
        port_min: Option<u16>,
        port_max: Option<u16>,
        flags: u32,
    },
    Redirect {
        port_min: Option<u16>,
        port_max: Option<u16>,
        flags: u32,
    },
    Netmap {
        addr_min: Option<IpAddr>,
        addr_max: Option<IpAddr>,
    },
    /// `mode` set, save or restore; new = (old & ~mask) ^ mark for set.
    Mark {
        mark: u32,
        mask: u32,
    },
    Connmark {
        mode: u8,
        mark: u32,
        ctmask: u32,
        nfmask: u32,
    },
    /// `level` as syslog counts; `flags` XT_LOG_* bits.
    Log {
        prefix: String,
        #[serde(default)]
        level: u8,
        #[serde(default)]
        flags: u8,
    },
    Nflog {
        group: u16,
        prefix: String,
    },
    Nfqueue {
        num: u16,
        total: u16,
        bypass: bool,
    },
    Tproxy {
        addr: Option<IpAddr>,
        port: u16,
        mark: u32,
        mask: u32,
    },
    Ct {
        notrack: bool,
        zone: u16,
    },
    Notrack,
    Tcpmss {
        mss: Option<u16>,
    },
    Dscp {
        dscp: u8,
    },
    Ttl {
        mode: u8,
        ttl: u8,
    },
    Set {
        add: Option<String>,
        del: Option<String>,
        map: Option<String>,
    },
    Checksum,
    Classify {
        class: u32,
    },
    /// The bits of `mask` are set to those of `value`.
    Tos {
        value: u8,
        mask: u8,
    },
    /// Any other: its name, revision and private structure.
    Unknown {
        name: String,
        revision: u8,
        info: Vec<u8>,
    },
}

/// A match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "match", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum XtMatch {
    Tcp {
        sports: (u16, u16),
        sports_inv: bool,
        dports: (u16, u16),
        dports_inv: bool,
        flag_mask: u8,
        flag_cmp: u8,
        flags_inv: bool,
        option: u8,
        option_inv: bool,
    },
    Udp {
        sports: (u16, u16),
        sports_inv: bool,
        dports: (u16, u16),
        dports_inv: bool,
    },
    /// ICMP and ICMPv6.
    Icmp {
        icmp_type: u8,
        codes: (u8, u8),
        invert: bool,
    },
    /// `side` 0 source, 1 destination, 2 either; inclusive ranges.
    Multiport {
        side: u8,
        ports: Vec<(u16, u16)>,
        invert: bool,
    },
    /// Bits of XT_CONNTRACK_STATE_*: 1 INVALID, 2 ESTABLISHED, 4 RELATED, 8 NEW, 0x40 SNAT, 0x80 DNAT, 0x40<<… as the kernel; `flags` XT_CONNTRACK_*.
    Conntrack {
        match_flags: u16,
        invert_flags: u16,
        state_mask: u16,
        status_mask: u16,
        orig_src: Option<IpNet>,
        orig_dst: Option<IpNet>,
        repl_src: Option<IpNet>,
        repl_dst: Option<IpNet>,
        proto: u16,
        orig_sport: (u16, u16),
        orig_dport: (u16, u16),
        repl_sport: (u16, u16),
        repl_dport: (u16, u16),
        expires: (u32, u32),
    },
    /// The older `state` match: same bits as conntrack state.
    State {
        mask: u32,
    },
    Mark {
        mark: u32,
        mask: u32,
        invert: bool,
    },
    Connmark {
        mark: u32,
        mask: u32,
        invert: bool,
    },
    Comment {
        text: String,
    },
    /// `avg` and `burst` in the kernel's units (XT_LIMIT_SCALE 10000 per second).
    Limit {
        avg: u32,
        burst: u32,
    },
    Hashlimit {
        raw: Vec<u8>,
    },
    Connlimit {
        limit: u32,
        mask_len: u8,
        flags: u32,
    },
    /// RTN_* bit masks of source and destination.
    Addrtype {
        source: u16,
        dest: u16,
        flags: u32,
    },
    Iprange {
        src: Option<(IpAddr, IpAddr)>,
        src_inv: bool,
        dst: Option<(IpAddr, IpAddr)>,
        dst_inv: bool,
    },
    Mac {
        mac: String,
        invert: bool,
    },
    Owner {
        uid: Option<(u32, u32)>,
        gid: Option<(u32, u32)>,
        match_flags: u8,
        invert_flags: u8,
    },
    Set {
        set: String,
        dim: u8,
        flags: u8,
        invert: bool,
    },
    /// `mode` 0 random, 1 nth.
    Statistic {
        mode: u16,
        invert: bool,
        probability: u32,
        every: u32,
        packet: u32,
    },
    Length {
        min: u16,
        max: u16,
        invert: bool,
    },
    Ttl {
        mode: u8,
        ttl: u8,
    },
    Tos {
        value: u8,
        mask: u8,
        invert: bool,
    },
    Dscp {
        dscp: u8,
        invert: bool,
    },
    Pkttype {
        pkttype: u8,
        invert: bool,
    },
    Physdev {
        physin: String,
        physout: String,
        bitmask: u8,
        invert: u8,
    },
    Rpfilter {
        flags: u8,
    },
    Tcpmss {
        min: u16,
        max: u16,
        invert: bool,
    },
    Socket {
        flags: u8,
    },
    Recent {
        name: String,
        raw: Vec<u8>,
    },
    /// Any other: its name, revision and private structure.
    Unknown {
        name: String,
        revision: u8,
        info: Vec<u8>,
    },
}

/// An address-or-nothing helper for renderers.
pub fn net_text(net: &Option<(IpNet, bool)>) -> Option<String> {
    net.as_ref().map(|(n, inv)| format!("{}{n}", if *inv { "! " } else { "" }))
}
