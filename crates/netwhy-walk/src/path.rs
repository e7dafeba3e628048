//! The predicted path: steps, and how it ends.

use netwhy_facts::Locus;
use serde::{Deserialize, Serialize};

use crate::packet::Packet;

/// Where in the stack a step happens, in the order packets meet them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Stage {
    Socket,
    CgroupBpf,
    Link,
    Xdp,
    TcIngress,
    NetdevIngress,
    Bridge,
    Raw,
    Defrag,
    Prerouting,
    Conntrack,
    Nat,
    RpFilter,
    Routing,
    Input,
    Forward,
    Output,
    Postrouting,
    Xfrm,
    Neighbour,
    NetdevEgress,
    TcEgress,
    Qdisc,
    Mtu,
    SocketLookup,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Stage.
    pub stage: Stage,
    /// What happened, one line: `inet filter input: policy accept`.
    pub text: String,
    /// The object that decided, when one did.
    pub locus: Option<Locus>,
    /// What became of the packet here.
    pub action: Action,
    /// Objects passed at this step that matched without ending it (logs, counters, marks), as text.
    pub passed: Vec<String>,
}

/// What became of the packet at a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Action {
    Pass,
    /// Address, port, mark or device changed: what, in words.
    Changed {
        what: String,
    },
    Drop,
    /// Refused with an answer: `tcp reset`, `icmp port-unreachable`, or an errno for a local sender.
    Reject {
        with: String,
    },
    /// Handed to user space or another device; its fate is not decided here.
    Stolen {
        to: String,
    },
    Deliver,
    Send,
    /// The facts do not suffice: what is missing.
    Unknown {
        what: String,
    },
}

/// How the predicted path ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum End {
    /// Reached a socket of this host.
    Delivered { locus: Locus },
    /// Left through a device toward a next hop.
    Sent { dev: String, next_hop: Option<std::net::IpAddr> },
    /// Dropped silently at the last step.
    Dropped { locus: Locus },
    /// Refused with an answer at the last step.
    Rejected { locus: Locus, with: String },
    /// No socket: the stack answers RST or port-unreachable.
    NoSocket { locus: Locus },
    /// No route, a denying route, or forwarding off: errno name for a local sender, ICMP for a forwarded packet.
    Unroutable { locus: Locus, error: String },
    /// The next hop has no valid neighbour entry (failed, or static nonsense).
    Unresolved { locus: Locus },
    /// Handed to something this host's facts cannot follow (nfqueue, tproxy, redirect to another device).
    Stolen { to: String, locus: Option<Locus> },
    /// The walker cannot know: what is missing, and the object that stopped it.
    Insufficient { what: String, locus: Option<Locus> },
}

/// A predicted path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// The packet at the start.
    pub packet: Packet,
    /// The packet at the end (after translation and marks).
    pub finally: Packet,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// The end.
    pub end: End,
    /// Steps the walker could not decide but went past (a log of assumptions), such as a BPF program it cannot execute.
    pub assumptions: Vec<String>,
    /// The tracking entry as this packet leaves it, translations included; `None` when it was not tracked or did not get that far.
    #[serde(default)]
    pub ct: Option<netwhy_facts::conntrack::CtEntry>,
}

impl Path {
    /// The object that stops the packet, when the prediction is that it is stopped here.
    pub fn blocker(&self) -> Option<&Locus> {
        match &self.end {
            End::Dropped { locus }
            | End::Rejected { locus, .. }
            | End::NoSocket { locus }
            | End::Unroutable { locus, .. }
            | End::Unresolved { locus } => Some(locus),
            _ => None,
        }
    }
    /// The last step.
    pub fn last(&self) -> Option<&Step> {
        self.steps.last()
    }
    /// Whether the packet is predicted to get through this host (delivered or sent).
    pub fn passes(&self) -> bool {
        matches!(self.end, End::Delivered { .. } | End::Sent { .. })
    }
    /// Whether the prediction holds without assumption.
    pub fn is_certain(&self) -> bool {
        self.assumptions.is_empty() && !matches!(self.end, End::Insufficient { .. } | End::Stolen { .. })
    }
}
