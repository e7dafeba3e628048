//! Traffic control: qdiscs, classes, filters with their statistics. Source: RTM_GETQDISC, RTM_GETTCLASS, RTM_GETTFILTER.

use serde::{Deserialize, Serialize};

use crate::store::Fact;

/// Traffic control of the devices on the flow's path.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Tc {
    pub qdiscs: Vec<Qdisc>,
    pub classes: Vec<TcClass>,
    pub filters: Vec<TcFilter>,
}

impl Fact for Tc {
    const KIND: &'static str = "tc";
}

/// Statistics common to qdiscs and classes (TCA_STATS2): counters except backlog and qlen, which are gauges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TcStats {
    pub bytes: u64,
    pub packets: u64,
    pub drops: u64,
    pub overlimits: u64,
    pub requeues: u64,
    pub backlog_bytes: u32,
    pub qlen_packets: u32,
}

/// A qdisc.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Qdisc {
    /// Device.
    pub ifindex: u32,
    /// Handle `major:minor` packed.
    pub handle: u32,
    /// Parent packed; 0xffffffff root, 0xfffffff1 clsact/ingress.
    pub parent: u32,
    /// Kind: fq_codel, tbf, htb, netem, clsact, ingress, noqueue …
    pub kind: String,
    /// Options in words and plain numbers, named as tc(8) names them with the unit appended: `limit_packets`, `limit_bytes`,
    /// `rate_bytes` (per second), `burst_bytes`, `target_us`, `delay_us`, `loss_percent` … Statistics of the kind's own begin
    /// with `stat_`. Options nobody decoded are missing; a kind nobody decoded has `unknown`.
    pub options: std::collections::BTreeMap<String, String>,
    /// Counters.
    pub stats: TcStats,
}

/// A class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TcClass {
    pub ifindex: u32,
    pub handle: u32,
    pub parent: u32,
    pub kind: String,
    pub options: std::collections::BTreeMap<String, String>,
    pub stats: TcStats,
}

/// A filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TcFilter {
    /// Device.
    pub ifindex: u32,
    /// Parent packed: 0xfffffff2 ingress, 0xfffffff3 egress of clsact.
    pub parent: u32,
    /// Preference.
    pub pref: u16,
    /// EtherType selector, host order; 3 = all.
    pub protocol: u16,
    /// Handle.
    pub handle: u32,
    /// Kind: bpf, u32, flower, matchall, basic …
    pub kind: String,
    /// Class it directs to, packed.
    pub classid: Option<u32>,
    /// BPF program id and direct-action flag.
    pub bpf: Option<(u32, bool)>,
    /// u32 keys: (offset, mask, value) in host order as the kernel compares them on the network header; `None` when not u32 or not decoded.
    pub u32_keys: Option<Vec<(i32, u32, u32)>>,
    /// Actions in order.
    pub actions: Vec<TcAction>,
    /// Options in text: the selectors of flower and matchall, `chain` when it is not 0, `block` of a shared block, `link` and `hash` of
    /// u32; `unknown` lists attributes nobody decoded, so that a match cannot be judged.
    pub options: std::collections::BTreeMap<String, String>,
}

/// An action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcAction {
    /// Kind: gact, mirred, police, bpf …
    pub kind: String,
    /// What the packet meets: ok, shot, pipe, reclassify, stolen, redirect … For a policer: what meets the packets beyond its rate.
    pub control: String,
    /// What else the action says: `dev` (an index) and `direction` of mirred, `rate_bytes`, `burst_bytes` and `conform` of police,
    /// `prog_id` of bpf.
    #[serde(default)]
    pub options: std::collections::BTreeMap<String, String>,
    /// Counters.
    pub stats: TcStats,
}
