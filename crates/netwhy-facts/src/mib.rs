//! Protocol counters of the namespace (MIBs) and softirq statistics.
//! Sources: /proc/net/snmp, /proc/net/netstat, /proc/net/snmp6, /proc/net/sockstat, /proc/net/softnet_stat, /proc/net/xfrm_stat.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::store::{Fact, Facts};

/// Counters by name: `Tcp.RetransSegs`, `TcpExt.ListenDrops`, `Ip6InNoRoutes`, `Xfrm.XfrmInNoStates`, `Icmp.InDestUnreachs`, `IcmpMsg.InType3`.
/// A counter the kernel does not print is absent, not zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mib(pub BTreeMap<String, i64>);

impl Fact for Mib {
    const KIND: &'static str = "mib";
}

impl Mib {
    /// How much a counter grew in the window; absent when it was not read twice or the kernel lacks it.
    pub fn delta(facts: &Facts, name: &str) -> Reading<i64> {
        let before = facts.get::<Mib>();
        let after = facts.after::<Mib>();
        match (before, after) {
            (Reading::Known { value: b, .. }, Reading::Known { value: a, source, at }) => {
                match (b.0.get(name), a.0.get(name)) {
                    (Some(b), Some(a)) => Reading::known(a.wrapping_sub(*b), source.clone(), *at),
                    // The kernel prints IcmpMsg types only once they have been seen.
                    (None, Some(a)) if name.starts_with("IcmpMsg.") => {
                        Reading::known(*a, source.clone(), *at)
                    }
                    (None, None) if name.starts_with("IcmpMsg.") => Reading::known(0, source.clone(), *at),
                    _ => Reading::unsupported(format!("this kernel has no counter {name}")),
                }
            }
            (Reading::Known { .. }, absent) => absent.as_ref().map(|_| 0),
            (absent, _) => absent.as_ref().map(|_| 0),
        }
    }

    /// Growth in the window as a number when both samples exist; `None` otherwise. For conditions where any absence means "no proof".
    pub fn grew(facts: &Facts, name: &str) -> Option<i64> {
        Self::delta(facts, name).value().copied()
    }
}

/// One counter, as its file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// `Tcp`, `TcpExt`, `Ip6`: the file's group; for snmp6 the part of the name up to its version.
    pub group: String,
    /// The rest of the name: `RetransSegs`.
    pub name: String,
    /// Its value; wraps like the kernel's.
    pub value: i64,
}

/// Socket memory and counts (/proc/net/sockstat, sockstat6): `TCP.inuse`, `TCP.orphan`, `TCP.tw`, `TCP.mem` (pages), `UDP.mem` …
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sockstat(pub BTreeMap<String, u64>);

impl Fact for Sockstat {
    const KIND: &'static str = "sockstat";
}

/// Per-CPU receive statistics (/proc/net/softnet_stat), counters since boot, machine-wide.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Softnet(pub Vec<SoftnetCpu>);

impl Fact for Softnet {
    const KIND: &'static str = "softnet";
}

/// One CPU's line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SoftnetCpu {
    pub cpu: u32,
    /// Packets processed (column 1).
    pub processed: u64,
    /// Packets dropped because the backlog was full (column 2).
    pub dropped: u64,
    /// Times the budget ran out (column 3); not a loss.
    pub time_squeeze: u64,
    /// RPS interrupts received (column 10).
    pub received_rps: u64,
    /// Packets dropped by the flow limit (column 11).
    pub flow_limit: u64,
    /// Backlog length now (column 12), gauge; absent on old kernels.
    pub backlog_len: Option<u32>,
}
