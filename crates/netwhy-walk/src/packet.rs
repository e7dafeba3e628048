//! The hypothetical packet the walker carries through the host.

use std::net::IpAddr;

use netwhy_facts::{Family, Flow, Proto};
use serde::{Deserialize, Serialize};

/// A packet as far as rules, routes and sockets can see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Packet {
    pub src: IpAddr,
    pub dst: IpAddr,
    /// Protocol number on the wire.
    pub proto: u8,
    /// Source port; echo identifier for ICMP.
    pub sport: u16,
    pub dport: u16,
    pub icmp_type: u8,
    pub icmp_code: u8,
    pub tcp_flags: u8,
    pub ttl: u8,
    /// Type of service or traffic class byte.
    pub tos: u8,
    /// IP total length in bytes.
    pub len: u32,
    pub mark: u32,
    /// Device of arrival.
    pub iif: Option<u32>,
    /// Device of departure, once routed or when the socket is bound.
    pub oif: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// Link-layer source and destination, when known (six bytes for Ethernet).
    pub mac_src: Option<Vec<u8>>,
    pub mac_dst: Option<Vec<u8>>,
    pub vlan: Option<u16>,
    /// What connection tracking would say of it.
    pub ct: CtHypothesis,
}

/// The state a packet has, or is assumed to have, for connection tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CtHypothesis {
    /// First packet of a flow that is not in the table.
    New,
    /// Reply or later packet of a tracked flow.
    Established,
    /// Related to a tracked flow (an ICMP error).
    Related,
    /// Out of any acceptable state.
    Invalid,
    /// Not tracked (notrack, or tracking inactive).
    Untracked,
}

impl Packet {
    /// The first packet of a flow as its sender makes it: a SYN, a datagram, or an echo request.
    pub fn first_of(flow: &Flow, src: IpAddr, sport: u16) -> Self {
        let v6 = flow.family() == Family::Inet6;
        let (icmp_type, tcp_flags, len) = match (flow.proto, v6) {
            (Proto::Tcp, false) => (0, 0x02, 60),
            (Proto::Tcp, true) => (0, 0x02, 80),
            (Proto::Udp, false) => (0, 0, 29),
            (Proto::Udp, true) => (0, 0, 49),
            (Proto::Icmp, false) => (8, 0, 84),
            (Proto::Icmp, true) => (128, 0, 104),
        };
        Self {
            src,
            dst: flow.dst,
            proto: flow.proto_number(),
            sport,
            dport: flow.dport,
            icmp_type,
            icmp_code: 0,
            tcp_flags,
            ttl: 64,
            tos: 0,
            len,
            mark: flow.mark,
            iif: None,
            oif: None,
            uid: flow.uid,
            gid: None,
            mac_src: None,
            mac_dst: None,
            vlan: None,
            ct: CtHypothesis::New,
        }
    }

    /// The answer to a packet as the far end would make it (SYN-ACK, datagram, echo reply), with ends exchanged. An echo
    /// reply takes over the type of service; the others have that of their socket, which is 0 unless somebody set it.
    pub fn reply_to(&self) -> Self {
        let icmp_type = match self.icmp_type {
            8 => 0,
            128 => 129,
            other => other,
        };
        let echo = matches!((self.proto, icmp_type), (1, 0) | (58, 129));
        Self {
            src: self.dst,
            dst: self.src,
            tos: if echo { self.tos } else { 0 },
            sport: if self.proto == 1 || self.proto == 58 { self.sport } else { self.dport },
            dport: if self.proto == 1 || self.proto == 58 { self.dport } else { self.sport },
            icmp_type,
            tcp_flags: if self.proto == 6 { 0x12 } else { 0 },
            ttl: 64,
            mark: 0,
            iif: None,
            oif: None,
            uid: None,
            gid: None,
            mac_src: None,
            mac_dst: None,
            vlan: None,
            ct: CtHypothesis::Established,
            ..self.clone()
        }
    }

    /// Family of the packet.
    pub fn family(&self) -> Family {
        Family::of(&self.dst)
    }
}
