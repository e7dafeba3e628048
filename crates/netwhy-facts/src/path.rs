//! The path to the target: hops by TTL, path MTU, neighbour probes. Filled by asking.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::{Flow, Proto};
use crate::store::Fact;

/// Hops seen with packets of the flow's own kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Paths(pub Vec<Path>);

impl Fact for Paths {
    const KIND: &'static str = "paths";
}

/// One path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Path {
    /// The flow, ports included.
    pub flow: Flow,
    /// Transport of the probes.
    pub proto: Proto,
    /// Hops by TTL, from 1; a silent hop is present with no replies.
    pub hops: Vec<Hop>,
    /// Whether the destination itself answered (any answer), and at which TTL.
    pub reached_at: Option<u8>,
    /// Packets sent.
    pub sent: u32,
}

/// One TTL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// Time to live of the probe.
    pub ttl: u8,
    /// Replies.
    pub replies: Vec<HopReply>,
    /// Probes sent with this TTL.
    pub sent: u32,
}

/// One reply to a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HopReply {
    /// Who answered.
    pub from: IpAddr,
    /// Round trip in microseconds.
    pub rtt_us: u64,
    /// What it was.
    pub kind: HopReplyKind,
}

/// Kind of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum HopReplyKind {
    TimeExceeded,
    /// ICMP unreachable and others with type and code.
    Icmp {
        icmp_type: u8,
        code: u8,
        mtu: Option<u32>,
    },
    SynAck,
    Rst,
    EchoReply,
    UdpReply,
}

/// Path MTU found by size search with DF set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PathMtus(pub Vec<PathMtu>);

impl Fact for PathMtus {
    const KIND: &'static str = "path-mtus";
}

/// One search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PathMtu {
    /// Destination.
    pub dst: IpAddr,
    /// Transport of the probes.
    pub proto: Proto,
    /// MTU of the egress device.
    pub local_mtu: u32,
    /// Largest IP packet in bytes that was answered; `None` when not even the smallest was.
    pub passes: Option<u32>,
    /// Smallest IP packet in bytes that got no answer.
    pub fails: Option<u32>,
    /// Who said so and what MTU it named, when an ICMP too-big arrived.
    pub told: Option<(IpAddr, u32)>,
    /// Large packets vanish without any ICMP message while small ones pass.
    pub black_hole: bool,
    /// Packets sent.
    pub sent: u32,
}

/// Neighbour probes (ARP request, neighbour solicitation): one per address and device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NeighProbes(pub Vec<NeighProbe>);

impl Fact for NeighProbes {
    const KIND: &'static str = "neigh-probes";
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NeighProbe {
    /// Address asked for.
    pub addr: IpAddr,
    /// Device.
    pub dev: String,
    /// Link-layer addresses that answered, each once; more than one means duplicate holders (or proxies).
    pub answers: Vec<String>,
    /// Requests sent.
    pub sent: u32,
}
