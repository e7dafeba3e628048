//! The host and the session netwhy runs in: kernel, privileges, namespaces.

use serde::{Deserialize, Serialize};

use crate::reading::Reading;
use crate::store::Fact;

/// Kernel, privileges and namespace of this run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release (uname -r).
    pub kernel: String,
    /// Host name.
    pub hostname: String,
    /// Effective user id.
    pub euid: u32,
    /// Effective capabilities by name (CAP_NET_ADMIN …).
    pub capabilities: Vec<String>,
    /// Inode of the network namespace in question.
    pub netns: u64,
    /// How the user named it; `None` for the current one.
    pub netns_name: Option<String>,
    /// Whether it is the initial namespace of the machine, when it could be told.
    pub initial_netns: Option<bool>,
    /// Wall clock in seconds since 1970 (for certificates).
    pub unix_time_s: i64,
    /// Seccomp mode of netwhy's own process, which asks as the victim does: 0 none, 1 strict, 2 a filter
    /// (`Seccomp` of /proc/PID/status).
    #[serde(default)]
    pub seccomp: Option<u8>,
}

impl Fact for Host {
    const KIND: &'static str = "host";
}

/// Lines of the kernel log since shortly before the question that mention networking.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelLog {
    /// Lines: microseconds of the log's clock, level, text (control bytes still raw).
    pub lines: Vec<(u64, u8, String)>,
    /// Log records lost because the ring wrapped.
    pub lost: u64,
}

impl Fact for KernelLog {
    const KIND: &'static str = "kernel-log";
}

/// Driver and link-layer facts of the egress device. Source: ethtool netlink and ioctl.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Nics(pub Vec<Nic>);

impl Fact for Nics {
    const KIND: &'static str = "nics";
}

/// One device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nic {
    /// Device index.
    pub ifindex: u32,
    /// Driver name.
    pub driver: Reading<String>,
    /// Link detected (ETHTOOL_GLINK).
    pub link: Reading<bool>,
    /// Extended link state in the kernel's words (ETHTOOL_A_LINKSTATE_EXT_STATE).
    pub ext_state: Option<String>,
    /// Speed in Mbit/s.
    pub speed_mbps: Reading<u32>,
    /// Full duplex.
    pub full_duplex: Reading<bool>,
    /// Driver statistics by name.
    pub stats: Reading<std::collections::BTreeMap<String, u64>>,
    /// Offload features that are on.
    pub features: Reading<Vec<String>>,
}

/// IPsec policies and states without keys. Source: NETLINK_XFRM. Needs CAP_NET_ADMIN.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Xfrm {
    /// Policies: direction (in, out, fwd), selector source and destination, action (allow, block), priority, templates in text.
    pub policies: Vec<XfrmPolicy>,
    /// States: source, destination, protocol number, SPI.
    pub states: Vec<(std::net::IpAddr, std::net::IpAddr, u8, u32)>,
}

impl Fact for Xfrm {
    const KIND: &'static str = "xfrm";
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct XfrmPolicy {
    /// in, out or fwd.
    pub dir: String,
    pub src: crate::flow::IpNet,
    pub dst: crate::flow::IpNet,
    pub proto: u8,
    pub sport: Option<u16>,
    pub dport: Option<u16>,
    pub priority: u32,
    /// True for action block.
    pub block: bool,
    /// Templates: (source, destination, protocol, optional).
    pub templates: Vec<(Option<std::net::IpAddr>, Option<std::net::IpAddr>, u8, bool)>,
}
