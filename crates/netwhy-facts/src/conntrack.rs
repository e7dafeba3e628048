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

/// One entry as a listing of the whole table or an event shows it: [`CtEntry`] and what only a listing is
/// asked for. What the kernel did not send is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CtListed {
    /// The entry; what the kernel did not send is 0 there.
    pub entry: CtEntry,
    /// Protocol state number (CTA_PROTOINFO_TCP_STATE, _SCTP_STATE, _DCCP_STATE).
    pub proto_state: Option<u8>,
    /// SCTP verification tags (original, reply).
    pub vtags: Option<(u32, u32)>,
    /// Seconds left (CTA_TIMEOUT); an offloaded entry has none.
    pub timeout_s: Option<u32>,
    /// CTA_MARK.
    pub mark: Option<u32>,
    /// CTA_ZONE.
    pub zone: Option<u16>,
    /// Zone of the original direction only (CTA_TUPLE_ZONE).
    pub orig_zone: Option<u16>,
    /// Zone of the reply direction only.
    pub reply_zone: Option<u16>,
    /// Packets and bytes of the original direction, when accounting is on.
    pub orig_counters: Option<(u64, u64)>,
    /// The same of the reply direction.
    pub reply_counters: Option<(u64, u64)>,
    /// References held (CTA_USE).
    pub uses: Option<u32>,
    /// CTA_ID.
    pub id: Option<u32>,
    /// Made at, nanoseconds since 1970 (CTA_TIMESTAMP_START), when nf_conntrack_timestamp is on.
    pub start_ns: Option<u64>,
    /// Ended at, nanoseconds since 1970.
    pub stop_ns: Option<u64>,
    /// Helper (CTA_HELP_NAME).
    pub helper: Option<String>,
    /// Security context (CTA_SECCTX_NAME).
    pub secctx: Option<String>,
    /// Label bits (CTA_LABELS).
    pub labels: Option<Vec<u8>>,
}

/// What happened to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CtChange {
    /// It was made.
    New,
    /// It changed.
    Update,
    /// It ended.
    Destroy,
}

/// Statistics of one CPU as the kernel sends them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CtCpuStats {
    /// The CPU.
    pub cpu: u16,
    /// Name (CTA_STATS_* in lower case) and count since boot, in the kernel's order of numbers; only those sent.
    pub counters: Vec<(String, u64)>,
}

/// An expectation: a connection that a helper announced (IPCTNL_MSG_EXP_GET).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CtExpect {
    /// What is expected.
    pub tuple: CtTuple,
    /// Which bits of it count.
    pub mask: CtTuple,
    /// The connection it belongs to.
    pub master: CtTuple,
    /// Seconds left.
    pub timeout_s: Option<u32>,
    /// Kernel id.
    pub id: Option<u32>,
    /// Helper's name.
    pub helper: Option<String>,
    /// Zone.
    pub zone: Option<u16>,
    /// NF_CT_EXPECT_* bits: 1 permanent, 2 inactive, 4 made by user space.
    pub flags: u32,
    /// Class of the helper's policy.
    pub class: u32,
}
