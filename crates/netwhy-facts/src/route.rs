//! Routes, policy rules, nexthop objects, and the kernel's own answers to a routing question.
//! Sources: RTM_GETROUTE, RTM_GETRULE, RTM_GETNEXTHOP.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::{Family, IpNet};
use crate::store::Fact;

/// Routes of all tables, up to a bound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Routes {
    /// The routes read.
    pub routes: Vec<Route>,
    /// Whether these are all; false when the table was larger than the collector's bound or filtered.
    pub complete: bool,
}

impl Fact for Routes {
    const KIND: &'static str = "routes";
}

/// One route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Family.
    pub family: Family,
    /// Destination (RTA_DST, rtm_dst_len).
    pub dst: IpNet,
    /// Source selector (RTA_SRC), IPv6 subtrees.
    pub src: Option<IpNet>,
    /// Table (RTA_TABLE): 254 main, 255 local, 253 default.
    pub table: u32,
    /// Type (rtm_type).
    pub kind: RouteType,
    /// Scope (rtm_scope).
    pub scope: u8,
    /// Who made it (rtm_protocol): 2 kernel, 3 boot, 4 static, 9 ra, 16 dhcp …
    pub protocol: u8,
    /// Metric (RTA_PRIORITY).
    pub priority: u32,
    /// Type of service selector (rtm_tos).
    pub tos: u8,
    /// Preferred source (RTA_PREFSRC).
    pub prefsrc: Option<IpAddr>,
    /// Next hops: one for a simple route, several for multipath, none for blackhole and its like.
    pub hops: Vec<Hop>,
    /// Nexthop object (RTA_NH_ID).
    pub nhid: Option<u32>,
    /// MTU metric (RTAX_MTU) in bytes.
    pub mtu: Option<u32>,
    /// Advertised MSS (RTAX_ADVMSS) in bytes.
    pub advmss: Option<u32>,
    /// Flags (rtm_flags, RTNH_F_*).
    pub flags: u32,
    /// Encapsulation type (RTA_ENCAP_TYPE), raw number.
    pub encap: Option<u16>,
    /// Route preference of a router advertisement (RTA_PREF).
    pub pref: Option<u8>,
    /// Seconds until it expires (RTA_EXPIRES or rta_cacheinfo).
    pub expires_s: Option<u32>,
}

/// One next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// Output device index.
    pub oif: Option<u32>,
    /// Gateway; of the other family for RTA_VIA.
    pub gateway: Option<IpAddr>,
    /// Weight, 1-based (rtnh_hops + 1).
    pub weight: u32,
    /// Flags (RTNH_F_*): 1 dead, 4 onlink, 16 linkdown.
    pub flags: u32,
}

impl Hop {
    /// RTNH_F_DEAD.
    pub fn is_dead(&self) -> bool {
        self.flags & 1 != 0
    }
    /// RTNH_F_ONLINK.
    pub fn is_onlink(&self) -> bool {
        self.flags & 4 != 0
    }
    /// RTNH_F_LINKDOWN.
    pub fn is_linkdown(&self) -> bool {
        self.flags & 16 != 0
    }
}

/// Route type (rtm_type, RTN_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the words are those of ip-route(8)
pub enum RouteType {
    Unspec,
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
    Nat,
    Other(u8),
}

impl RouteType {
    /// The word of ip-route(8).
    pub fn name(self) -> String {
        match self {
            Self::Other(n) => n.to_string(),
            known => format!("{known:?}").to_lowercase(),
        }
    }
    /// From the kernel's number.
    pub fn from_number(n: u8) -> Self {
        match n {
            0 => Self::Unspec,
            1 => Self::Unicast,
            2 => Self::Local,
            3 => Self::Broadcast,
            4 => Self::Anycast,
            5 => Self::Multicast,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            9 => Self::Throw,
            10 => Self::Nat,
            other => Self::Other(other),
        }
    }
}

/// Policy rules of both families, by priority.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules(pub Vec<Rule>);

impl Fact for Rules {
    const KIND: &'static str = "rules";
}

