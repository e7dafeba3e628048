//! Headers of the question's own flow as they left and arrived. Filled by a filtered AF_PACKET capture.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::Flow;
use crate::store::Fact;

/// The capture of one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowCapture {
    /// Packets in order.
    pub packets: Vec<CapturedPacket>,
    /// Packets the kernel could not deliver to us (tp_drops).
    pub dropped: u64,
    /// Packets beyond the bound that were counted but not kept.
    pub beyond_bound: u64,
}

impl Fact for FlowCapture {
    const KIND: &'static str = "capture";
}

/// One packet of the flow (or an ICMP error that quotes it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedPacket {
    /// Nanoseconds of CLOCK_MONOTONIC, or of the wall clock made relative to the window.
    pub at: u64,
    /// Device index.
    pub ifindex: u32,
    /// True when it left this host (PACKET_OUTGOING).
    pub out: bool,
    /// PACKET_* type: 0 host, 1 broadcast, 2 multicast, 3 other host, 4 outgoing.
    pub pkttype: u8,
    /// Source address (ARP: sender).
    pub src: IpAddr,
    /// Destination address (ARP: target).
    pub dst: IpAddr,
    /// Protocol number; 0x0806 for ARP.
    pub proto: u16,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// TCP flags.
    pub tcp_flags: u8,
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// TCP window.
    pub window: u16,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IP total length in bytes.
    pub len: u32,
    /// For an ICMP error: type, code, MTU word, and the quoted tuple matches the flow.
    pub icmp: Option<(u8, u8, u32)>,
    /// For ARP: opcode (1 request, 2 reply) and sender's hardware address; for ND: ICMPv6 type and target link-layer address.
    pub arp: Option<(u16, String)>,
    /// Link-layer source address.
    pub mac_src: Option<String>,
    /// Link-layer destination address.
    pub mac_dst: Option<String>,
    /// VLAN id when the frame was tagged.
    pub vlan: Option<u16>,
}

impl CapturedPacket {
    /// SYN without ACK.
    pub fn is_syn(&self) -> bool {
        self.proto == 6 && self.tcp_flags & 0x12 == 0x02
    }
    /// SYN and ACK.
    pub fn is_syn_ack(&self) -> bool {
        self.proto == 6 && self.tcp_flags & 0x12 == 0x12
    }
    /// RST.
    pub fn is_rst(&self) -> bool {
        self.proto == 6 && self.tcp_flags & 0x04 != 0
    }
}

impl FlowCapture {
    /// Packets from the flow's source to its destination (before translation), and back.
    pub fn toward<'a>(&'a self, flow: &'a Flow) -> impl Iterator<Item = &'a CapturedPacket> + 'a {
        self.packets.iter().filter(move |p| {
            p.icmp.is_none() && p.arp.is_none() && p.dst == flow.dst && p.dport == flow.dport
        })
    }
    /// Packets from the flow's destination.
    pub fn back<'a>(&'a self, flow: &'a Flow) -> impl Iterator<Item = &'a CapturedPacket> + 'a {
        self.packets.iter().filter(move |p| {
            p.icmp.is_none() && p.arp.is_none() && p.src == flow.dst && p.sport == flow.dport
        })
    }
}
