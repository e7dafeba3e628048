//! Neighbours (ARP and ND entries) and their limits. Sources: RTM_GETNEIGH, RTM_GETNEIGHTBL.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::Family;
use crate::reading::Reading;
use crate::store::Fact;

/// Neighbour entries that concern the question (or all, for `netwhy facts`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Neighbours(pub Vec<Neighbour>);

impl Fact for Neighbours {
    const KIND: &'static str = "neighbours";
}

impl Neighbours {
    /// The entry for an address on a device.
    pub fn find(&self, ifindex: u32, addr: &IpAddr) -> Option<&Neighbour> {
        self.0.iter().find(|n| n.ifindex == ifindex && n.addr == *addr && !n.proxy)
    }
}

/// One neighbour entry (struct ndmsg, NDA_*).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Device index.
    pub ifindex: u32,
    /// Protocol address (NDA_DST).
    pub addr: IpAddr,
    /// Link-layer address (NDA_LLADDR), lower-case with colons.
    pub lladdr: Option<String>,
    /// State (NUD_*).
    pub state: Nud,
    /// Flags (NTF_*) as the kernel's bits.
    pub flags: u32,
    /// A proxy entry (NTF_PROXY).
    pub proxy: bool,
    /// Solicitations sent without answer (NDA_PROBES).
    pub probes: u32,
    /// Milliseconds since last confirmed (NDA_CACHEINFO).
    pub confirmed_ms: Option<u64>,
    /// Milliseconds since last used.
    pub used_ms: Option<u64>,
    /// Milliseconds since last updated.
    pub updated_ms: Option<u64>,
}

/// Neighbour state (NUD_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // the words are the kernel's
pub enum Nud {
    None,
    Incomplete,
    Reachable,
    Stale,
    Delay,
    Probe,
    Failed,
    Noarp,
    Permanent,
}

impl Nud {
    /// Whether frames can be sent with this entry.
    pub fn is_valid(self) -> bool {
        !matches!(self, Self::None | Self::Incomplete | Self::Failed)
    }
    /// The word the kernel uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Incomplete => "INCOMPLETE",
            Self::Reachable => "REACHABLE",
            Self::Stale => "STALE",
            Self::Delay => "DELAY",
            Self::Probe => "PROBE",
            Self::Failed => "FAILED",
            Self::Noarp => "NOARP",
            Self::Permanent => "PERMANENT",
        }
    }
}

/// Limits and statistics of the neighbour tables. Machine-wide, not per namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NeighTables(pub Vec<NeighTable>);

impl Fact for NeighTables {
    const KIND: &'static str = "neigh-tables";
}

/// One table (struct ndt_config, struct ndt_stats; `arp_cache` or `ndisc_cache`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeighTable {
    /// Family.
    pub family: Family,
    /// Entries now, all namespaces (ndtc_entries), gauge.
    pub entries: u32,
    /// Below this nothing is collected (gc_thresh1).
    pub gc_thresh1: u32,
    /// Soft limit.
    pub gc_thresh2: u32,
    /// Hard limit.
    pub gc_thresh3: u32,
    /// Failed resolutions (ndts_res_failed), counter.
    pub res_failed: u64,
    /// Packets dropped while unresolved (unresolved_discards of /proc/net/stat, of the first namespace only), counter.
    pub unres_discards: Reading<u64>,
    /// Times an entry was refused because of gc_thresh3 (ndts_table_fulls), counter.
    pub table_fulls: u64,
    /// Forced garbage collections, counter.
    pub forced_gc_runs: u64,
}