/// One policy rule (struct fib_rule_hdr, FRA_*).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Family.
    pub family: Family,
    /// Priority; lower is asked first.
    pub priority: u32,
    /// Matches when the other selectors do not (FIB_RULE_INVERT).
    pub invert: bool,
    /// Source selector.
    pub from: Option<IpNet>,
    /// Destination selector.
    pub to: Option<IpNet>,
    /// Input device; `lo` selects locally made packets.
    pub iif: Option<String>,
    /// Output device (bound sockets).
    pub oif: Option<String>,
    /// Mark and mask.
    pub fwmark: Option<(u32, u32)>,
    /// Type of service.
    pub tos: u8,
    /// User id range.
    pub uid_range: Option<(u32, u32)>,
    /// IP protocol.
    pub ip_proto: Option<u8>,
    /// Source port range.
    pub sport: Option<(u16, u16)>,
    /// Destination port range.
    pub dport: Option<(u16, u16)>,
    /// Layer-3 master device rule.
    pub l3mdev: bool,
    /// What it does.
    pub action: RuleAction,
    /// Results with a prefix length up to this are not used (FRA_SUPPRESS_PREFIXLEN); negative means off.
    pub suppress_prefixlen: Option<i32>,
    /// Results through this device group are not used.
    pub suppress_ifgroup: Option<i32>,
    /// Who made it.
    pub protocol: u8,
    /// Attributes this build does not know; a rule with any cannot be evaluated.
    pub unknown: Vec<u16>,
}

/// Action of a policy rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// Look into this table.
    Table(u32),
    /// Go on at this priority.
    Goto(u32),
    /// Do nothing.
    Nop,
    /// Drop silently: EINVAL for local senders.
    Blackhole,
    /// ENETUNREACH.
    Unreachable,
    /// EACCES.
    Prohibit,
    /// A number this build does not know.
    Other(u8),
}

/// Nexthop objects.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Nexthops(pub Vec<Nexthop>);

impl Fact for Nexthops {
    const KIND: &'static str = "nexthops";
}

/// One nexthop object (NHA_*).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nexthop {
    /// Identifier.
    pub id: u32,
    /// Device.
    pub oif: Option<u32>,
    /// Gateway.
    pub gateway: Option<IpAddr>,
    /// Drops everything.
    pub blackhole: bool,
    /// Group members: id and weight.
    pub group: Vec<(u32, u32)>,
    /// Flags (RTNH_F_*).
    pub flags: u32,
    /// Family.
    pub family: Option<Family>,
}

/// A routing question: the full key the kernel looks up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FibKey {
    /// Destination.
    pub dst: IpAddr,
    /// Source, when fixed.
    pub src: Option<IpAddr>,
    /// Input device for a packet that arrives; `None` for one made here.
    pub iif: Option<u32>,
    /// Output device a socket is bound to.
    pub oif: Option<u32>,
    /// Mark.
    pub mark: u32,
    /// User id.
    pub uid: Option<u32>,
    /// Type of service.
    pub tos: u8,
    /// Protocol number.
    pub ip_proto: Option<u8>,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port.
    pub dport: Option<u16>,
}

impl FibKey {
    /// A key with only a destination.
    pub fn to(dst: IpAddr) -> Self {
        Self {
            dst,
            src: None,
            iif: None,
            oif: None,
            mark: 0,
            uid: None,
            tos: 0,
            ip_proto: None,
            sport: None,
            dport: None,
        }
    }
}

/// The kernel's answers to routing questions (RTM_GETROUTE with the full key).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FibAnswers(pub Vec<FibAnswer>);

impl Fact for FibAnswers {
    const KIND: &'static str = "fib-answers";
}

impl FibAnswers {
    /// The answer to exactly this key.
    pub fn find(&self, key: &FibKey) -> Option<&FibAnswer> {
        self.0.iter().find(|a| a.key == *key)
    }
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FibAnswer {
    /// What was asked.
    pub key: FibKey,
    /// What the kernel would do.
    pub result: FibResult,
}

/// The kernel's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum FibResult {
    /// A route.
    Route(Box<FibRoute>),
    /// An error: number and symbolic name (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, EXDEV …), with the kernel's text.
    Error {
        /// Positive errno.
        errno: i32,
        /// Symbolic name.
        name: String,
        /// Extended acknowledgement text, may be empty.
        text: String,
    },
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FibRoute {
    /// Type.
    pub kind: RouteType,
    /// Table it was found in.
    pub table: u32,
    /// Output device.
    pub oif: Option<u32>,
    /// Gateway.
    pub gateway: Option<IpAddr>,
    /// Source address the kernel would use (RTA_PREFSRC of the answer).
    pub prefsrc: Option<IpAddr>,
    /// The entry that matched (RTM_F_FIB_MATCH), when the kernel told.
    pub matched: Option<Route>,
    /// Path MTU from the exception cache or route (RTAX_MTU).
    pub mtu: Option<u32>,
    /// Seconds until the cached exception expires.
    pub expires_s: Option<u32>,
    /// Whether the answer came from a cached exception (redirect or learned MTU).
    pub cached: bool,
}
