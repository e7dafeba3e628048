//! Connection tracking: size, limit, per-CPU statistics, entries of the flow.
//! Sources: /proc/sys/net/netfilter, ctnetlink (IPCTNL_MSG_CT_GET_STATS_CPU, IPCTNL_MSG_CT_GET) or /proc/net/stat/nf_conntrack.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// The table as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conntrack {
    /// Whether packets of this namespace are tracked at all (some rule or module asked for it); `count` is then meaningful.
    pub active: bool,
    /// Entries in this namespace now (nf_conntrack_count), gauge.
    pub count: u32,
    /// Limit (nf_conntrack_max); set only in the initial namespace, but held against each namespace's count.
    pub max: u32,
    /// Hash buckets.
    pub buckets: u32,
    /// Sums over CPUs of the maintained statistics.
    pub stats: CtStats,
    /// Settings: nf_conntrack_* names without the prefix, such as tcp_loose, tcp_be_liberal, tcp_timeout_established.
    pub settings: std::collections::BTreeMap<String, i64>,
}

impl Fact for Conntrack {
    const KIND: &'static str = "conntrack";
}

/// Per-CPU statistics summed (CTA_STATS_*), counters since boot; only the maintained ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CtStats {
    pub found: u64,
    pub invalid: u64,
    pub insert_failed: u64,
    /// Packets dropped because no entry could be made or confirmed.
    pub drop: u64,
    pub early_drop: u64,
    pub error: u64,
    pub search_restart: u64,
    pub clash_resolve: u64,
    pub chaintoolong: u64,
}

/// Entries that match the question's flow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CtEntries {
    /// Entries.
    pub entries: Vec<CtEntry>,
    /// Entries examined by the kernel or by us to find them.
    pub examined: u64,
    /// False when the bound stopped the dump before its end.
    pub complete: bool,
}

impl Fact for CtEntries {
    const KIND: &'static str = "conntrack-entries";
}

/// A tuple (CTA_TUPLE_*).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CtTuple {
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Protocol number.
    pub proto: u8,
    /// Source port, or ICMP id.
    pub sport: u16,
    /// Destination port, or ICMP type << 8 | code.
    pub dport: u16,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CtEntry {
    /// Original direction.
    pub orig: CtTuple,
    /// Reply direction: differs from the mirror of `orig` where NAT applies.
    pub reply: CtTuple,
    /// IPS_* bits: 1 EXPECTED, 2 SEEN_REPLY, 4 ASSURED, 8 CONFIRMED, 16 SRC_NAT, 32 DST_NAT, 0x200 DYING, 0x4000 OFFLOAD.
    pub status: u32,
    /// TCP state word (SYN_SENT, ESTABLISHED …).
    pub tcp_state: Option<String>,
    /// Seconds left.
    pub timeout_s: u32,
    /// Mark.
    pub mark: u32,
    /// Zone.
    pub zone: u16,
    /// Kernel id (CTA_ID).
    pub id: u32,
    /// Packets seen (original, reply) when accounting is on.
    pub packets: Option<(u64, u64)>,
}

impl CtEntry {
    /// Whether the destination was translated.
    pub fn is_dnat(&self) -> bool {
        self.status & 32 != 0
    }
    /// Whether the source was translated.
    pub fn is_snat(&self) -> bool {
        self.status & 16 != 0
    }
    /// Whether a reply was seen.
    pub fn seen_reply(&self) -> bool {
        self.status & 2 != 0
    }
}
