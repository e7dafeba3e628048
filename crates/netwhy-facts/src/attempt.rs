//! The reproduction: what happened when the target was tried as the victim would. Filled by asking.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::flow::{Flow, Proto};
use crate::store::Fact;

/// What an attempt is called that calls connect(2) without an address, which sends nothing.
pub const NO_ADDRESS: &str = "without-address";

/// Attempts, one per address of the target (and more when an experiment varied something).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempts(pub Vec<Attempt>);

impl Fact for Attempts {
    const KIND: &'static str = "attempts";
}

impl Attempts {
    /// The plain attempt (no variation) to a flow's destination.
    pub fn of(&self, flow: &Flow) -> Option<&Attempt> {
        self.0.iter().find(|a| {
            a.variant.is_none() && a.proto == flow.proto && a.dst == flow.dst && a.dport == flow.dport
        })
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Transport.
    pub proto: Proto,
    /// Destination.
    pub dst: IpAddr,
    /// Destination port; 0 for echo.
    pub dport: u16,
    /// Local end the kernel chose, when the socket got that far.
    pub local: Option<SocketAddr>,
    /// What an experiment varied (`other-port`, `other-source-port`, `small`, `large`, `ttl=N` …); `None` for the plain reproduction.
    pub variant: Option<String>,
    /// When it began, nanoseconds of CLOCK_MONOTONIC.
    pub started: u64,
    /// Microseconds until the outcome.
    pub elapsed_us: u64,
    /// How far it came.
    pub phase: Phase,
    /// The outcome.
    pub outcome: Outcome,
    /// ICMP errors the socket's error queue held (IP_RECVERR), in order.
    pub icmp: Vec<IcmpError>,
    /// Socket cookie.
    pub cookie: Option<u64>,
    /// tcp_info when the attempt ended or timed out.
    pub tcp: Option<Box<crate::socket::TcpInfo>>,
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// socket(), bind() and options.
    Socket,
    /// connect(), or sending for UDP and echo.
    Connect,
    /// Connected; waiting for the first byte where one is expected.
    Established,
    /// A reply arrived (UDP, echo) or the connection stayed up as long as asked.
    Answered,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Outcome {
    /// It worked.
    Ok,
    /// A system call failed: which, and its errno.
    Error { call: String, errno: i32, name: String },
    /// Nothing came back before the deadline (for UDP: neither reply nor error, which is not a failure by itself).
    Timeout,
    /// The peer closed or reset right after accepting: `reset` for RST, else FIN.
    ClosedEarly { reset: bool, after_us: u64, bytes: u64 },
}

/// An ICMP error for this socket (struct sock_extended_err).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpError {
    /// Who sent it; an own address means this host.
    pub from: Option<IpAddr>,
    /// True for ICMPv6.
    pub v6: bool,
    /// Type.
    pub icmp_type: u8,
    /// Code.
    pub code: u8,
    /// Next-hop MTU of a too-big message.
    pub mtu: Option<u32>,
    /// Microseconds after the attempt began.
    pub after_us: u64,
    /// SO_EE_ORIGIN_LOCAL: made by this host without a packet (EMSGSIZE and the like).
    pub local: bool,
}
