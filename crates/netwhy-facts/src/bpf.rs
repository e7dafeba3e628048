//! BPF programs attached where a packet or a socket call of this host passes.
//! Sources: bpf(2) BPF_PROG_QUERY, BPF_LINK_GET_NEXT_ID, IFLA_XDP, RTM_GETTFILTER. Needs CAP_BPF or CAP_NET_ADMIN/CAP_SYS_ADMIN.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::store::Fact;

/// Programs found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BpfPrograms(pub Vec<BpfAttached>);

impl Fact for BpfPrograms {
    const KIND: &'static str = "bpf";
}

/// One attachment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BpfAttached {
    /// Hook: xdp-native, xdp-generic, xdp-offload, tc-ingress, tc-egress, tcx-ingress, tcx-egress, netkit-primary, netkit-peer,
    /// cgroup-ingress, cgroup-egress, cgroup-sock-create, cgroup-sock-release, cgroup-bind4/6, cgroup-post-bind4/6, cgroup-connect4/6,
    /// cgroup-sendmsg4/6, cgroup-recvmsg4/6, cgroup-getpeername4/6, cgroup-getsockname4/6, cgroup-getsockopt, cgroup-setsockopt,
    /// sock-ops, netfilter, sk-lookup, flow-dissector; lsm for the whole machine (which of the security hooks is not told).
    pub hook: String,
    /// Device, for device hooks.
    pub ifindex: Option<u32>,
    /// Cgroup path, for cgroup hooks.
    pub cgroup: Option<String>,
    /// Netfilter link: family (NFPROTO_*), hook number, priority.
    pub netfilter: Option<(u8, u32, i32)>,
    /// Position among programs of the same hook.
    pub position: u32,
    /// Program id.
    pub prog_id: u32,
    /// Program name.
    pub name: String,
    /// Program tag, hexadecimal.
    pub tag: String,
    /// Link id, when attached by a link.
    pub link_id: Option<u32>,
    /// Runs counted (needs kernel.bpf_stats_enabled), counter.
    pub run_cnt: Reading<u64>,
    /// Processes that hold the program or link open, when readable.
    pub holders: Reading<Vec<(u32, String)>>,
}

/// Hooks that could not be asked although others could: what, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BpfGaps(pub Vec<(String, String)>);

impl Fact for BpfGaps {
    const KIND: &'static str = "bpf-gaps";
}

/// What programs did with a packet of the flow when the kernel was asked to run them on it (BPF_PROG_TEST_RUN).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BpfTrials(pub Vec<BpfTrial>);

impl Fact for BpfTrials {
    const KIND: &'static str = "bpf-trials";
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BpfTrial {
    /// Program id.
    pub prog_id: u32,
    /// True for the packet toward the target, false for its answer.
    pub request: bool,
    /// What the program returned, in the numbers of its kind (XDP_*, TC_ACT_*, NF_*, 0 or 1 for control groups).
    pub result: u32,
}
